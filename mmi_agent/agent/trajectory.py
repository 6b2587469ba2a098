"""The trajectory: what a run leaves behind, and all that the viewer, replay, memory and training ever read.

    runs/<id>/trajectory.jsonl        one JSON object a line, append only, each with the SHA-256 of the line before it
    runs/<id>/pictures/<sha256>.png   each picture once

A step is two lines: the intent, on disk before the tool runs, and the outcome after. This file holds the records and
their reader; `recorder` writes them. Three rules of the file that the records do not show:

- `sha256`, the last key of every line, is the digest of the line without it: an edited line gives itself away.
- An element that was written before, in this file, is written again as its number (the first distinct element is 0).
- A last line without its newline is torn: the process died while writing it, so nothing that it says took effect.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from mmi_agent.errors import TrajectoryError
from mmi_agent.pictures import FolderPictures
from mmi_agent.sealed_file import unsealed
from mmi_agent.types import Block, CleanText, Effect, Element, Observation, Outcome, Picture, ToolCall, Verdict

__all__ = [
    "TRACE_VERSION",
    "Approval",
    "ElementTable",
    "End",
    "Intent",
    "Line",
    "Result",
    "Resume",
    "Start",
    "Status",
    "Step",
    "ToolRecord",
    "Trajectory",
    "pictures_in",
    "read_trajectory",
]

TRACE_VERSION = 1

Status = Literal["finished", "max_steps", "stopped", "needs_user", "stuck", "error"]
"""How a run ended; "max_steps" stands for every spent budget, and the reason says which."""


Milliseconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _checked_time(text: str) -> str:
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return text


Time = Annotated[str, AfterValidator(_checked_time)]


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    time: Time = Field(description="UTC, ISO 8601 with milliseconds.")
    previous: str = Field(description="SHA-256 of the line before, without its newline; of nothing for the first line.")


class ToolRecord(BaseModel):
    """A tool as the policy was shown it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str
    parameters: dict[str, Any] = Field(description="JSON schema of the arguments.")
    effect: Effect


class Start(_Line):
    """The first line: what the run was asked to do, and with what."""

    record: Literal["start"] = "start"
    version: int = TRACE_VERSION
    run: str
    environment: str
    options: dict[str, JsonValue] = Field(default_factory=dict, description="How the environment was made.")
    task: CleanText | None = Field(default=None, description="What `reset` was given.")
    instruction: CleanText
    seed: int
    policy: str
    tools: tuple[ToolRecord, ...]
    limits: dict[str, JsonValue]


