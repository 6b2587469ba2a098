"""Reads Chromium's `DOMSnapshot.captureSnapshot`: where every node of a page stands, and what of it can be seen.

One answer holds all frames, so the picture of the page is of one moment. Knows nothing of roles, marks or policies.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

__all__ = ["STYLES", "Node", "PageLayout", "Rect", "read_snapshot"]

STYLES = (
    "display",
    "visibility",
    "cursor",
    "overflow-x",
    "position",
    "opacity",
    "pointer-events",
    "background-color",
    "fill",
    "stroke",
)
"""The computed styles that `captureSnapshot` has to be asked for, in this order."""

_NO_TEXT = {"script", "style", "noscript", "template", "title", "head"}


class Rect(NamedTuple):
    """A rectangle in CSS pixels of the viewport."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """Right minus left."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Bottom minus top."""
        return self.bottom - self.top

    @property
    def is_empty(self) -> bool:
        """Whether nothing of it can be seen."""
        return self.width < 0.5 or self.height < 0.5

    @property
    def center(self) -> tuple[float, float]:
        """The middle."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    def clipped(self, other: "Rect") -> "Rect":
        """What lies in both."""
        return Rect(
            max(self.left, other.left),
            max(self.top, other.top),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        )

    def joined(self, other: "Rect") -> "Rect":
        """The smallest rectangle around both."""
        return Rect(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )

    def holds(self, x: float, y: float) -> bool:
        """Whether the point lies in it."""
        return self.left <= x < self.right and self.top <= y < self.bottom


@dataclass(eq=False, slots=True)
class Node:
    """One node of the page.

    Attributes:
        backend_id: What Chromium calls it, for as long as it lives.
        tag: Lower case; "#text" for text.
        parent: The node around it; across a frame's border, the iframe.
        attributes: As written in the page.
        text: The content of a text node.
        clickable: Whether it, itself, listens to the mouse.
        style: The computed `STYLES` by name; empty for what is not laid out.
        box: Where it is laid out, in pixels of the viewport; None if it is not.
        seen: The part of `box` that no edge cuts off.
        paint: Its place in the painting order: what is greater is painted later. One number per frame around it.
    """

    backend_id: int
    tag: str
    parent: "Node | None"
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    text: str = ""
    clickable: bool = False
    style: Mapping[str, str] = field(default_factory=dict[str, str])
    box: Rect | None = None
    seen: Rect | None = None
    paint: tuple[int, ...] = ()
    children: list["Node"] = field(default_factory=list["Node"])

    @property
    def is_shown(self) -> bool:
        """Whether it is laid out and not made invisible; it may still lie outside of the view."""
        return self.box is not None and not self.box.is_empty and self.style.get("visibility") == "visible"

    def ancestors(self) -> Iterator["Node"]:
        """Its parent, that one's parent, and so on."""
        node = self.parent
        while node is not None:
            yield node
            node = node.parent

    def is_within(self, other: "Node") -> bool:
        """Whether it is `other` or lies in it."""
        return self is other or any(node is other for node in self.ancestors())

    def texts(self) -> Iterator["Node"]:
        """The text nodes in it that are laid out, in order."""
        waiting: list[Node] = [self]
        while waiting:  # no recursion: a page may nest deeper than Python calls
            node = waiting.pop()
            if node.tag == "#text":
                if node.box is not None and node.text.strip():
                    yield node
            elif node.tag not in _NO_TEXT:
                waiting += reversed(node.children)


@dataclass(frozen=True)
class PageLayout:
    """All nodes of a page in document order, frames in the place of their iframes.

    Attributes:
        nodes: The nodes.
        view: The viewport.
        scroll: How far the page is scrolled to the right and down, in CSS pixels.
        address: The address of the page.
        title: Its title.
    """

    nodes: Sequence[Node]
    view: Rect
    scroll: tuple[float, float]
    address: str = ""
    title: str = ""

    def covers(self) -> list[Node]:
        """What can hide something, topmost first."""
        solid = [
            node
            for node in self.nodes
            if node.seen is not None
            and not node.seen.is_empty
            and node.tag != "#text"
            and node.is_shown
            and node.style["pointer-events"] != "none"
        ]
        return sorted(solid, key=lambda node: node.paint, reverse=True)


