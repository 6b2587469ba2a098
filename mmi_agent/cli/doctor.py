"""`mmi doctor`: whether the main job can run here, and what to do where it cannot."""

import json as json_format
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from mmi_agent.cli.options import Json

__all__ = ["doctor"]

_SIGNS = {"ok": ("ok", "green"), "note": ("note", "yellow"), "missing": ("missing", "bold red")}


def doctor(
    runs_dir: Annotated[Path, typer.Option(metavar="DIR", help="Where runs would be written.")] = Path("runs"),
    preset: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Say what of tiny, small or full fits this machine, in which precision."),
    ] = None,
    json: Json = False,
) -> None:
    """See whether everything is there for the main job, or what of a preset fits.

    That is the embedded model on real web pages. Looks at Python, packages, the browser, the weights (every byte), the
    runs folder, disk, memory and GPU, and says what to do about what is missing. Exits with 1 if the job cannot run.

    With --preset nothing is fetched or loaded: weights, caches and working memory follow from the sizes, in float32,
    bfloat16, int8 and int4, with the image decoder beside the rest or offloaded. Exits with 1 if none fits here.

    Examples:
      mmi doctor
      mmi doctor --preset full
    """
    if preset is not None:
        from mmi_agent.cli.fitting import tell_fitting

        raise typer.Exit(0 if tell_fitting(preset, json=json) else 1)

    from rich.console import Console
    from rich.text import Text

    from mmi_agent.cli.checks import check_machine

    checks = list[dict[str, str]]()
    for check in check_machine(runs_dir):
        checks.append(asdict(check))
        if not json:
            sign, style = _SIGNS[check.status]
            remedy = f"\n{'':22}{check.remedy}" if check.remedy else ""
            line = Text.assemble((f"{sign:8}", style), f"{check.name:14}", check.found, (remedy, "bold"))
            Console().print(line, soft_wrap=True)
    ready = all(check["status"] != "missing" for check in checks)
    if json:
        print(json_format.dumps({"ready": ready, "checks": checks}, indent=2))
    else:
        print("ready" if ready else "not ready: see what is missing above")
    raise typer.Exit(0 if ready else 1)
