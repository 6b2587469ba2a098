"""A run as a person asks for it: names and paths become a model, its data and a trainer; a run becomes an adapter."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import ceil, isfinite
from pathlib import Path
from typing import NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from torch import Tensor

from mmi_agent.checkpoints.adapters import (
    AdapterManifest,
    Dataset,
    holds_adapter,
    read_adapter,
    read_tensors,
    save_adapter,
    weights_fingerprint,
)
from mmi_agent.data.mixing import Mixture, parse_weighted
from mmi_agent.data.packing import ROW_TOKENS
from mmi_agent.data.readers import Reader, fingerprint, open_data
from mmi_agent.data.readers.next_screens import NextScreens
from mmi_agent.data.readers.trajectories import Runs
from mmi_agent.errors import CheckpointError, ConfigError, DataError
from mmi_agent.folder_lock import alone_in
from mmi_agent.inference.loading import MMInterleaved, shipped_adapter
from mmi_agent.inference.sights import Sight, sight_of
from mmi_agent.training.checkpoint import latest, load
from mmi_agent.training.commit import commit_of_code
from mmi_agent.training.log import read_log
from mmi_agent.training.recipes import Recipe, recipe
from mmi_agent.training.supply import MixedSupply, Packing
from mmi_agent.training.trainer import CHECKPOINTS, Plan, Trainer
from mmi_agent.whole_file import write_whole

__all__ = ["RunSettings", "begin", "export", "read_settings"]

_SETTINGS = "run.json"
_HELD_BACK_SAMPLES = 200  # read at each look
_LAST_STEPS = 20
_NO_END = 10**9  # steps of a run that time ends


class RunSettings(BaseModel):
    """All that was asked of a run; `RUN/run.json`.

    Attributes:
        preset: The model.
        weights: Adapters of the bare preset that are gone on with: the run starts where they ended, and ends as one
            adapter. Or one thing that `MMInterleaved.from_pretrained` takes. None of both is the adapter that comes
            with the preset, gone on with where its LoRA is the recipe's, and otherwise trained on top of.
        recipe: The recipe's name.
        also: Parts that are trained besides.
        rank: Of LoRA; None for the recipe's.
        learning_rate: None for the recipe's.
        picture_weight: Of the picture loss; None for the recipe's.
        data: Files and folders, each maybe with "=weight".
        look: What is seen of the screens of runs; None is both if the model sees, else elements.
        runs: Which runs are learnt from.
        steps: Optimiser steps; None follows from `epochs`, or leaves it to `seconds`.
        seconds: See `Plan`.
        epochs: How often all samples are read, about; None with `steps`.
        step_samples: See `Packing`, as for the next three.
        row_tokens: None for the model's window or 2048, whichever is less.
        rows: Rows that are read at a time.
        held_back: Part that is not trained on.
        workers: Processes that read ahead.
        seed: See `Plan`, as for the rest.
        save_every: See `Plan`.
        look_every: See `Plan`.
        checkpoint_layers: See `Plan`.
        compile_layers: See `Plan`.
        shard: See `Plan`.
        datasets: What was found of the data.
        continues: The manifests of the adapters that are gone on with.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: str = "small"
    weights: tuple[str, ...] = ()
    recipe: str = "lora"
    also: tuple[str, ...] = ()
    rank: int | None = None
    learning_rate: float | None = None
    picture_weight: float | None = None
    data: tuple[str, ...]
    look: Sight | None = None
    runs: Runs = "successful"
    steps: int | None = None
    seconds: float | None = None
    epochs: float | None = None
    step_samples: int = 16
    row_tokens: int | None = None
    rows: int = 1
    held_back: float = 0.02
    workers: int = 0
    seed: int = 0
    save_every: int = 100
    look_every: int = 100
    checkpoint_layers: bool = False
    compile_layers: bool = False
    shard: bool = False
    datasets: tuple[Dataset, ...] = ()
    continues: tuple[AdapterManifest, ...] = ()

    def make_recipe(self) -> Recipe:
        """The recipe with what was asked to be different.

        Raises:
            UnknownNameError: If there is no such recipe or part.
            ConfigError: If a rank is given to a recipe without LoRA, or a number is none to learn with.
        """
        for what in ("learning_rate", "picture_weight", "epochs", "seconds"):
            value = getattr(self, what)
            if value is not None and not isfinite(value):
                raise ConfigError(f"{what} is {value:g}: expected a finite number")
        made = recipe(self.recipe).also(self.also)
        if self.rank is not None:
            if made.lora is None:
                raise ConfigError(f"the recipe {self.recipe!r} has no LoRA to give rank {self.rank}: expected lora")
            made = replace(made, lora=replace(made.lora, rank=self.rank, alpha=2.0 * self.rank))
        if self.learning_rate is not None:
            made = replace(made, learning_rate=self.learning_rate)
        return made if self.picture_weight is None else replace(made, picture_weight=self.picture_weight)


