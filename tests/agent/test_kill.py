"""Kills a real process at every boundary of a step: nothing is lost, and nothing is done twice unnoticed."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from mmi_agent import Agent, FunctionTool, Outcome, TrajectoryError, read_trajectory
from mmi_agent.agent import recorder
from mmi_agent.testing import EchoEnvironment, ScriptedPolicy
from tests.agent.worlds import Note

SCRIPT: list[Any] = [("note", {"text": word}) for word in ("one", "two", "three")]


class Fate:
    """Counts the places where the process could die, and dies at one of them."""

    def __init__(self, dies_at: int = 0) -> None:
        self.dies_at = dies_at
        self.places = 0

    def __call__(self) -> None:
        self.places += 1
        if self.places == self.dies_at:
            os.kill(os.getpid(), signal.SIGKILL)


def agent(effects: Path, policy: ScriptedPolicy, fate: Fate | None = None) -> Agent:
    """An agent whose only deed is to append a word to a file."""

    def note(arguments: Note) -> Outcome:
        if fate:
            fate()
        with effects.open("a") as file:
            file.write(arguments.text + "\n")
        if fate:
            fate()
        return Outcome(text="noted")

    tool = FunctionTool(name="note", description="Note.", args_schema=Note, run=note, effect="reversible")
    return Agent(policy, EchoEnvironment(), tools=[tool])


def arm(fate: Fate, patch: pytest.MonkeyPatch) -> None:
    """Lets fate strike before, within and after each line, and after it is on the disk."""
    write, sync = os.write, os.fsync

    def write_line(file: int, data: bytes) -> None:
        fate()
        write(file, data[: len(data) // 2])
        fate()
        write(file, data[len(data) // 2 :])
        fate()

    def fsync(file: int) -> None:
        sync(file)
        fate()

    patch.setattr(recorder, "write_all", write_line)
    patch.setattr(recorder.os, "fsync", fsync)


def killed(folder: Path, effects: Path, dies_at: int) -> None:
    """Runs the script in a process of its own, which dies at that place."""
    if (child := os.fork()) == 0:
        try:
            fate = Fate(dies_at)
            arm(fate, pytest.MonkeyPatch())
            agent(effects, ScriptedPolicy(SCRIPT), fate).run(folder=folder)
        finally:
            os._exit(3)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def places(folder: Path) -> int:
    with pytest.MonkeyPatch.context() as patch:
        fate = Fate()
        arm(fate, patch)
        agent(folder / "effects", ScriptedPolicy(SCRIPT), fate).run(folder=folder / "run")
    return fate.places


def check(folder: Path, effects: Path, *, fresh: bool = False) -> str:
    """Takes the run up and compares what it says with what was done; returns what became of the step in doubt."""
    policy = ScriptedPolicy(SCRIPT)
    before = effects.read_text() if effects.exists() else ""
    if fresh:
        agent(effects, policy).run(folder=folder)
    else:
        agent(effects, policy).resume(folder)
    found = read_trajectory(folder)
    assert found.status == "finished" and not found.missing_pictures()
    done = effects.read_text().split()
    doubts = [step for step in found.steps if step.result and step.result.outcome.status == "in_doubt"]
    for step, (_, arguments) in zip(found.steps, SCRIPT, strict=False):
        assert step.intent.call and step.intent.call.arguments == arguments, "no step is lost"
        assert done.count(arguments["text"]) == 1 or (step in doubts and arguments["text"] not in done)
    assert done == sorted(done, key=["one", "two", "three"].index), "nothing is done twice"
    if not doubts:
        return "clear"
    assert len(doubts) == 1 and found.resumes[0].in_doubt == doubts[0].intent.step
    assert policy.contexts[0].steps[-1].outcome.status == "in_doubt", "the policy is told"
    doubted = doubts[0].intent.call
    assert doubted
    return "it had run" if doubted.arguments.get("text") in before.split() else "it had not run"


def test_a_process_killed_anywhere_loses_no_step_and_repeats_none(tmp_path: Path) -> None:
    total = places(tmp_path)
    assert total > 40
    fates: dict[str, int] = {}
    for place in range(1, total + 1):
        folder, effects = tmp_path / str(place) / "run", tmp_path / str(place) / "effects"
        killed(folder, effects, place)
        try:
            finished = read_trajectory(folder).status == "finished"
        except TrajectoryError:
            fate = check(folder, effects, fresh=True)  # it died before its first line: there was nothing to lose
            assert fate == "clear"
            fate = "had not begun"
        else:
            fate = "was over" if finished else check(folder, effects)
        fates[fate] = fates.get(fate, 0) + 1
    assert set(fates) == {"had not begun", "clear", "it had run", "it had not run", "was over"}, fates


def test_a_process_killed_while_it_resumes_can_be_resumed(tmp_path: Path) -> None:
    folder, effects = tmp_path / "run", tmp_path / "effects"
    total = places(tmp_path / "count")
    killed(folder, effects, total // 2)
    if (child := os.fork()) == 0:
        try:
            fate = Fate(6)
            arm(fate, pytest.MonkeyPatch())
            agent(effects, ScriptedPolicy(SCRIPT), fate).resume(folder)
        finally:
            os._exit(3)
    os.waitpid(child, 0)
    check(folder, effects)
    assert len(read_trajectory(folder).resumes) == 2
