"""Chooses what of a page is marked, and says what it is.

Where a thing is and whether it can be seen comes from the layout; what it is, is called and holds comes from Chromium's
accessibility tree. A thing that reacts to the mouse but has no accessible name is named by what any page has: its
text, its title, its class, its shape and colour. Nothing here knows a particular site.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from mmi_gui.colors import color_word
from mmi_gui.snapshot import Node, PageLayout, Rect

__all__ = ["MAX_ELEMENTS", "Candidate", "Description", "describe", "find_candidates", "find_texts", "out_of_view"]

MAX_ELEMENTS = 400
"""More than any policy reads; the rest is counted in the observation's text."""

Kind = Literal["control", "reacts", "picture", "option", "text"]
"""A control says itself what it is; what merely reacts has a listener or a pointing hand; a picture is to be seen."""

_MAX_NAME = 160
_MAX_TEXT = 1000
_MAX_OPTIONS = 40
_MAX_RUNS_INSIDE = 3
_ICON_PX = 32
_SPECK_PX = 3
_CONTROL_TAGS = {"button", "select", "textarea", "summary", "input", "video", "audio"}
_NEVER = {"html", "body", "iframe", "frame", "option", "optgroup", "#text", "#document"}
_SHAPES = {"rect", "circle", "ellipse", "line", "polyline", "polygon", "path"}
_POLYGONS = {3: "triangle", 4: "quadrilateral", 5: "pentagon", 6: "hexagon"}
_HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6"}
_CONTROL_ROLES = set(
    "button link textbox searchbox combobox listbox option checkbox radio switch slider spinbutton tab menuitem "
    "menuitemcheckbox menuitemradio treeitem gridcell".split()
)
_EMPTY_ROLES = {"", "none", "presentation", "generic", "paragraph", "LabelText", "SvgRoot", "graphics-symbol", "list"}
_PICTURE_ROLES = {"image", "img"}
_ROLE_WORDS = {
    "Canvas": "canvas",
    "img": "image",
    "ColorWell": "color",
    "DisclosureTriangle": "button",
    "DisclosureTriangleGrouped": "button",
    "MenuListOption": "option",
    "ListBoxOption": "option",
    "PopUpButton": "combobox",
    "StaticText": "text",
}
_NAMING_ATTRIBUTES = ("aria-label", "title", "alt", "placeholder", "name", "id", "class")


@dataclass(frozen=True)
class Candidate:
    """Something that may be marked.

    Attributes:
        kind: Why it was chosen.
        node: The node to act on.
        box: What can be seen of it, in pixels of the viewport.
        nodes: For a run of text, all of its text nodes.
        reacts: For a run of text, whether something around it reacts to the mouse.
    """

    kind: Kind
    node: Node
    box: Rect
    nodes: tuple[Node, ...] = ()
    reacts: bool = False


class Description(NamedTuple):
    """What is said of a candidate."""

    role: str
    name: str
    value: str
    states: tuple[str, ...]
    source: Literal["accessibility", "dom"]


def find_candidates(layout: PageLayout) -> list[Candidate]:
    """What can be acted on in the view, in document order: controls, what else reacts to the mouse, and pictures."""
    covers = layout.covers()
    found: list[Candidate] = []
    for node, kind in _without_wrappers(_kinds(layout), layout.view):
        if node.seen is None or node.seen.is_empty or not _can_be_hit(node, node.seen, covers):
            continue
        found.append(Candidate(kind, node, node.seen))
        if node.tag == "select":
            found += [Candidate("option", option, node.seen) for option in _closed_options(node)]
        if len(found) >= MAX_ELEMENTS:
            break
    return found[:MAX_ELEMENTS]


def _kinds(layout: PageLayout) -> dict[Node, Kind]:
    return {node: kind for node in layout.nodes if (kind := _kind(node)) is not None}


def _kind(node: Node) -> Kind | None:
    if not node.is_shown or node.tag in _NEVER - {"option"}:
        return None
    attributes = node.attributes
    if node.tag == "option":
        return "control"  # laid out, so its list is open
    if node.tag == "input" or node.style["opacity"] != "0":
        is_link = node.tag == "a" and "href" in attributes
        if is_link or _is_editable(node) or node.tag in _CONTROL_TAGS or attributes.get("role") in _CONTROL_ROLES:
            return "control"
    else:
        return None
    if node.tag in _SHAPES:
        if node.box is None or max(node.box.width, node.box.height) < _SPECK_PX:
            return None
        return "reacts" if node.clickable else "picture" if _is_drawing(node) else None
    if node.clickable or _starts_pointing(node) or attributes.get("tabindex", "-1").isdecimal():
        return "reacts"
    return "picture" if node.tag in ("img", "canvas") else None


def _is_editable(node: Node) -> bool:
    return node.attributes.get("contenteditable", "false") != "false"


def _starts_pointing(node: Node) -> bool:
    """Whether the mouse turns into a pointing hand here, and not already around it."""
    return node.style.get("cursor") == "pointer" and (
        node.parent is None or node.parent.style.get("cursor") != "pointer"
    )