def read_snapshot(answer: Mapping[str, Any], *, width_px: float, height_px: float) -> PageLayout:
    """Builds the layout of a page from Chromium's answer.

    Args:
        answer: What `DOMSnapshot.captureSnapshot` returned, asked for `STYLES`, paint order and DOM rectangles.
        width_px: Width of the viewport in CSS pixels.
        height_px: Height of the viewport in CSS pixels.
    """
    view = Rect(0, 0, width_px, height_px)
    documents: list[dict[str, Any]] = answer["documents"]
    strings: list[str] = answer["strings"]
    if not documents:
        return PageLayout((), view, (0, 0))
    frame = _Frame(documents, strings, documents[0])
    return PageLayout(
        nodes=list(frame.read(view, (0, 0), None, ())),
        view=view,
        scroll=frame.scroll,
        address=frame.string(documents[0]["documentURL"]),
        title=frame.string(documents[0]["title"]),
    )


class _Frame:
    """One document of the answer, column by column as Chromium writes it."""

    def __init__(self, documents: list[dict[str, Any]], strings: list[str], document: dict[str, Any]) -> None:
        self.documents = documents
        self.strings = strings
        self.columns: dict[str, Any] = document["nodes"]
        self.layout: dict[str, Any] = document["layout"]
        self.scroll = (float(document.get("scrollOffsetX", 0)), float(document.get("scrollOffsetY", 0)))
        self.clickable = set(self.columns.get("isClickable", {}).get("index", ()))
        content = self.columns.get("contentDocumentIndex", {"index": (), "value": ()})
        self.content: dict[int, int] = dict(zip(content["index"], content["value"], strict=True))
        self.row: dict[int, int] = {}
        for row, node in enumerate(self.layout["nodeIndex"]):
            self.row.setdefault(node, row)

    def string(self, index: int) -> str:
        """The string of that index; Chromium writes every string once."""
        return self.strings[index] if index >= 0 else ""

    def read(
        self, view: Rect, origin: tuple[float, float], parent: Node | None, paint: tuple[int, ...]
    ) -> Iterator[Node]:
        """Yields the nodes of this document and of the frames in it."""
        shift = origin[0] - self.scroll[0], origin[1] - self.scroll[1]
        made: list[Node] = []
        clips: dict[Node, Rect] = {}
        parents: list[int] = self.columns["parentIndex"]
        for index, parent_index in enumerate(parents):
            node = self._node(index, made[parent_index] if parent_index >= 0 else parent, shift, paint)
            made.append(node)
            if node.parent is not None:
                node.parent.children.append(node)
            if node.box is not None:
                node.seen = node.box.clipped(_clip_of(node, clips, parent, view))
            yield node
            if (content := self.content.get(index)) is not None and node.seen is not None and not node.seen.is_empty:
                inner = _Frame(self.documents, self.strings, self.documents[content])
                left, top = self._inner_edge(index)
                assert node.box is not None
                yield from inner.read(node.seen, (node.box.left + left, node.box.top + top), node, node.paint)

    def _inner_edge(self, index: int) -> tuple[float, float]:
        """How far the border of an iframe reaches in."""
        rect = self.layout.get("clientRects", [()] * len(self.row))[self.row[index]]
        return (rect[0], rect[1]) if rect else (0, 0)

    def _node(self, index: int, parent: Node | None, shift: tuple[float, float], paint: tuple[int, ...]) -> Node:
        columns, layout = self.columns, self.layout
        names: list[int] = columns["attributes"][index]
        tag = self.string(columns["nodeName"][index]).lower()
        node = Node(
            backend_id=columns["backendNodeId"][index],
            tag=tag,
            parent=parent,
            attributes={self.string(k): self.string(v) for k, v in zip(names[::2], names[1::2], strict=True)},
            text=self.string(columns["nodeValue"][index]) if tag == "#text" else "",
            clickable=index in self.clickable,
        )
        row = self.row.get(index)
        if row is not None and layout["styles"][row]:
            left, top, width, height = layout["bounds"][row]
            left, top = left + shift[0], top + shift[1]
            node.box = Rect(left, top, left + width, top + height)
            node.style = dict(zip(STYLES, map(self.string, layout["styles"][row]), strict=True))
            node.paint = (*paint, layout["paintOrders"][row])
            if parent is not None and parent.style.get("opacity") == "0":
                node.style["opacity"] = "0"
        return node


def _clip_of(node: Node, clips: dict[Node, Rect], frame: Node | None, view: Rect) -> Rect:
    """What the boxes around a node leave of the view: overflow cuts, but not what is positioned out of it."""
    position = node.style["position"]
    if position == "fixed":
        return view
    around = node.parent
    while around is not None and around is not frame:
        held = position != "absolute" or around.style.get("position", "static") != "static"
        if around.box is not None and held:
            break
        around = around.parent
    if around is None or around is frame or around.box is None:
        return view
    if around not in clips:
        outer = _clip_of(around, clips, frame, view)
        cuts = around.style["overflow-x"] != "visible" and around.tag not in ("html", "body")
        clips[around] = outer.clipped(around.box) if cuts else outer
    return clips[around]
