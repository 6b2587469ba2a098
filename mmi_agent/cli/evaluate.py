"""`mmi eval`: many episodes, side by side."""

import json as json_format
import shutil
import sys
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from mmi_agent.cli.options import Json, Weights, new_folder, parse_seeds, parse_tools
from mmi_agent.errors import MMIError

if TYPE_CHECKING:
    from mmi_agent.evaluation import EvaluationConfig, Study, Summary

__all__ = ["evaluate"]


def evaluate(
    context: typer.Context,
    suite: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A list of tasks: miniwob-demo, miniwob-seen, miniwob-unseen, miniwob-all, minecraft, minecraft-seen, "
            "minecraft-unseen; can be repeated.",
            show_default=False,
        ),
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A world with its task; can be repeated.", show_default=False),
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Who decides; can be repeated.", show_default="small, random, first-element"),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            metavar="SEEDS",
            help="10 (the first ten), 5:10 (from 5 up to 9) or 3,5,8.",
            show_default="50 for miniwob-seen and miniwob-unseen, 5 for minecraft, else 10",
        ),
    ] = None,
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="Processes that run episodes side by side.")] = 2,
    max_steps: Annotated[int, typer.Option(metavar="N", min=1, help="An episode has failed after so many steps.")] = 10,
    max_seconds: Annotated[
        float, typer.Option(metavar="N", min=1, help="An episode has failed after so many seconds.")
    ] = 120,
    approve: Annotated[
        str, typer.Option(metavar="TOOL,TOOL", help="Tools that may do what cannot be undone.", show_default="none")
    ] = "",
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The study's folder.", show_default="a new one below runs/")
    ] = None,
    memory: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Let each policy run with this memory as well, as NAME+memory; nothing is remembered in it.",
            show_default=False,
        ),
    ] = None,
    weights: Weights = None,
    json: Json = False,
) -> None:
    """Compare policies on tasks, over seeds.

    Each result is on the disk the moment it is there. If this is interrupted or killed, the same command with the same
    --out goes on where it ended. An episode that breaks counts as not solved. Writes results.json, table.md and a page,
    index.html, that links to runs that worked and to runs of each kind of failure. The other policies are compared
    with the first, episode by episode.

    Examples:
      mmi eval --suite miniwob-demo --out runs/demo
      mmi eval --suite miniwob-seen --suite miniwob-unseen --policy small --policy random --max-steps 20
      mmi eval --env gui/miniwob:click-test --env gui/miniwob:enter-text --policy small --policy small:base --seeds 5
      mmi eval --suite miniwob-seen --policy small --policy small@runs/train/mine/adapter
      mmi eval --suite miniwob-seen --policy small --memory memory
    """
    if context.invoked_subcommand is not None:
        return
    from mmi_agent.evaluation import (
        EvaluationConfig,
        Study,
        default_seeds,
        suite_environments,
        summarise,
        write_report,
    )
    from mmi_agent.evaluation.plan import WITH_MEMORY

    environments = [*(name for each in suite or () for name in suite_environments(each)), *(env or ())]
    named = policy or ("small", "random", "first-element")
    config = EvaluationConfig(
        environments=tuple(dict.fromkeys(environments)),
        policies=tuple(f"{name}{how}" for name in named for how in ("", *((WITH_MEMORY,) if memory else ()))),
        seeds=parse_seeds(seeds) if seeds else default_seeds(suite or ()),
        max_steps=max_steps,
        max_seconds=max_seconds,
        approve=parse_tools(approve),
        weights=weights,
        suites=tuple(dict.fromkeys(suite or ())),
        memory=str(memory) if memory else None,
    )
    config.check()
    is_new = out is None or not out.exists()
    root = out or new_folder(Path("runs"), "-".join([*(suite or ()), "eval"]))
    with Study(root, config) as study:
        try:
            _run_with_progress(study, workers)
        except KeyboardInterrupt:
            print(f"stopped: the same command with --out {quote(str(root))} goes on", file=sys.stderr)
            raise
        except MMIError:
            if is_new and not study.results:  # refused before anything was found out
                shutil.rmtree(root, ignore_errors=True)
            raise
        page = write_report(root, config, study.results)
    if json:
        print(json_format.dumps(json_format.loads((root / "results.json").read_bytes())))
    else:
        _print_table(summarise(config, study.results), config)
        print(f"report: {page}")


def _run_with_progress(study: "Study", workers: int) -> None:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), speed_estimate_period=120) as progress:
        bar = progress.add_task("episodes", total=len(study.config.episodes()), completed=len(study.results))
        for news in study.run(workers=workers):
            if isinstance(news, str):
                progress.console.print(news, style="dim", markup=False)
            else:
                progress.advance(bar)


def _print_table(summary: "Summary", config: "EvaluationConfig") -> None:
    from rich.console import Console
    from rich.table import Table

    from mmi_agent.evaluation.tables import table_of

    figures = table_of(summary)
    table = Table(title=f"{summary.done} episodes, {len(config.seeds)} seeds each", title_justify="left")
    for number, head in enumerate(figures.header):
        table.add_column(head, justify="right" if number else "left")
    for row in figures.tasks:
        table.add_row(*row)
    table.add_section()
    for row in figures.totals:
        table.add_row(*row)
    table.add_section()
    for kind, *counts in figures.failures:
        table.add_row(f"failed: {kind}", *counts)
    Console().print(table)