def _is_drawing(shape: Node) -> bool:
    """Whether a shape belongs to a drawing that is larger than an icon."""
    root = next((node for node in shape.ancestors() if node.tag == "svg"), None)
    return root is not None and root.box is not None and max(root.box.width, root.box.height) > _ICON_PX


def _without_wrappers(kinds: Mapping[Node, Kind], view: Rect) -> Iterator[tuple[Node, Kind]]:
    """Drops what only wraps or decorates something else that is marked.

    A listener on a list or on the whole page says little: what lies in it is marked instead, and a click there reaches
    the listener all the same.
    """
    wrapping: set[Node] = set()
    for node, kind in kinds.items():
        if kind != "picture" or node.tag in _SHAPES:
            wrapping.update(node.ancestors())
    kept: set[Node] = set()
    for node, kind in kinds.items():
        if kind == "reacts" and (node in wrapping or _is_background(node, view)):
            continue
        around = next((a for a in node.ancestors() if a in kept), None)
        if around is not None and (kind != "control" or _same_place(node, around)):
            continue
        kept.add(node)
        yield node, kind


def _is_background(node: Node, view: Rect) -> bool:
    return sum(1 for _ in node.texts()) > _MAX_RUNS_INSIDE or _fills(node, view)


def _fills(node: Node, view: Rect) -> bool:
    """Whether it takes up more than half of the view and is no drawing."""
    box = node.seen
    fills = box is not None and box.width * box.height > view.width * view.height / 2
    return fills and node.tag not in ("svg", "canvas")


def _same_place(inner: Node, outer: Node) -> bool:
    """Whether a control is all that another one shows, like the link in a tab."""
    return outer.tag != "select" and _text_of(inner) == _text_of(outer)


def _closed_options(select: Node) -> list[Node]:
    options = [child for child in _descendants(select) if child.tag == "option" and child.box is None]
    return options[:_MAX_OPTIONS]


def _descendants(node: Node) -> Iterator[Node]:
    waiting = node.children[::-1]
    while waiting:  # no recursion: a page may nest deeper than Python calls
        inner = waiting.pop()
        yield inner
        waiting += reversed(inner.children)


def _can_be_hit(node: Node, box: Rect, covers: Sequence[Node]) -> bool:
    """Whether a click somewhere in the box would reach the node: not where something else is painted over it."""
    above = [
        cover
        for cover in _painted_after(node, covers)
        if cover.seen is not None and not cover.seen.clipped(box).is_empty and not _belong_together(node, cover)
    ]
    width, height = box.width, box.height
    shares = ((0.5, 0.5), (0.1, 0.1), (0.9, 0.1), (0.1, 0.9), (0.9, 0.9)) if above else ((0.5, 0.5),)
    points = ((box.left + x * width, box.top + y * height) for x, y in shares)
    return any(not any(cover.seen and cover.seen.holds(x, y) for cover in above) for x, y in points)


def _painted_after(node: Node, covers: Sequence[Node]) -> Iterator[Node]:
    for cover in covers:
        if cover.paint <= node.paint:
            return
        yield cover


def _belong_together(node: Node, cover: Node) -> bool:
    if cover.is_within(node) or node.is_within(cover):
        return True
    label = next((a for a in node.ancestors() if a.tag == "label"), None)
    return label is not None and cover.is_within(label)


def find_texts(layout: PageLayout, marked: Iterable[Candidate]) -> list[Candidate]:
    """The runs of text in the view that belong to nothing marked, in document order."""
    covers = layout.covers()
    owners = {candidate.node for candidate in marked}
    runs: list[Candidate] = []
    for run in _runs(layout, owners):
        seen = [node.seen for node in run if node.seen is not None and not node.seen.is_empty]
        if not seen:
            continue
        box = seen[0]
        for rect in seen[1:]:
            box = box.joined(rect)
        shown = next(node for node in run if node.seen is not None and not node.seen.is_empty)
        if _can_be_hit(shown, box, covers):
            runs.append(Candidate("text", shown, box, tuple(run), _lies_in_reacting(shown, layout.view)))
    return runs


def _lies_in_reacting(text: Node, view: Rect) -> bool:
    """Whether a click on the text does something that a part of the page waits for, and not the page as a whole."""
    around = (node for node in text.ancestors() if node.tag not in _NEVER)
    return any((node.clickable or _starts_pointing(node)) and not _fills(node, view) for node in around)


def _runs(layout: PageLayout, owners: set[Node]) -> Iterator[list[Node]]:
    """Text nodes of one block with nothing marked between them."""
    run: list[Node] = []
    block: Node | None = None
    for node in layout.nodes:
        if node in owners:
            if run:
                yield run
            run = []
        if not _is_readable(node) or _is_owned(node, owners):
            continue
        around = next((a for a in node.ancestors() if a.style.get("display", "") != "inline"), None)
        if run and around is not block:
            yield run
            run = []
        block = around
        run.append(node)
    if run:
        yield run


