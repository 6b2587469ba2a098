"""Holds back text that may turn out to begin with a stop string, so that none is ever shown, in part or whole."""

from collections.abc import Sequence
from typing import NamedTuple

from mmi_agent.errors import ConfigError

__all__ = ["Shown", "StopStrings"]


class Shown(NamedTuple):
    """What may be shown.

    Attributes:
        ids: Tokens all of whose text may be shown.
        text: Their text; where a stop string came in the middle of a token, also what stands before it.
        cut: Tokens to take back, if a stop string came; else None.
        begun: Text of the first of them that stands before the stop string.
    """

    ids: list[int]
    text: str
    cut: int | None = None
    begun: str = ""


class StopStrings:
    """Lets text pass, token by token.

    Args:
        strings: What ends the text.

    Raises:
        ConfigError: If one is empty.
    """

    def __init__(self, strings: Sequence[str]) -> None:
        if not all(strings):
            raise ConfigError(f"stop strings are {list(strings)!r}: an empty one would stop at once")
        self._strings = strings
        self._held: list[tuple[int, str]] = []

    @property
    def num_held(self) -> int:
        """Tokens that are held back."""
        return len(self._held)

    def push(self, tokens: Sequence[tuple[int, str]]) -> Shown:
        """Takes tokens with the text that each completed; returns what can no longer become a stop string."""
        self._held += tokens
        text = "".join(piece for _, piece in self._held)
        places = [place for place in (text.find(string) for string in self._strings) if place >= 0]
        if places:
            return self._cut(text, min(places))
        safe = len(text) - max((_overlap(text, string) for string in self._strings), default=0)
        return self._release(self._whole(safe))

    def flush(self) -> Shown:
        """Lets everything pass that was held back."""
        return self._release(len(self._held))

    def _whole(self, length: int) -> int:
        """Counts the tokens within the first `length` characters.

        Trailing tokens without text may be the first bytes of a character and wait for the rest of it.
        """
        if not self._strings:
            return len(self._held)
        count = end = 0
        for index, (_, piece) in enumerate(self._held):
            end += len(piece)
            if end > length:
                break
            if piece:
                count = index + 1
        return count

    def _release(self, count: int) -> Shown:
        passed, self._held = self._held[:count], self._held[count:]
        return Shown([token for token, _ in passed], "".join(piece for _, piece in passed))

    def _cut(self, text: str, place: int) -> Shown:
        shown = self._release(self._whole(place))
        cut, self._held = len(self._held), []
        return Shown(shown.ids, text[:place], cut, text[len(shown.text) : place])


def _overlap(text: str, string: str) -> int:
    """The length of the longest end of `text` with which `string` begins."""
    return next((size for size in range(min(len(text), len(string) - 1), 0, -1) if text.endswith(string[:size])), 0)
