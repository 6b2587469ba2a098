"""`mmi parity`: our model beside what the released implementation computed."""

import json as json_format
from pathlib import Path
from typing import Annotated

import typer

from mmi_agent.cli.options import Json

__all__ = ["parity"]


def parity(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A parity folder, such as tests/parity/released.")],
    salt: Annotated[str, typer.Option(metavar="S", help="What the folder's weights were drawn with.")] = "",
    json: Json = False,
) -> None:
    """See how far the model is from the released implementation, tensor by tensor.

    A parity folder holds what the released code computed at toy width: config.json, names.json and safetensors files
    with inputs and results. Its weights follow from their names, so it holds none. Each line is a recorded tensor, in
    the order of computation: the largest difference relative to the tensor's largest value (for whole numbers, how
    many differ), and the largest that is put down to rounding.

    Examples:
      mmi parity tests/parity/released
      mmi parity another/folder --salt abc --json

    Exits with 0 if every rung holds, 1 if one does not.
    """
    from mmi_agent.inference.ladder import climb

    rungs = list[dict[str, str | float | bool]]()
    for rung in climb(folder, salt):
        rungs.append({"name": rung.name, "error": rung.error, "limit": rung.limit, "holds": rung.holds})
        if not json:
            print(
                f"{'holds' if rung.holds else 'FAILS':6} {rung.name:24} {rung.error:9.1e} of {rung.limit:.0e}",
                flush=True,
            )
    failed = [str(rung["name"]) for rung in rungs if not rung["holds"]]
    if json:
        print(json_format.dumps({"holds": bool(rungs) and not failed, "rungs": rungs}, indent=2))
    else:
        missed = f"{len(failed)} do not hold: {', '.join(failed)}" if failed else "all hold"
        print(f"{len(rungs)} rungs, {missed}")
    raise typer.Exit(1 if failed else 0)