class _Earlier(NamedTuple):
    folder: Path
    manifest: AdapterManifest


class _Opened(NamedTuple):
    reader: Reader
    weight: float | None
    fingerprint: str


def begin(settings: RunSettings, folder: Path, *, progress: Callable[[str], None] | None = None) -> Trainer:
    """Makes ready a run in a folder, or one that was begun there.

    Args:
        settings: What is asked.
        folder: The run's.
        progress: Told what is being done while it takes long.

    Returns:
        The trainer, at the latest checkpoint where there is one.

    Raises:
        ConfigError: If what is asked does not fit together, or the folder holds another run.
        DataError: If the data cannot be used.
        CheckpointError: If weights or a checkpoint are missing or damaged, or the folder cannot be written.
        UnknownNameError: If something is asked for that there is not.
    """
    say = progress or _silent
    made = settings.make_recipe()
    if settings.steps is not None and settings.epochs is not None:
        raise ConfigError(f"{settings.steps} steps and {settings.epochs:g} epochs were asked for: give one of them")
    named = _named_data(settings)
    earlier = _earlier_adapters(settings, made)
    say(f"loading {settings.preset}")
    draws = made.picture_weight > 0
    weights = "base" if earlier else next(iter(settings.weights), None)
    loaded = MMInterleaved.from_pretrained(settings.preset, draws=draws, weights=weights, progress=progress)
    base = weights_fingerprint(loaded.model)
    for each in earlier:
        _expect_base(each, base)
        say(f"going on with {each.folder}, {each.manifest.steps} steps")
    say("reading the data")
    opened = _open(named, look=settings.look or sight_of(loaded.sees), runs=settings.runs, draws=draws)
    for each in opened:
        if each.reader.left_out:
            say(f"{each.reader.name}: {each.reader.left_out}")
    mixture = Mixture([(each.reader, each.weight) for each in opened], seed=settings.seed)
    supply = MixedSupply(
        mixture,
        data=[each.fingerprint for each in opened],
        tokenizer=loaded.tokenizer,
        config=loaded.model.config,
        packing=_packing(settings, loaded),
        draws=draws,
        workers=settings.workers,
    )
    if latest(folder / CHECKPOINTS) and (folder / _SETTINGS).is_file():
        _refuse_other_data(folder, read_settings(folder), settings, loaded, tuple(map(_dataset, opened)))
    trainer = Trainer(
        loaded.model,
        base=base,
        recipe=made,
        plan=Plan(
            steps=_num_steps(settings, mixture.size),
            seconds=settings.seconds,
            seed=settings.seed,
            save_every=settings.save_every,
            look_every=settings.look_every,
            checkpoint_layers=settings.checkpoint_layers,
            compile_layers=settings.compile_layers,
            shard=settings.shard,
        ),
        supply=supply,
        folder=folder,
        held_back=supply.held_back(mixture.readers, most=_HELD_BACK_SAMPLES),
        start=_joined(earlier),
    )
    if trainer.processes.leads:
        found = {"datasets": tuple(map(_dataset, opened)), "continues": tuple(each.manifest for each in earlier)}
        with alone_in(folder):
            _write_settings(settings.model_copy(update=found), folder)
    return trainer


