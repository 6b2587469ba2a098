"""Every way through the loop, and every way out of it."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mmi_agent import (
    Acted,
    Agent,
    Called,
    ConfigError,
    Context,
    Ended,
    EnvironmentFailure,
    FunctionTool,
    Limits,
    NoArguments,
    Observation,
    Observed,
    Outcome,
    Text,
    ToolCall,
    TrajectoryError,
    Wrote,
    read_trajectory,
)
from mmi_agent.agent import recorder as recorder_module
from mmi_agent.testing import EchoEnvironment, ScriptedPolicy
from tests.agent.worlds import ALLOW, run

WIN: list[Any] = [("type_text", {"text": "fig"}), ("send", {})]


def outcomes(folder: Path) -> list[str]:
    return [step.result.outcome.status if step.result else "none" for step in read_trajectory(folder).steps]


def tool(name: str, act: Any) -> FunctionTool:
    return FunctionTool(
        name=name, description="A test's.", args_schema=NoArguments, run=lambda _: act(), effect="reversible"
    )


def test_an_episode_ends_with_the_worlds_verdict(tmp_path: Path) -> None:
    left = run(ScriptedPolicy(WIN), EchoEnvironment("fig"), tmp_path)
    assert left.status == "finished" and left.steps == 2
    assert left.verdict and left.verdict.success
    found = read_trajectory(tmp_path)
    assert found.status == "finished" and found.verdict == left.verdict and not found.missing_pictures()
    assert [step.intent.call.name for step in found.steps if step.intent.call] == ["type_text", "send"]
    assert found.end and found.end.observation and found.end.observation.text == "field: fig"
    assert {record.name for record in found.start.tools} >= {"send", "finish", "ask_user"}


@pytest.mark.parametrize(
    ("calls", "limits", "status"),
    [
        ([("finish", {"answer": "nothing to do"})], {}, "finished"),
        ([("ask_user", {"question": "which word?"})], {}, "needs_user"),
        ([("scroll", {"rows": i % 2}) for i in range(9)], {"max_steps": 4}, "max_steps"),
        ([("scroll", {"rows": 1})], {"max_seconds": 0.0}, "max_steps"),
        ([("type_text", {"text": str(i)}) for i in range(9)], {"max_tokens": 25}, "max_steps"),
        ([("press", {"mark": 1})] * 9, {}, "stuck"),
        ([("type_text", {"text": "x"}), ("press", {"mark": 4})] * 9, {"unchanged_steps": 3}, "stuck"),
        ([("fly", {"height": i}) for i in range(9)], {}, "error"),
        ([[Text(text="no call")]] * 9, {"invalid_in_a_row": 3}, "error"),
    ],
)
def test_every_ending_has_its_status(calls: Any, limits: dict[str, Any], status: str, tmp_path: Path) -> None:
    policy = ScriptedPolicy(calls, usage={"read": 8, "written": 2, "reused": 500})
    left = run(policy, EchoEnvironment(), tmp_path, limits=limits)
    assert (left.status, read_trajectory(tmp_path).status) == (status, status)
    assert left.reason


class FaultyPolicy:
    """Yields what it is given, raises what is an exception, then wins."""

    name = "faulty"

    def __init__(self, *blocks: object) -> None:
        self._blocks = blocks
        self.seen: list[Context] = []

    def decide(self, context: Context) -> Iterator[Any]:
        self.seen.append(context)
        for block in self._blocks if context.step == 0 else [ToolCall(name="finish")]:
            if isinstance(block, BaseException):
                raise block
            yield block


@pytest.mark.parametrize(
    ("blocks", "told"),
    [
        ([], "no tool was called"),
        ([ToolCall(name="finish"), ToolCall(name="finish")], "more was written after the tool call"),
        ([ToolCall(name="finish"), Text(text="and on")], "more was written after the tool call"),
        ([Text(text="hm"), ValueError("out of ideas")], "ValueError: out of ideas"),
        (["a string"], "is no block"),
        ([ToolCall(name="pres")], "did you mean 'press'"),
        ([ToolCall(name="press", arguments={"mark": 0})], "mark: Input should be greater than or equal to 1"),
        ([ToolCall(name="press", arguments={"mark": 77})], "no element has the mark 77: the marks are 1 to 4"),
    ],
)
def test_a_faulty_decision_is_told_to_the_policy(blocks: list[Any], told: str, tmp_path: Path) -> None:
    policy = FaultyPolicy(*blocks)
    assert run(policy, EchoEnvironment(), tmp_path).status == "finished"
    outcome = policy.seen[1].steps[0].outcome
    assert outcome.status == "invalid" and told in outcome.text


def test_a_tool_that_breaks_or_hangs_has_failed_and_the_run_goes_on(tmp_path: Path) -> None:
    def hang() -> Outcome:
        signal.sigtimedwait([], 5)
        return Outcome()

    tools = [tool("divide", lambda: 1 / 0), tool("hang", hang)]
    policy = ScriptedPolicy([("divide", {}), ("hang", {})])
    left = run(policy, EchoEnvironment(), tmp_path, tools=tools, limits={"tool_timeout_s": 0.05})
    assert left.status == "finished"
    broke, hung = (step.outcome for step in policy.contexts[2].steps)
    assert broke.status == "failed" and "ZeroDivisionError: division by zero" in broke.text
    assert hung.status == "failed" and "did not return within 0.05 s; it may have taken effect" in hung.text


def test_a_world_that_dies_ends_the_run_as_an_error(tmp_path: Path) -> None:
    def die() -> Outcome:
        raise EnvironmentFailure("the browser is gone")

    left = run(ScriptedPolicy([("die", {})]), EchoEnvironment(), tmp_path / "act", tools=[tool("die", die)])
    assert (left.status, left.reason) == ("error", "the browser is gone")
    assert outcomes(tmp_path / "act") == ["failed"]

    class Unreachable(EchoEnvironment):
        def reset(self, *args: Any, **options: Any) -> Observation:
            raise EnvironmentFailure("no route to host")

    left = run(ScriptedPolicy([]), Unreachable(), tmp_path / "reset")
    assert (left.status, left.reason) == ("error", "no route to host")
    assert read_trajectory(tmp_path / "reset").status == "error"
    with pytest.raises(ConfigError, match="ended before its world was there, nothing was done: run it anew"):
        Agent(ScriptedPolicy([]), EchoEnvironment()).resume(tmp_path / "reset")


def test_the_persons_mistake_leaves_no_run_behind(tmp_path: Path) -> None:
    class Choosy(EchoEnvironment):
        def reset(self, task: str | None = None, **options: Any) -> Observation:
            if task is None:
                raise ConfigError("say what is to be done")
            return super().reset(task, **options)

    agent = Agent(ScriptedPolicy([]), Choosy())
    with pytest.raises(ConfigError, match="say what"):
        agent.run(folder=tmp_path)
    assert agent.run("Send fig.", folder=tmp_path).status == "finished"


def test_the_stream_tells_what_happens_as_it_does(tmp_path: Path) -> None:
    policy = ScriptedPolicy([[Text(text="I think"), ToolCall(name="scroll", arguments={"rows": 1})]])
    events = list(Agent(policy, EchoEnvironment()).stream(folder=tmp_path))
    assert [type(event) for event in events[:4]] == [Observed, Wrote, Called, Acted]
    assert isinstance(events[-1], Ended) and events[-1].run.status == "finished"


def test_leaving_the_stream_stops_the_run(tmp_path: Path) -> None:
    stream = Agent(ScriptedPolicy(WIN), EchoEnvironment()).stream(folder=tmp_path)
    assert next(event for event in stream if isinstance(event, Called))
    stream.close()  # pyright: ignore[reportAttributeAccessIssue] - it is a generator
    assert read_trajectory(tmp_path).status == "stopped"
    assert outcomes(tmp_path) == ["denied"]


# ---- Ctrl-C


def interrupt() -> Any:
    signal.raise_signal(signal.SIGINT)


def test_ctrl_c_in_the_policy(tmp_path: Path) -> None:
    left = run(FaultyPolicy(Text(text="hm"), KeyboardInterrupt()), EchoEnvironment(), tmp_path)
    assert left.status == "stopped"
    assert outcomes(tmp_path) == ["denied"]  # what it had written is kept
    assert read_trajectory(tmp_path).steps[0].intent.blocks == (Text(text="hm"),)


def test_ctrl_c_in_a_tool_leaves_it_in_doubt(tmp_path: Path) -> None:
    left = run(ScriptedPolicy([("stop", {})]), EchoEnvironment(), tmp_path, tools=[tool("stop", interrupt)])
    assert left.status == "stopped"
    assert outcomes(tmp_path) == ["in_doubt"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("hit", range(1, 9))
def test_ctrl_c_while_a_line_is_written_again_and_again(
    hit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync, calls = os.fsync, iter(range(1, 1000))

    def interrupted(file: int) -> None:
        if next(calls) >= hit:
            interrupt()
        fsync(file)

    recorder = recorder_module.Recorder.create(tmp_path)
    recorder.close()
    monkeypatch.setattr(recorder_module.os, "fsync", interrupted)
    try:
        status = run(ScriptedPolicy(WIN), EchoEnvironment("fig"), tmp_path).status
    except KeyboardInterrupt:
        assert hit <= 2, "only before the run began"
        return
    found = read_trajectory(tmp_path)
    assert found.status == status and not found.torn_bytes
    assert status == "stopped" or len(found.steps) == 2


# ---- resume


def test_a_stopped_run_is_resumed_and_its_budget_goes_on(tmp_path: Path) -> None:
    calls = [("type_text", {"text": "a"}), ("type_text", {"text": "fig"}), ("send", {})]
    policy, environment = ScriptedPolicy(calls), EchoEnvironment("fig")
    assert run(policy, environment, tmp_path, limits={"max_steps": 1}).status == "max_steps"
    assert Agent(policy, environment, limits=Limits(max_steps=1)).resume(tmp_path).status == "max_steps"
    left = Agent(policy, environment, limits=Limits(max_steps=9), approver=ALLOW).resume(tmp_path)
    assert left.status == "finished" and left.steps == 3
    assert "begun anew" in policy.contexts[1].advice and not policy.contexts[2].advice
    assert len(read_trajectory(tmp_path).resumes) == 2
    with pytest.raises(ConfigError, match="is finished"):
        Agent(policy, environment).resume(tmp_path)


def test_the_persons_answer_becomes_part_of_the_instruction(tmp_path: Path) -> None:
    policy, environment = ScriptedPolicy([("ask_user", {"question": "which?"})]), EchoEnvironment()
    assert run(policy, environment, tmp_path).answer == "which?"
    assert Agent(policy, environment).resume(tmp_path, answer="the fig").status == "finished"
    assert policy.contexts[1].instruction.endswith("The person answered: the fig")


def test_a_world_that_outlives_the_process_is_attached_to(tmp_path: Path) -> None:
    class Robot(EchoEnvironment):
        def attach(self, task: str | None = None, *, seed: int = 0, pictures: Any) -> Observation:
            self._pictures = pictures
            return self.observe()

    policy, robot = ScriptedPolicy(WIN), Robot("fig")
    assert run(policy, robot, tmp_path, limits={"max_steps": 1}).status == "max_steps"
    left = Agent(policy, robot, approver=ALLOW).resume(tmp_path)
    assert left.verdict and left.verdict.success, "the field still held the word"
    assert "begun anew" not in policy.contexts[1].advice


def test_a_run_is_not_resumed_in_another_world(tmp_path: Path) -> None:
    run(ScriptedPolicy([]), EchoEnvironment("fig"), tmp_path, limits={"max_steps": 0})
    with pytest.raises(ConfigError, match="made in 'echo:fig', not in 'echo:kiwi'"):
        Agent(ScriptedPolicy([]), EchoEnvironment("kiwi")).resume(tmp_path)


def test_a_disk_that_fills_up_stops_the_run_before_the_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, full = os.write, False

    def limited(file: int, data: bytes) -> int:
        if full and b'"record":"intent"' in data:
            write(file, data[:100])
            raise OSError(28, "No space left on device")
        return write(file, data)

    acted: list[int] = []
    monkeypatch.setattr(recorder_module.os, "write", limited)
    full = True
    with pytest.raises(TrajectoryError, match="No space left on device"):
        run(ScriptedPolicy([("go", {})]), EchoEnvironment(), tmp_path, tools=[tool("go", lambda: acted.append(1))])
    assert not acted
    assert read_trajectory(tmp_path).status == "error"
