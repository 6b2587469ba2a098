"""What the benchmarks of the model share: sizes, random weights, and how time is taken. Nothing is fetched."""

import argparse
import json
import platform
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from mmi_agent.models.configs import full, small, tiny
from mmi_agent.models.feature_synchronizer import FeatureSynchronizerConfig
from mmi_agent.models.language_decoder import LanguageDecoderConfig
from mmi_agent.models.mm_interleaved import MMInterleavedConfig, MMInterleavedModel
from mmi_agent.models.perceiver_resampler import PerceiverResamplerConfig
from mmi_agent.models.vision_encoder import VisionEncoderConfig

__all__ = [
    "attempt",
    "benchmark",
    "build",
    "clock_s",
    "config_of",
    "copy_bytes_per_s",
    "finish",
    "like",
    "note",
    "on",
    "open_gates",
    "profiled",
    "rounded",
    "seconds",
    "turn_about",
    "weight_bytes",
]

_Name = TypeVar("_Name")


def middle() -> MMInterleavedConfig:
    """Wide enough that a CPU waits for memory, with few layers: 210 M parameters, and the small hand to draw with."""
    hand = small().image_decoder
    assert hand is not None
    return MMInterleavedConfig(
        vision=VisionEncoderConfig(width=384, intermediate_size=1536, num_layers=12, num_heads=6, stem_width=32),
        resampler=PerceiverResamplerConfig(
            num_queries=64, width=384, feature_width=384, intermediate_size=1536, num_layers=4, num_heads=6
        ),
        decoder=LanguageDecoderConfig(
            vocab_size=16384,
            num_new_tokens=2,
            hidden_size=1024,
            intermediate_size=2816,
            num_layers=12,
            num_heads=16,
            num_kv_heads=16,
            max_positions=4096,
            synchronizer=FeatureSynchronizerConfig(token_width=1024, feature_width=384, value_width=512),
        ),
        image_decoder=replace(
            hand,
            resampler=replace(hand.resampler, feature_width=1024),
            denoiser=replace(hand.denoiser, feature_width=384, value_width=512),
        ),
        begin_of_text=1,
        begin_of_image=16384,
        image=16385,
        end_of_text=2,
        padding=0,
    )


_SIZES: dict[str, Callable[[], MMInterleavedConfig]] = {"toy": tiny, "small": small, "middle": middle, "full": full}


def config_of(size: str, *, draws: bool = False) -> MMInterleavedConfig:
    """Returns a size by name; without the image decoder unless asked for."""
    config = _SIZES[size]()
    return config if draws else replace(config, image_decoder=None)


