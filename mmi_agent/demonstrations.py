"""Collects demonstrations: experts solve tasks, and the runs that the world itself calls solved are kept.

A kept run stands in `<out>/<task>/<seed>/`, whole, as an ordinary trajectory. A run under way is elsewhere, in
`<out>/.unfinished/`, so an interrupted collection leaves nothing broken, and the next one goes on with what is missing.
"""

import multiprocessing
import shutil
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from mmi_agent.agent.limits import Limits
from mmi_agent.agent.runtime import Agent
from mmi_agent.child_process import deaf_to_ctrl_c, die_with_parent
from mmi_agent.environment import Environment
from mmi_agent.errors import AgentError, ConfigError, TrajectoryError, UnknownNameError
from mmi_agent.folder_lock import alone_in
from mmi_agent.policy import Policy
from mmi_agent.registry import environment_class

__all__ = [
    "FIRST_SEED",
    "Attempt",
    "Demonstration",
    "DemonstrationPlan",
    "Demonstrator",
    "collect",
    "demonstrated_tasks",
    "named_demonstrations",
]

FIRST_SEED = 100_000
"""Where the seeds of demonstrations begin; evaluations take those below, so that the two never meet."""

_LIMITS = Limits(max_steps=60, max_seconds=120)
_CHUNK = 20  # seeds of one task in a row: changing the task costs a page load


class Demonstrator(Environment, Protocol):
    """An environment that can show how its tasks are done.

    Attributes:
        demonstrated: The tasks that it has an expert for.
        held_out: The tasks that nothing is to be learnt from, whether or not it has an expert for them.
    """

    demonstrated: Collection[str]
    held_out: Collection[str]

    def load(self, task_id: str) -> None:
        """Changes the task, and keeps what is costly to start."""
        ...

    def expert(self) -> Policy:
        """What solves the task that is loaded."""
        ...


@dataclass(frozen=True, kw_only=True)
class Demonstration:
    """One task from one seed."""

    environment: str
    seed: int

    @property
    def task(self) -> str:
        """The task alone, without its environment."""
        return self.environment.rpartition(":")[2]


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """What came of a demonstration.

    Attributes:
        demonstration: Which one.
        kept: Whether the world called it solved.
        steps: How many it took.
        reason: Why it ended.
    """

    demonstration: Demonstration
    kept: bool
    steps: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class DemonstrationPlan:
    """What is to be collected.

    Attributes:
        environments: Names with their tasks, as in "gui/miniwob:click-test".
        seeds: One run each, for every environment.
        out: The folder of all.
    """

    environments: tuple[str, ...]
    seeds: tuple[int, ...]
    out: Path

    def folder(self, demonstration: Demonstration) -> Path:
        """Where a kept run stands."""
        return self.out / demonstration.task / str(demonstration.seed)

    def remaining(self) -> list[Demonstration]:
        """What is not there yet; all tasks grow evenly."""
        chunks = [self.seeds[first : first + _CHUNK] for first in range(0, len(self.seeds), _CHUNK)]
        every = (
            Demonstration(environment=environment, seed=seed)
            for chunk in chunks
            for environment in self.environments
            for seed in chunk
        )
        return [demonstration for demonstration in every if not self.holds(demonstration)]

    def holds(self, demonstration: Demonstration) -> bool:
        """Whether the run is there."""
        return (self.folder(demonstration) / "trajectory.jsonl").exists()

    def count(self, environment: str) -> int:
        """How many runs of an environment are there."""
        return sum(self.holds(Demonstration(environment=environment, seed=seed)) for seed in self.seeds)


def demonstrated_tasks(world: str) -> tuple[list[str], list[str]]:
    """The tasks that an environment has experts for: those to learn from, and those that are held out.

    Args:
        world: The environment's name without a task.

    Raises:
        UnknownNameError: If there is no such environment.
        ConfigError: If it has no experts.
    """
    build, _ = _demonstrator(world)
    shown, held_out = set(build.demonstrated), set(build.held_out)
    return sorted(shown - held_out), sorted(shown & held_out)


def named_demonstrations(names: Sequence[str], *, held_out: bool = False) -> tuple[str, ...]:
    """Checks the names of tasks, and puts all tasks in the place of "all".

    Args:
        names: As in "gui/miniwob:click-test" and "gui/miniwob:all".
        held_out: Whether tasks that are held out may be collected.

    Raises:
        ConfigError: If nothing is named, an environment has no experts, or a task is held out.
        UnknownNameError: If there is no such environment or task.
    """
    found = [each for name in names for each in _named(name, held_out)]
    if not found:
        raise ConfigError("no task was named: say WORLD:TASK as in gui/miniwob:click-test, or WORLD:all")
    return tuple(dict.fromkeys(found))


