"""What is remembered: an item, where it came from, and how far it can be trusted.

An item is text and pictures. Whoever wrote it, it is data when it comes back: `trust` says whose words it holds, so
that what a screen said can be told from what the owner said, and can be left out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import uuid4

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from mmi_agent.types import Arguments, CleanText, Picture

__all__ = ["KINDS", "MAX_TEXT", "TRUSTS", "Kind", "MemoryItem", "Query", "Recalled", "Source", "Trust", "now"]

Kind = Literal["episode", "fact", "skill"]
"""A step with what came of it; something that is so; a demonstration that worked."""

Trust = Literal["user", "agent", "screen"]
"""Whose words an item holds: the owner's, the policy's, or what a world showed; of a mixture, the last of these."""

KINDS: tuple[Kind, ...] = ("episode", "fact", "skill")
TRUSTS: tuple[Trust, ...] = ("user", "agent", "screen")

MAX_TEXT = 1_000_000
"""Characters of an item's text; longer ones are refused, since nobody could be shown them."""


def now() -> str:
    """The time, as items hold it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _checked_length(text: str) -> str:
    """Makes sure that a text can be handled."""
    if len(text) > MAX_TEXT:
        raise ValueError(f"{len(text):,} characters are more than the {MAX_TEXT:,} that are kept; summarise them")
    return text


def _checked_time(time: str) -> str:
    """Makes sure that a time can be compared with another."""
    if datetime.fromisoformat(time).tzinfo is None:
        raise ValueError(f"{time!r} has no time zone")
    return time


_Said = Annotated[CleanText, AfterValidator(_checked_length)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(_Record):
    """Where an item came from.

    Attributes:
        run: The run's id; empty where it came from no run.
        step: The step of that run.
        picture: Digest of the picture that was seen then.
    """

    run: CleanText = ""
    step: int | None = Field(default=None, ge=0)
    picture: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")


class MemoryItem(_Record):
    """Something remembered.

    Attributes:
        id: Names it. One is made up where none is given.
        kind: What it is.
        text: What comes back.
        cue: What it is found by, where that is not its text: for a demonstration the task and the first screen.
        pictures: What was seen, by name.
        trust: Whose words it holds.
        environment: The world that it is about, as in "gui/miniwob:click-test"; empty where it is about none.
        success: How it went, where that can be said.
        source: Where it came from.
        time: When it was so: UTC, ISO 8601.
        supersedes: Ids of items that it stands in place of. They are kept, and not recalled.
        metadata: Whatever else its maker wants to keep.
    """

    id: Annotated[CleanText, Field(min_length=1, max_length=200)] = Field(default_factory=lambda: uuid4().hex)
    kind: Kind
    text: _Said = ""
    cue: _Said = ""
    pictures: tuple[Picture, ...] = ()
    trust: Trust
    environment: CleanText = ""
    success: bool | None = None
    source: Source = Source()
    time: Annotated[str, AfterValidator(_checked_time)] = Field(default_factory=now)
    supersedes: tuple[CleanText, ...] = ()
    metadata: Arguments = Field(default_factory=dict)

    @property
    def key(self) -> str:
        """What its text vector is made of."""
        return self.cue if self.cue.strip() else self.text

    @property
    def tainted(self) -> bool:
        """Whether a screen had a hand in it."""
        return self.trust == "screen"


@dataclass(frozen=True, kw_only=True)
class Query:
    """What is looked for.

    Attributes:
        text: In words.
        picture: An encoded picture of what is looked for.
        kinds: Only these; None takes all.
        environments: Only items about these worlds; None takes all.
        trusts: Only these; None takes all.
        fits: A last word on each item.
    """

    text: str = ""
    picture: bytes | None = None
    kinds: tuple[Kind, ...] | None = None
    environments: tuple[str, ...] | None = None
    trusts: tuple[Trust, ...] | None = None
    fits: Callable[[MemoryItem], bool] | None = None


@dataclass(frozen=True, kw_only=True)
class Recalled:
    """An item that came to mind.

    Attributes:
        item: The item.
        score: What it was ranked by: its ranks by text and by picture fused, weighed by age and outcome.
        text_similarity: Cosine of the text vectors; None if it was not found by its text.
        picture_similarity: Cosine of the picture vectors; None if it was not found by a picture.
    """

    item: MemoryItem
    score: float
    text_similarity: float | None = None
    picture_similarity: float | None = None
