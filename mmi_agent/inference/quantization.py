"""Weights of fewer bits: half precision, so that a CPU has less to read, int8 and int4, so that a GPU can be small.

Half precision is FBGEMM's, which comes with torch: stored as float16, widened in registers, multiplied and added in
float32. It takes in the attention and feed-forward layers of the language decoder, and its head. int8 and int4 are
torchao's, weight-only, and of the layers alone, nine tenths of `full`. What is left stays as it is. torchao is imported
when something is quantized with it, and no sooner: that takes seconds.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from mmi_agent.errors import ConfigError, MissingDependencyError
from mmi_agent.models.language_decoder import DecoderLayer, LanguageDecoder
from mmi_agent.quiet_imports import quiet_imports

__all__ = ["HalfLinear", "can_halve", "quantize"]


class HalfLinear(nn.Module):
    """A linear layer on a CPU with weights in float16 and everything else in float32.

    Args:
        weight_OI: What to keep, float32; values beyond 65,504 are cut there.
        bias_O: Kept in float32.
    """

    def __init__(self, weight_OI: Tensor, bias_O: Tensor | None = None) -> None:
        super().__init__()
        self.nbytes = 2 * weight_OI.numel()
        self._packed = torch.ops.quantized.linear_prepack_fp16(weight_OI.detach(), bias_O)

    def forward(self, inputs: Tensor) -> Tensor:
        """Maps the last axis of inputs, of any number of axes, to outputs; both float32."""
        rows_XI = inputs.reshape(-1, inputs.shape[-1])  # FBGEMM takes no single vector
        outputs_XO = torch.ops.quantized.linear_dynamic_fp16(rows_XI, self._packed)
        return outputs_XO.view(*inputs.shape[:-1], -1)


def can_halve(device: torch.device | str, dtype: torch.dtype) -> bool:
    """Whether `quantize(decoder, 16)` works there: on x86 CPUs, for a float32 model."""
    on_cpu = torch.device(device).type == "cpu" and "fbgemm" in torch.backends.quantized.supported_engines
    return on_cpu and dtype == torch.float32


def quantize(decoder: LanguageDecoder, bits: int, *, device: torch.device | str | None = None) -> None:
    """Replaces the weights of a decoder's layers by float16, int8, a scale per row, or int4, a scale per group.

    16 bits are for CPUs: a token takes a third less time than in float32, four at once half of it. 8 and 4 run there
    too, and save memory at the price of time: a token takes several times as long, compiled or not. On a GPU the step
    should be compiled, so that no weight is widened in memory.

    Args:
        decoder: The decoder; its layers are changed in place.
        bits: Of a weight, 16, 8 or 4.
        device: Where the layers go, one by one, as they are quantized; None leaves them where they are. The rest of
            the decoder is the caller's to move.

    Raises:
        ConfigError: If the bits, the dtype or the device cannot be had together, or the decoder is quantized already.
        MissingDependencyError: If torchao is not installed.
    """
    linears = _linears(decoder)
    if not linears or type(linears[0].weight) is not nn.Parameter:
        raise ConfigError("the decoder is quantized already: load it anew for another number of bits")
    dtype, target = linears[0].weight.dtype, torch.device(device or linears[0].weight.device)
    if bits == 16:
        _halve(decoder, dtype, target)
        return
    config = _config(decoder, bits, dtype, target)
    torchao: Any = _torchao("torchao.quantization")
    chosen = {id(linear) for linear in linears}

    def is_chosen(module: nn.Module, _: str) -> bool:
        return id(module) in chosen

    for layer in decoder.layers:
        torchao.quantize_(layer, config, filter_fn=is_chosen, device=target)


def _halve(decoder: LanguageDecoder, dtype: torch.dtype, device: torch.device) -> None:
    """Puts a `HalfLinear` in the place of every layer and of the head; a tied head parts from the embedding."""
    if not can_halve(device, dtype):
        raise ConfigError(
            f"16 bits of {dtype} on {str(device)!r}: they are for float32 on x86 CPUs; elsewhere set the dtype"
        )
    for part in _parts(decoder):
        for name, child in part.named_children():
            if isinstance(child, nn.Linear):
                setattr(part, name, HalfLinear(child.weight, child.bias))
    head = decoder.head if isinstance(decoder.head, nn.Linear) else None
    decoder.head = HalfLinear(head.weight, head.bias) if head else HalfLinear(decoder.embedding.weight)


def _parts(decoder: LanguageDecoder) -> list[nn.Module]:
    layers = [layer for layer in decoder.layers if isinstance(layer, DecoderLayer)]
    return [part for layer in layers for part in (layer.attention, layer.feed_forward)]


def _linears(decoder: LanguageDecoder) -> list[nn.Linear]:
    return [module for part in _parts(decoder) for module in part.modules() if isinstance(module, nn.Linear)]


def _config(decoder: LanguageDecoder, bits: int, dtype: torch.dtype, device: torch.device) -> Any:
    """Torchao's configuration for these bits, if there is a kernel."""
    if bits == 8:
        return _torchao("torchao.quantization").Int8WeightOnlyConfig(set_inductor_config=False)
    if bits != 4:
        raise ConfigError(f"weights of {bits!r} bits: 16, 8 and 4 are to be had")
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
        group_size=group, int4_packing_format="tile_packed_to_4d", set_inductor_config=False
    )


def _torchao(module: str) -> Any:
    """Imports a module of torchao."""
    if find_spec("torchao") is None:
        raise MissingDependencyError("torchao, which quantizes, is missing: run pip install 'mmi-agent[quantize]'")
    with quiet_imports():
        return import_module(module)