def _named(name: str, held_out: bool) -> list[str]:
    build, task = _demonstrator(name)
    if task is None:
        raise ConfigError(f"{name!r} names no task: say {name}:TASK, or {name}:all")
    if task == "all":
        world = name.removesuffix(":all")
        shown, kept_back = demonstrated_tasks(world)
        return [f"{world}:{each}" for each in (*shown, *(kept_back if held_out else ()))]
    if task in build.held_out and not held_out:
        raise ConfigError(f"the task {task!r} is held out: nothing is learnt from it; --held-out collects it anyway")
    if task not in build.demonstrated:
        raise UnknownNameError.among("demonstrated task", task, build.demonstrated)
    return [name]


def _demonstrator(name: str) -> tuple[type[Demonstrator], str | None]:
    build, task = environment_class(name)
    if not hasattr(build, "demonstrated"):
        raise ConfigError(f"{name!r} has no experts that could show how its tasks are done")
    return cast("type[Demonstrator]", build), task


def collect(plan: DemonstrationPlan, *, workers: int = 1) -> Iterator[Attempt]:
    """Runs what remains; leaving the iteration ends it after the runs under way.

    Args:
        plan: What is to be collected.
        workers: How many processes run side by side, each with a world of its own.

    Yields:
        Each attempt, once its run is kept or removed.

    Raises:
        ConfigError: If another process collects into the folder, or it cannot be made.
        TrajectoryError: If the folder cannot be written.
        AgentError: If a worker dies.
    """
    with alone_in(plan.out), _swept(plan.out):
        remaining = plan.remaining()
        with _pool(min(workers, max(1, len(remaining)))) as pool:
            with deaf_to_ctrl_c():  # it is for the collection, which lets the workers finish
                futures: list[Future[Attempt]] = [pool.submit(_attempt, plan, each) for each in remaining]
            try:
                for future in as_completed(futures):
                    yield future.result()
            except BrokenProcessPool as error:
                raise AgentError("a worker died; the same command goes on with what is missing") from error
            finally:
                pool.shutdown(cancel_futures=True)


@contextmanager
def _swept(out: Path) -> Generator[None]:
    """Removes what is unfinished before and after."""
    unfinished = out / ".unfinished"
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        yield
    except OSError as error:
        raise TrajectoryError(f"cannot collect into {out}: {error.strerror}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=die_with_parent)


class _World:
    """The environment of this process, kept from one demonstration to the next."""

    def __init__(self) -> None:
        self._held: tuple[Callable[..., Environment], Demonstrator] | None = None

    def take(self, name: str) -> Demonstrator:
        """The environment, with the task loaded."""
        build, task = environment_class(name)
        if self._held and self._held[0] is build:
            self._held[1].load(task or "")
            return self._held[1]
        self.drop()
        self._held = build, cast("Demonstrator", build(task_id=task))
        return self._held[1]

    def drop(self) -> None:
        """Lets go of it."""
        if self._held:
            self._held[1].close()
            self._held = None


_WORLD = _World()


def _attempt(plan: DemonstrationPlan, demonstration: Demonstration) -> Attempt:
    """Lets an expert solve a task, and keeps the run if it did."""
    unfinished = plan.out / ".unfinished" / demonstration.task / str(demonstration.seed)
    target = plan.folder(demonstration)
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        reason = f"{target} holds no run and stands in the way: move it elsewhere"
        return Attempt(demonstration=demonstration, kept=False, steps=0, reason=reason)
    world = _WORLD.take(demonstration.environment)
    agent = Agent(world.expert(), world, limits=_LIMITS, options={"name": demonstration.environment})
    run = agent.run(seed=demonstration.seed, folder=unfinished)
    kept = run.status == "finished" and run.verdict is not None and run.verdict.success
    if kept:
        _move(unfinished, target)
    else:
        shutil.rmtree(unfinished, ignore_errors=True)
    if run.status == "error":
        _WORLD.drop()  # it may be what broke
    return Attempt(demonstration=demonstration, kept=kept, steps=run.steps, reason=run.answer or run.reason)


def _move(source: Path, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        source.rename(target)
    except OSError as error:
        raise TrajectoryError(f"cannot keep a run in {target}: {error.strerror}") from error
