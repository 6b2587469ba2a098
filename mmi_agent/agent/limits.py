"""How much a run may cost, and what has been spent of it."""

import time
from dataclasses import asdict, dataclass, field, replace

from pydantic import JsonValue

from mmi_agent.agent.trajectory import Trajectory

__all__ = ["Budget", "Limits"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The budgets of a run. Only steps, seconds and tokens end it; None means no limit.

    Attributes:
        max_steps: Decisions, those of earlier processes of a resumed run included.
        max_seconds: Time, looked at before a decision, between its blocks, and before acting.
        max_tokens: Tokens that the policy read anew and wrote, as far as it tells (`usage`).
        context_tokens: Estimated tokens of the context; the oldest steps go first.
        context_pictures: Pictures in the context beside those of the current observation; the oldest go first.
        fresh_s: A look older than this is taken again before a call that refers to an element of it.
        tool_timeout_s: A tool that takes longer is given up; only in the main thread.
        approval_timeout_s: An approver that takes longer has said no.
        repeats: A call that was made this often on a screen that looks the same is refused.
        stuck_after: The attempt of that call that ends the run as stuck.
        unchanged_steps: So many acts in a row after which the screen looks the same end the run as stuck.
        invalid_in_a_row: So many decisions in a row that could not be carried out end the run as an error.
    """

    max_steps: int | None = 50
    max_seconds: float | None = 900.0
    max_tokens: int | None = None
    context_tokens: int = 8192
    context_pictures: int = 8
    fresh_s: float = 0.5
    tool_timeout_s: float | None = 120.0
    approval_timeout_s: float = 300.0
    repeats: int = 3
    stuck_after: int = 6
    unchanged_steps: int = 20
    invalid_in_a_row: int = 5

    def beyond(self, found: Trajectory) -> "Limits":
        """Steps, seconds and tokens like these on top of what a run has spent."""
        spent = Budget.resumed(self, found)
        return replace(
            self,
            max_steps=None if self.max_steps is None else spent.steps + self.max_steps,
            max_seconds=None if self.max_seconds is None else spent.seconds_before + self.max_seconds,
            max_tokens=None if self.max_tokens is None else spent.tokens + self.max_tokens,
        )

    def to_json(self) -> dict[str, JsonValue]:
        """The limits as the trajectory records them."""
        return asdict(self)


@dataclass(kw_only=True)
class Budget:
    """What a run has spent so far.

    Attributes:
        limits: What it may spend.
        steps: Decisions made.
        seconds_before: Time that earlier processes of this run took.
        tokens: Tokens that the policy reported, without those it reused.
    """

    limits: Limits
    steps: int = 0
    seconds_before: float = 0.0
    tokens: int = 0
    _began: float = field(default_factory=time.monotonic, repr=False)

    @classmethod
    def resumed(cls, limits: Limits, found: Trajectory) -> "Budget":
        """The budget of a run that earlier processes have spent from."""
        budget = cls(limits=limits, steps=len(found.steps))
        for step in found.steps:
            budget.seconds_before += (step.intent.observe_ms + step.intent.decide_ms) / 1000
            budget.seconds_before += step.result.act_ms / 1000 if step.result else 0.0
            budget.count(step.intent.usage)
        return budget

    def count(self, usage: dict[str, int]) -> None:
        """Adds the tokens of one decision."""
        self.tokens += sum(tokens for kind, tokens in usage.items() if kind != "reused")

    def overrun(self) -> str:
        """Which of time and tokens is spent, in words; empty if neither is."""
        seconds = self.seconds_before + time.monotonic() - self._began
        if self.limits.max_seconds is not None and seconds >= self.limits.max_seconds:
            return f"the {self.limits.max_seconds:g} s of this run are spent"
        if self.limits.max_tokens is not None and self.tokens >= self.limits.max_tokens:
            return f"the {self.limits.max_tokens} tokens of this run are spent ({self.tokens} were used)"
        return ""

    def exhausted(self) -> str:
        """Why no further decision may be made, in words; empty if one may."""
        if self.limits.max_steps is not None and self.steps >= self.limits.max_steps:
            return f"the {self.limits.max_steps} steps of this run are spent"
        return self.overrun()
