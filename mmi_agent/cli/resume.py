"""`mmi resume`: takes a run up where it ended, or where its process died."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from mmi_agent.cli.memory import Examples, MemoryFolder, open_recollector
from mmi_agent.cli.options import Approve, Json, Weights, parse_approver

__all__ = ["resume"]


def resume(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The run's folder.")],
    answer: Annotated[str, typer.Option(metavar="TEXT", help="What you say to the question that ended the run.")] = "",
    policy: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who decides from now on.", show_default="as before")
    ] = None,
    max_steps: Annotated[
        int, typer.Option(metavar="N", min=1, help="Ends the run after so many steps, those before included.")
    ] = 60,
    approve: Approve = None,
    memory: MemoryFolder = None,
    examples: Examples = 3,
    weights: Weights = None,
    json: Json = False,
) -> None:
    """Take up a run that was stopped, asked, or died.

    A call that may or may not have taken effect is never repeated: the policy looks and decides anew. A world that
    ended with its process begins again from the recorded task and seed.

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

    start = read_trajectory(run).start
    if policy is None:
        _check_recorded(run, start.policy, weights)
    else:
        check_policy(policy, weights=weights)
    approver = parse_approver(approve, interactive=sys.stdin.isatty())
    name = str(start.options.get("name", start.environment))
    options = {option: value for option, value in start.options.items() if option != "name"}
    with open_recollector(memory, examples) as recollector, open_environment(name, options) as environment:
        agent = Agent(
            load_policy(policy or start.policy, weights),
            environment,
            approver=approver,
            limits=Limits(max_steps=max_steps),
            memory=recollector,
            options=start.options,
        )
        code = watch(agent.stream_resume(run, answer=answer), run, json=json)
    raise typer.Exit(code)


def _check_recorded(run: Path, policy: str, weights: str | None) -> None:
    """Makes sure that who decided in a run can be had again by name: an expert cannot.

    Raises:
        UnknownNameError: If not; says how to name another.
        ConfigError: If other weights are asked for than those it decided with.
    """
    from mmi_agent.errors import UnknownNameError
    from mmi_agent.policies import check_policy

    try:
        check_policy(policy, weights=weights)
    except UnknownNameError as error:
        raise UnknownNameError(
            f"{run} was recorded with {policy!r}, which cannot be loaded by that name: say who goes on, for example "
            "--policy small"
        ) from error
