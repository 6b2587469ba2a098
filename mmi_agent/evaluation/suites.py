"""Named lists of tasks."""

import sys
from collections.abc import Callable, Sequence
from typing import cast

from mmi_agent.errors import UnknownNameError
from mmi_agent.registry import environment_class

__all__ = ["SUITES", "environment_tasks", "suite_environments"]

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

SUITES = {
    "miniwob-demo": "twelve click and type tasks of MiniWoB++: what `make demo` runs",
    "miniwob-all": "every task of MiniWoB++",
}
"""The suites, and what they are."""


def suite_environments(name: str) -> tuple[str, ...]:
    """The environments of a suite, each with its task.

    Raises:
        UnknownNameError: If there is no such suite; offers the nearest.
    """
    if name not in SUITES:
        raise UnknownNameError.among("suite", name, SUITES)
    tasks = _MINIWOB_DEMO if name == "miniwob-demo" else environment_tasks("gui/miniwob")
    return tuple(f"gui/miniwob:{task}" for task in tasks)


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
