"""Named lists of tasks."""

import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import cast

from mmi_agent.errors import UnknownNameError
from mmi_agent.registry import environment_class

__all__ = ["SUITES", "Suite", "default_seeds", "environment_tasks", "suite_environments"]

_MINIWOB = "gui/miniwob"
_MINECRAFT = "minecraft/practice"

_MINIWOB_DEMO = (
    "click-test-2",
    "click-button",
    "click-link",
    "click-tab",
    "click-dialog",
    "click-option",
    "click-checkboxes",
    "click-button-sequence",
    "focus-text-2",
    "enter-text",
    "enter-password",
    "login-user",
)


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A list of tasks.

    Attributes:
        about: What it is.
        seeds: How many are meant for each task, from 0 on.
        tasks: Lists the tasks.
        world: The environment whose tasks they are.
    """

    about: str
    seeds: int
    tasks: Callable[[], Sequence[str]]
    world: str = _MINIWOB


def suite_environments(name: str) -> tuple[str, ...]:
    """The environments of a suite, each with its task.

    Raises:
        UnknownNameError: If there is no such suite; offers the nearest.
        MissingDependencyError: If an extra is not installed.
    """
    if name not in SUITES:
        raise UnknownNameError.among("suite", name, SUITES)
    suite = SUITES[name]
    return tuple(f"{suite.world}:{task}" for task in suite.tasks())


def default_seeds(suites: Sequence[str]) -> tuple[int, ...]:
    """The seeds that all of some suites get where nobody says otherwise; ten where there is no suite."""
    return tuple(range(max((SUITES[name].seeds for name in suites if name in SUITES), default=10)))


def environment_tasks(name: str) -> tuple[str, ...]:
    """The tasks that an environment has of its own; none where the person says what is to be done.

    They come from a function beside its class: for "gui/miniwob" that is `miniwob_tasks`.

    Raises:
        UnknownNameError: If there is no such environment.
        MissingDependencyError: If an extra is not installed.
    """
    build, _ = environment_class(name)
    function = f"{name.rpartition('/')[2]}_tasks"
    tasks = getattr(sys.modules[build.__module__], function, None)
    return tuple(cast("Callable[[], Sequence[str]]", tasks)()) if tasks else ()


def _seen(world: str) -> list[str]:
    return sorted(set(_said_by(world, "demonstrated")) - set(_said_by(world, "held_out")))


def _unseen(world: str) -> list[str]:
    return sorted(_said_by(world, "held_out"))


def _said_by(world: str, tasks: str) -> Collection[str]:
    """What the environment itself says, as it is learnt from."""
    build, _ = environment_class(world)
    return cast("Collection[str]", getattr(build, tasks))


SUITES = {
    "miniwob-demo": Suite(
        about="twelve click and type tasks of MiniWoB++, most of them learnt from",
        seeds=10,
        tasks=lambda: _MINIWOB_DEMO,
    ),
    "miniwob-seen": Suite(
        about="the tasks of MiniWoB++ that are demonstrated, to be learnt", seeds=50, tasks=lambda: _seen(_MINIWOB)
    ),
    "miniwob-unseen": Suite(
        about="the twelve that nothing is ever learnt from: what `make demo` runs",
        seeds=50,
        tasks=lambda: _unseen(_MINIWOB),
    ),
    "miniwob-all": Suite(about="every task of MiniWoB++", seeds=10, tasks=lambda: environment_tasks(_MINIWOB)),
    "minecraft": Suite(
        about="every task of the practice server of Minecraft",
        seeds=5,
        tasks=lambda: environment_tasks(_MINECRAFT),
        world=_MINECRAFT,
    ),
    "minecraft-seen": Suite(
        about="those that are demonstrated, to be learnt", seeds=10, tasks=lambda: _seen(_MINECRAFT), world=_MINECRAFT
    ),
    "minecraft-unseen": Suite(
        about="the five that nothing is ever learnt from",
        seeds=10,
        tasks=lambda: _unseen(_MINECRAFT),
        world=_MINECRAFT,
    ),
}
"""The suites by name."""
