"""What the released implementation computed at toy width, and how far our model is from it.

A parity folder holds no weights: every tensor follows from its released name through `draw`, with a salt that differs
from folder to folder. It holds `config.json` (sizes, in the released code's terms), `names.json` (released name to
shape and dtype) and, in safetensors files, inputs and what came out. A rung is one recorded tensor.
"""

import json
import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from mmi_agent.checkpoints.official import load_official, read_config
from mmi_agent.errors import CheckpointError
from mmi_agent.models.mm_interleaved import MMInterleavedModel

__all__ = ["Rung", "build_toy", "draw", "parity_report", "read_recorded"]

_INPUTS = ("text_ids", "attention_mask", "images")


@dataclass(frozen=True, kw_only=True)
class Rung:
    """How far one of our tensors is from the recorded one.

    Attributes:
        name: Of the recorded tensor.
        error: Largest absolute difference, relative to the largest absolute value recorded.
        limit: The largest error that is put down to rounding.
    """

    name: str
    error: float
    limit: float = 1e-4

    @property
    def holds(self) -> bool:
        """Whether the two agree but for rounding."""
        return self.error < self.limit


def parity_report(folder: Path, salt: str = "") -> list[Rung]:
    """Runs our model on what the released one was run on.

    Args:
        folder: A parity folder; recorded tensors of parts that we don't have yet are passed over.
        salt: What the folder's weights were drawn with.

    Returns:
        The recorded tensors that we compute too, in the order of computation.

    Raises:
        CheckpointError: If the folder is not complete.
    """
    recorded = read_recorded(folder)
    model = build_toy(folder, salt)
    computed = [(name, ours) for name, ours in _compute(model, recorded) if name in recorded]
    return [Rung(name=name, error=_error(ours, recorded[name])) for name, ours in computed]


def build_toy(folder: Path, salt: str = "") -> MMInterleavedModel:
    """Builds the model of a parity folder, with the weights that follow from its names.

    Raises:
        CheckpointError: If the folder is not complete, or the names are not those of the configured model.
    """
    model = MMInterleavedModel(read_config(_read_json(folder / "config.json"))).eval()
    weights: dict[str, Tensor] = {}
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
        recorded |= load_file(path)
    missing = [name for name in _INPUTS if name not in recorded]
    if missing:
        raise CheckpointError(f"no {', '.join(missing)} in the safetensors files of {folder}")
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


@torch.inference_mode()
def _compute(model: MMInterleavedModel, recorded: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Yields what our model computes, part after part; not all of it was recorded in every folder."""
    seen = model.see(recorded["images"].float())
    yield "vis_embed", seen.tokens
    for level, map_PFHW in enumerate(seen.maps):
        step = map_PFHW.shape[-1] // 8
        yield f"ms{level}_sample", map_PFHW[..., ::step, ::step]
        yield f"ms{level}_mean", map_PFHW.mean((-2, -1))
        yield f"ms{level}_std", map_PFHW.std((-2, -1))

    batch = model.merge(recorded["text_ids"], seen)
    yield "mm_embeds", batch.embeddings
    if batch.visible is not None:
        yield "cross_attention_mask", batch.visible.float()

    layers: list[Tensor] = []
    hooks = [layer.register_forward_hook(_keep_in(layers)) for layer in model.decoder.layers]
    reading = model(recorded["text_ids"], recorded["images"].float(), recorded["attention_mask"])
    for hook in hooks:
        hook.remove()
    # The released code records the input of each layer, and of the last layer only what the norm made of its output.
    for index, state_BTC in enumerate([batch.embeddings, *layers[:-1], reading.hidden]):
        yield f"layer{index}", state_BTC
    yield "hidden_states", reading.hidden
    yield "text_logits", reading.logits


def _keep_in(layers: list[Tensor]) -> Callable[[nn.Module, object, Tensor], None]:
    def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        layers.append(output)

    return keep


def _error(ours: Tensor, recorded: Tensor) -> float:
    if ours.shape != recorded.shape:
        return math.inf
    return float((ours - recorded).abs().max() / recorded.abs().max().clamp(min=1e-12))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error