def read_settings(folder: Path) -> RunSettings:
    """Reads what was asked of a run.

    Raises:
        ConfigError: If the folder is none of a run.
    """
    try:
        return RunSettings.model_validate_json((folder / _SETTINGS).read_bytes())
    except (OSError, ValidationError) as error:
        raise ConfigError(f"{folder} is no run of mmi train: expected a readable {_SETTINGS} in it") from error


def export(folder: Path, out: Path, *, half: bool = False) -> AdapterManifest:
    """Makes an adapter of a run's latest checkpoint.

    Args:
        folder: The run's.
        out: The folder to make.
        half: In bfloat16, at half the size.

    Raises:
        ConfigError: If the folder is none of a run.
        CheckpointError: If there is no checkpoint, it is damaged, or `out` cannot be made.
    """
    settings = read_settings(folder)
    path = latest(folder / CHECKPOINTS)
    if path is None:
        raise CheckpointError(f"{folder} has no checkpoint yet: let it train on")
    found = load(path)
    used = TypeAdapter(Recipe).validate_python(found.state.plan["recipe"])
    manifest = AdapterManifest(
        preset=settings.preset,
        base=found.state.base,
        lora_scale=used.lora.alpha / used.lora.rank if used.lora else None,
        recipe=TypeAdapter(Recipe).dump_python(used, mode="json"),
        data=settings.datasets,
        seed=settings.seed,
        steps=found.state.step,
        samples=found.state.counters.samples,
        tokens=found.state.counters.tokens,
        commit=commit_of_code(),
        figures=_figures(folder, found.state.step),
        continues=settings.continues,
    )
    return save_adapter(out, found.weights, manifest, dtype=torch.bfloat16 if half else torch.float32)


def _earlier_adapters(settings: RunSettings, made: Recipe) -> list[_Earlier]:
    """The adapters that a run goes on with: those that were given, or the preset's where its LoRA is the recipe's."""
    given = [Path(name) for name in settings.weights if name != "base" and holds_adapter(Path(name))]
    if len(settings.weights) > 1 and len(given) < len(settings.weights):
        other = next(name for name in settings.weights if Path(name) not in given)
        raise ConfigError(f"{other} is no adapter: of several weights each has to be one, of mmi train export")
    shipped = shipped_adapter(settings.preset)
    folders = given if settings.weights else [shipped] if shipped else []
    earlier = [_Earlier(folder, read_adapter(folder)) for folder in folders]
    lora = TypeAdapter(Recipe).dump_python(made, mode="json")["lora"]
    others = [each for each in earlier if each.manifest.lora_scale and each.manifest.recipe.get("lora") != lora]
    if not others:
        return earlier
    if len(given) > 1 or (given and lora):
        raise ConfigError(
            f"{others[0].folder} was trained with LoRA {others[0].manifest.recipe.get('lora')}, this recipe has "
            f"{lora}: only the same is gone on with (--recipe lora, --rank); or train anew on all data"
        )
    return []


def _num_steps(settings: RunSettings, num_samples: int) -> int:
    if settings.steps is not None:
        return settings.steps
    if settings.seconds is not None and settings.epochs is None:
        return _NO_END
    return max(1, ceil((settings.epochs or 1.0) * num_samples / settings.step_samples))


def _expect_base(earlier: _Earlier, base: str) -> None:
    if earlier.manifest.base != base:
        raise CheckpointError(
            f"the adapter {earlier.folder} was trained on other weights of {earlier.manifest.preset!r} "
            f"({earlier.manifest.base[:12]}) than the bare preset's ({base[:12]}): it cannot be gone on with"
        )


def _joined(earlier: Sequence[_Earlier]) -> dict[str, Tensor]:
    """All that adapters hold."""
    joined: dict[str, Tensor] = {}
    for each in earlier:
        tensors = read_tensors(each.folder, each.manifest)
        if twice := next((name for name in tensors if name in joined), None):
            raise ConfigError(f"{each.folder} holds {twice}, which another of the weights holds too: give one of them")
        joined |= tensors
    return joined


def _named_data(settings: RunSettings) -> list[tuple[Path, float | None]]:
    """What is to be learnt from, with its weights; what is not there is found before a model is loaded in vain."""
    if not settings.data:
        raise ConfigError("no data was given: expected files or folders after --data")
    named = [parse_weighted(text) for text in settings.data]
    if missing := next((path for path, _ in named if not path.exists()), None):
        raise DataError(f"there is no file or folder {missing}")
    return named