def benchmark(description: str | None, **defaults: Any) -> argparse.ArgumentParser:
    """Returns a parser with the options that all benchmarks have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=_SIZES, default="middle")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], help="float32 on a CPU, else bfloat16")
    parser.add_argument("--threads", type=int, default=1, help="of a CPU")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-cudnn", action="store_true", help="attention by other kernels than those of cuDNN")
    parser.add_argument("--out", type=Path, help="a file to which each result is added as a line of JSON")
    parser.add_argument("--wait", action="store_true", help="import what takes long, then wait for a line of input")
    parser.set_defaults(**defaults)
    return parser


@contextmanager
def on(options: argparse.Namespace) -> Generator[None]:
    """What is built inside stands on the device, in the precision, with random weights of seed 0.

    For building alone: each call of torch is slower inside.
    """
    options.dtype = options.dtype or ("float32" if options.device == "cpu" else "bfloat16")
    torch.set_num_threads(options.threads)
    torch.backends.cuda.enable_cudnn_sdp(not options.no_cudnn)
    if options.wait:
        _wait_for_go()
        options.wait = False
    before = torch.get_default_dtype()
    torch.default_generator.manual_seed(0)
    torch.set_default_dtype(getattr(torch, options.dtype))
    try:
        with torch.device(options.device), torch.inference_mode():
            yield
    finally:
        torch.set_default_dtype(before)


def _wait_for_go() -> None:
    """Imports what would be imported later, without a look at the GPU, and reads a line."""
    for module in ("diffusers", "torch._dynamo", "torch._inductor.compile_fx"):
        import_module(module)
    getattr(import_module("diffusers"), "UNet2DConditionModel")  # noqa: B009 - imported when it is asked for
    if not sys.stdin.readline():
        raise SystemExit("nobody waits for this any more")


def build(options: argparse.Namespace, *, draws: bool = False) -> MMInterleavedModel:
    """Builds a model that looks at pictures; what is computed rather than learnt has the precision of all else."""
    with on(options):
        model = MMInterleavedModel(config_of(options.size, draws=draws)).eval().to(getattr(torch, options.dtype))
        open_gates(model)
    return model


def like(model: nn.Module) -> dict[str, Any]:
    """Where a model stands, and in which precision, as arguments of what makes tensors."""
    parameter = next(model.parameters())
    return {"device": parameter.device, "dtype": parameter.dtype}


def open_gates(module: nn.Module) -> None:
    """Lets pictures have a say: as built, the gates of synchronizers are shut."""
    for name, parameter in module.named_parameters():
        if name.endswith("look.gate"):
            nn.init.constant_(parameter, 0.5)


def clock_s(options: argparse.Namespace) -> float:
    """A clock for differences. On a CPU that of this process: other work on the machine does not count."""
    if options.device == "cpu":
        return time.process_time() / options.threads
    torch.cuda.synchronize()
    return time.perf_counter()


def seconds(run: Callable[[], object], options: argparse.Namespace, *, warm_up: int = 1) -> float:
    """Median time of a call after a warm-up."""
    return turn_about({None: run}, options, warm_up=warm_up)[None]


def turn_about(
    runs: Mapping[_Name, Callable[[], object]], options: argparse.Namespace, *, warm_up: int = 1
) -> dict[_Name, float]:
    """Median times of calls that take turns, after a warm-up: so a machine whose speed drifts is the same for all."""
    taken: dict[_Name, list[float]] = {name: [] for name in runs}
    for _ in range(warm_up + options.rounds):
        for name, run in runs.items():
            began = clock_s(options)
            run()
            taken[name].append(clock_s(options) - began)
    return {name: statistics.median(times[warm_up:]) for name, times in taken.items()}


def profiled(run: Callable[[], object], options: argparse.Namespace, *, longest: int = 24) -> dict[str, object]:
    """What a call spends its time on: operations of a CPU, or kernels of a GPU, how many, how long, the longest."""
    is_cpu = options.device == "cpu"
    with torch.profiler.profile() as profile:
        run()
        clock_s(options)
    averages: Any = profile.key_averages()
    kind, field = ("CPU", "self_cpu_time_total") if is_cpu else ("CUDA", "self_device_time_total")
    rows = [row for row in averages if row.device_type.name == kind and row.key != "Activity Buffer Request"]
    rows.sort(key=lambda row: -getattr(row, field))
    return {
        "launches": sum(row.count for row in rows),
        "busy_ms": rounded(sum(getattr(row, field) for row in rows) / 1e3),
        "longest": [
            {"name": row.key[:60], "calls": row.count, "ms": rounded(getattr(row, field) / 1e3)}
            for row in rows[:longest]
        ],
    }


def copy_bytes_per_s(options: argparse.Namespace) -> float:
    """Bytes read and written in a second by the best of several copies of a large tensor."""
    size = 64 * 2**20 if options.device == "cpu" else 2**30
    source = torch.zeros(size, dtype=torch.uint8, device=options.device)
    target = torch.empty_like(source)
    return 2 * size / min(seconds(lambda: target.copy_(source), options) for _ in range(3))


def weight_bytes(*modules: nn.Module) -> int:
    """Bytes of all parameters as they are stored, a shared one counted once."""
    return sum(_stored(tensor) for tensor in {parameter for module in modules for parameter in module.parameters()})


def _stored(tensor: Tensor) -> int:
    if type(tensor) in (Tensor, nn.Parameter):
        return tensor.numel() * tensor.element_size()
    flatten: Callable[[], tuple[list[str], object]] = getattr(tensor, "__tensor_flatten__")  # noqa: B009 - untyped
    return sum(_stored(getattr(tensor, name)) for name in flatten()[0])  # quantized: made of several


def note(options: argparse.Namespace, **result: object) -> dict[str, object]:
    """Adds a result, with what it was measured on, to the file that was asked for; returns the line."""
    is_cuda = options.device.startswith("cuda")
    where = {
        "script": Path(sys.argv[0]).stem,
        "size": options.size,
        "device": torch.cuda.get_device_name() if is_cuda else platform.machine(),
        "dtype": options.dtype,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    line = {**where, **result}
    if options.out is not None:
        with options.out.open("a") as file:
            file.write(json.dumps(line) + "\n")
    return line


def finish(options: argparse.Namespace, **result: object) -> None:
    """Prints the result with what it was measured on."""
    print(json.dumps(note(options, **result), indent=2), flush=True)


def attempt(run: Callable[[], object]) -> object:
    """Runs something that nothing else depends on; returns what it returned, or what went wrong."""
    try:
        return run()
    except Exception as error:
        traceback.print_exc()
        torch.cuda.empty_cache()
        return f"{type(error).__name__}: {str(error)[:500]}"


def rounded(value: float, digits: int = 3) -> float:
    """Rounds to so many digits that count."""
    return float(f"{value:.{digits}g}")
