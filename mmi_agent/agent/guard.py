"""Stands between a decision and the world: a call that does not pass every check is never carried out.

In this order: the tool is known, its arguments fit, the budget lasts, the call does not go in circles, its target is
still there, and someone who may approve it has. Text that a screen shows has no say in any of them.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from mmi_agent.agent.approval import ApprovalRequest, Approver, ask
from mmi_agent.agent.limits import Budget, Limits
from mmi_agent.agent.repetition import Look, Repetition
from mmi_agent.agent.targets import mark_now
from mmi_agent.agent.trajectory import Approval
from mmi_agent.errors import ActionError, EnvironmentFailure, UnknownNameError
from mmi_agent.pictures import PictureStore
from mmi_agent.tool import ASK_USER, FINISH, Tool, argument_marks, effect_of, parse_arguments
from mmi_agent.types import Element, Observation, Outcome, ToolCall

__all__ = ["Guard", "Ruling", "Seen", "refusal"]

_ENDING = (FINISH.name, ASK_USER.name)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the policy saw when it decided.

    Attributes:
        observation: What was seen.
        at_s: When, on the monotonic clock.
    """

    observation: Observation
    at_s: float = field(default_factory=time.monotonic)

    @cached_property
    def look(self) -> Look:
        """What it looked like, for comparison."""
        return Look.of(self.observation, at_s=self.at_s)


@dataclass(frozen=True, kw_only=True)
class Ruling:
    """What the guard says of a call.

    Attributes:
        approval: As it is recorded.
        refused: What the policy is told instead of an outcome; None if the call may be carried out.
        target: The element that the call refers to, as it was seen.
        moved: Arguments whose element has another mark by now: that mark.
        stuck: Why the run goes in circles for good; empty if it does not.
    """

    approval: Approval
    refused: Outcome | None = None
    target: Element | None = None
    moved: dict[str, int] = field(default_factory=dict[str, int])
    stuck: str = ""


def refusal(text: str, status: Literal["invalid", "denied"] = "invalid", *, stuck: str = "") -> Ruling:
    """The ruling of a call that the guard itself turned down."""
    approval = Approval(allowed=False, by="guard", reason=text)
    return Ruling(approval=approval, refused=Outcome(status=status, text=text), stuck=stuck)


class _Refused(Exception):  # noqa: N818 - no error: the way out of a check
    def __init__(self, ruling: Ruling) -> None:
        self.ruling = ruling


