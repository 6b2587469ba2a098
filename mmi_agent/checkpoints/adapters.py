"""Adapters: what training changed of a model, in a folder of small files, to be put onto the same weights again.

Such a folder holds sharded safetensors under our names and `manifest.json`. Low-rank additions are two tensors for each
layer, "….query.lora_A" and "….query.lora_B", and are merged into the layer when they are put on; every other tensor
takes its place. This file knows nothing of how either came about.
"""

import hashlib
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mmi_agent.checkpoints.files import MANIFEST, FileRecord, making, sha256_of
from mmi_agent.checkpoints.shards import plan_shards
from mmi_agent.errors import CheckpointError, ConfigError
from mmi_agent.models.mm_interleaved import MMInterleavedModel

__all__ = [
    "AdapterManifest",
    "Dataset",
    "average_adapters",
    "fits",
    "holds_adapter",
    "kept_or_removed",
    "put_on",
    "read_adapter",
    "read_tensors",
    "save_adapter",
    "weights_fingerprint",
]

_SHARD_BYTES = 32_000_000
_ENDS = 64  # numbers at each end of a tensor that tell it from others
_HAND = "image_decoder."


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Dataset(_Record):
    """Data that was trained on.

    Attributes:
        name: Of the file or folder.
        fingerprint: Of its content.
        samples: How many it has.
        weight: Its part among others; None where every sample came equally often.
    """

    name: str
    fingerprint: str
    samples: int
    weight: float | None = None


class AdapterManifest(_Record):
    """The content of an adapter's `manifest.json`.

    Attributes:
        format: Of the manifest itself.
        kind: Tells it from the manifest of a whole model.
        preset: What it is for.
        base: `weights_fingerprint` of the model that it was trained on.
        lora_scale: What the product of two low-rank tensors is multiplied by; None where there are none.
        recipe: How it was trained.
        data: What it was trained on.
        seed: Of the run.
        steps: Optimiser steps.
        samples: Samples read.
        tokens: Positions read.
        commit: Of the code, where git knew.
        figures: What came out, by name.
        continues: The adapters whose training this one went on with, as their manifests were.
        files: Every other file of the folder.
        weights: Which file holds which tensor.
    """

    format: Literal[1] = 1
    kind: Literal["adapter"] = "adapter"
    preset: str
    base: str
    lora_scale: float | None
    recipe: dict[str, JsonValue]
    data: tuple[Dataset, ...]
    seed: int
    steps: int
    samples: int
    tokens: int
    commit: str | None = None
    figures: dict[str, float] = {}
    continues: "tuple[AdapterManifest, ...]" = ()
    files: dict[str, FileRecord] = {}
    weights: dict[str, str] = {}


