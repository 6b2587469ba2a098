"""THE loop: observe, build the context, decide, guard, act, record.

It sees a `Policy`, an `Environment` and `Tool`s, and knows nothing of models, browsers or games. Every way out of it
writes a last line with a status; `recorder` makes sure that a process that dies without one loses nothing either.
"""

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import JsonValue

from mmi_agent.agent.approval import Approver, DenyAll
from mmi_agent.agent.context import past_within
from mmi_agent.agent.events import Acted, Called, Ended, Event, Observed, Run, Wrote
from mmi_agent.agent.guard import Guard, Seen, refusal
from mmi_agent.agent.interrupts import Interrupts, time_limit
from mmi_agent.agent.ledger import Ending, Ledger, Turn
from mmi_agent.agent.limits import Budget, Limits
from mmi_agent.agent.recorder import Recorder
from mmi_agent.agent.trajectory import End, Trajectory
from mmi_agent.environment import Attachable, Environment
from mmi_agent.errors import AgentError, ConfigError, EnvironmentFailure, MMIError, TrajectoryError
from mmi_agent.policy import Context, PastStep, Policy
from mmi_agent.tool import ASK_USER, FINISH, Tool, invoke
from mmi_agent.types import Observation, Outcome, Picture, Text, ToolCall

if TYPE_CHECKING:
    from mmi_agent.memory.recollection import Episode, Recollector

__all__ = ["Agent"]

T = TypeVar("T")

_INTERRUPTED = "This run was interrupted and taken up again."
_BEGUN_ANEW = f"{_INTERRUPTED} The world was begun anew meanwhile: what earlier steps did to it is undone."


class Agent:
    """A policy in charge of an environment.

    Args:
        policy: Decides. It may have an attribute `usage`, a dict of token counts of its latest decision.
        environment: The world. The caller made it and closes it.
        approver: Asked about consequential calls; without one they are denied.
        limits: The budgets of each run.
        tools: More tools, beside those of the environment, `finish` and `ask_user`.
        memory: Recalled from before decisions; each run is remembered when it is over.
        options: How the environment was made, for the record.
    """

    def __init__(
        self,
        policy: Policy,
        environment: Environment,
        *,
        approver: Approver | None = None,
        limits: Limits | None = None,
        tools: Sequence[Tool] = (),
        memory: "Recollector | None" = None,
        options: Mapping[str, JsonValue] | None = None,
    ) -> None:
        self.policy = policy
        self.environment = environment
        self.approver = approver or DenyAll()
        self.limits = limits or Limits()
        self.tools = tuple(tools)
        self.memory = memory
        self.options = dict(options or {})

    def run(self, task: str | None = None, *, seed: int = 0, folder: Path) -> Run:
        """Runs one episode to its end; Ctrl-C ends it as "stopped".

        Args:
            task: What is to be done; None where the environment's own suite says so.
            seed: For the environment's start and the policy's chance.
            folder: Where the trajectory and its pictures are written; it may not hold a run yet.

        Raises:
            ConfigError: If the environment cannot begin with this task.
            TrajectoryError: If the run cannot be recorded; what cannot be recorded is not done.
            MemoryStoreError: If the run is over and recorded, and cannot be remembered.
        """
        return _last(self.stream(task, seed=seed, folder=folder))

    def stream(self, task: str | None = None, *, seed: int = 0, folder: Path) -> Iterator[Event]:
        """Runs one episode, telling what happens as it does.

        Leaving the iteration ends the run as "stopped". Arguments and errors are those of `run`.
        """
        recorder = Recorder.create(folder)
        episode = _Episode(self, recorder, Budget(limits=self.limits), task=task, seed=seed)
        yield from episode.events(episode.begin)

    def resume(self, folder: Path, *, answer: str = "") -> Run:
        """Takes up a run that was stopped, ran out of budget, asked the person, or whose process died.

        A call that may or may not have taken effect is never made again here: it gets the outcome "in_doubt", and the
        policy decides on what it sees now. An environment that has `attach` goes on in its world; any other is reset
        with the recorded task and seed, and the policy is told so.

        Args:
            folder: The run's folder.
            answer: What the person says to the question that ended the run; it becomes part of the instruction.

        Raises:
            ConfigError: If the run is finished, never really began, or was made in another environment.
            TrajectoryError: If the run cannot be read or recorded.
        """
        return _last(self.stream_resume(folder, answer=answer))

    def stream_resume(self, folder: Path, *, answer: str = "") -> Iterator[Event]:
        """Does what `resume` does, telling what happens as it does."""
        recorder, found = Recorder.reopen(folder)
        try:
            self._check_resumable(found)
        except ConfigError:
            recorder.close()
            raise
        budget = Budget.resumed(self.limits, found)
        episode = _Episode(self, recorder, budget, task=found.start.task, seed=found.start.seed)
        yield from episode.events(lambda: episode.take_up(found, answer))

    def _check_resumable(self, found: Trajectory) -> None:
        if found.status == "finished":
            raise ConfigError(f"the run in {found.folder} is finished: there is nothing to resume")
        if not found.start.tools:
            raise ConfigError(
                f"the run in {found.folder} ended before its world was there, nothing was done: run it anew"
            )
        if found.start.environment != self.environment.name:
            raise ConfigError(
                f"the run in {found.folder} was made in {found.start.environment!r}, not in {self.environment.name!r}"
            )


