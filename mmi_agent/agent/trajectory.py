"""The trajectory: what a run leaves behind, and all that the viewer, replay, memory and training ever read.

    runs/<id>/trajectory.jsonl        one JSON object a line, append only, each with the SHA-256 of the line before it
    runs/<id>/pictures/<sha256>.png   each picture once

A step is two lines: the intent, on disk before the tool runs, and the outcome after.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from mmi_agent.types import Block, Effect, Element, Observation, Outcome, ToolCall, Verdict

TRACE_VERSION = 1

Status = Literal["finished", "max_steps", "stopped", "needs_user", "stuck", "error"]
"""How a run ended."""


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    time: str = Field(description="UTC, ISO 8601 with milliseconds.")
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
    instruction: str
    seed: int
    policy: str
    tools: tuple[ToolRecord, ...]
    limits: dict[str, JsonValue]


class Approval(BaseModel):
    """Whether the call was allowed, and by whom."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    allowed: bool
    by: str = Field(description='"guard", "effect" (nothing to ask about), or the approver\'s name.')
    reason: str = ""


class Intent(_Line):
    """What was seen, written and decided in one step: on disk before anything happens."""

    record: Literal["intent"] = "intent"
    step: int = Field(ge=0)
    observation: Observation
    blocks: tuple[Block, ...] = Field(default=(), description="Thoughts and drawn pictures before the call.")
    call: ToolCall | None
    target: Element | None = Field(default=None, description="The element that the call refers to, as it was seen.")
    approval: Approval
    observe_ms: float
    decide_ms: float
    usage: dict[str, int] = Field(default_factory=dict, description="Tokens read, reused and written by the policy.")


class Result(_Line):
    """What came of the step."""

    record: Literal["outcome"] = "outcome"
    step: int = Field(ge=0)
    outcome: Outcome
    verdict: Verdict | None = None
    act_ms: float


class Resume(_Line):
    """A later process took the run up again."""

    record: Literal["resume"] = "resume"
    in_doubt: int | None = Field(default=None, description="The step whose tool may or may not have run.")


class End(_Line):
    """The last line: how the run ended, with the last sight of the world."""

    record: Literal["end"] = "end"
    status: Status
    reason: str = ""
    answer: str = Field(default="", description="What `finish` or `ask_user` said.")
    observation: Observation | None = None
    verdict: Verdict | None = None


Line = Annotated[Start | Intent | Result | Resume | End, Field(discriminator="record")]
