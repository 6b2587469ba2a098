"""How fast text is written, beside how fast it could be: a token has to read every weight once.

    python benchmarks/bench_decode.py [--size middle] [--device cpu] [--modes eager recorded fused compiled int8 int4]

For each batch size and mode: tokens a second, the milliseconds of a step, the bytes that a step has to read (weights,
keys and values), the milliseconds that they take at the measured speed of a copy, and how much of that speed is
reached. "recorded" is a CUDA graph of what "eager" does, "fused" is compiled without tuning, "compiled" with it; on a
CPU the last two are one, and "recorded" is "eager". "half" is what a policy writes with on a CPU. "int8" and "int4" are
compiled as well, unless "eager" is all that is asked for. The first picture's features are looked at by every token.
`hidden_error` is how far the hidden states of a token are from what the eager decoder of the same weights makes of it,
relative to the largest of them; eager itself is not the same twice on a GPU. `--profile` tells what one step spends its
time on, the longest first.
"""

import argparse
import gc
import time
from functools import partial
from typing import Any

import torch
from bench_pictures import memory_of
from sizes import (
    attempt,
    benchmark,
    config_of,
    copy_bytes_per_s,
    finish,
    like,
    note,
    on,
    open_gates,
    profiled,
    rounded,
    seconds,
    weight_bytes,
)
from torch import Tensor

from mmi_agent.inference.compiled import CompiledDecoder
from mmi_agent.inference.quantization import HalfLinear, quantize
from mmi_agent.models.feature_synchronizer import PictureMemory
from mmi_agent.models.language_decoder import LanguageDecoder

BITS = {"half": 16, "int8": 8, "int4": 4}


class Writer:
    """Writes greedily, a step at a time, in rows that all begin alike."""

    def __init__(self, decoder: LanguageDecoder, options: argparse.Namespace, mode: str, batch_size: int):
        self._decoder, self._rows = decoder, batch_size
        self._read = reader(decoder, options, mode)
        self._memory: PictureMemory = memory_of(decoder, 1)
        self.cache = decoder.open_cache(batch_size=batch_size, capacity=options.before + 256)
        prompt_BTC = torch.randn(1, options.before, decoder.config.hidden_size, **like(decoder))
        prompt_BTC = prompt_BTC.expand(batch_size, -1, -1)
        self._hidden_B1C: Tensor = decoder(prompt_BTC, cache=self.cache, pictures=self._memory)[:, -1:]

    def step(self) -> None:
        """Writes one token in each row."""
        ids_B1 = self._decoder.logits(self._hidden_B1C).argmax(-1)
        self._hidden_B1C = self._read(self._decoder.embed(ids_B1), cache=self.cache, pictures=self._memory)

    def error(self) -> float:
        """How far a token is from what the eager decoder makes of it."""
        embeddings_B1C = self._decoder.embed(torch.full((self._rows, 1), 7, device=self._hidden_B1C.device))
        length = self.cache.length
        given, expected = (self._again(read, embeddings_B1C, length).float() for read in (self._read, self._decoder))
        return float((given - expected).abs().max() / expected.abs().max())

    def _again(self, read: Any, embeddings_B1C: Tensor, length: int) -> Tensor:
        self.cache.rewind(length)
        return read(embeddings_B1C, cache=self.cache, pictures=self._memory)


def reader(decoder: LanguageDecoder, options: argparse.Namespace, mode: str) -> CompiledDecoder | LanguageDecoder:
    """What reads a token in a mode."""
    is_plain = mode in ("eager", "half") or options.modes == ["eager"]
    if is_plain or (mode == "recorded" and options.device == "cpu"):
        return decoder
    backend = None if mode == "recorded" else "inductor"
    return CompiledDecoder(decoder, tokens=options.before + 256, pictures=1, backend=backend, tuned=mode != "fused")


def bytes_of_step(decoder: LanguageDecoder, writer: Writer) -> int:
    """Bytes that a step cannot do without."""
    weights = weight_bytes(decoder) + sum(m.nbytes for m in decoder.modules() if isinstance(m, HalfLinear))
    if decoder.head is not None:
        weights -= weight_bytes(decoder.embedding)  # only a row of it is read
    keys_YBKSD, values_YBKSD = writer.cache.held()
    return weights + (keys_YBKSD.numel() + values_YBKSD.numel()) * keys_YBKSD.element_size()


def measure(
    decoder: LanguageDecoder, options: argparse.Namespace, mode: str, batch_size: int, speed: float
) -> dict[str, object]:
    """Writes with one mode, in so many rows."""
    began = time.perf_counter()
    writer = Writer(decoder, options, mode, batch_size)
    writer.step()
    first_s = time.perf_counter() - began
    error = writer.error()
    step_s = seconds(writer.step, options, warm_up=3)
    needed = bytes_of_step(decoder, writer)
    result: dict[str, object] = {
        "tokens_per_s": rounded(batch_size / step_s),
        "step_ms": rounded(1e3 * step_s),
        "bytes_of_step": needed,
        "floor_ms": rounded(1e3 * needed / speed),
        "share_of_copy_speed": rounded(needed / speed / step_s),
        "first_token_s": rounded(first_s),
        "hidden_error": rounded(error),
    }
    if options.profile:
        result["profile"] = profiled(writer.step, options)
    return result


def build(options: argparse.Namespace) -> LanguageDecoder:
    with on(options):
        decoder = LanguageDecoder(config_of(options.size).decoder).eval()
        open_gates(decoder)
    return decoder


@torch.inference_mode()
def main() -> None:
    parser = benchmark(__doc__, rounds=20)
    modes = ["eager", "recorded", "fused", "compiled", *BITS]
    parser.add_argument("--modes", nargs="+", choices=modes, default=["eager"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--before", type=int, default=256, help="tokens before the first that is written")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    decoder = build(options)
    speed = copy_bytes_per_s(options)
    results: dict[str, dict[str, object]] = {}
    for mode in options.modes:
        if mode in BITS:
            del decoder  # three of them do not fit
            gc.collect()
            decoder = build(options)
            quantize(decoder, BITS[mode])
        results[mode] = {}
        for batch_size in options.batches:
            found = attempt(partial(measure, decoder, options, mode, batch_size, speed))
            results[mode][f"batch_{batch_size}"] = found
            note(options, mode=mode, batch_size=batch_size, copy_bytes_per_s=rounded(speed), found=found)
    finish(
        options,
        tokens_before=options.before,
        copy_bytes_per_s=rounded(speed),
        modes=results,
        goal="on one H200 at full size, batch 1, the best mode: share_of_copy_speed at least 0.85",
    )


if __name__ == "__main__":
    main()