class _Episode:
    """One process's share of one run."""

    _guard: Guard

    def __init__(self, agent: Agent, recorder: Recorder, budget: Budget, *, task: str | None, seed: int) -> None:
        self._policy = agent.policy
        self._environment = agent.environment
        self._agent = agent
        self._limits = agent.limits
        self._recorder = recorder
        self._ledger = Ledger(recorder, budget)
        self._budget = budget
        self._interrupts = Interrupts()
        self._task = task
        self._seed = seed
        self._instruction = task or ""
        self._tools: dict[str, Tool] = {}
        self._memory: Episode | None = None
        self._first_look: tuple[Seen, float] | None = None
        self._last: PastStep | None = None  # the step before, unless a resumed run goes on after it
        self._stuck = ""
        self._notice = ""

    def events(self, begin: Callable[[], None]) -> Iterator[Event]:
        """The run, from `begin` to its last line, whatever happens."""
        with self._interrupts.handled(), closing(self._recorder):
            try:
                begin()
                ending = yield from self._steps()
            except KeyboardInterrupt:
                ending = Ending(status="stopped", reason="interrupted by the person")
            except GeneratorExit:
                self._end(Ending(status="stopped", reason="nobody watched the run any more"))
                raise
            except TrajectoryError as error:
                self._ledger.turn = None  # what could not be written is not tried again
                with suppress(TrajectoryError):
                    self._end(Ending(status="error", reason=str(error)))
                raise
            except Exception as error:
                if not self._ledger.begun:
                    raise
                ending = Ending(status="error", reason=_described(error))
            end = self._end(ending)
        if self._agent.memory and self._agent.memory.learns:
            self._agent.memory.keep(self._recorder.folder)
        yield Ended(run=self._left(end), end=end)

    # ---- how it begins

    def begin(self) -> None:
        """Resets the world and writes the first line."""
        try:
            self._reset(self._environment.reset)
            self._instruction = self._environment.instruction
            self._equip()
        except BaseException as error:
            if isinstance(error, AgentError) or not isinstance(error, MMIError):  # the person's mistake leaves no run
                self._record_start()
            raise
        self._record_start()

    def take_up(self, found: Trajectory, answer: str) -> None:
        """Restores what the run knew, settles a call in doubt, and looks at the world."""
        environment = self._environment
        attach = environment.attach if isinstance(environment, Attachable) else None
        said = [f"The person answered: {text}" for text in (*(r.answer for r in found.resumes), answer) if text]
        self._instruction = "\n\n".join([found.start.instruction, *said])
        decided = self._found_ended(found)
        self._ledger.take_up(found, "untouched" if decided else "attached" if attach else "reset", answer)
        if decided:
            return
        self._notice = _INTERRUPTED if attach else _BEGUN_ANEW
        self._reset(attach or environment.reset)
        self._equip()

    def _found_ended(self, found: Trajectory) -> bool:
        """Whether the process died between an outcome that ends the run and the last line."""
        if found.end or not found.steps or not (result := found.steps[-1].result):
            return False
        intent = found.steps[-1].intent
        self._ledger.verdict = result.verdict
        last = PastStep(observation=intent.observation, blocks=intent.blocks, call=intent.call, outcome=result.outcome)
        self._last = last if self._ended_by(last) else None
        return self._last is not None

    def _reset(self, reset: Callable[..., Observation]) -> None:
        began = time.perf_counter()
        with self._interrupts.let_in():
            observation = reset(self._task, seed=self._seed, pictures=self._recorder.pictures)
        self._first_look = Seen(observation=observation), _ms_since(began)

    def _equip(self) -> None:
        """Gathers the tools, once the world is there, and puts the guard before them."""
        tools = [*self._environment.tools, *self._agent.tools, FINISH, ASK_USER]
        names = [tool.name for tool in tools]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ConfigError(f"two tools have the name {twice!r}")
        self._tools = dict(zip(names, tools, strict=True))
        self._guard = Guard(
            tools=self._tools,
            instruction=self._instruction,
            approver=self._agent.approver,
            limits=self._limits,
            budget=self._budget,
            pictures=self._recorder.pictures,
            observe=self._environment.observe,
        )
        if self._agent.memory:
            self._memory = self._agent.memory.begin(
                instruction=self._instruction,
                environment=self._environment.name,
                pictures=self._recorder.pictures,
            )

    def _record_start(self) -> None:
        self._ledger.start(
            environment=self._environment.name,
            options=self._agent.options,
            task=self._task,
            instruction=self._instruction,
            seed=self._seed,
            policy=self._policy.name,
            tools=list(self._tools.values()),
        )

    # ---- one step

    def _steps(self) -> Generator[Event, None, Ending]:
        while (ending := self._ending()) is None:
            turn = self._ledger.turn = self._look()
            yield Observed(step=turn.step, observation=turn.seen.observation)
            yield from self._decide(turn)
            self._rule(turn)
            yield Called(step=turn.step, intent=self._ledger.intend(turn))
            self._act(turn)
            yield Acted(step=turn.step, result=self._ledger.conclude(turn))
            self._last = self._ledger.past[-1]
        return ending

    def _look(self) -> Turn:
        if self._first_look:
            (seen, observe_ms), self._first_look = self._first_look, None
        else:
            began = time.perf_counter()
            with self._interrupts.let_in():
                seen = Seen(observation=self._environment.observe())
            observe_ms = _ms_since(began)
        if self._last and self._last.call and self._last.outcome.ran:
            self._stuck = self._guard.saw_after(self._tools[self._last.call.name], seen)
        return Turn(step=len(self._ledger.past), seen=seen, observe_ms=observe_ms)

    def _context(self, turn: Turn) -> Context:
        tools = tuple(self._tools.values())
        notice, self._notice = self._notice, ""
        recalled = self._memory.at(turn.seen.observation) if self._memory else None
        turn.recalled = recalled.ids if recalled else ()
        return Context(
            instruction=self._instruction,
            observation=turn.seen.observation,
            tools=tools,
            pictures=self._recorder.pictures,
            steps=past_within(
                self._ledger.past,
                instruction=self._instruction,
                tools=tools,
                observation=turn.seen.observation,
                max_tokens=self._limits.context_tokens - (recalled.tokens if recalled else 0),
                max_pictures=self._limits.context_pictures,
            ),
            memories=recalled.facts if recalled else (),
            examples=recalled.examples if recalled else (),
            step=turn.step,
            seed=self._seed * 1_000_003 + turn.step,
            advice=" ".join(filter(None, [notice, self._guard.advice(turn.seen)])),
        )

    def _decide(self, turn: Turn) -> Iterator[Event]:
        """Takes the policy's blocks as they come; whatever is wrong with them becomes the turn's fault."""
        context = self._context(turn)
        try:
            blocks = iter(self._timed(turn, lambda: self._policy.decide(context)))
            while not turn.fault and (block := self._timed(turn, lambda: next(blocks, None))) is not None:
                turn.fault = self._fault_of(block, turn)
                if isinstance(block, ToolCall):
                    turn.call = None if turn.fault else block
                elif not turn.fault:
                    turn.blocks.append(block)
                    yield Wrote(step=turn.step, block=block)
            turn.usage = {str(kind): int(count) for kind, count in dict(getattr(self._policy, "usage", {})).items()}
        except TrajectoryError:
            raise
        except Exception as error:
            turn.fault = f"the policy failed: {_described(error)}"
        if not turn.call and not turn.fault:
            turn.fault = "no tool was called: every step ends with exactly one call"

    def _timed(self, turn: Turn, take: Callable[[], T]) -> T:
        """Waits for the policy, and counts the time as its own."""
        began = time.perf_counter()
        try:
            with self._interrupts.let_in():
                return take()
        finally:
            turn.decide_ms += _ms_since(began)

    def _fault_of(self, block: object, turn: Turn) -> str:
        if turn.call:
            return "more was written after the tool call: every step ends with exactly one call"
        if not isinstance(block, (Text, Picture, ToolCall)):
            return f"the policy wrote {block!r:.80}, which is no block"
        if isinstance(block, Picture):
            try:
                self._recorder.pictures.get(block.digest)
            except KeyError:
                return f"the policy drew the picture {block.digest:.12} and did not store it"
        if not isinstance(block, ToolCall) and (overrun := self._budget.overrun()):
            return f"the decision was cut off: {overrun}"
        return ""

    def _rule(self, turn: Turn) -> None:
        if turn.fault or turn.call is None:
            turn.ruling = refusal(turn.fault)
            return
        began = time.perf_counter()
        with self._interrupts.let_in():
            turn.ruling = self._guard.rule(turn.call, turn.seen)
        self._stuck = self._stuck or turn.ruling.stuck
        turn.act_ms += _ms_since(began)

    def _act(self, turn: Turn) -> None:
        """Carries the call out, if the guard let it pass, and asks the world for its judgement."""
        assert turn.ruling
        if turn.ruling.refused or turn.call is None:
            turn.outcome = turn.ruling.refused
            return
        began = time.perf_counter()
        try:
            with self._interrupts.let_in():
                turn.started = True
                turn.outcome = self._invoked(turn.call.name, {**turn.call.arguments, **turn.ruling.moved})
        except EnvironmentFailure as error:
            turn.outcome = Outcome(status="failed", text=f"the world is gone: {error}")
            raise
        finally:
            turn.act_ms += _ms_since(began)
        with self._interrupts.let_in():
            self._ledger.verdict = self._environment.verdict()

    def _invoked(self, name: str, arguments: dict[str, JsonValue]) -> Outcome:
        """Runs a tool; one that breaks or hangs has failed, and the run goes on."""
        limit_s = self._limits.tool_timeout_s
        began = time.monotonic()
        try:
            with time_limit(limit_s):
                return invoke(self._tools[name], arguments, self._recorder.pictures)
        except (TrajectoryError, EnvironmentFailure):
            raise
        except Exception as error:
            late = limit_s is not None and time.monotonic() - began >= limit_s
            doubt = "; it may have taken effect" if late else ""
            return Outcome(status="failed", text=f"{name} failed: {_described(error)}{doubt}")

    # ---- how it ends

    def _ending(self) -> Ending | None:
        """Why no further step is to be made; None if one is."""
        if self._last and (ending := self._ended_by(self._last)):
            return ending
        if self._stuck:
            return Ending(status="stuck", reason=self._stuck)
        if reason := self._budget.exhausted():
            return Ending(status="max_steps", reason=reason)
        return None

    def _ended_by(self, last: PastStep) -> Ending | None:
        said = last.call.name if last.call and last.outcome.status == "done" else ""
        answer = last.outcome.text if said in (FINISH.name, ASK_USER.name) else ""
        if verdict := self._ledger.verdict:
            return Ending(status="finished", reason=verdict.reason or "the world gave its verdict", answer=answer)
        if said == FINISH.name:
            return Ending(status="finished", reason="the policy finished", answer=answer)
        if said == ASK_USER.name:
            return Ending(status="needs_user", reason="the policy asks the person", answer=answer)
        if (count := self._ledger.invalid_in_a_row) >= self._limits.invalid_in_a_row:
            reason = f"{count} decisions in a row could not be carried out; the last: {last.outcome.text}"
            return Ending(status="error", reason=reason)
        return None

    def _end(self, ending: Ending) -> End:
        by_itself = ending.status not in ("stopped", "error")
        return self._ledger.end(ending, self._last_look() if by_itself else None)

    def _last_look(self) -> Observation | None:
        try:
            with self._interrupts.let_in():
                return self._environment.observe()
        except (Exception, KeyboardInterrupt):
            return None  # how the run ended is decided already, and is worth more than the last sight of it

    def _left(self, end: End) -> Run:
        return Run(
            folder=self._recorder.folder,
            status=end.status,
            steps=len(self._ledger.past),
            verdict=end.verdict,
            reason=end.reason,
            answer=end.answer,
        )


def _last(events: Iterator[Event]) -> Run:
    """Lets a run go by, and returns what it left."""
    ended = next(event for event in events if isinstance(event, Ended))
    return ended.run


def _described(error: BaseException) -> str:
    text = str(error).strip() or "no message"
    return text if isinstance(error, MMIError) else f"{type(error).__name__}: {text}"


def _ms_since(began: float) -> float:
    return (time.perf_counter() - began) * 1000
