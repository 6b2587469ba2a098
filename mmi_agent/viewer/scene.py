"""Where things are in a screenshot: every marked element, what the call aims at, and the points it names.

All figures are pixels of the picture: an SVG with the picture's own size as its view box shows them undistorted.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmi_agent.agent.trajectory import Intent, ToolRecord
from mmi_agent.types import Box, Element, Picture

__all__ = ["Mark", "Point", "Scene", "scene_of"]

_DISPLAYED_PX = (680, 620)  # about how wide and high a picture stands on the page
_LABEL_PX = 13


@dataclass(frozen=True, kw_only=True)
class Mark:
    """An element's box.

    Attributes:
        element: The element.
        aimed: Whether the call refers to it.
    """

    element: Element
    aimed: bool
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, kw_only=True)
class Point:
    """A point that the call names, as in `click_at`; `label` tells the ends of a drag apart."""

    label: str
    x: float
    y: float


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A picture with what is drawn on it.

    Attributes:
        picture: The picture.
        marks: Elements with a box in it, those that the call aims at last.
        points: Points that the call names.
        unit: One pixel of the page in pixels of the picture, about: lettering is sized by it.
    """

    picture: Picture
    marks: tuple[Mark, ...] = ()
    points: tuple[Point, ...] = ()
    unit: float = 1.0

    @property
    def label_size(self) -> float:
        """Height of the lettering."""
        return _LABEL_PX * self.unit


def scene_of(
    picture: Picture, elements: Sequence[Element] = (), intent: Intent | None = None, tools: Sequence[ToolRecord] = ()
) -> Scene:
    """Lays out one picture.

    Args:
        picture: The picture that the boxes refer to.
        elements: What was marked in it.
        intent: The step whose call is drawn; None draws none.
        tools: The run's tools, which tell what the arguments of the call mean.
    """
    aimed = set(_aimed_marks(intent, tools)) if intent else set[int]()
    marks = [_mark(element, picture, element.mark in aimed) for element in elements]
    return Scene(
        picture=picture,
        marks=tuple(sorted(marks, key=lambda mark: mark.aimed)),
        points=tuple(_points(intent.call.arguments, picture)) if intent and intent.call else (),
        unit=max(picture.width_px / _DISPLAYED_PX[0], picture.height_px / _DISPLAYED_PX[1]),
    )


def _aimed_marks(intent: Intent, tools: Sequence[ToolRecord]) -> Iterator[int]:
    if intent.target:
        yield intent.target.mark
    call = intent.call
    tool = next((tool for tool in tools if call and tool.name == call.name), None)
    if call and tool:
        for name, field in tool.parameters.get("properties", {}).items():
            value = call.arguments.get(name)
            if isinstance(value, int) and field.get("x-refers-to") == "element":
                yield value


def _mark(element: Element, picture: Picture, aimed: bool) -> Mark:
    x, y, right, bottom = _in_pixels(element.box, picture)
    return Mark(element=element, aimed=aimed, x=x, y=y, width=right - x, height=bottom - y)


def _in_pixels(box: Box, picture: Picture) -> tuple[float, float, float, float]:
    left, top, right, bottom = box
    return (
        _scaled(left, picture.width_px),
        _scaled(top, picture.height_px),
        _scaled(right, picture.width_px),
        _scaled(bottom, picture.height_px),
    )


def _scaled(thousandths: float, side_px: int) -> float:
    return round(thousandths * side_px / 1000, 2)


def _points(arguments: Mapping[str, Any], picture: Picture) -> Iterator[Point]:
    """Finds pairs of coordinates among the arguments: `x` and `y`, `from_x` and `from_y`, and so on."""
    for name, x in arguments.items():
        y = arguments.get(f"{name[:-1]}y") if name == "x" or name.endswith("_x") else None
        if _is_coordinate(x) and y is not None and _is_coordinate(y):
            label = name.removesuffix("x").rstrip("_")
            yield Point(label=label, x=_scaled(x, picture.width_px), y=_scaled(y, picture.height_px))


def _is_coordinate(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1000
