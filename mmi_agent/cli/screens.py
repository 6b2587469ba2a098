"""`mmi eval screens`: how well a model draws what comes of a call."""

import json as json_format
import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mmi_agent.cli.options import Json, Weights
from mmi_agent.cli.text import printable
from mmi_agent.errors import DataError

if TYPE_CHECKING:
    from mmi_agent.evaluation.next_screens import DrawnScreen

__all__ = ["evaluate_screens"]


def evaluate_screens(
    data: Annotated[
        Path, typer.Option(metavar="DIR", help="A folder of recorded runs; give the one that was trained on, whole.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The page to write.")] = Path("screens.html"),
    count: Annotated[int, typer.Option(metavar="N", min=1, help="Screens to draw, each of another run.")] = 20,
    steps: Annotated[int, typer.Option(metavar="N", min=1, help="Steps of each drawing.")] = 12,
    guidance: Annotated[
        float, typer.Option(metavar="X", min=1, help="How far away from what nothing in particular would give.")
    ] = 1.0,
    held_back: Annotated[
        float, typer.Option(metavar="SHARE", min=0, max=1, help="What training held back; 1 takes all runs.")
    ] = 0.02,
    look: Annotated[
        Literal["both", "picture"], typer.Option(help="What goes in of a screen, as in training.")
    ] = "both",
    seed: Annotated[int, typer.Option(metavar="N", help="Of the choice of screens, and of the noise.")] = 0,
    device: Annotated[str, typer.Option(metavar="NAME", help="Where it runs: cpu, cuda, cuda:1.")] = "cpu",
    preset: Annotated[str, typer.Option(metavar="tiny|small|full|DIR", help="The model that draws.")] = "small",
    weights: Weights = None,
    json: Json = False,
) -> None:
    """Let a model draw the next screen of recorded runs, and compare it with the real one.

    The model gets a run up to a call and draws what comes of it. Beside that stand the screen before, as if nothing had
    happened, and the real screen through the autoencoder, the best that could be drawn; all of it also for the pixels
    that changed by themselves. The page shows every screen, and after Ctrl-C those that were drawn. A run that is too
    long for the model is left out.

    Examples:
      mmi eval screens --weights runs/train/hand/adapter --data demos --out screens.html
    """
    from mmi_agent.data.readers import open_data
    from mmi_agent.data.sample import Broken
    from mmi_agent.evaluation.next_screens import (
        Summary,
        draw_next_screens,
        expect_screens,
        next_screens,
        write_page,
    )
    from mmi_agent.inference.drawing import DrawSettings
    from mmi_agent.inference.loading import MMInterleaved

    settings = DrawSettings(steps=steps, guidance_scale=guidance)
    reader = open_data(data, look=look)
    screens = list(islice(next_screens(reader, held_back=held_back, seed=seed), count))
    expect_screens(screens, data, held_back)
    loaded = MMInterleaved.from_pretrained(preset, device=device, weights=weights)
    drawn: list[DrawnScreen] = []
    try:
        for number, screen in enumerate(draw_next_screens(loaded, screens, settings, seed=seed), start=1):
            if isinstance(screen, Broken):
                print(printable(f"left out: {screen.source}: {screen.reason}"), file=sys.stderr, flush=True)
                continue
            drawn.append(screen)
            print(printable(f"{number} of {len(screens)}: {screen.source}"), file=sys.stderr, flush=True)
    finally:  # Ctrl-C too leaves what was drawn
        if drawn:
            write_page(out, drawn, title=f"The next screen, drawn by {preset}")
    if not drawn:
        raise DataError(f"{data}: none of {len(screens)} runs fits the window of {preset}")
    summary = Summary.of(drawn)
    if json:
        figures = {name: getattr(summary, name)._asdict() for name in ("drawn", "before", "ceiling")}
        print(json_format.dumps({"screens": summary.screens, "changed": summary.changed, **figures, "page": str(out)}))
        return
    print("\n".join([f"{summary.screens} screens", *summary.lines(), str(out)]))
