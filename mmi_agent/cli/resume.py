"""`mmi resume`: takes a run up where it ended, or where its process died."""

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from mmi_agent.cli.memory import Examples, MemoryFolder, open_recollector
from mmi_agent.cli.options import Approve, Json, Weights, parse_approver
from mmi_agent.errors import ConfigError, UnknownNameError

if TYPE_CHECKING:
    from pydantic import JsonValue

    from mmi_agent.agent.trajectory import Trajectory

__all__ = ["resume"]

_OPTIONS = {"address", "allow"}
"""What a recorded run may say of how its world is made: what `mmi run` can."""


def resume(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The run's folder.")],
    answer: Annotated[str, typer.Option(metavar="TEXT", help="What you say to the question that ended the run.")] = "",
    policy: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who decides from now on.", show_default="as before")
    ] = None,
    env: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The world, where it is a class of your own.", show_default="as before"),
    ] = None,
    max_steps: Annotated[int, typer.Option(metavar="N", min=1, help="Ends the run after so many further steps.")] = 30,
    approve: Approve = None,
    memory: MemoryFolder = None,
    examples: Examples = 3,
    weights: Weights = None,
    json: Json = False,
) -> None:
    """Take up a run that was stopped, asked, or died.

    A call that may or may not have taken effect is never repeated: the policy looks and decides anew. A world that
    ended with its process begins again from the recorded task and seed. A run says what is loaded, but never somebody's
    code: worlds and policies that are classes of your own are named again, with --env and --policy.

    Examples:
      mmi resume runs/20261123-201502-click-test
      mmi resume runs/20261123-201502-book-a-table --answer "at seven, for two"
    """
    from mmi_agent.agent.limits import Limits
    from mmi_agent.agent.runtime import Agent
    from mmi_agent.agent.trajectory import read_trajectory
    from mmi_agent.cli.watching import watch
    from mmi_agent.cli.worlds import load_policy, open_environment
    from mmi_agent.policies import check_policy

    found = read_trajectory(run)
    start = found.start
    if policy is None:
        _check_recorded(run, start.policy, weights)
    else:
        check_policy(policy, weights=weights)
    name, options = _world_of(found, env)
    if answer and not _has_asked(found):
        raise ConfigError(f"--answer {answer!r}: the run in {run} asked nothing")
    approver = parse_approver(approve)
    with open_recollector(memory, examples) as recollector, open_environment(name, options) as environment:
        agent = Agent(
            load_policy(policy or start.policy, weights),
            environment,
            approver=approver,
            limits=Limits(max_steps=max_steps).beyond(found),
            memory=recollector,
            options=start.options,
        )
        code = watch(agent.stream_resume(run, answer=answer), run, json=json)
    raise typer.Exit(code)


def _world_of(found: "Trajectory", env: str | None) -> "tuple[str, dict[str, JsonValue]]":
    """The name of a run's world and how it was made: of a folder that may be anybody's, only what `mmi run` can say.

    Raises:
        ConfigError: If it says more, or the world is another than the person says.
    """
    from mmi_agent.registry import is_registered

    name = str(found.start.options.get("name", found.start.environment))
    options = {option: value for option, value in found.start.options.items() if option != "name"}
    if env not in (None, name):
        raise ConfigError(f"the run in {found.folder} was made in {name!r}, not in {env!r}")
    if env is None and not is_registered(name):
        raise ConfigError(
            f"the run in {found.folder} was made in {name!r}, which would run code of its own: if you know it, say "
            f"--env {quote(name)}"
        )
    if more := sorted(options.keys() - _OPTIONS):
        raise ConfigError(
            f"the run in {found.folder} was made with the option {more[0]!r}, which mmi run does not have: take it up "
            "from Python, with Agent.resume"
        )
    return name, options


def _has_asked(found: "Trajectory") -> bool:
    """Whether the run ended with a question to the person."""
    from mmi_agent.tool import ASK_USER

    call = found.steps[-1].intent.call if found.steps else None
    return call is not None and call.name == ASK_USER.name


def _check_recorded(run: Path, policy: str, weights: str | None) -> None:
    """Makes sure that who decided in a run can be had again by name: an expert cannot.

    Raises:
        UnknownNameError: If not; says how to name another.
        ConfigError: If it is code of somebody's, or other weights are asked for than those it decided with.
    """
    from mmi_agent.policies import check_policy, is_import_path

    if is_import_path(policy):
        raise ConfigError(
            f"{run} was recorded with {policy!r}, which would run code of its own: if you know it, say "
            f"--policy {quote(policy)}"
        )
    try:
        check_policy(policy, weights=weights)
    except UnknownNameError as error:
        raise UnknownNameError(
            f"{run} was recorded with {policy!r}, which cannot be loaded by that name: say who goes on, for example "
            "--policy small"
        ) from error
