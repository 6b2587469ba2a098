"""Looks at a page: one picture, and the marked elements in it."""

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from playwright.async_api import Error

from mmi_agent.types import Element
from mmi_gui.devtools import DevTools
from mmi_gui.elements import MAX_ELEMENTS, Candidate, describe, find_candidates, find_texts, out_of_view
from mmi_gui.snapshot import STYLES, Node, read_snapshot
from mmi_gui.transform import Transform

__all__ = ["Sight", "look"]


@dataclass(frozen=True)
class Sight:
    """What was seen at one moment.

    Attributes:
        png: The picture.
        elements: What is marked in it.
        marked: The page's node behind each mark.
        nodes: Every node that stood in the page, by Chromium's id.
        address: The page's address.
        title: The page's title.
        remark: What lies out of view.
    """

    png: bytes
    elements: tuple[Element, ...]
    marked: Mapping[int, Candidate]
    nodes: Mapping[int, Node]
    address: str
    title: str
    remark: str


async def look(session: DevTools, view: Transform) -> Sight:
    """Takes a picture of a page and finds what is in it.

    Args:
        session: The page's protocol session.
        view: The page's viewport.
    """
    shot, answer = await asyncio.gather(
        _screenshot(session, view),
        session.send(
            "DOMSnapshot.captureSnapshot", computedStyles=STYLES, includePaintOrder=True, includeDOMRects=True
        ),
    )
    layout = read_snapshot(answer, width_px=view.width_px, height_px=view.height_px)
    controls = find_candidates(layout)
    order = {node: place for place, node in enumerate(layout.nodes)}
    found = sorted([*controls, *find_texts(layout, controls)], key=lambda candidate: order[candidate.node])
    elements, marked = await _mark(session, found, view)
    remarks = [out_of_view(layout)]
    if len(marked) > MAX_ELEMENTS:
        remarks.append(f"{len(found) - MAX_ELEMENTS} more elements are in view but not listed")
    return Sight(
        png=shot,
        elements=elements[:MAX_ELEMENTS],
        marked=marked,
        nodes={node.backend_id: node for node in layout.nodes},
        address=layout.address,
        title=layout.title,
        remark="\n".join(filter(None, remarks)),
    )


async def _screenshot(session: DevTools, view: Transform) -> bytes:
    options: dict[str, Any] = {}
    if view.pixel_ratio != 1:  # without a clip Chromium scales the picture down to CSS pixels; with it it takes longer
        metrics = await session.send("Page.getLayoutMetrics")
        scrolled = metrics["cssVisualViewport"]
        options["clip"] = {
            "x": scrolled["pageX"],
            "y": scrolled["pageY"],
            "width": view.width_px,
            "height": view.height_px,
            "scale": view.pixel_ratio,
        }
    answer = await session.send("Page.captureScreenshot", format="png", optimizeForSpeed=True, **options)
    return base64.b64decode(answer["data"])


async def _mark(
    session: DevTools, found: list[Candidate], view: Transform
) -> tuple[tuple[Element, ...], dict[int, Candidate]]:
    accessible = await asyncio.gather(*(_accessible(session, candidate) for candidate in found))
    elements: list[Element] = []
    for mark, (candidate, node) in enumerate(zip(found, accessible, strict=True), 1):
        role, name, value, states, source = describe(candidate, node)
        box = view.box(*candidate.box)
        elements.append(Element(mark=mark, role=role, name=name, value=value, states=states, box=box, source=source))
    return tuple(elements), dict(enumerate(found, 1))


async def _accessible(session: DevTools, candidate: Candidate) -> Mapping[str, Any] | None:
    """The candidate's node of the accessibility tree; None for texts, and for what is gone by now."""
    if candidate.kind == "text":
        return None
    try:
        answer = await session.send(
            "Accessibility.getPartialAXTree", backendNodeId=candidate.node.backend_id, fetchRelatives=False
        )
    except Error:
        return None
    return answer["nodes"][0] if answer["nodes"] else None
