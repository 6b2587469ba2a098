"""Notices that a run goes in circles: the same call on a screen that looks the same, or a screen that nothing changes.

Two looks are the same if text and elements are equal (roles, names, values, states, boxes) and so are the pictures.
One excuse is made: where nothing differs but times of day that went on as the real clock did, a small change of the
picture is that clock. A stepper that is pressed on purpose runs faster than the clock, a page that scrolls moves boxes.
"""

import json
import re
from collections import Counter, deque
from dataclasses import dataclass, field
from functools import lru_cache
from io import BytesIO

from PIL import Image, ImageChops

from mmi_agent.pictures import PictureStore
from mmi_agent.types import Observation, Picture, ToolCall

__all__ = ["Look", "Repetition"]

_WINDOW = 24  # steps that are remembered: enough to see a circle of a few screens close several times
_CLOCK = re.compile(r"\b([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?\b")
_GRID = 64  # pictures are compared as so many cells across and down
_SMALL_CHANGE = 0.02  # of the cells
_DAY_S = 86_400


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a screen looks like, for comparison.

    Attributes:
        words: Text and elements, with each time of day masked.
        clocks: Those times, as (seconds of the day, whether they show seconds).
        pictures: The pictures.
        at_s: When it was seen.
    """

    words: str
    clocks: tuple[tuple[int, bool], ...]
    pictures: tuple[Picture, ...]
    at_s: float = field(compare=False)

    @classmethod
    def of(cls, observation: Observation, *, at_s: float) -> "Look":
        """Describes an observation."""
        elements = [(e.role, e.name, e.value, e.states, e.box) for e in observation.elements]
        words = json.dumps([observation.text, elements])
        return cls(
            words=_CLOCK.sub("clock", words),
            clocks=tuple(_seconds_of_day(match) for match in _CLOCK.finditer(words)),
            pictures=observation.pictures,
            at_s=at_s,
        )

    def same_as(self, earlier: "Look", pictures: PictureStore) -> bool:
        """Whether the screen looks as it did earlier, a clock that ticks left aside."""
        if self.words != earlier.words:
            return False
        if self.clocks == earlier.clocks:
            return self.pictures == earlier.pictures
        return self._only_ticked(earlier) and _nearly_equal(self.pictures, earlier.pictures, pictures)

    def _only_ticked(self, earlier: "Look") -> bool:
        passed_s = self.at_s - earlier.at_s
        for (now, fine), (then, _) in zip(self.clocks, earlier.clocks, strict=True):
            if now != then and abs((now - then) % _DAY_S - passed_s) > (2 if fine else 60):
                return False
        return True


def _seconds_of_day(match: re.Match[str]) -> tuple[int, bool]:
    hours, minutes, seconds = match.groups()
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds or 0), seconds is not None


def _nearly_equal(now: tuple[Picture, ...], then: tuple[Picture, ...], store: PictureStore) -> bool:
    """Whether at most a small part of each picture differs."""
    if [(p.width_px, p.height_px) for p in now] != [(p.width_px, p.height_px) for p in then]:
        return False
    return all(
        a.digest == b.digest or _changed_share(_cells(store, a.digest), _cells(store, b.digest)) <= _SMALL_CHANGE
        for a, b in zip(now, then, strict=True)
    )


@lru_cache(maxsize=2 * _WINDOW)
def _cells(store: PictureStore, digest: str) -> Image.Image:
    return Image.open(BytesIO(store.get(digest))).convert("L").resize((_GRID, _GRID), Image.Resampling.BOX)


def _changed_share(a: Image.Image, b: Image.Image) -> float:
    """The share of cells in which two pictures differ."""
    histogram = ImageChops.difference(a, b).histogram()
    return sum(histogram[3:]) / (_GRID * _GRID)


class Repetition:
    """Remembers the recent calls with the screens they were made on."""

    def __init__(self, pictures: PictureStore) -> None:
        self._pictures = pictures
        self._made: deque[tuple[str, Look]] = deque(maxlen=_WINDOW)
        self._unchanged: Look | None = None
        self.unchanged_steps = 0

    def times_made(self, call: ToolCall, look: Look) -> int:
        """How often this call was made on a screen that looked like this."""
        key = _key(call)
        return sum(made == key and look.same_as(then, self._pictures) for made, then in self._made)

    def remember(self, call: ToolCall, look: Look) -> None:
        """Takes note of a call that is about to be made."""
        self._made.append((_key(call), look))

    def saw(self, look: Look) -> None:
        """Takes note of what the screen looks like after an act that could have changed it."""
        if self._unchanged and look.same_as(self._unchanged, self._pictures):
            self.unchanged_steps += 1
        else:
            self._unchanged, self.unchanged_steps = look, 0

    def made_often(self, look: Look, times: int) -> tuple[str, int] | None:
        """A call that was made at least so often on screens that looked like this one, as text, and how often."""
        often = {call for call, count in Counter(made for made, _ in self._made).items() if count >= times}
        alike = Counter(made for made, then in self._made if made in often and look.same_as(then, self._pictures))
        return next((item for item in alike.most_common(1) if item[1] >= times), None)


def _key(call: ToolCall) -> str:
    return f"{call.name} {json.dumps(call.arguments, sort_keys=True)}"
