"""`mmi view`: a run as one page."""

import json as json_format
from pathlib import Path
from typing import Annotated

import typer

from mmi_agent.cli.opening import open_page
from mmi_agent.cli.options import Json
from mmi_agent.errors import ConfigError, TrajectoryError

__all__ = ["view"]


def view(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The run's folder.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where the page is written.", show_default="RUN/run.html")
    ] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Open the page in your browser.")] = False,
    damaged: Annotated[bool, typer.Option("--damaged", help="Show what is intact of a damaged run.")] = False,
    json: Json = False,
) -> None:
    """Make one self-contained HTML page of a run.

    Every step with its screenshot, the target drawn on it, what was thought and called, what came of it, and how long
    it took. The page needs no network; the arrow keys step through it.

    Examples:
      mmi view runs/20261123-201502-click-test --open
      mmi view runs/demo/runs/small/gui-miniwob-click-test/0 --out click-test.html
    """
    from mmi_agent.viewer import read_intact, render_run, write_text

    folder = run.parent if run.name == "trajectory.jsonl" else run
    if (folder / "evaluation.json").is_file():
        raise ConfigError(f"{folder} is an evaluation, not a run: open {folder / 'index.html'}")
    trajectory, damage = read_intact(folder)
    if damage and not damaged:
        raise TrajectoryError(f"{damage}; --damaged shows the lines before")
    page = out or folder / "run.html"
    if _is_recording(page.resolve(), folder.resolve()):
        raise ConfigError(f"--out {page} is a part of the run: name another file")
    write_text(render_run(trajectory, warnings=(damage,) if damage else ()), page)
    print(json_format.dumps({"page": str(page), "steps": len(trajectory.steps), "damage": damage}) if json else page)
    if open_it:
        open_page(page)


def _is_recording(path: Path, folder: Path) -> bool:
    return (path.parent == folder and path.name.startswith("trajectory.")) or folder / "pictures" in path.parents