class Approval(BaseModel):
    """Whether the call was allowed, by whom, and which call on which screen that covers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    allowed: bool
    by: str = Field(description='"guard", "effect" (nothing to ask about), or the approver\'s name.')
    reason: CleanText = ""
    bound_to: str = Field(default="", description="SHA-256 over the call and the screen, where an approver was asked.")


class Intent(_Line):
    """What was seen, written and decided in one step: on disk before anything happens."""

    record: Literal["intent"] = "intent"
    step: int = Field(ge=0)
    observation: Observation
    blocks: tuple[Block, ...] = Field(default=(), description="Thoughts and drawn pictures before the call.")
    call: ToolCall | None
    target: Element | None = Field(default=None, description="The element that the call refers to, as it was seen.")
    moved: dict[str, int] = Field(
        default_factory=dict, description="Arguments whose element had another mark by the time of acting: that mark."
    )
    approval: Approval
    observe_ms: Milliseconds = Field(description="The first step of a process includes the reset of the environment.")
    decide_ms: Milliseconds
    usage: dict[str, int] = Field(default_factory=dict, description="Tokens read, reused and written by the policy.")
    recalled: tuple[str, ...] = Field(default=(), description="Ids of the items of memory that the policy was shown.")


class Result(_Line):
    """What came of the step."""

    record: Literal["outcome"] = "outcome"
    step: int = Field(ge=0)
    outcome: Outcome
    verdict: Verdict | None = None
    act_ms: Milliseconds


class Resume(_Line):
    """A later process took the run up again."""

    record: Literal["resume"] = "resume"
    in_doubt: int | None = Field(default=None, description="The step whose tool may or may not have run.")
    world: Literal["attached", "reset", "untouched"] = Field(
        default="reset",
        description="Went on; begun anew with the recorded task and seed; or not needed, as the run was over.",
    )
    answer: CleanText = Field(default="", description="What the person said to the question that ended the run.")
    torn_bytes: int = Field(default=0, description="Length of the torn last line that was moved to trajectory.torn.")


class End(_Line):
    """The last line: how the run ended, with the last sight of the world."""

    record: Literal["end"] = "end"
    status: Status
    reason: CleanText = ""
    answer: CleanText = Field(default="", description="What `finish` or `ask_user` said.")
    observation: Observation | None = None
    verdict: Verdict | None = None


Line = Annotated[Start | Intent | Result | Resume | End, Field(discriminator="record")]

_LINE: TypeAdapter[Start | Intent | Result | Resume | End] = TypeAdapter(Line)


class ElementTable:
    """Numbers the distinct elements of a file, in the order in which they were first written."""

    def __init__(self) -> None:
        self._elements: list[Element] = []
        self._numbers: dict[Element, int] = {}

    def add(self, elements: Iterable[Element]) -> None:
        """Takes note of elements that now stand in the file."""
        for element in elements:
            if element not in self._numbers:
                self._numbers[element] = len(self._elements)
                self._elements.append(element)

    def fold(self, elements: Iterable[Element]) -> list[JsonValue]:
        """Writes each known element as its number, each other one in full."""
        return [
            self._numbers[element]
            if element in self._numbers
            else cast("JsonValue", element.model_dump(mode="json", exclude_defaults=True))
            for element in elements
        ]

    def unfold(self, items: Sequence[Any]) -> list[Element]:
        """Reads what `fold` wrote, and takes note of what is new.

        Raises:
            LookupError: If a number stands for nothing.
            ValidationError: If an element is none.
        """
        elements = [self._elements[item] if isinstance(item, int) else Element.model_validate(item) for item in items]
        self.add(elements)
        return elements


def pictures_in(line: Start | Intent | Result | Resume | End) -> Iterator[Picture]:
    """Yields every picture that a line names."""
    if isinstance(line, (Intent, End)) and line.observation:
        yield from line.observation.pictures
    if isinstance(line, Intent):
        yield from (block for block in line.blocks if isinstance(block, Picture))
    if isinstance(line, Result):
        yield from line.outcome.pictures


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step: what was decided, and what came of it.

    Attributes:
        intent: The line before the act.
        result: The line after it; None while it runs, or where the process died: then it is in doubt.
    """

    intent: Intent
    result: Result | None = None


@dataclass(frozen=True, kw_only=True)
class Trajectory:
    """A run, read from its folder.

    Attributes:
        folder: The run's folder.
        start: The first line.
        steps: The steps in order.
        resumes: Each time that a later process took the run up.
        end: The last line; None while the run goes on, or where its process died.
        torn_bytes: Length of a torn last line, which is not part of the run.
        size_bytes: Length of the file up to there.
        head: SHA-256 of the last whole line.
        elements: The file's distinct elements, for whoever appends to it.
    """

    folder: Path
    start: Start
    steps: tuple[Step, ...]
    resumes: tuple[Resume, ...] = ()
    end: End | None = None
    torn_bytes: int = 0
    size_bytes: int = 0
    head: str = ""
    elements: ElementTable = field(default_factory=ElementTable, repr=False)

    @property
    def status(self) -> Status | None:
        """How it ended; None if it did not."""
        return self.end.status if self.end else None

    @property
    def verdict(self) -> Verdict | None:
        """The world's latest judgement."""
        if self.end and self.end.verdict:
            return self.end.verdict
        return next((step.result.verdict for step in reversed(self.steps) if step.result), None)

    @property
    def pictures(self) -> FolderPictures:
        """The bytes of the pictures that the steps name."""
        return FolderPictures(self.folder / "pictures")

    def missing_pictures(self) -> list[str]:
        """The digests that a line names and no file holds."""
        lines = [line for step in self.steps for line in (step.intent, step.result) if line]
        named = [
            picture.digest for line in (*lines, *([self.end] if self.end else [])) for picture in pictures_in(line)
        ]
        return [digest for digest in dict.fromkeys(named) if not self.pictures.path(digest).exists()]


