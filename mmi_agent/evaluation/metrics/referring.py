"""Accuracy of finding what a sentence refers to: right is a box that covers the true one well enough."""

from mmi_agent.errors import ConfigError
from mmi_agent.inference.grounding import parse

__all__ = ["Corners", "box_of", "in_thousandths", "overlap"]

Corners = tuple[float, float, float, float]
"""Left, top, right and bottom."""


def overlap(box: Corners, other: Corners) -> float:
    """The area that two boxes share, over the area that they cover together."""
    shared = _area((max(box[0], other[0]), max(box[1], other[1]), min(box[2], other[2]), min(box[3], other[3])))
    covered = _area(box) + _area(other) - shared
    return shared / covered if covered else 0.0


def box_of(text: str) -> Corners | None:
    """The first box that a text in the released form says, in 0..1000 of the picture; None if it says none.

    What the released model writes begins within the tag: the question ended with `<box>`.
    """
    tagged = text if "<box>" in text else f"<box>{text}"
    found = parse(tagged if "</box>" in tagged else f"{tagged}</box>").found
    return next((box for grounding in found for box in grounding.boxes), None)


def in_thousandths(box: Corners, width: float, height: float) -> Corners:
    """A box of pixels in 0..1000 of its picture.

    Raises:
        ConfigError: If the picture has no size.
    """
    if width <= 0 or height <= 0:
        raise ConfigError(f"a picture of {width:g} x {height:g} pixels")
    left, top, right, bottom = box
    return left * 1000 / width, top * 1000 / height, right * 1000 / width, bottom * 1000 / height


def _area(box: Corners) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])
