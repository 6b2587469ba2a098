"""Where in a picture something is, as the released model reads and writes it.

A text says `<ref>a dog</ref><box>(x1,y1)(x2,y2)</box>`. Its numbers have three digits and go to 999; the program's
boxes go to 1000. The tags are plain text. Knows no model.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mmi_agent.errors import ConfigError
from mmi_agent.types import Box

__all__ = [
    "BOX_LENGTH",
    "CORNER_LENGTH",
    "Grounding",
    "Groundings",
    "corner_numbers",
    "corner_pattern",
    "grounded",
    "parse",
    "request",
]

_SCALE = 999
_FULL = 1000

CORNER_LENGTH = len("(000,000)")
"""Characters of one corner of a box."""

BOX_LENGTH = 2 * CORNER_LENGTH + len("</box><box>")
"""Characters that a box takes in an answer."""

_CORNERS = re.compile(r"\((\d{1,3}),(\d{1,3})\)\((\d{1,3}),(\d{1,3})\)")
_TAGGED = re.compile(r"<ref>(?P<phrase>[^<]*)</ref>|<box>(?P<corners>[^<]*)(?P<closed></box>)?", re.DOTALL)
_TAG = re.compile(r"</?(?:ref|box)>")


@dataclass(frozen=True, kw_only=True)
class Grounding:
    """A phrase and where it is.

    Attributes:
        phrase: What a text says is there; empty for boxes that no phrase stands before.
        boxes: Each 0..1000 of the picture's width or height; maybe none.
    """

    phrase: str
    boxes: tuple[Box, ...]


class Groundings(NamedTuple):
    """What a text says, and what could not be read.

    Attributes:
        found: In the order of the text.
        skipped: What is damaged, each with the reason.
    """

    found: list[Grounding]
    skipped: list[str]


def request(phrase: str) -> str:
    """The words in which the released model was asked; it goes on with the first corner of a box."""
    return f"Provide the bounding box coordinate of the region this sentence describes. {phrase}<box>"


def grounded(phrase: str, boxes: Sequence[Box]) -> str:
    """Writes a phrase with its boxes.

    Raises:
        ConfigError: If the phrase holds a tag, or a box is not (left, top, right, bottom) within 0..1000.
    """
    if _TAG.search(phrase):
        raise ConfigError(f"the phrase {phrase!r} holds a tag of its own: leave <ref> and <box> out")
    return f"<ref>{phrase}</ref>" + "".join(f"<box>{_corners(box)}</box>" for box in boxes)


def _corners(box: Box) -> str:
    left, top, right, bottom = box
    if not (0 <= left <= right <= _FULL and 0 <= top <= bottom <= _FULL):
        raise ConfigError(f"box {box} is not (left, top, right, bottom) within 0..{_FULL}")
    x1, y1, x2, y2 = (round(value * _SCALE / _FULL) for value in box)
    return f"({x1:03d},{y1:03d})({x2:03d},{y2:03d})"


def parse(text: str) -> Groundings:
    """Reads the phrases and boxes of a text.

    A box belongs to the latest phrase before it. What is damaged (a tag without its other half, numbers that are none,
    a right edge left of the left one) is skipped and reported; the rest counts.
    """
    phrases: list[tuple[str, list[Box]]] = []
    skipped = [f"{tag} without its other half" for tag in _TAG.findall(_TAGGED.sub("", text))]
    for match in _TAGGED.finditer(text):
        if match["phrase"] is not None:
            phrases.append((match["phrase"], []))
            continue
        if match["closed"] is None:
            skipped.append(f"{match[0]!r}: <box> without </box>")
            continue
        if not phrases:
            phrases.append(("", []))
        boxes, reasons = _boxes(match["corners"])
        phrases[-1][1].extend(boxes)
        skipped += reasons
    return Groundings([Grounding(phrase=phrase, boxes=tuple(boxes)) for phrase, boxes in phrases], skipped)


def _boxes(text: str) -> tuple[list[Box], list[str]]:
    compact = "".join(text.split())
    found = [tuple(map(int, match.groups())) for match in _CORNERS.finditer(compact)]
    if not found or _CORNERS.sub("", compact):
        return [], [f"{text!r}: expected (x1,y1)(x2,y2) with numbers of up to three digits"]
    boxes: list[Box] = []
    reasons: list[str] = []
    for x1, y1, x2, y2 in found:
        if x1 > x2 or y1 > y2:
            reasons.append(f"({x1},{y1})({x2},{y2}): the second corner is left of the first, or above it")
        else:
            left, top, right, bottom = (round(value * _FULL / _SCALE) for value in (x1, y1, x2, y2))
            boxes.append((left, top, right, bottom))
    return boxes, reasons


def corner_numbers(corner: str) -> tuple[int, int]:
    """The numbers of a corner that `corner_pattern` matches."""
    x, y = corner.strip("()").split(",")
    return int(x), int(y)


def corner_pattern(least_x: int = 0, least_y: int = 0) -> str:
    """A regular expression for a corner that is not left of or above another."""
    return rf"\(({_at_least(least_x)}),({_at_least(least_y)})\)"


def _at_least(number: int) -> str:
    """Three digits that are no less than a number: the same beginning, then a greater digit, then any."""
    digits = f"{number:03d}"
    greater = (
        f"{digits[:place]}[{int(digit) + 1}-9]" + "[0-9]" * (2 - place)
        for place, digit in enumerate(digits)
        if digit != "9"
    )
    return "|".join([digits, *greater])
