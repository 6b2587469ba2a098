"""`mmi env list`: which worlds there are, and whether they can start here."""

import inspect
import json as json_format
from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from mmi_agent.cli.options import Json

__all__ = ["list_environments"]


@dataclass(frozen=True, kw_only=True)
class _Described:
    """A registered environment.

    Attributes:
        missing: What it lacks to start here, with the command that brings it; empty if nothing.
        tasks: How many tasks it has of its own; 0 where the person says what is to be done.
    """

    name: str
    description: str
    missing: str
    tasks: int


def list_environments(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="List the tasks of this one.")] = None,
    json: Json = False,
) -> None:
    """Name the worlds that are installed, or the tasks of one.

    Examples:
      mmi env list
      mmi env list gui/miniwob
    """
    from mmi_agent.evaluation import environment_tasks
    from mmi_agent.registry import environment_names

    if name is not None:
        tasks = environment_tasks(name)
        print(
            json_format.dumps(tasks) if json else "\n".join(tasks) or f"{name} has no tasks: you say what is to be done"
        )
        return
    described = [_describe(each) for each in environment_names()]
    if json:
        print(json_format.dumps([asdict(each) for each in described], indent=2))
        return
    for each in described:
        tasks = f"{each.tasks} tasks" if each.tasks else "any task"
        state = f"cannot start: {each.missing}" if each.missing else "ready"
        print(f"{each.name:16}{each.description}\n{'':16}{tasks}, {state}")
    print("mmi run --env NAME, or NAME:TASK; mmi env list NAME lists the tasks")


def _describe(name: str) -> _Described:
    from mmi_agent.errors import MissingDependencyError
    from mmi_agent.evaluation import environment_tasks
    from mmi_agent.registry import environment_class

    try:
        build, _ = environment_class(name)
        tasks = environment_tasks(name)
    except MissingDependencyError as error:
        remedy = f"{error}: pip install 'mmi-agent[{name.partition('/')[0]}]'"
        return _Described(name=name, description="", missing=remedy, tasks=0)
    description = (inspect.getdoc(build) or "").partition("\n")[0]
    return _Described(name=name, description=description, missing=_missing(name), tasks=len(tasks))


def _missing(name: str) -> str:
    """What the environment needs besides packages."""
    from mmi_agent.cli.checks import check_browser

    if not name.startswith("gui/"):
        return ""
    browser = check_browser()
    return "" if browser.status == "ok" else f"{browser.found}; {browser.remedy}"
