"""What the reader of keywords does not understand and must not drop: numbers that nothing takes, and "no door"."""

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["doubt"]

_ODD_NUMBER = re.compile(
    r"(?<!\w)[-\u2212]\d+|\bminus \w+|\d+\.\d+|\d*[\u00bc-\u00be]|\b(?:\w+ )?(?:hundred|thousand|million)s?\b"
)
_LEFT_OUT = re.compile(r"\b(?:no|without|not)((?:(?: (?!n?or\b)\w+){1,3})(?: n?or(?: \w+){1,2})*)")
_CAN_BE_LEFT_OUT = {
    "fence": "gate|entrance|opening",
    "wall": "battlement|crenel|merlon",
    "path": "torch|light|lit|lamp",
    "stairs": "rail|handrail|banister|solid|filled",
    "bridge": "rail|handrail|pillar|support|column|torch|light|lit|lamp",
    "tower": "window|battlement|crenel|merlon",
    "hut": "window|torch|light|lamp",
}


def doubt(request: str, text: str, said: Mapping[str, Any]) -> str:
    """The question that must be asked before anything is built; empty if there is none.

    Args:
        request: As it was written.
        text: The same in plain words and figures.
        said: The parameters that were found in it.
    """
    if odd := _ODD_NUMBER.search(request.lower()):
        return f"I count in whole blocks and know no number like {odd[0].strip()!r}: write it in figures, as in 25."
    taken = {value for value in said.values() if type(value) is int} | {1}  # "one fence" is a fence
    if left := [number for number in re.findall(r"\d+", text) if int(number) not in taken]:
        return f"What is {left[0][:20]!r} for? Say it as in '9 by 7', '12 long' or '5 high'."
    kind = said["kind"]
    for phrase in _LEFT_OUT.finditer(text):
        if not all(re.search(rf"\b(?:{_CAN_BE_LEFT_OUT[kind]})", part) for part in re.split(r"\bn?or\b", phrase[1])):
            return f"I do not understand {phrase[0]!r} of a {kind}: say what it has instead."
    return ""
