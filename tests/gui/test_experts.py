from collections.abc import Iterator
from pathlib import Path

import pytest
from mmi_gui import MiniWobEnvironment, miniwob_tasks
from mmi_gui.experts import EXPERTS, HELD_OUT

from mmi_agent.agent.runtime import Agent
from mmi_agent.agent.trajectory import Trajectory, read_trajectory
from mmi_agent.types import Text

pytestmark = pytest.mark.browser

SLOW = {"book-flight-nodelay", "choose-date", "click-collapsible-2", "daily-calendar"}
SEEDS = (100_001, 100_002)


@pytest.fixture(scope="module")
def world(chromium: str) -> Iterator[MiniWobEnvironment]:
    with MiniWobEnvironment() as environment:
        yield environment


def shown(world: MiniWobEnvironment, task: str, seed: int, folder: Path) -> Trajectory:
    world.load(task)
    Agent(world.expert(), world).run(seed=seed, folder=folder)
    return read_trajectory(folder)


@pytest.mark.parametrize("task", sorted(set(EXPERTS) - SLOW))
def test_an_expert_solves_its_task_as_its_pupil_could(task: str, world: MiniWobEnvironment, tmp_path: Path):
    for seed in SEEDS[: 1 if task in HELD_OUT else 2]:
        run = shown(world, task, seed, tmp_path / str(seed))
        assert run.verdict is not None and run.verdict.reward == 1, (seed, run.end)
        for step in run.steps:
            (thought,) = step.intent.blocks
            assert isinstance(thought, Text)
            assert thought.text.endswith(".") and "\n" not in thought.text
            assert step.intent.call is not None
            assert "_at" not in step.intent.call.name, "a point says nothing to who sees elements"
            assert not step.intent.approval.reason.startswith("not carried out")


@pytest.mark.slow
@pytest.mark.parametrize("task", sorted(SLOW))
def test_an_expert_solves_a_long_task(task: str, world: MiniWobEnvironment, tmp_path: Path):
    run = shown(world, task, SEEDS[0], tmp_path / "run")
    assert run.verdict is not None and run.verdict.reward == 1, run.end


def test_the_tasks_are_of_the_suite_and_twelve_of_them_are_held_out():
    assert set(EXPERTS) | HELD_OUT <= set(miniwob_tasks())
    assert len(HELD_OUT) == 12 and len(set(EXPERTS) - HELD_OUT) >= 70
    twins = {task.removesuffix("-nodelay") for task in set(EXPERTS) - HELD_OUT}
    assert not twins & HELD_OUT


def test_an_expert_that_does_not_know_how_to_go_on_says_so(world: MiniWobEnvironment, tmp_path: Path):
    world.load("click-button")
    expert = world.expert()
    world.load("click-link")
    run = Agent(expert, world).run(seed=1, folder=tmp_path / "run")
    assert run.verdict is None
    assert "the expert sees no button" in run.answer
