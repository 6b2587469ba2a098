"""What happened in a run so far: on the disk through a `Recorder`, and in memory for the policy to read.

It never decides anything. Whatever breaks into a step, the ledger still gives that step an honest outcome.
"""

from dataclasses import dataclass, field
from typing import Literal

from pydantic import JsonValue

from mmi_agent.agent.guard import Ruling, Seen, refusal
from mmi_agent.agent.limits import Budget
from mmi_agent.agent.recorder import Recorder
from mmi_agent.agent.trajectory import End, Intent, Result, Resume, Start, Status, Step, ToolRecord, Trajectory
from mmi_agent.policy import PastStep
from mmi_agent.tool import Tool, effect_of, parameters
from mmi_agent.types import Block, Observation, Outcome, ToolCall, Verdict

__all__ = ["Ending", "Ledger", "Turn"]

_DIED = "The process died between this call and its outcome: nobody knows whether it took effect. Look before you act."
_BROKEN_OFF = "The run was broken off while this was carried out: nobody knows whether it took effect."


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a run ends: the status, why in words, and what `finish` or `ask_user` said."""

    status: Status
    reason: str
    answer: str = ""


@dataclass(kw_only=True)
class Turn:
    """The step that is being made.

    Attributes:
        step: Its number.
        seen: What the policy sees.
        observe_ms: How long the look took.
        blocks: What the policy has written so far.
        call: What it calls; None until then, or where it fails to.
        fault: What is wrong with the decision, in words for the policy.
        usage: The tokens of the decision.
        recalled: Ids of what the policy was shown of its memory.
        decide_ms: How long the policy took.
        ruling: What the guard says.
        recorded: Whether the intent is on disk.
        started: Whether the tool was started.
        act_ms: How long the guard, the tool and the world's judgement took.
        outcome: What came of it.
    """

    step: int
    seen: Seen
    observe_ms: float
    blocks: list[Block] = field(default_factory=list[Block])
    call: ToolCall | None = None
    fault: str = ""
    usage: dict[str, int] = field(default_factory=dict[str, int])
    recalled: tuple[str, ...] = ()
    decide_ms: float = 0.0
    ruling: Ruling | None = None
    recorded: bool = False
    started: bool = False
    act_ms: float = 0.0
    outcome: Outcome | None = None


class Ledger:
    """The run so far.

    Attributes:
        recorder: Writes the lines.
        budget: What has been spent.
        past: Every step, as the policy remembers it.
        turn: The step that is being made; None between steps.
        verdict: The world's latest judgement.
        invalid_in_a_row: How many of the latest decisions could not be carried out.
        begun: Whether the first line is on disk.
    """

    def __init__(self, recorder: Recorder, budget: Budget) -> None:
        self.recorder = recorder
        self.budget = budget
        self.past: list[PastStep] = []
        self.turn: Turn | None = None
        self.verdict: Verdict | None = None
        self.invalid_in_a_row = 0
        self.begun = False

    def start(
        self,
        *,
        environment: str,
        options: dict[str, JsonValue],
        task: str | None,
        instruction: str,
        seed: int,
        policy: str,
        tools: list[Tool],
    ) -> None:
        """Writes the first line."""
        self.begun = True
        self.recorder.append(
            Start(
                **self.recorder.stamp(),
                run=self.recorder.folder.resolve().name,
                environment=environment,
                options=options,
                task=task,
                instruction=instruction,
                seed=seed,
                policy=policy,
                tools=tuple(map(_tool_record, tools)),
                limits=self.budget.limits.to_json(),
            )
        )

    def take_up(self, found: Trajectory, world: Literal["attached", "reset", "untouched"], answer: str) -> None:
        """Restores the run that an earlier process left, and settles a call in doubt."""
        self.begun = True
        self.past = [_past_step(step) for step in found.steps]
        last = found.steps[-1] if found.steps else None
        in_doubt = last.intent.step if last and not last.result else None
        self.recorder.append(
            Resume(
                **self.recorder.stamp(),
                in_doubt=in_doubt,
                world=world,
                answer=answer,
                torn_bytes=found.torn_bytes,
            )
        )
        if in_doubt is not None:
            outcome = self.past[-1].outcome
            self.recorder.append(Result(**self.recorder.stamp(), step=in_doubt, outcome=outcome, act_ms=0.0))

    def intend(self, turn: Turn) -> Intent:
        """Puts what was seen, written, decided and ruled on the disk, before anything happens."""
        assert turn.ruling, "the guard rules before anything is recorded"
        self.budget.steps += 1
        self.budget.count(turn.usage)
        intent = Intent(
            **self.recorder.stamp(),
            step=turn.step,
            observation=turn.seen.observation,
            blocks=tuple(turn.blocks),
            call=turn.call,
            target=turn.ruling.target,
            moved=turn.ruling.moved,
            approval=turn.ruling.approval,
            observe_ms=round(turn.observe_ms, 3),
            decide_ms=round(turn.decide_ms, 3),
            usage=turn.usage,
            recalled=turn.recalled,
        )
        self.recorder.append(intent)
        turn.recorded = True
        return intent

    def conclude(self, turn: Turn) -> Result:
        """Puts what came of the step on the disk."""
        assert turn.outcome, "a step is concluded by its outcome"
        result = Result(
            **self.recorder.stamp(),
            step=turn.step,
            outcome=turn.outcome,
            verdict=self.verdict,
            act_ms=round(turn.act_ms, 3),
        )
        self.recorder.append(result)
        self.turn = None
        self.invalid_in_a_row = self.invalid_in_a_row + 1 if turn.outcome.status == "invalid" else 0
        self.past.append(
            PastStep(observation=turn.seen.observation, blocks=tuple(turn.blocks), call=turn.call, outcome=turn.outcome)
        )
        return result

    def end(self, ending: Ending, last_look: Observation | None) -> End:
        """Settles a step that was broken into, and writes the last line."""
        self._settle(ending)
        end = End(
            **self.recorder.stamp(),
            status=ending.status,
            reason=ending.reason,
            answer=ending.answer,
            observation=last_look,
            verdict=self.verdict,
        )
        self.recorder.append(end)
        return end

    def _settle(self, ending: Ending) -> None:
        turn = self.turn
        if turn is None or not (turn.blocks or turn.call or turn.recorded):
            return
        not_done = f"not carried out: {ending.reason}"
        if not turn.recorded:
            turn.ruling = refusal(not_done, "denied")
            self.intend(turn)
        if turn.outcome is None:
            turn.outcome = (
                Outcome(status="in_doubt", text=_BROKEN_OFF)
                if turn.started
                else Outcome(status="denied", text=not_done)
            )
        self.conclude(turn)


def _past_step(step: Step) -> PastStep:
    intent = step.intent
    outcome = step.result.outcome if step.result else Outcome(status="in_doubt", text=_DIED)
    return PastStep(observation=intent.observation, blocks=intent.blocks, call=intent.call, outcome=outcome)


def _tool_record(tool: Tool) -> ToolRecord:
    return ToolRecord(
        name=tool.name,
        description=tool.description,
        parameters=parameters(tool),
        effect=effect_of(tool),
    )
