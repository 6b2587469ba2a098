"""What a killed run goes on from: weights, the optimiser's state and where the data was, in folders that are whole.

`RUN/checkpoints/step-000123/` is written beside its place and renamed into it. Nothing is pickled: tensors are
safetensors, the rest is JSON. What chance decides follows from the seed and the step, so no state of it is kept.
"""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from mmi_agent.errors import CheckpointError

__all__ = ["Checkpoint", "Counters", "RunState", "latest", "load", "save"]

_WEIGHTS, _OPTIMIZER, _STATE = "weights.safetensors", "optimizer.safetensors", "state.json"
_UNFINISHED = ".unfinished"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Counters(_Record):
    """What was done so far.

    Attributes:
        samples: Samples read.
        tokens: Positions read.
        skipped: Steps that were skipped because something in them was not finite.
        in_a_row: How many of them were the latest.
        seconds: Time spent on steps.
    """

    samples: int = 0
    tokens: int = 0
    skipped: int = 0
    in_a_row: int = 0
    seconds: float = 0.0


class RunState(_Record):
    """Where a run is, and of what run it is.

    Attributes:
        format: Of the record.
        step: Steps done.
        counters: What was done so far.
        data: Fingerprint of the data.
        base: Fingerprint of the weights that the run began with.
        processes: How many there were.
        plan: Recipe, seed and whatever else decides the curve.
    """

    format: Literal[1] = 1
    step: int
    counters: Counters
    data: str
    base: str
    processes: int
    plan: dict[str, JsonValue]


class Checkpoint(BaseModel):
    """All that a run goes on from."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    state: RunState
    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor]


def save(
    folder: Path, state: RunState, weights: Mapping[str, Tensor], optimizer: Mapping[str, Tensor], *, keep: int
) -> Path:
    """Writes a checkpoint, and then removes all but the latest `keep`.

    Args:
        folder: Of all checkpoints of the run.
        state: Where the run is.
        weights: What learns.
        optimizer: The optimiser's state.
        keep: At least 1.

    Returns:
        The checkpoint's folder.

    Raises:
        CheckpointError: If it cannot be written, as on a full disk; those that are there stay.
    """
    target = folder / f"step-{state.step:06}"
    unfinished = folder / f"{target.name}{_UNFINISHED}"
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        save_file(dict(weights), unfinished / _WEIGHTS)
        save_file(dict(optimizer), unfinished / _OPTIMIZER)
        (unfinished / _STATE).write_text(state.model_dump_json(indent=2) + "\n", encoding="utf-8")
        for path in unfinished.iterdir():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        shutil.rmtree(target, ignore_errors=True)
        unfinished.rename(target)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        reason = " ".join(str(error).split())
        kept = latest(folder)
        raise CheckpointError(
            f"cannot write the checkpoint {target}: {reason}; "
            + (f"{kept.name} is whole: free some space and give the same command again" if kept else "none is there")
        ) from error
    for old in _all(folder)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return target


def latest(folder: Path) -> Path | None:
    """The latest checkpoint, or None where there is none."""
    return next(reversed(_all(folder)), None)


def load(path: Path) -> Checkpoint:
    """Reads a checkpoint.

    Raises:
        CheckpointError: If it is damaged.
    """
    try:
        return Checkpoint(
            state=RunState.model_validate_json((path / _STATE).read_bytes()),
            weights=load_file(path / _WEIGHTS),
            optimizer=load_file(path / _OPTIMIZER),
        )
    except (OSError, SafetensorError, ValidationError) as error:
        raise CheckpointError(
            f"the checkpoint {path} is damaged ({str(error).splitlines()[0]}): delete it to go on from the one before"
        ) from error


def _all(folder: Path) -> list[Path]:
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(
        (path for path in found if re.fullmatch(r"step-\d{6,}", path.name)), key=lambda path: int(path.name[5:])
    )
