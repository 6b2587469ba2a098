"""`mmi train autoencoder`: what turns pictures into latents and back learns by itself, before anything can be drawn."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmi_agent.cli.errors import INTERRUPTED
from mmi_agent.cli.stopping import stopping_gently

if TYPE_CHECKING:
    from mmi_agent.training.autoencoder import AutoencoderReport

__all__ = ["train_autoencoder"]


def train_autoencoder(
    data: Annotated[
        list[str],
        typer.Option(
            metavar="PATH[=WEIGHT]",
            help="Whose pictures are learnt from: any data that mmi data show can show; can be repeated.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="The run's folder; the same command with the same folder goes on.")
    ],
    steps: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Steps of the optimiser.", show_default=False)
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(metavar="N", min=1, help="End after so many seconds of training.", show_default=False),
    ] = None,
    batch: Annotated[int, typer.Option(metavar="N", min=1, help="Pictures of a step.")] = 64,
    echo: Annotated[
        int, typer.Option(metavar="N", min=1, help="How often a picture is used before it is decoded anew.")
    ] = 4,
    lr: Annotated[float, typer.Option(metavar="X", help="The highest learning rate.")] = 8e-4,
    workers: Annotated[int, typer.Option(metavar="N", min=0, help="Processes that decode pictures.")] = 2,
    held_back: Annotated[
        float, typer.Option(metavar="SHARE", min=0, max=0.5, help="Of the samples, not to be trained on.")
    ] = 0.02,
    save_seconds: Annotated[float, typer.Option(metavar="N", min=1, help="Seconds between checkpoints.")] = 120,
    look_every: Annotated[int, typer.Option(metavar="N", min=1, help="Judge by those after so many steps.")] = 500,
    seed: Annotated[
        int, typer.Option(metavar="N", min=0, max=2**40, help="Of the order of pictures, and of the noise.")
    ] = 0,
    channels_last: Annotated[
        bool, typer.Option(help="Let channels stand innermost in memory, as a GPU's tensor cores want them.")
    ] = True,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Compile the network: a minute at the first step, faster after it.")
    ] = False,
    preset: Annotated[str, typer.Option(metavar="tiny|small|full|DIR", help="The model whose it is.")] = "small",
) -> None:
    """Train the autoencoder of a model's hand on pictures alone.

    Give --steps, --seconds, or both. Lines about the steps stand in DIR/log.jsonl. Interrupt it with Ctrl-C: the same
    command goes on from the latest checkpoint. At the end stand what was learnt in DIR/adapter, for --weights, and
    twenty pictures beside what came out of them in DIR/reconstructions.html.

    Examples:
      mmi train autoencoder --data demos --steps 2000 --out runs/train/autoencoder
      mmi train autoencoder --data demos=1 --data docs.tar=2 --seconds 450 --workers 6 --out runs/train/autoencoder
    """
    from mmi_agent.training.autoencoder import AutoencoderPlan
    from mmi_agent.training.autoencoder_runs import AutoencoderRun

    plan = AutoencoderPlan(
        steps=steps,
        seconds=seconds,
        batch=batch,
        echo=echo,
        learning_rate=lr,
        held_back=held_back,
        seed=seed,
        workers=workers,
        save_seconds=save_seconds,
        look_every=look_every,
        channels_last=channels_last,
        compiled=compiled,
    )
    run = AutoencoderRun(preset=preset, data=data, plan=plan, folder=out, progress=lambda line: _say(line))
    if run.trainer.state.step:
        _say(f"going on after step {run.trainer.state.step}")
    if not run.trainer.done:
        with stopping_gently(run.trainer.stop):
            run.trainer.run(lambda report: _say(_described(report)), lambda found: _say(f"held back: {found}"))
    if not run.trainer.done:
        _say(f"stopped after step {run.trainer.state.step}: the same command goes on")
        raise typer.Exit(INTERRUPTED)
    manifest, found = run.finish()
    size = sum(record.size_bytes for record in manifest.files.values())
    print(f"{run.adapter}: {manifest.steps} steps, {size / 1e6:.1f} MB; {found}; {run.page}")


def _described(report: "AutoencoderReport") -> str:
    return (
        f"step {report.step}, {report.seconds:.0f} s: loss {report.loss:.4f}, PSNR {report.psnr:.1f} dB, "
        f"{report.pictures_per_s:.3g} pictures/s, waiting {report.waited:.0%}"
    )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
