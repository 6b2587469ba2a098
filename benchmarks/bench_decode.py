"""How fast text is written, beside how fast it could be: a token has to read every weight once.

    python benchmarks/bench_decode.py [--size middle] [--device cpu] [--modes eager compiled half int8 int4]

For each batch size and mode: tokens a second, the milliseconds of a step, the bytes that a step has to read (weights,
keys and values), the milliseconds that they take at the measured speed of a copy, and how much of that speed is
reached. "half" is what a policy writes with on a CPU. "int8" and "int4" are compiled as well, unless "eager" is all
that is asked for. The first picture's features are looked at by every token. `--profile` prints what one step spends
its time on.
"""

import argparse
from typing import Any

import torch
from bench_pictures import memory_of
from sizes import benchmark, config_of, copy_bytes_per_s, finish, on, open_gates, rounded, seconds, weight_bytes
from torch import Tensor

from mmi_agent.inference.compiled import CompiledDecoder
from mmi_agent.inference.quantization import HalfLinear, quantize
from mmi_agent.models.feature_synchronizer import PictureMemory
from mmi_agent.models.language_decoder import LanguageDecoder

BITS = {"half": 16, "int8": 8, "int4": 4}


class Writer:
    """Writes greedily, a step at a time, in rows that all begin alike."""

    def __init__(self, decoder: LanguageDecoder, options: argparse.Namespace, batch_size: int, *, compiled: bool):
        self._decoder = decoder
        self._read = CompiledDecoder(decoder, tokens=options.before + 256, pictures=1) if compiled else decoder
        self._memory: PictureMemory = memory_of(decoder, 1)
        self.cache = decoder.open_cache(batch_size=batch_size, capacity=options.before + 256)
        prompt_BTC = torch.randn(1, options.before, decoder.config.hidden_size).expand(batch_size, -1, -1)
        self._hidden_B1C: Tensor = decoder(prompt_BTC, cache=self.cache, pictures=self._memory)[:, -1:]

    def step(self) -> None:
        """Writes one token in each row."""
        ids_B1 = self._decoder.logits(self._hidden_B1C).argmax(-1)
        self._hidden_B1C = self._read(self._decoder.embed(ids_B1), cache=self.cache, pictures=self._memory)


def bytes_of_step(decoder: LanguageDecoder, writer: Writer) -> int:
    """Bytes that a step cannot do without."""
    weights = weight_bytes(decoder) + sum(m.nbytes for m in decoder.modules() if isinstance(m, HalfLinear))
    if decoder.head is not None:
        weights -= weight_bytes(decoder.embedding)  # only a row of it is read
    keys_YBKSD, values_YBKSD = writer.cache.held()
    return weights + (keys_YBKSD.numel() + values_YBKSD.numel()) * keys_YBKSD.element_size()


def measure(decoder: LanguageDecoder, options: argparse.Namespace, mode: str, speed: float) -> dict[str, object]:
    """Writes with one mode, in every batch size."""
    results: dict[str, object] = {}
    is_compiled = mode not in ("eager", "half") and options.modes != ["eager"]
    for batch_size in options.batches:
        writer = Writer(decoder, options, batch_size, compiled=is_compiled)
        step_s = seconds(writer.step, options, warm_up=3)
        needed = bytes_of_step(decoder, writer)
        results[f"batch_{batch_size}"] = {
            "tokens_per_s": rounded(batch_size / step_s),
            "step_ms": rounded(1e3 * step_s),
            "bytes_of_step": needed,
            "floor_ms": rounded(1e3 * needed / speed),
            "share_of_copy_speed": rounded(needed / speed / step_s),
        }
        if options.profile:
            with torch.profiler.profile() as profile:
                writer.step()
            averages: Any = profile.key_averages()
            print(averages.table(sort_by=f"self_{options.device.split(':')[0]}_time_total", row_limit=20))
    return results


def build(options: argparse.Namespace) -> LanguageDecoder:
    decoder = LanguageDecoder(config_of(options.size).decoder).eval()
    open_gates(decoder)
    return decoder


def main() -> None:
    parser = benchmark(__doc__, rounds=20)
    parser.add_argument("--modes", nargs="+", choices=["eager", "compiled", *BITS], default=["eager"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--before", type=int, default=256, help="tokens before the first that is written")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    with on(options):
        speed = copy_bytes_per_s(options)
        results: dict[str, object] = {}
        decoder = build(options)
        for mode in options.modes:
            if mode in BITS:
                del decoder  # two of them do not fit
                decoder = build(options)
                quantize(decoder, BITS[mode])
            results[mode] = measure(decoder, options, mode, speed)
    finish(
        options,
        tokens_before=options.before,
        copy_bytes_per_s=rounded(speed),
        modes=results,
        goal="on one H200 at full size, batch 1, the best mode: share_of_copy_speed at least 0.85",
    )


if __name__ == "__main__":
    main()