def _open(named: Sequence[tuple[Path, float | None]], *, look: Sight, runs: Runs, draws: bool) -> list[_Opened]:
    """Opens the data; of runs, what is seen, which they are, and whether the next screens are learnt too."""
    how = f"{look}{', drawn' if draws else ''}{'' if runs == 'successful' else f', {runs}'}"
    opened = [(path, open_data(path, look=look, runs=runs), weight) for path, weight in named]
    return [
        _Opened(
            NextScreens(reader) if draws and "trajectory" in reader.form else reader,
            weight,
            f"{fingerprint(path, runs=runs)} {how}",
        )
        for path, reader, weight in opened
    ]


def _dataset(opened: _Opened) -> Dataset:
    reader = opened.reader
    return Dataset(name=reader.name, fingerprint=opened.fingerprint, samples=len(reader), weight=opened.weight)


def _refuse_other_data(
    folder: Path, had: RunSettings, asked: RunSettings, loaded: MMInterleaved, found: tuple[Dataset, ...]
) -> None:
    """Says what of a run's data, or of the order in which it is read, is not what it was.

    Raises:
        ConfigError: If anything is.
    """
    before, now = _reading(had, loaded), _reading(asked, loaded)
    differing = [option for option in now if before[option] != now[option]]
    if wrong := [f"{option} {before[option]}, asked was {now[option]}" for option in differing]:
        raise ConfigError(f"the run in {folder} has {'; '.join(wrong)}: give what it has, or another --out")
    if (known := len(had.datasets)) != len(found):
        raise ConfigError(f"the run in {folder} has {known} times --data, these are {len(found)}: give another --out")
    for old, new in zip(had.datasets, found, strict=True):
        if old.weight != new.weight:
            raise ConfigError(f"the run in {folder} has {old.name} at weight {old.weight}, asked was {new.weight}")
        if old.fingerprint != new.fingerprint:
            raise ConfigError(
                f"the data in {new.name} has changed since the run in {folder} began ({old.samples} samples then, "
                f"{new.samples} now): put it back as it was, or begin another run with --out"
            )


def _reading(settings: RunSettings, loaded: MMInterleaved) -> dict[str, object]:
    """What decides how data is read, and in which order, by option."""
    packing = _packing(settings, loaded)
    return {
        "--batch": packing.step_samples,
        "--row-tokens": packing.row_tokens,
        "--rows": packing.rows,
        "--held-back": packing.held_back,
        "--seed": settings.seed,
        "--look": settings.look or sight_of(loaded.sees),
        "--runs": settings.runs,
    }


def _packing(settings: RunSettings, loaded: MMInterleaved) -> Packing:
    window = loaded.model.config.decoder.max_positions
    if settings.row_tokens is not None and settings.row_tokens > window:
        raise ConfigError(f"rows of {settings.row_tokens} tokens do not fit the window of {settings.preset}, {window}")
    return Packing(
        step_samples=settings.step_samples,
        row_tokens=settings.row_tokens or min(window, ROW_TOKENS),
        rows=settings.rows,
        held_back=settings.held_back,
    )


def _write_settings(settings: RunSettings, folder: Path) -> None:
    try:
        write_whole(folder / _SETTINGS, settings.model_dump_json(indent=2).encode() + b"\n")
    except OSError as error:
        raise CheckpointError(f"cannot write {folder / _SETTINGS}: {error.strerror}") from error


def _figures(folder: Path, step: int) -> dict[str, float]:
    """The mean token loss of the last steps, and what the last look at held back samples found."""
    entries = [entry for entry in read_log(folder) if entry["step"] <= step]
    losses = [entry["text_loss"] for entry in entries if entry.get("text_loss") is not None][-_LAST_STEPS:]
    figures = {"text_loss": sum(losses) / len(losses)} if losses else {}
    looks = [entry["held_back"] for entry in entries if "held_back" in entry]
    return figures | ({f"held_back_{name}": value for name, value in looks[-1].items()} if looks else {})


def _silent(_line: str) -> None:
    pass
