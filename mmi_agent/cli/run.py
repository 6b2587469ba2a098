"""`mmi run`: one episode, watched."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue

from mmi_agent.cli.memory import Examples, MemoryFolder, open_recollector
from mmi_agent.cli.options import Approve, Json, Weights, parse_approver, run_folder
from mmi_agent.errors import ConfigError

__all__ = ["run"]


def run(
    task: Annotated[str | None, typer.Argument(help="What is to be done; tasks of a suite say so themselves.")] = None,
    env: Annotated[str, typer.Option(metavar="NAME", help="The world; `mmi env list` names them.")] = "gui/browser",
    at: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Where a browser begins.")] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN", help="A further origin that pages may reach; can be repeated.", show_default=False
        ),
    ] = None,
    policy: Annotated[
        str, typer.Option(metavar="NAME", help="Who decides: small, small:base, tiny, random, ...")
    ] = "small",
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="The same seed gives the same start.")] = 0,
    max_steps: Annotated[int, typer.Option(metavar="N", min=1, help="Ends the run after so many steps.")] = 30,
    approve: Approve = None,
    runs_dir: Annotated[Path, typer.Option(metavar="DIR", help="Where the run's folder is made.")] = Path("runs"),
    memory: MemoryFolder = None,
    examples: Examples = 3,
    weights: Weights = None,
    json: Json = False,
) -> None:
    """Let a policy work on a task, and watch it.

    Everything is recorded in a folder of its own, which `mmi view` shows and `mmi resume` takes up.

    Examples:
      mmi run --at https://example.org "Open the page with more information"
      mmi run --at shop.example.org --allow https://pay.example.org "Put a red cup into the basket"
      mmi run --at https://example.org --approve click,type_text "Look for cups"
      mmi run --env gui/miniwob:click-test
      mmi run --env gui/miniwob:enter-text --policy random --seed 3
      mmi run --env gui/miniwob:click-test --memory memory

    Exits with 0 if the run finished and nobody judged it a failure, 1 after an error, 3 if it ended otherwise,
    130 after Ctrl-C; the recorded run is whole in every case.
    """
    from mmi_agent.agent.limits import Limits
    from mmi_agent.agent.runtime import Agent
    from mmi_agent.cli.watching import watch
    from mmi_agent.cli.worlds import load_policy, open_environment
    from mmi_agent.policies import check_policy

    check_policy(policy, weights=weights)
    if task is not None and not task.strip():
        raise ConfigError('the task is empty: say what is to be done, as in "Open the page with more information"')
    approver = parse_approver(approve)
    options: dict[str, JsonValue] = {
        **({"address": at} if at is not None else {}),
        **({"allow": list(allow)} if allow else {}),
    }
    with (
        open_recollector(memory, examples) as recollector,
        open_environment(env, options) as environment,
        run_folder(runs_dir, task or environment.name) as folder,
    ):
        agent = Agent(
            load_policy(policy, weights),
            environment,
            approver=approver,
            limits=Limits(max_steps=max_steps),
            memory=recollector,
            options={"name": env, **options},
        )
        code = watch(agent.stream(task, seed=seed, folder=folder), folder, json=json)
    raise typer.Exit(code)
