"""`mmi demos`: lets experts show how tasks are done, and keeps their runs to learn from."""

import json as json_format
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmi_agent.cli.options import MOST_SEEDS, Json
from mmi_agent.errors import MMIError

if TYPE_CHECKING:
    from rich.progress import Progress

    from mmi_agent.demonstrations import Attempt, DemonstrationPlan

__all__ = ["collect_demos", "list_demos"]


def list_demos(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="The world.")] = "gui/miniwob",
    json: Json = False,
) -> None:
    """Name the tasks that have an expert, one a line; those that are held out say so.

    Examples:
      mmi demos list
    """
    from mmi_agent.demonstrations import demonstrated_tasks

    shown, held_out = demonstrated_tasks(name)
    if json:
        print(json_format.dumps({"tasks": shown, "held_out": held_out}))
        return
    print("\n".join([*shown, *(f"{task} (held out)" for task in held_out)]))


def collect_demos(
    tasks: Annotated[
        list[str] | None, typer.Argument(metavar="WORLD:TASK...", help="Tasks; WORLD:all stands for all of a world.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="As gui/miniwob:all.")] = False,
    seeds: Annotated[int, typer.Option(metavar="N", min=1, max=MOST_SEEDS, help="Runs of each task.")] = 60,
    first_seed: Annotated[
        int, typer.Option(metavar="N", min=1000, help="The first run's seed; those below 1000 are for evaluations.")
    ] = 100_000,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the runs go: DIR/TASK/SEED.")] = Path("demos"),
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="Processes that run experts side by side.")] = 2,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Collect tasks as well that nothing is to be learnt from.")
    ] = False,
    json: Json = False,
) -> None:
    """Let experts solve tasks, and keep the runs that the world itself calls solved.

    The runs are ordinary trajectories: mmi view shows them, and training reads them. A run that is there already is not
    made again, so the same command goes on where it was interrupted.

    Examples:
      mmi demos collect gui/miniwob:click-test gui/miniwob:login-user --seeds 10
      mmi demos collect --all --seeds 250 --out demos
    """
    from mmi_agent.demonstrations import DemonstrationPlan, named_demonstrations

    names = [*(tasks or ()), *(["gui/miniwob:all"] if every else ())]
    plan = DemonstrationPlan(
        environments=named_demonstrations(names, held_out=held_out),
        seeds=tuple(range(first_seed, first_seed + seeds)),
        out=out,
    )
    before = {name: plan.count(name) for name in plan.environments}
    attempts: list[Attempt] = []
    try:
        _collect_with_progress(plan, workers, attempts)
    finally:
        if attempts or not isinstance(sys.exception(), MMIError):  # Ctrl-C tells what there is
            _print_summary(plan, before, attempts, json)


def _collect_with_progress(plan: "DemonstrationPlan", workers: int, attempts: "list[Attempt]") -> None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from mmi_agent.demonstrations import collect

    columns = (
        TextColumn("episodes"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), speed_estimate_period=60) as progress:
        bar = progress.add_task("", total=len(plan.remaining()), speed="")
        for attempt in collect(plan, workers=workers):
            attempts.append(attempt)
            if not attempt.kept:
                _say_failed(progress, attempt)
            speed = progress.tasks[bar].speed
            progress.update(bar, advance=1, speed=f"{speed:.1f} episodes/s" if speed else "")


def _say_failed(progress: "Progress", attempt: "Attempt") -> None:
    which = f"{attempt.demonstration.environment}, seed {attempt.demonstration.seed}"
    progress.console.print(f"not kept: {which}: {attempt.reason}", style="dim", markup=False)


def _print_summary(plan: "DemonstrationPlan", before: dict[str, int], attempts: "list[Attempt]", json: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("task", *("there before", "tried", "kept", "mean steps"))
    rows: list[dict[str, object]] = []
    for name in plan.environments:
        tried = [attempt for attempt in attempts if attempt.demonstration.environment == name]
        steps = [attempt.steps for attempt in tried if attempt.kept]
        mean = round(sum(steps) / len(steps), 1) if steps else None
        kept = plan.count(name) - before[name]  # with those that came to their ends after Ctrl-C, and were not told of
        known = max(len(tried), kept)
        rows.append({"task": name, "before": before[name], "tried": known, "kept": kept, "steps": mean})
        table.add_row(name, str(before[name]), str(known), str(kept), "" if mean is None else f"{mean}")
    if json:
        print(json_format.dumps(rows))
    else:
        Console().print(table)