def _is_readable(node: Node) -> bool:
    return node.tag == "#text" and bool(node.text.strip()) and node.is_shown and node.style["opacity"] != "0"


def _is_owned(text: Node, owners: set[Node]) -> bool:
    return any(
        node in owners or node.tag in ("select", "textarea") or _labels(node, owners) for node in text.ancestors()
    )


def _labels(node: Node, owners: set[Node]) -> bool:
    """Whether it is the label around a marked control, which has the label's text for its name."""
    return node.tag == "label" and any(inner in owners for inner in _descendants(node))


def describe(candidate: Candidate, accessible: Mapping[str, Any] | None) -> Description:
    """Says what a candidate is.

    Args:
        candidate: What to describe.
        accessible: Its node of Chromium's accessibility tree; None for texts, and where it has none.
    """
    if candidate.kind == "text":
        text = _clean(" ".join(node.text for node in candidate.nodes))
        is_heading = any(node.tag in _HEADINGS for node in candidate.node.ancestors())
        role = "generic" if candidate.reacts else "heading" if is_heading else "text"
        return Description(role, text[:_MAX_TEXT], "", (), "dom")
    role, name, value = (_value(accessible, key) for key in ("role", "name", "value"))
    known = role not in _EMPTY_ROLES and not (candidate.kind == "reacts" and role in _PICTURE_ROLES)
    return Description(
        role=_ROLE_WORDS.get(role, role.lower()) if known else _role_by_looks(candidate.node),
        name=(_clean(name) or _name_by_looks(candidate.node))[:_MAX_NAME],
        value=value[:_MAX_TEXT],
        states=tuple(_states(accessible)),
        source="accessibility" if known else "dom",
    )


def _value(accessible: Mapping[str, Any] | None, key: str) -> str:
    return str((accessible or {}).get(key, {}).get("value", ""))


def _states(accessible: Mapping[str, Any] | None) -> Iterator[str]:
    properties = {p["name"]: p["value"].get("value") for p in (accessible or {}).get("properties", ())}
    for word in ("focused", "disabled", "required", "readonly", "selected"):
        if properties.get(word) is True:
            yield word
    for word in ("checked", "pressed"):
        if (state := properties.get(word)) in ("true", "mixed", True):
            yield word if state != "mixed" else f"partly {word}"
    if "expanded" in properties:
        yield "expanded" if properties["expanded"] else "collapsed"


def _role_by_looks(node: Node) -> str:
    if _is_editable(node):
        return "textbox"
    return "graphics" if node.tag in _SHAPES or node.tag == "svg" else "option" if node.tag == "option" else "generic"


def _name_by_looks(node: Node) -> str:
    if node.tag in _SHAPES:
        return _shape_name(node)
    if (text := _text_of(node)) and not _is_editable(node):
        color = color_word(node.style.get("fill", "")) if node.tag == "text" else ""
        return f"{text} ({color})" if color else text
    written = next((node.attributes[key] for key in _NAMING_ATTRIBUTES if node.attributes.get(key)), "")
    pictured = next((child.attributes["alt"] for child in _descendants(node) if child.attributes.get("alt")), "")
    color = color_word(node.style.get("background-color", "")) if node.tag not in _CONTROL_TAGS else ""
    return " ".join(filter(None, (color, pictured or _clean(written))))


def _shape_name(node: Node) -> str:
    shape = {"rect": "rectangle"}.get(node.tag, node.tag)
    if node.tag == "polygon":
        corners = len(re.findall(r"-?[\d.]+(?:e-?\d+)?", node.attributes.get("points", ""))) // 2
        shape = _POLYGONS.get(corners, shape)
    color = color_word(node.style.get("fill", "")) or color_word(node.style.get("stroke", ""))
    size = f"{node.box.width:.0f}x{node.box.height:.0f}" if node.box else ""
    return " ".join(filter(None, (node.attributes.get("aria-label"), color, shape, size)))


def _text_of(node: Node) -> str:
    return _clean(" ".join(text.text for text in node.texts()))


def _clean(text: str) -> str:
    return " ".join(text.split())


def out_of_view(layout: PageLayout) -> str:
    """Says how much of the page lies outside of the view and where, in a line; empty if nothing does."""
    counts: Counter[str] = Counter()
    for node in layout.nodes:
        counted = _is_readable(node) or (node.tag in _CONTROL_TAGS and node.is_shown)
        if counted and node.box is not None and node.seen is not None and node.seen.is_empty:
            if side := _side(node.box, node.seen, layout):
                counts[side] += 1
    if not counts:
        return ""
    return "Out of view: " + ", ".join(f"{n} more {side}" for side, n in counts.items()) + " (scroll)"


def _side(box: Rect, seen: Rect, layout: PageLayout) -> str:
    """Where a rectangle lies that was cut away whole; empty for what no scrolling can reach."""
    if seen.height < 0.5:
        if seen.top == box.top:
            return "below"
        return "above" if box.bottom + layout.scroll[1] > 0 else ""
    if seen.left == box.left:
        return "to the right"
    return "to the left" if box.right + layout.scroll[0] > 0 else ""
