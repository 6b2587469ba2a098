"""What may come next in a document of text and pictures: text, a picture, or the end. Knows no model.

A budget counts one for each token of text and one for each picture.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from mmi_agent.errors import ConfigError

__all__ = ["Choices", "Part", "Structure"]

Part = Literal["text", "picture"]
"""A stretch of text of at least one token, or one picture."""


class Choices(NamedTuple):
    """What may come next; at least one of them."""

    text: bool
    picture: bool
    end: bool


class Structure:
    """Where a document stands among the parts that it shall have; made by `of`, `exactly` and `up_to`.

    No text may use up what later parts need: while pictures or texts must still come, a stretch of text takes no
    more than an even share of the budget, and then it is over.
    """

    def __init__(self, parts: Sequence[Part] | None, *, least: int, most: int | None) -> None:
        self._parts = parts
        self._least, self._most = least, most
        self._place = 0  # parts that are complete, or pictures where there is no list of parts
        self._tokens = 0  # of the text that is being written
        self._share: int | None = None  # of that text

    @classmethod
    def of(cls, parts: Sequence[Part]) -> "Structure":
        """Just these parts in this order.

        Raises:
            ConfigError: If there are none, two texts stand side by side, or a part is neither text nor picture.
        """
        for part in parts:
            if part not in ("text", "picture"):
                raise ConfigError(f"the structure has a part {part!r}: expected 'text' or 'picture'")
        if not parts or any(pair == ("text", "text") for pair in pairwise(parts)):
            raise ConfigError(f"the structure is {list(parts)!r}: expected texts with pictures between them")
        pictures = sum(part == "picture" for part in parts)
        return cls(tuple(parts), least=pictures, most=pictures)

    @classmethod
    def exactly(cls, pictures: int) -> "Structure":
        """Text with so many pictures, wherever the writer puts them.

        Raises:
            ConfigError: If the number is negative.
        """
        return cls(None, least=pictures, most=cls.up_to(pictures)._most)

    @classmethod
    def up_to(cls, pictures: int | None) -> "Structure":
        """Text with no more than so many pictures; None sets no limit.

        Raises:
            ConfigError: If the number is negative.
        """
        if pictures is not None and pictures < 0:
            raise ConfigError(f"{pictures} pictures cannot be drawn: expected 0 or more")
        return cls(None, least=0, most=pictures)

    @property
    def least_budget(self) -> int:
        """The smallest budget in which all that must come can come."""
        return self._least if self._parts is None else len(self._parts)

    @property
    def may_draw(self) -> bool:
        """Whether there can be a picture at all."""
        return self._most != 0

    def choices(self, budget_left: int) -> Choices:
        """Says what may come next.

        Args:
            budget_left: Tokens and pictures that may still come; where it is used up, only the end may come.
        """
        if budget_left <= 0:
            return Choices(text=False, picture=False, end=True)
        if self._parts is None:
            return self._among_any(budget_left)
        return self._among_parts(self._parts, budget_left)

    def _among_any(self, budget_left: int) -> Choices:
        missing = max(self._least - self._place, 0)
        picture = self._most is None or self._place < self._most
        text = not missing or self._has_share(budget_left - missing, stretches=missing + 1)
        return Choices(text=text, picture=picture, end=not missing)

    def _among_parts(self, parts: Sequence[Part], budget_left: int) -> Choices:
        rest = parts[self._place :]
        if not rest:
            return Choices(text=False, picture=False, end=True)
        if rest[0] == "picture":
            return Choices(text=False, picture=True, end=False)
        text = self._has_share(budget_left - rest.count("picture"), stretches=rest.count("text"))
        begun, last = self._tokens > 0, len(rest) == 1
        return Choices(text=text or not begun, picture=begun and not last, end=begun and last)

    def _has_share(self, tokens_left: int, *, stretches: int) -> bool:
        if self._share is None:
            self._share = tokens_left // stretches
        return self._tokens < self._share

    def wrote(self, tokens: int) -> None:
        """Takes note of text."""
        self._tokens += tokens

    def drew(self) -> None:
        """Takes note of a picture, which ends the text before it."""
        if self._parts is not None and self._parts[self._place] == "text":
            self._place += 1
        self._place += 1
        self._tokens, self._share = 0, None
