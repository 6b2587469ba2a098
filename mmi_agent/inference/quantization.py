"""Weights of fewer bits, so that a large model fits a small GPU: torchao's weight-only int8 and int4.

Only the attention and feed-forward layers of the language decoder are quantized, nine tenths of `full`. The embedding,
heads, norms and synchronizers stay as they are. torchao is imported when something is quantized, and no sooner: that
takes seconds.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from mmi_agent.errors import ConfigError, MissingDependencyError
from mmi_agent.models.language_decoder import DecoderLayer, LanguageDecoder
from mmi_agent.quiet_imports import quiet_imports

__all__ = ["quantize"]


def quantize(decoder: LanguageDecoder, bits: int, *, device: torch.device | str | None = None) -> None:
    """Replaces the weights of a decoder's layers by int8, a scale per row, or int4, a scale per group.

    On a CPU both run, and save memory at the price of time: a token takes several times as long as in float32, compiled
    or not. On a GPU the step should be compiled, so that no weight is widened in memory.

    Args:
        decoder: The decoder; its layers are changed in place.
        bits: Of a weight, 8 or 4.
        device: Where the layers go, one by one, as they are quantized; None leaves them where they are. The rest of
            the decoder is the caller's to move.

    Raises:
        ConfigError: If the bits, the dtype or the device cannot be had together, or the decoder is quantized already.
        MissingDependencyError: If torchao is not installed.
    """
    weight = _linears(decoder)[0].weight
    if type(weight) is not nn.Parameter:
        raise ConfigError("the decoder is quantized already: load it anew for another number of bits")
    target = torch.device(device or weight.device)
    config = _config(decoder, bits, weight.dtype, target)
    torchao: Any = _torchao("torchao.quantization")
    chosen = {id(linear) for linear in _linears(decoder)}

    def is_chosen(module: nn.Module, _: str) -> bool:
        return id(module) in chosen

    for layer in decoder.layers:
        torchao.quantize_(layer, config, filter_fn=is_chosen, device=target)


def _linears(decoder: LanguageDecoder) -> list[nn.Linear]:
    layers = [layer for layer in decoder.layers if isinstance(layer, DecoderLayer)]
    parts = [part for layer in layers for part in (layer.attention, layer.feed_forward)]
    return [module for part in parts for module in part.modules() if isinstance(module, nn.Linear)]


def _config(decoder: LanguageDecoder, bits: int, dtype: torch.dtype, device: torch.device) -> Any:
    """Torchao's configuration for these bits, if there is a kernel."""
    if bits == 8:
        return _torchao("torchao.quantization").Int8WeightOnlyConfig()
    if bits != 4:
        raise ConfigError(f"weights of {bits!r} bits: 8 and 4 are to be had")
    widths = {linear.in_features for linear in _linears(decoder)}
    group = next((size for size in (128, 64, 32) if not any(width % size for width in widths)), None)
    if group is None:
        raise ConfigError(f"int4 needs layers of a width that 32 divides, these are {sorted(widths)} wide: take 8 bits")
    if device.type == "cpu":
        return _torchao("torchao.prototype.quantization.int4").PrototypeInt4WeightOnlyConfig(group_size=group)
    if device.type != "cuda" or torch.cuda.get_device_capability(device) < (8, 0):
        raise ConfigError(f"int4 runs on CPUs and on NVIDIA GPUs since Ampere, not on {str(device)!r}: take 8 bits")
    if dtype != torch.bfloat16:
        raise ConfigError(f"int4 on a GPU needs bfloat16, the decoder is {dtype}: load it with dtype=torch.bfloat16")
    return _torchao("torchao.quantization").Int4WeightOnlyConfig(
        group_size=group, int4_packing_format="tile_packed_to_4d"
    )


def _torchao(module: str) -> Any:
    """Imports a module of torchao."""
    if find_spec("torchao") is None:
        raise MissingDependencyError("torchao, which quantizes, is missing: run pip install 'mmi-agent[quantize]'")
    with quiet_imports():
        return import_module(module)