class Guard:
    """Rules on the calls of one run."""

    def __init__(
        self,
        *,
        tools: Mapping[str, Tool],
        instruction: str,
        approver: Approver,
        limits: Limits,
        budget: Budget,
        pictures: PictureStore,
        observe: Callable[[], Observation],
    ) -> None:
        self._tools = tools
        self._instruction = instruction
        self._approver = approver
        self._limits = limits
        self._budget = budget
        self._observe = observe
        self._pictures = pictures
        self._repetition = Repetition(pictures)

    def rule(self, call: ToolCall, seen: Seen) -> Ruling:
        """Checks a call, up to asking the approver."""
        target = None
        try:
            tool = self._known(call)
            marks = self._marks(tool, call)
            target = next((seen.observation.element(mark) for mark in marks.values()), None)
            self._affordable(call)
            self._no_circle(call, seen)
            now = self._looked_again(seen) if marks or effect_of(tool) == "consequential" else seen
            moved = self._still_there(marks, seen, now)
            approval = self._approved(tool, call, moved, target, now)
        except _Refused as refused:
            ruling = refused.ruling
            return Ruling(approval=ruling.approval, refused=ruling.refused, target=target, stuck=ruling.stuck)
        except EnvironmentFailure as failure:
            return refusal(f"not carried out, the world is gone: {failure}", "denied")
        return Ruling(approval=approval, target=target, moved=moved)

    def saw_after(self, tool: Tool | None, seen: Seen) -> str:
        """Takes note of the screen after an act, and says why the run is stuck, if it is."""
        if tool and effect_of(tool) != "observe":
            self._repetition.saw(seen.look)
        count = self._repetition.unchanged_steps
        return f"nothing changed on the screen in {count} acts" if count >= self._limits.unchanged_steps else ""

    def advice(self, seen: Seen) -> str:
        """What the policy should know before it decides."""
        if often := self._repetition.made_often(seen.look, self._limits.repeats):
            call, times = often
            return f"You made the call {call} {times} times on a screen that looks like this one. Try something else."
        if (count := self._repetition.unchanged_steps) >= self._limits.unchanged_steps // 2:
            return f"Your last {count} acts changed nothing on the screen. Try something else, or ask."
        return ""

    def _known(self, call: ToolCall) -> Tool:
        if tool := self._tools.get(call.name):
            return tool
        raise _Refused(refusal(str(UnknownNameError.among("tool", call.name, self._tools))))

    def _marks(self, tool: Tool, call: ToolCall) -> dict[str, int]:
        try:
            return argument_marks(parse_arguments(tool, call.arguments))
        except ActionError as error:
            raise _Refused(refusal(str(error))) from error

    def _affordable(self, call: ToolCall) -> None:
        if call.name not in _ENDING and (reason := self._budget.overrun()):
            raise _Refused(refusal(f"not carried out: {reason}", "denied"))

    def _no_circle(self, call: ToolCall, seen: Seen) -> None:
        times = self._repetition.times_made(call, seen.look)
        self._repetition.remember(call, seen.look)
        if call.name in _ENDING or times < self._limits.repeats:
            return
        text = f"not carried out: this call was made {times} times on a screen that looks the same; try something else"
        stuck = text.removeprefix("not carried out: ") if times + 1 >= self._limits.stuck_after else ""
        raise _Refused(refusal(text, "denied", stuck=stuck))

    def _looked_again(self, seen: Seen) -> Seen:
        """A look that is fresh enough to act on; a quick decision is spared the second one."""
        return Seen(observation=self._observe()) if self._stale(seen) else seen

    def _still_there(self, marks: dict[str, int], seen: Seen, now: Seen) -> dict[str, int]:
        """Finds each element of the call again, and returns the marks that are others by now."""
        moved: dict[str, int] = {}
        for name, mark in marks.items():
            target = self._element(mark, seen.observation)
            found = mark_now(target, seen.observation, now.observation) if now is not seen else mark
            if found is None:
                raise _Refused(
                    refusal(f"the target is gone: {target.role} {target.name!r} (mark {mark}) changed meanwhile")
                )
            if found != mark:
                moved[name] = found
        return moved

    def _element(self, mark: int, observation: Observation) -> Element:
        if element := observation.element(mark):
            return element
        marks = [e.mark for e in observation.elements]
        known = f"the marks are {min(marks)} to {max(marks)}" if marks else "there are no elements"
        raise _Refused(refusal(f"no element has the mark {mark}: {known}"))

    def _stale(self, seen: Seen) -> bool:
        return time.monotonic() - seen.at_s > self._limits.fresh_s

    def _approved(
        self, tool: Tool, call: ToolCall, moved: dict[str, int], target: Element | None, now: Seen
    ) -> Approval:
        effect = effect_of(tool)
        if effect != "consequential":
            return Approval(allowed=True, by="effect", reason=effect)
        approval = ask(
            self._approver,
            ApprovalRequest(
                instruction=self._instruction,
                call=call.model_copy(update={"arguments": {**call.arguments, **moved}}),
                effect=effect,
                target=target,
                observation=now.observation,
                timeout_s=self._limits.approval_timeout_s,
            ),
        )
        if not approval.allowed:
            text = f"not carried out, {approval.by} did not approve it: {approval.reason}"
            raise _Refused(Ruling(approval=approval, refused=Outcome(status="denied", text=text)))
        self._same_screen(now)
        return approval

    def _same_screen(self, approved: Seen) -> None:
        """An approval holds for the screen that it was given for."""
        now = self._looked_again(approved)
        marks, marks_now = ([e.mark for e in seen.observation.elements] for seen in (approved, now))
        if now is not approved and (marks != marks_now or not now.look.same_as(approved.look, self._pictures)):
            raise _Refused(refusal("not carried out: the screen changed while the approval was awaited", "denied"))