def read_trajectory(folder: Path) -> Trajectory:
    """Reads a run and checks every line of it.

    Args:
        folder: The run's folder. It may belong to a run that is still going on.

    Returns:
        The run; `torn_bytes` tells of a torn last line, `end` is None if the run did not end.

    Raises:
        TrajectoryError: If there is no run, a line was edited, removed or put in (says which), or it was written by a
            newer version.
    """
    path = folder / "trajectory.jsonl"
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise TrajectoryError(f"there is no run in {folder}: expected the file {path}") from None
    except OSError as error:
        raise TrajectoryError(f"cannot read {path}: {error.strerror}") from error
    *whole, torn = data.split(b"\n")
    if not whole:
        raise TrajectoryError(f"{path} has no whole line: the run died before it began; run it again")
    elements = ElementTable()
    lines = list(_checked_lines(path, whole, elements))
    return _assembled(
        path,
        lines,
        torn_bytes=len(torn),
        size_bytes=len(data) - len(torn),
        head=hashlib.sha256(whole[-1]).hexdigest(),
        elements=elements,
    )


def _checked_lines(path: Path, whole: Sequence[bytes], elements: ElementTable) -> Iterator[Any]:
    """Parses the lines, checking seal and chain of each."""
    previous = b""
    for number, line in enumerate(whole, start=1):
        body = unsealed(line)
        if body is None:
            raise TrajectoryError(f"{path}: line {number} was edited or damaged: it does not fit its own digest")
        record = _record(path, number, body)
        version = record.get("version")
        if isinstance(version, int) and version > TRACE_VERSION:
            raise TrajectoryError(
                f"{path} has trace version {version}, this mmi_agent reads up to {TRACE_VERSION}: upgrade it"
            )
        if record.get("previous") != hashlib.sha256(previous).hexdigest():
            raise TrajectoryError(
                f"{path}: line {number} does not follow line {number - 1}: lines were removed, added or reordered"
            )
        yield _parsed(path, number, record, elements)
        previous = line


def _record(path: Path, number: int, body: bytes) -> dict[str, Any]:
    try:
        record = json.loads(body)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise TrajectoryError(f"{path}: line {number} is sealed, but is no JSON object")
    return cast("dict[str, Any]", record)


def _parsed(path: Path, number: int, record: dict[str, Any], elements: ElementTable) -> Any:
    try:
        if observation := record.get("observation"):
            observation["elements"] = elements.unfold(observation["elements"])
        return _LINE.validate_python(record)
    except (ValidationError, LookupError, TypeError) as error:
        fault = str(error).splitlines()
        raise TrajectoryError(f"{path}: line {number} is no record of a run: {' '.join(fault[:3])}") from error


def _assembled(path: Path, lines: Sequence[Any], **rest: Any) -> Trajectory:
    """Puts the lines together, refusing an order that no run can have."""
    start, end = lines[0], None
    steps: list[Step] = []
    resumes: list[Resume] = []
    if not isinstance(start, Start):
        raise TrajectoryError(f"{path}: line 1 is no start of a run")
    for number, line in enumerate(lines[1:], start=2):
        end = None
        match line:
            case Intent() if line.step == len(steps) and (not steps or steps[-1].result):
                steps.append(Step(intent=line))
            case Result() if steps and line.step == len(steps) - 1 and not steps[-1].result:
                steps[-1] = Step(intent=steps[-1].intent, result=line)
            case Resume():
                resumes.append(line)
            case End():
                end = line
            case _:
                raise TrajectoryError(f"{path}: line {number} ({line.record}) cannot stand there")
    return Trajectory(folder=path.parent, start=start, steps=tuple(steps), resumes=tuple(resumes), end=end, **rest)
