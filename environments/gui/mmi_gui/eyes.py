"""Looks at a page: one picture, and the marked elements in it."""

import asyncio
import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from playwright.async_api import Error

from mmi_agent.types import Element
from mmi_gui.devtools import DevTools
from mmi_gui.elements import MAX_ELEMENTS, Candidate, describe, find_candidates, find_texts, out_of_view
from mmi_gui.snapshot import STYLES, Node, read_snapshot
from mmi_gui.transform import Transform

__all__ = ["Sight", "glimpse", "look"]


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
    shown = found[:MAX_ELEMENTS]
    remarks = [out_of_view(layout)]
    if len(found) > len(shown):
        remarks.append("more elements are in view but not listed")
    return Sight(
        png=shot,
        elements=await _mark(session, shown, view),
        marked=dict(enumerate(shown, 1)),
        nodes={node.backend_id: node for node in layout.nodes},
        address=layout.address,
        title=layout.title,
        remark="\n".join(filter(None, remarks)),
    )


async def glimpse(session: DevTools, view: Transform, address: str) -> Sight:
    """Takes a picture and marks nothing: what is left of a page that cannot be read in time."""
    png = await _screenshot(session, view)
    remark = "the page is too large to be read in time: nothing in it is marked"
    return Sight(png=png, elements=(), marked={}, nodes={}, address=address, title="", remark=remark)


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


async def _mark(session: DevTools, shown: Sequence[Candidate], view: Transform) -> tuple[Element, ...]:
    accessible = await asyncio.gather(*(_accessible(session, candidate) for candidate in shown))
    return tuple(
        Element(mark=mark, box=view.box(*candidate.box), **describe(candidate, node)._asdict())
        for mark, (candidate, node) in enumerate(zip(shown, accessible, strict=True), 1)
    )


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