def weights_fingerprint(model: MMInterleavedModel) -> str:
    """Tells a model's language weights from others by both ends of each tensor, in bfloat16.

    So it is the same in float32 and bfloat16, and there in a moment. Eyes and hand are left out: where they are not
    given they are drawn by chance, and another version of torch draws other numbers from the same seed.
    """
    digest = hashlib.sha256()
    for name in model.decoder.language_weight_names():
        parameter = model.decoder.get_parameter(name)
        flat = parameter.detach().reshape(-1)
        ends = torch.cat([flat[:_ENDS], flat[-_ENDS:]]).to("cpu", torch.bfloat16)
        digest.update(f"{name} {tuple(parameter.shape)}".encode())
        digest.update(ends.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def save_adapter(
    folder: Path, tensors: Mapping[str, Tensor], manifest: AdapterManifest, *, dtype: torch.dtype = torch.float32
) -> AdapterManifest:
    """Writes an adapter, whole or not at all.

    Args:
        folder: The folder to make.
        tensors: What was trained, by our names.
        manifest: What is known of it; files and weights are filled in.
        dtype: Of the files.

    Raises:
        CheckpointError: If the folder is there already, or cannot be written.
    """
    if folder.exists():
        raise CheckpointError(f"{folder} is there already: name another folder, or delete it")
    with making(folder) as unfinished:
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        shards = plan_shards(shapes, dtype, _SHARD_BYTES)
        files: dict[str, FileRecord] = {}
        for file, names in shards.items():
            path = unfinished / file
            save_file({name: tensors[name].to(dtype).contiguous() for name in names}, path)
            path.chmod(0o644)  # safetensors writes for its owner alone
            files[file] = FileRecord(size_bytes=path.stat().st_size, sha256=sha256_of(path))
        weights = {name: file for file, names in shards.items() for name in names}
        manifest = manifest.model_copy(update={"files": files, "weights": weights})
        (unfinished / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return manifest


def average_adapters(
    parts: Sequence[tuple[Path, float]], folder: Path, *, dtype: torch.dtype = torch.float32
) -> AdapterManifest:
    """Makes an adapter that changes a model by a weighted sum of what others change.

    Low-rank additions stand beside each other, so that the sum is exact and its rank the sum of their ranks. Any other
    tensor is the weighted mean of those adapters that hold it.

    Args:
        parts: Adapters with their weights, which need not add up to 1.
        folder: The folder to make.
        dtype: Of the files.

    Raises:
        ConfigError: If weights are not finite, all 0, or those of a tensor that no addition is to add up to 0.
        CheckpointError: If one is no adapter or is damaged, they were trained on different weights, or the folder
            cannot be made.

    Source: Model soups (arXiv:2203.05482).
    """
    weights = [weight for _, weight in parts]
    if not all(map(math.isfinite, weights)) or not any(weights):
        told = ", ".join(f"{each:g}" for each in weights)
        raise ConfigError(f"the weights {told} make no sum: expected finite numbers, not all 0")
    manifests = [read_adapter(path) for path, _ in parts]
    if other := next(
        (path for (path, _), each in zip(parts, manifests, strict=True) if each.base != manifests[0].base), None
    ):
        raise CheckpointError(f"{other} was trained on other weights than {parts[0][0]}: expected the same for all")
    held: dict[str, list[tuple[Tensor, float]]] = {}
    for (path, weight), manifest in zip(parts, manifests, strict=True):
        for name, tensor in read_tensors(path, manifest).items():
            share = weight * (manifest.lora_scale or 1.0) if name.endswith(".lora_B") else weight
            held.setdefault(name, []).append((tensor.float(), share))
    has_lora = any(name.endswith(".lora_A") for name in held)
    joined = AdapterManifest(
        preset=manifests[0].preset,
        base=manifests[0].base,
        lora_scale=1.0 if has_lora else None,
        recipe={"name": "average", "weights": [*weights]},
        data=(),
        seed=0,
        steps=sum(each.steps for each in manifests),
        samples=sum(each.samples for each in manifests),
        tokens=sum(each.tokens for each in manifests),
        continues=tuple(manifests),
    )
    return save_adapter(folder, {name: _averaged(name, each) for name, each in held.items()}, joined, dtype=dtype)


def _averaged(name: str, held: Sequence[tuple[Tensor, float]]) -> Tensor:
    if name.endswith(".lora_A"):
        return torch.cat([tensor_RI for tensor_RI, _ in held], 0)
    if name.endswith(".lora_B"):
        return torch.cat([share * tensor_OR for tensor_OR, share in held], 1)
    total = sum(share for _, share in held)
    if not total:
        raise ConfigError(f"the weights of the adapters with {name} add up to 0: they have no mean")
    return torch.stack([share * tensor for tensor, share in held]).sum(0) / total


def holds_adapter(folder: Path) -> bool:
    """Whether a folder says that it is an adapter; `read_adapter` finds out whether it is one."""
    try:
        return json.loads((folder / MANIFEST).read_bytes()).get("kind") == "adapter"
    except (OSError, ValueError, AttributeError):
        return False


def read_adapter(folder: Path) -> AdapterManifest:
    """Reads the manifest of an adapter, and checks every byte beside it.

    Raises:
        CheckpointError: If it is no adapter, or a file is missing or damaged.
    """
    path = folder / MANIFEST
    try:
        manifest = AdapterManifest.model_validate_json(path.read_bytes())
        for name, record in manifest.files.items():
            if (found := sha256_of(folder / name)) != record.sha256:
                raise CheckpointError(f"{folder / name} has SHA-256 {found}, expected {record.sha256}: copy it again")
    except OSError as error:
        raise CheckpointError(f"{error.filename}: {error.strerror}; expected an adapter of mmi train export") from error
    except ValidationError as error:
        raise CheckpointError(f"{path} is not the manifest of an adapter: expected one of mmi train export") from error
    return manifest


def kept_or_removed(folder: Path, *, steps: int) -> AdapterManifest | None:
    """The manifest of a run's own adapter; None where a new one is to be made: an adapter of other steps is removed.

    Args:
        folder: The adapter's.
        steps: Of the run.

    Raises:
        CheckpointError: If what stands there is no adapter, is damaged, or cannot be removed.
    """
    if not folder.exists():
        return None
    manifest = read_adapter(folder)
    if manifest.steps == steps:
        return manifest
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise CheckpointError(f"cannot replace {folder}, of {manifest.steps} steps: {error.strerror}") from error
    return None


def fits(model: MMInterleavedModel, folder: Path) -> bool:
    """Whether an adapter was trained on these weights.

    Raises:
        CheckpointError: If it is no adapter, or is damaged.
    """
    return weights_fingerprint(model) == read_adapter(folder).base


def put_on(model: MMInterleavedModel, folder: Path) -> AdapterManifest:
    """Puts an adapter onto the weights that it was trained on.

    What it holds of an image decoder is left out where the model was loaded without one.

    Raises:
        CheckpointError: If it is no adapter, is damaged, or was trained on other weights.
    """
    manifest = read_adapter(folder)
    if (found := weights_fingerprint(model)) != manifest.base:
        raise CheckpointError(
            f"the adapter {folder} was trained on other weights of {manifest.preset!r} ({manifest.base[:12]}) than "
            f"these ({found[:12]}): load the weights that it was trained on, or go without it"
        )
    tensors = read_tensors(folder, manifest)
    parameters = dict(model.named_parameters())
    for name, tensor in tensors.items():
        if model.image_decoder is None and name.startswith(_HAND):
            continue
        layer, _, kind = name.rpartition(".")
        if kind == "lora_B":
            continue
        if kind == "lora_A":
            _merge(parameters, f"{layer}.weight", tensor, tensors.get(f"{layer}.lora_B"), manifest, folder)
        else:
            _replace(parameters, name, tensor, folder)
    return manifest


def read_tensors(folder: Path, manifest: AdapterManifest) -> dict[str, Tensor]:
    """Reads what an adapter holds, low-rank additions last.

    Raises:
        CheckpointError: If a file cannot be read.
    """
    try:
        tensors = {name: tensor for file in manifest.files for name, tensor in load_file(folder / file).items()}
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"the adapter {folder} cannot be read ({error}): copy it again") from error
    return dict(sorted(tensors.items(), key=lambda each: each[0].endswith((".lora_A", ".lora_B"))))  # merged last


def _merge(
    parameters: Mapping[str, nn.Parameter],
    name: str,
    lora_A: Tensor,
    lora_B: Tensor | None,
    manifest: AdapterManifest,
    folder: Path,
) -> None:
    parameter = parameters.get(name)
    if lora_B is None or manifest.lora_scale is None or parameter is None:
        raise CheckpointError(f"the adapter {folder} has an addition for {name} that is not whole, or fits no layer")
    addition = manifest.lora_scale * (lora_B.float() @ lora_A.float())
    _replace(parameters, name, parameter.detach().float() + addition, folder)


def _replace(parameters: Mapping[str, nn.Parameter], name: str, tensor: Tensor, folder: Path) -> None:
    parameter = parameters.get(name)
    if parameter is None or parameter.shape != tensor.shape:
        expected = None if parameter is None else tuple(parameter.shape)
        raise CheckpointError(f"the adapter {folder} has {name} of {tuple(tensor.shape)}, the model has {expected}")
    parameter.data = tensor.to(parameter.device, parameter.dtype)  # mapped weights are not written to
