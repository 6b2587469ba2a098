"""A converted MM-Interleaved in a folder: its sizes, its weights as a model, its tokenizer.

Such a folder holds sharded safetensors under our names, `tokenizer.json` if one was at hand, and `manifest.json`.
`convert.py` makes it.
"""

import threading
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from mmi_agent.cache import cache_root
from mmi_agent.checkpoints.files import Manifest, check
from mmi_agent.errors import CheckpointError, MMIError
from mmi_agent.models.mm_interleaved import MMInterleavedConfig, MMInterleavedModel

__all__ = [
    "CONFIG",
    "MODEL",
    "TOKENIZER",
    "build_unloaded",
    "config_of",
    "default_folder",
    "expected_shapes",
    "fitting_sizes",
    "load_converted",
    "load_converted_tokenizer",
]

MODEL = "MM-Interleaved"
TOKENIZER = "tokenizer.json"
CONFIG: TypeAdapter[MMInterleavedConfig] = TypeAdapter(MMInterleavedConfig)
"""Turns sizes into JSON and back."""


def default_folder() -> Path:
    """Where `mmi weights fetch full` puts the released model, and where the preset `full` looks for it."""
    return cache_root() / "mm-interleaved"


def load_converted(
    folder: Path, *, device: torch.device | str = "cpu", dtype: torch.dtype | None = None, draws: bool = True
) -> MMInterleavedModel:
    """Loads a converted model, a shard at a time, each tensor straight to where it goes.

    On a CPU, and with the dtype that is stored, the weights are mapped: they are read from disk when touched.

    Args:
        folder: What `convert` or `mmi weights` made.
        device: Where the model goes.
        dtype: Of the weights and tables; None keeps what is stored.
        draws: Whether the image decoder is loaded too.

    Returns:
        The model in evaluation mode.

    Raises:
        CheckpointError: If a file is missing, cut off or damaged, or the weights are not those of the recorded sizes.
    """
    manifest = check(folder)
    dtype = dtype or _stored_dtype(manifest, folder)
    config = config_of(manifest, folder)
    model = build_unloaded(config if draws else replace(config, image_decoder=None))
    missing = set(model.state_dict())
    wanted = [name for name in manifest.weights if draws or not name.startswith("image_decoder.")]
    for file in dict.fromkeys(manifest.weights[name] for name in wanted):
        names = [name for name in wanted if manifest.weights[name] == file]
        weights = _read_shard(folder / file, names, device, dtype)
        missing -= weights.keys()
        try:
            model.load_state_dict(weights, strict=False, assign=True)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise CheckpointError(f"{folder / file} does not fit the sizes in the manifest: {reason}") from error
    if missing:
        raise CheckpointError(
            f"{folder} lacks {len(missing)} tensors of its own sizes, the first is {min(missing)}: convert it again"
        )
    return model.to(device=device, dtype=dtype).eval()  # what is left to move are tables that no checkpoint holds


def load_converted_tokenizer(folder: Path) -> Tokenizer:
    """Loads the tokenizer of a converted model.

    Raises:
        CheckpointError: If there is none, or a file is missing or damaged.
    """
    if TOKENIZER not in check(folder).files:
        raise CheckpointError(
            f"{folder} has no tokenizer: none was at hand when it was converted; convert again with --tokenizer, from "
            f"the tokenizer.model of Vicuna-13B v1.3"
        )
    try:
        return Tokenizer.from_str((folder / TOKENIZER).read_text(encoding="utf-8"))
    except Exception as error:  # tokenizers raises nothing narrower
        raise CheckpointError(f"{folder / TOKENIZER} is not a tokenizer ({error}); convert {folder} again") from error


def config_of(manifest: Manifest, folder: Path) -> MMInterleavedConfig:
    """Reads the sizes in a manifest.

    Raises:
        CheckpointError: If the folder holds another model.
    """
    if manifest.model != MODEL:
        raise CheckpointError(f"{folder} holds {manifest.model!r}, expected {MODEL}")
    try:
        return CONFIG.validate_python(manifest.config)
    except (ValidationError, MMIError, ArithmeticError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"the sizes in the manifest of {folder} cannot be read ({reason}): convert again"
        ) from error


def expected_shapes(config: MMInterleavedConfig) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of a model, in its order."""
    return {name: tuple(tensor.shape) for name, tensor in build_unloaded(config).state_dict().items()}


def build_unloaded(config: MMInterleavedConfig) -> MMInterleavedModel:
    """Builds a model whose parameters have no storage yet, but whose computed tables are there.

    Raises:
        CheckpointError: If there is no model of these sizes.
    """
    with fitting_sizes("the configuration"), _parameters_on_meta():
        return MMInterleavedModel(config)


@contextmanager
def fitting_sizes(what: str) -> Generator[None]:
    """Turns what wrong sizes raise, wherever they are first computed with, into one line.

    Raises:
        CheckpointError: Naming what holds the sizes.
    """
    try:
        yield
    except MMIError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise CheckpointError(f"{what} holds sizes that no model has ({reason})") from error


@contextmanager
def _parameters_on_meta() -> Generator[None]:
    """Takes every parameter's storage away as soon as its module has it, before values are drawn for it.

    Building under `torch.device("meta")` would take the tables away too.
    """
    thread = threading.get_ident()

    def without_storage(_module: nn.Module, _name: str, parameter: nn.Parameter | None) -> nn.Parameter | None:
        if parameter is None or threading.get_ident() != thread:
            return None
        return nn.Parameter(parameter.detach().to("meta"), requires_grad=parameter.requires_grad)

    handle = register_module_parameter_registration_hook(without_storage)  # pyright: ignore[reportArgumentType]
    try:
        yield
    finally:
        handle.remove()


def _stored_dtype(manifest: Manifest, folder: Path) -> torch.dtype:
    """Of the weights; of a folder that was made before it was recorded, what is found in it."""
    if manifest.dtype:
        found = getattr(torch, manifest.dtype, None)
        if isinstance(found, torch.dtype):
            return found
        raise CheckpointError(f"the manifest of {folder} says {manifest.dtype!r}, which is no dtype: convert again")
    for name, file in manifest.weights.items():
        return _read_shard(folder / file, [name], "cpu", None)[name].dtype
    raise CheckpointError(f"the manifest of {folder} names no weights: convert again")


def _read_shard(
    path: Path, names: Iterable[str], device: torch.device | str, dtype: torch.dtype | None
) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt", device=str(device)) as file:
            return {name: (tensor := file.get_tensor(name)).to(dtype or tensor.dtype) for name in names}
    except SafetensorError as error:
        raise CheckpointError(f"{path} is damaged ({error}): convert again") from error
