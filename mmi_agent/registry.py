"""Finds environments by name, and loads only the one that is asked for.

A name is `<entry point>` or `<entry point>:<task>`, as in "gui/browser" and "gui/miniwob:click-test". Somebody's own
class is named by its import path instead: "my_package.module:MyEnvironment", or with a task,
"my_package:MyEnvironment:task".
"""

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from inspect import Parameter, signature
from typing import Any, cast

from mmi_agent.environment import Environment
from mmi_agent.errors import ConfigError, MissingDependencyError, UnknownNameError

__all__ = ["environment_class", "environment_names", "is_registered", "make_environment"]

GROUP = "mmi_agent.environments"


def _registered() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def environment_names() -> list[str]:
    """The registered environments, without their tasks; nothing is imported."""
    return sorted(_registered())


def is_registered(name: str) -> bool:
    """Whether a name, with or without a task, is a registered one and not the path of somebody's class."""
    return name.partition(":")[0] in _registered()


def environment_class(name: str) -> tuple[Callable[..., Environment], str | None]:
    """Loads what makes the environment of that name.

    Args:
        name: A registered name or an import path, with or without a task.

    Returns:
        The class, and the task part of the name (None where there is none).

    Raises:
        UnknownNameError: If nothing has that name, or no task stands where one is announced; offers the nearest.
        MissingDependencyError: If its package lacks an extra.
    """
    registered = _registered()
    family, _, task = name.partition(":")
    if name.endswith(":"):
        raise UnknownNameError(f"{name!r} names no task after its colon: say {name}TASK, or {name[:-1]}")
    if point := registered.get(family):
        return _load(point.value, family), task or None
    if ":" in name and "/" not in name:
        path, _, task = name.rpartition(":") if name.count(":") > 1 else (name, "", "")
        return _load(path, name), task or None
    raise UnknownNameError.among("environment", name, registered)


def _load(path: str, name: str) -> Callable[..., Environment]:
    module, _, attribute = path.partition(":")
    try:
        return cast("Callable[..., Environment]", getattr(import_module(module), attribute))
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == module.partition(".")[0]:
            raise UnknownNameError(f"unknown environment {name!r}: there is no module {error.name!r}") from error
        raise MissingDependencyError(f"environment {name!r} needs the package {error.name!r}") from error
    except AttributeError as error:
        raise UnknownNameError(f"unknown environment {name!r}: {module!r} has no {attribute!r}") from error


def make_environment(name: str, **options: Any) -> Environment:
    """Builds the environment of that name.

    Args:
        name: As in `environment_class`.
        options: Passed to the class; the task part of the name is passed as `task_id`.

    Raises:
        UnknownNameError: As `environment_class` does, and if a task is named of an environment that has none.
        MissingDependencyError: As `environment_class` does.
        ConfigError: If what is made is no environment.
    """
    build, task = environment_class(name)
    accepted = signature(build).parameters.values()
    if task is not None and not any(e.name == "task_id" or e.kind is Parameter.VAR_KEYWORD for e in accepted):
        raise UnknownNameError(f"unknown environment {name!r}: {name.removesuffix(f':{task}')} has no tasks of its own")
    environment = build(**({} if task is None else {"task_id": task}), **options)
    if not callable(getattr(environment, "reset", None)):
        raise ConfigError(f"{name!r} makes a {type(environment).__name__}, which has no `reset`: it is no environment")
    return environment
