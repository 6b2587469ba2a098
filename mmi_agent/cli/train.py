"""`mmi train`: learns from data, plots how it went, and makes what was learnt into an adapter."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mmi_agent.cli.errors import INTERRUPTED
from mmi_agent.cli.options import given_options, new_folder
from mmi_agent.cli.stopping import stopping_gently
from mmi_agent.cli.text import printable
from mmi_agent.errors import ConfigError

if TYPE_CHECKING:
    from mmi_agent.checkpoints.adapters import AdapterManifest
    from mmi_agent.training.runs import RunSettings
    from mmi_agent.training.trainer import StepReport, Trainer

__all__ = ["average", "export_run", "plot_runs", "train"]

_ADAPTER = "adapter"


def train(
    context: typer.Context,
    recipe: Annotated[
        str,
        typer.Option(
            metavar="lora|finetune|pretrain|eyes|hand",
            help="lora: small additions to the language model, for a CPU. finetune: everything. pretrain: as the paper "
            "does, everything but the language model and CLIP's transformer. eyes: eyes and synchronizers, from "
            "nothing. hand: the image decoder alone.",
        ),
    ] = "lora",
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH[=WEIGHT]",
            help="A run, a folder of runs, or any data that mmi data show can show; can be repeated.",
            show_default=False,
        ),
    ] = None,
    preset: Annotated[str, typer.Option(metavar="tiny|small|full|DIR", help="The model to train.")] = "small",
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="The run's folder; the same command with the same folder goes on.",
            show_default="a new one below runs/train",
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Steps of the optimiser.", show_default="--epochs decides")
    ] = None,
    epochs: Annotated[
        float | None, typer.Option(metavar="N", min=0.001, help="How often to read all samples.", show_default="1")
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            metavar="N",
            min=1,
            help="End after so many seconds of training, as on a machine that is lent.",
            show_default="no such end",
        ),
    ] = None,
    batch: Annotated[int, typer.Option(metavar="N", min=1, help="Samples that a step learns from.")] = 16,
    row_tokens: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=16, help="Tokens that are read in one piece.", show_default="2048, or the model's window"
        ),
    ] = None,
    rows: Annotated[int, typer.Option(metavar="N", min=1, help="Such pieces that are read at a time.")] = 1,
    lr: Annotated[
        float | None,
        typer.Option("--lr", metavar="RATE", min=0, help="The highest learning rate.", show_default="the recipe's"),
    ] = None,
    rank: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Rank of LoRA.", show_default="the recipe's")
    ] = None,
    also: Annotated[
        list[str] | None,
        typer.Option(
            metavar="eyes|looks|hand|new-tokens|language",
            help="A part to train besides what the recipe trains; can be repeated.",
            show_default=False,
        ),
    ] = None,
    picture_weight: Annotated[
        float | None,
        typer.Option(
            metavar="W", min=0, help="Of the picture loss; 0 leaves drawing out.", show_default="the recipe's"
        ),
    ] = None,
    look: Annotated[
        Literal["elements", "picture", "both"] | None,
        typer.Option(
            metavar="elements|picture|both",
            help="What is seen of the screens of runs.",
            show_default="both if the preset sees, else elements",
        ),
    ] = None,
    runs: Annotated[
        Literal["successful", "finished", "all"],
        typer.Option(help="Which runs are learnt from: finished also takes those that nobody judged."),
    ] = "successful",
    held_back: Annotated[
        float, typer.Option(metavar="SHARE", min=0, max=0.9, help="Share of samples never trained on, to judge by.")
    ] = 0.02,
    look_every: Annotated[int, typer.Option(metavar="N", min=1, help="Judge by them after so many steps.")] = 100,
    save_every: Annotated[int, typer.Option(metavar="N", min=1, help="Write a checkpoint after so many steps.")] = 50,
    seed: Annotated[
        int, typer.Option(metavar="N", min=0, max=2**63 - 1, help="Of the order of samples and all else.")
    ] = 0,
    workers: Annotated[
        int, typer.Option(metavar="N", min=0, help="Processes that make samples ready, where a GPU is to be kept busy.")
    ] = 0,
    threads: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Threads on a CPU.", show_default="one for each core")
    ] = None,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Compute layers twice rather than keep them: less memory, slower.")
    ] = False,
    compile_: Annotated[
        bool, typer.Option("--compile", help="Compile layers: a minute at the first step, faster after it; for a GPU.")
    ] = False,
    shard: Annotated[
        bool, typer.Option("--shard", help="With several processes: share the weights out among them (FSDP).")
    ] = False,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DIR|base",
            help="What is gone on with: adapters of mmi train, which may hold different parts; base begins anew.",
            show_default="what comes with the preset",
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Go on with the run in this folder, as it was asked for.", show_default=False),
    ] = None,
    trial: Annotated[
        bool, typer.Option("--try", help="See the losses fall on a handful of samples, in a minute or two.")
    ] = False,
) -> None:
    """Train a model on recorded runs and other data.

    Each step stands in DIR/log.jsonl as it is done. Interrupt it with Ctrl-C, or kill it: the same command goes on from
    the latest checkpoint, along the same curve. What was learnt is put into DIR/adapter at the end.

    On several GPUs or machines: torchrun --nproc_per_node 8 -m mmi_agent.cli train ... --rows 8

    Examples:
      mmi train --try
      mmi train --data demos --epochs 2 --out runs/train/demos
      mmi train --recipe finetune --data demos=2 --data docs.jsonl=1 --preset small --rows 8 --recompute
    """
    if context.invoked_subcommand is not None:
        return
    for name, option in (("trial", "--try"), ("resume", "--resume")):
        if context.params[name] and (others := given_options(context, but=(name, "threads", "debug"))):
            raise ConfigError(f"{option} goes by what it was made for: leave out {', '.join(others)}")
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    if trial:
        _try()
        return
    if resume is not None:
        from mmi_agent.training.runs import read_settings

        folder, settings = resume, read_settings(resume)
    else:
        from mmi_agent.training.runs import RunSettings

        folder = out
        settings = RunSettings(
            preset=preset,
            weights=tuple(weights or ()),
            recipe=recipe,
            also=tuple(also or ()),
            rank=rank,
            learning_rate=lr,
            picture_weight=picture_weight,
            data=tuple(data or ()),
            look=look,
            runs=runs,
            steps=steps,
            seconds=seconds,
            epochs=epochs,
            step_samples=batch,
            row_tokens=row_tokens,
            rows=rows,
            held_back=held_back,
            workers=workers,
            seed=seed,
            save_every=save_every,
            look_every=look_every,
            checkpoint_layers=recompute,
            compile_layers=compile_,
            shard=shard,
        )
    _train(settings, folder)


def plot_runs(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs of mmi train.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The page to write.")] = Path("plot.html"),
) -> None:
    """Draw the curves of runs over each other: a page that needs nothing else.

    Examples:
      mmi train plot runs/train/demos runs/train/demos-2 --out plot.html
    """
    from mmi_agent.training.plot import plot

    plot(runs, out)
    print(out)


def export_run(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run of mmi train.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to make.")],
    half: Annotated[bool, typer.Option("--half", help="In bfloat16, at half the size.")] = False,
) -> None:
    """Make an adapter of what a run has learnt so far: files below 40 MB, and a manifest.

    Examples:
      mmi train export runs/train/demos --out weights/demos
    """
    from mmi_agent.training.runs import export

    _tell(out, export(run, out, half=half))


def average(
    adapters: Annotated[
        list[str], typer.Argument(metavar="ADAPTER=WEIGHT...", help="Folders of adapters of the same preset.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to make.")],
    half: Annotated[bool, typer.Option("--half", help="In bfloat16, at half the size.")] = False,
) -> None:
    """Make an adapter that changes the model by a weighted sum of what others change.

    What one learnt too well another may know more widely; the mean of both often keeps more of either than it loses.

    Examples:
      mmi train average runs/train/long/adapter=0.5 runs/train/short/adapter=0.5 --out weights/both
    """
    import torch

    from mmi_agent.checkpoints.adapters import average_adapters
    from mmi_agent.data.mixing import parse_weighted

    parts = [(path, 1 / len(adapters) if weight is None else weight) for path, weight in map(parse_weighted, adapters)]
    _tell(out, average_adapters(parts, out, dtype=torch.bfloat16 if half else torch.float32))


def _train(settings: "RunSettings", folder: Path | None) -> None:
    from mmi_agent.checkpoints.adapters import kept_or_removed
    from mmi_agent.training.log import cut_off
    from mmi_agent.training.runs import begin, export

    leads = os.environ.get("RANK", "0") == "0"
    was_there = folder is not None and folder.exists()
    if folder is None:
        if not leads or int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise ConfigError("several processes need one folder: give --out")
        folder = new_folder(Path("runs/train"), f"{settings.preset}-{settings.recipe}")
    try:
        trainer = begin(settings, folder, progress=(lambda line: print(line, file=sys.stderr)) if leads else None)
    except BaseException:
        if leads and not was_there:
            with suppress(OSError):  # there is none, or something in it already
                folder.rmdir()
        raise
    began_at = trainer.state.step
    if leads and began_at:
        print(f"going on after step {began_at}", file=sys.stderr)
    with stopping_gently(trainer.stop):
        if leads:
            _run_with_progress(trainer)
        else:
            trainer.run()
    if not leads:
        return
    if told := cut_off(folder):
        print(told, file=sys.stderr)
    if not trainer.done:
        print(f"stopped after step {trainer.state.step}: mmi train --resume {folder} goes on", file=sys.stderr)
        raise typer.Exit(INTERRUPTED)
    adapter = folder / _ADAPTER
    _tell(adapter, kept_or_removed(adapter, steps=trainer.state.step) or export(folder, adapter))


def _run_with_progress(trainer: "Trainer") -> None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), speed_estimate_period=600) as progress:
        limit_s = trainer.plan.seconds
        done = trainer.state.step if limit_s is None else trainer.state.counters.seconds
        unit, total = ("steps", trainer.plan.steps) if limit_s is None else ("seconds", limit_s)
        bar = progress.add_task(unit, total=total, completed=int(done))

        def report(step: "StepReport") -> None:
            done = step.step if limit_s is None else int(trainer.state.counters.seconds)
            progress.update(bar, completed=done, description=_described(step))
            for line in (*step.broken, *((_skipped(step),) if step.skipped else ())):
                progress.console.print(printable(line), style="dim", markup=False)

        trainer.run(report, lambda found: progress.console.print(f"held back: {found}", style="dim", markup=False))


def _described(step: "StepReport") -> str:
    pictures = "" if step.picture_loss is None else f", pictures {step.picture_loss:.4f}"
    return (
        f"loss {step.text_loss:.4f}{pictures}, {step.tokens_per_s:.0f} tokens/s, "
        f"{step.samples / step.seconds:.2g} samples/s"
    )


def _skipped(step: "StepReport") -> str:
    return f"step {step.step} was skipped, its loss or gradient is not finite: {', '.join(step.sources[:3])}"


def _try() -> None:
    from mmi_agent.training.trial import TRIAL_STEPS, run_trial

    def report(step: "StepReport") -> None:
        if step.step % 10 == 0:
            print(f"step {step.step} of {TRIAL_STEPS}: {_described(step)}", file=sys.stderr)

    trial = run_trial(report)
    print(trial)
    if not trial.fell_enough:
        print("error: a loss did not fall enough: training does not work here", file=sys.stderr)
        raise typer.Exit(1)


def _tell(folder: Path, manifest: "AdapterManifest") -> None:
    size = sum(record.size_bytes for record in manifest.files.values())
    figures = ", ".join(f"{name} {value:.4g}" for name, value in manifest.figures.items())
    print(f"{folder}: {manifest.steps} steps, {manifest.samples} samples, {size / 1e6:.1f} MB; {figures}")
