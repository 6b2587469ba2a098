"""`mmi env`: which worlds there are, whether they can start here, and one to begin with."""

import inspect
import json as json_format
import time
from dataclasses import asdict, dataclass
from typing import Annotated, get_args

import typer

from mmi_agent.cli.options import Json
from mmi_agent.errors import ConfigError, MissingDependencyError, UnknownNameError

__all__ = ["list_environments", "start_world"]

_LOOK_AGAIN_S = 0.5


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
        print(f"{each.name:22}{each.description}\n{'':22}{tasks}, {state}")
    print("mmi run --env NAME, or NAME:TASK; mmi env list NAME lists the tasks")


def _describe(name: str) -> _Described:
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

    on_a_server = name in ("minecraft/server", "minecraft/practice")
    try:
        if name == "minecraft/minedojo":
            from mmi_minecraft.minedojo import check_game_can_start

            check_game_can_start()
        if on_a_server:
            from mmi_minecraft.server.node import find_node

            find_node()
    except MissingDependencyError as error:
        return str(error)
    if not name.startswith("gui/") and not on_a_server:
        return ""
    browser = check_browser()
    return "" if browser.status == "ok" else f"{browser.found}; {browser.remedy}"


def start_world(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The world: minecraft.")],
    version: Annotated[str, typer.Option(metavar="VERSION", help="Of the game.")] = "1.21.4",
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="Where it listens; 0: any.")] = 25565,
    mode: Annotated[str, typer.Option(metavar="creative|survival", help="What players may do.")] = "creative",
    hills: Annotated[bool, typer.Option("--hills", help="Hills and water instead of level ground.")] = False,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Of the hills.")] = 0,
) -> None:
    """Start a world to practise in, show what a player in it sees, and stay until Ctrl-C.

    A server on this machine, which nobody else can reach; its world is gone with it.

    Examples:
      mmi env up minecraft
      mmi env up minecraft --version 1.16.4 --mode survival --hills
    """
    if name != "minecraft":
        raise UnknownNameError.among("world that can be started", name, ["minecraft"])
    try:
        from mmi_minecraft.server.practice import GameMode
        from mmi_minecraft.server.shown import ShownServer
        from rich.console import Console
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"mmi env up minecraft needs the package {error.name!r}: pip install 'mmi-agent[minecraft]'"
        ) from error
    chosen: GameMode | None = next((each for each in get_args(GameMode) if each == mode), None)
    if chosen is None:
        raise ConfigError(f"--mode {mode!r}: expected creative or survival")
    with Console(stderr=True).status("starting") as status:
        world = ShownServer(
            version=version, port=port, game_mode=chosen, hills=hills, seed=seed, progress=status.update
        )
    with world:
        print(f"server   {world.address}   Minecraft {version}, {mode}")
        print(f"picture  {world.view}   what a player sees; open it in a browser")
        print(f'try      mmi run --env minecraft/server:{world.address} "Build a fence of oak, 5 by 4"')
        print("Ctrl-C ends it, and its world", flush=True)
        while True:
            time.sleep(_LOOK_AGAIN_S)
            world.check()
