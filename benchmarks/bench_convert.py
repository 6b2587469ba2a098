"""What a conversion of the released checkpoint takes: memory and time, against what the disk allows.

    python benchmarks/bench_convert.py [--layers 40] [--source-dtype bfloat16] [--folder DIR]

Makes a checkpoint in the released form, two shards of `torch.save` with an index, with the released widths and so many
layers in the decoder (40 are the released model), and converts it to bfloat16 in a process of its own. The tensors are
zeros: nothing in a conversion depends on values. Prints JSON. The peak is the process's largest resident set, mapped
pages of files included (VmHWM; `ru_maxrss` would be that of whoever started it, if larger). The floor is the source
read once and the result written once, at the rates that the disk shows on a file of 2 GB; a conversion reads the
source twice, once of it to hash it. Needs room for both; cleans up.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np
import torch

from mmi_agent.checkpoints.converted import expected_shapes
from mmi_agent.checkpoints.official import to_official
from mmi_agent.models.configs import full
from mmi_agent.models.mm_interleaved import MMInterleavedConfig

_CONVERT = """
import json, sys, time
from dataclasses import replace
from pathlib import Path
from mmi_agent.checkpoints.convert import convert
from mmi_agent.models.configs import full
config = full()
config = replace(config, decoder=replace(config.decoder, num_layers=int(sys.argv[3])))
stages, began = {}, time.perf_counter()
def note(step): stages[step.stage] = time.perf_counter() - began
convert(Path(sys.argv[1]), Path(sys.argv[2]), config=config, progress=note)
seconds = time.perf_counter() - began
status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
peak = 1024 * int(status["VmHWM"].split()[0])
print(json.dumps({"seconds": seconds, "ends": stages, "peak": peak}))
"""
_PROBE_BYTES = 2_000_000_000
_BLOCK = 1 << 24


def make_checkpoint(folder: Path, config: MMInterleavedConfig, dtype: torch.dtype) -> int:
    """Writes the checkpoint; returns its bytes."""
    shapes = expected_shapes(config)
    half, total = sum(map(prod, shapes.values())) / 2, 0
    parts: tuple[dict[str, torch.Tensor], ...] = ({}, {})
    for name, shape in shapes.items():
        zeros = np.zeros(prod(shape) * dtype.itemsize, np.uint8)  # pages that nobody writes to take no memory
        parts[total > half].update(to_official({name: torch.frombuffer(zeros, dtype=dtype).view(shape)}))
        total += prod(shape)
    weight_map: dict[str, str] = {}
    for number, part in enumerate(parts, 1):
        file = f"pytorch_model-{number:05}-of-00002.bin"
        torch.save(part, folder / file)
        weight_map |= dict.fromkeys(part, file)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return sum(path.stat().st_size for path in folder.iterdir())


def forget(path: Path) -> None:
    """Takes a file out of the page cache."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def disk_rates(folder: Path) -> tuple[float, float]:
    """Bytes a second that are read, and written."""
    path, block = folder / "probe", os.urandom(_BLOCK)
    began = time.perf_counter()
    with path.open("wb") as file:
        for _ in range(_PROBE_BYTES // _BLOCK):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    written = time.perf_counter() - began
    forget(path)
    began = time.perf_counter()
    with path.open("rb", buffering=0) as file:
        while file.read(_BLOCK):
            pass
    read = time.perf_counter() - began
    path.unlink()
    return _PROBE_BYTES / read, _PROBE_BYTES / written


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--source-dtype", choices=("bfloat16", "float16", "float32"), default="bfloat16")
    parser.add_argument("--folder", type=Path, help="Where there is room; the default is that of temporary files.")
    options = parser.parse_args()
    config = full()
    config = replace(config, decoder=replace(config.decoder, num_layers=options.layers))
    with tempfile.TemporaryDirectory(prefix="bench-convert-", dir=options.folder) as scratch:
        source, out = Path(scratch, "released"), Path(scratch, "out")
        source.mkdir()
        source_bytes = make_checkpoint(source, config, getattr(torch, options.source_dtype))
        read_rate, write_rate = disk_rates(Path(scratch))
        for path in source.iterdir():
            forget(path)
        command = [sys.executable, "-c", _CONVERT, str(source), str(out), str(options.layers)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        told = json.loads(done.stdout)
        out_bytes = sum(path.stat().st_size for path in out.iterdir())
        files = len(list(out.glob("*.safetensors")))
    floor_s = source_bytes / read_rate + out_bytes / write_rate
    result = {
        "layers": options.layers,
        "source_dtype": options.source_dtype,
        "source_gb": round(source_bytes / 1e9, 2),
        "out_gb": round(out_bytes / 1e9, 2),
        "out_files": files,
        "peak_gb": round(told["peak"] / 1e9, 2),
        "seconds": round(told["seconds"], 1),
        "stage_ends_s": {stage: round(end, 1) for stage, end in told["ends"].items()},
        "floor_s": round(floor_s, 1),
        "times_floor": round(told["seconds"] / floor_s, 2),
        "disk_read_gb_s": round(read_rate / 1e9, 2),
        "disk_write_gb_s": round(write_rate / 1e9, 2),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],
        "torch": torch.__version__,
        "machine": platform.machine(),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
