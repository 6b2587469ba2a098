"""What the released implementation computed at toy width, and the model that has to compute the same.

A parity folder holds no weights: every tensor follows from its released name through `draw`, with a salt that differs
from folder to folder. It holds `config.json` (sizes, in the released code's terms), `names.json` (released name to
shape and dtype) and, in safetensors files, inputs and what came out.
"""

import json
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from mmi_agent.checkpoints.converted import fitting_sizes
from mmi_agent.checkpoints.official import load_official, read_config
from mmi_agent.errors import CheckpointError
from mmi_agent.models.mm_interleaved import MMInterleavedModel

__all__ = ["Fixture", "build_toy", "draw", "open_fixture", "read_recorded"]

_INPUTS = ("text_ids", "attention_mask", "images")


@dataclass(frozen=True, kw_only=True)
class Fixture:
    """An opened parity folder.

    Attributes:
        model: With the weights that follow from the folder's names, in evaluation mode.
        recorded: Inputs and results by name.
        draw_seed: Of the picture that was drawn.
    """

    model: MMInterleavedModel
    recorded: dict[str, Tensor]
    draw_seed: int


def open_fixture(folder: Path, salt: str = "") -> Fixture:
    """Reads a parity folder.

    Args:
        folder: The folder.
        salt: What its weights were drawn with.

    Raises:
        CheckpointError: If it is not complete, or the names are not those of the configured model.
    """
    recorded, model = read_recorded(folder), build_toy(folder, salt)
    drawing = _read_json(folder / "config.json")["model"].get("image_decoder_config", {})
    return Fixture(model=model, recorded=recorded, draw_seed=drawing.get("sd_base_seed", 42))


def build_toy(folder: Path, salt: str = "") -> MMInterleavedModel:
    """Builds the model of a parity folder, with the weights that follow from its names.

    Raises:
        CheckpointError: If the folder is not complete, or the names are not those of the configured model.
    """
    with fitting_sizes(str(folder / "config.json")):
        model = MMInterleavedModel(read_config(_read_json(folder / "config.json"))).eval()
    weights: dict[str, Tensor] = {}
    with fitting_sizes(str(folder / "names.json")):
        for name, (shape, _) in _read_json(folder / "names.json").items():
            tensor = draw(name, tuple(shape), salt)
            if tensor is not None:
                weights[name] = tensor
    load_official(model, weights)
    return model


def read_recorded(folder: Path) -> dict[str, Tensor]:
    """Reads the inputs and results of a parity folder, from all its safetensors files.

    Raises:
        CheckpointError: If an input is missing.
    """
    recorded: dict[str, Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        try:
            recorded |= load_file(path)
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"cannot read {path}: {error}") from error
    missing = [name for name in _INPUTS if name not in recorded]
    if missing:
        raise CheckpointError(f"no {', '.join(missing)} in the safetensors files of {folder}: is it a parity folder?")
    return recorded


def draw(name: str, shape: tuple[int, ...], salt: str = "") -> Tensor | None:
    """Draws a tensor from its released name, the same on every machine; None for a computed table.

    NumPy promises never to change the stream of `RandomState`. Scales are chosen so that no part of the model is
    silent: gates are open, points lie apart, norms are not quite 1.
    """
    if name.endswith(("pos_embed", "clip_mean", "clip_std", "position_ids", "num_batches_tracked")):
        return None
    random = np.random.RandomState(zlib.crc32((salt + name).encode()))
    values = torch.from_numpy(random.standard_normal(shape).astype(np.float32))
    path, _, leaf = name.rpartition(".")
    parent = path.rpartition(".")[2]
    if leaf == "running_var":
        return 0.5 + 0.3 * values.abs()
    return _shift(name, leaf, shape) + _scale(name, leaf, parent, shape) * values


def _shift(name: str, leaf: str, shape: tuple[int, ...]) -> float:
    if name == "text_decoder.head_new.bias":
        return -2.0
    return 1.0 if len(shape) == 1 and leaf == "weight" else 0.0  # the norms' weights are the only ones of one axis


def _scale(name: str, leaf: str, parent: str, shape: tuple[int, ...]) -> float:
    by_leaf = {"running_mean": 0.1, "gate": 0.5, "gamma": 0.5, "ignore_token": 0.5}
    by_leaf |= dict.fromkeys(("soi_token", "adapter_level_embed", "queries", "neg_prompt_embeds"), 0.3)
    if leaf in by_leaf:
        scale = by_leaf[leaf]
    elif "sampling_offsets" in name:
        scale = 1.5 if leaf == "bias" else 0.5 / math.sqrt(shape[-1])
    elif name == "text_decoder.head.weight":
        scale = 1.0
    elif name in ("text_decoder.head.bias", "text_decoder.head_new.bias"):
        scale = 0.1
    elif len(shape) == 1:
        scale = 0.1 if leaf == "weight" else 0.05
    elif any(word in parent for word in ("embed", "relpos")):
        scale = 0.3
    else:
        scale = 1 / math.sqrt(math.prod(shape[1:]))
    return scale


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error
