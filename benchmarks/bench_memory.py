"""How much memory each phase takes at its peak: building, reading, writing, drawing.

    python benchmarks/bench_memory.py [--size middle] [--device cpu] [--bits 8] [--offload] [--limit-gb 24]

A document of two pictures and text is read, 64 tokens are written, and a picture is drawn where the size has a hand.
`--bits` quantizes the decoder, `--offload` keeps the image decoder on the CPU but while it draws, `--limit-gb` lets a
GPU have no more than so much, so that a small card can be tried on a large one; a phase that does not fit says so.
The floor is the bytes of the weights that have to be there.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import torch
from sizes import benchmark, config_of, finish, on, weight_bytes

from mmi_agent.errors import DeviceMemoryError
from mmi_agent.inference.drawing import DrawSettings, draw_picture
from mmi_agent.inference.offloading import brought_to
from mmi_agent.inference.quantization import quantize
from mmi_agent.models.feature_synchronizer import PictureMemory
from mmi_agent.models.mm_interleaved import MMInterleavedModel

_WRITTEN = 64


class Peak:
    """The most memory since the last look: of a GPU, or of this process."""

    def __init__(self, device: str) -> None:
        self._is_cuda = device.startswith("cuda")
        self._before = 0 if self._is_cuda else psutil.Process().memory_info().rss

    def begin(self) -> None:
        """Forgets the peaks so far."""
        if self._is_cuda:
            torch.cuda.reset_peak_memory_stats()
        else:
            Path("/proc/self/clear_refs").write_text("5")

    def megabytes(self) -> int:
        """The peak since `begin`."""
        if self._is_cuda:
            return torch.cuda.max_memory_allocated() // 2**20
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        assert found, "Linux tells the peak of a process"
        return (1024 * int(found[1]) - self._before) // 2**20


def main() -> None:
    parser = benchmark(__doc__)
    parser.add_argument("--bits", type=int, choices=[4, 8])
    parser.add_argument("--offload", action="store_true")
    parser.add_argument("--limit-gb", type=float)
    options = parser.parse_args()
    if options.limit_gb:
        cuda: Any = torch.cuda
        total = cuda.get_device_properties(options.device).total_memory
        cuda.set_per_process_memory_fraction(options.limit_gb * 2**30 / total, options.device)
    config = config_of(options.size, draws=True)
    peak, peaks = Peak(options.device), dict[str, int | str]()
    device, built_on = options.device, "cpu" if options.bits or options.offload else options.device

    def phase(name: str, run: Callable[[], object]) -> None:
        peak.begin()
        try:
            run()
            peaks[name] = peak.megabytes()
        except (torch.OutOfMemoryError, DeviceMemoryError) as error:
            peaks[name] = f"does not fit: {str(error).splitlines()[0]}"

    made: list[MMInterleavedModel] = []
    memory = PictureMemory()

    def build() -> None:
        model = MMInterleavedModel(config).eval()
        made.append(model)
        if options.bits:
            quantize(model.decoder, options.bits, device=device)
        hand = model.image_decoder
        if options.offload:
            model.image_decoder = None
        model.to(device)
        model.image_decoder = hand

    options.device = built_on
    with on(options):
        phase("build", build)
    options.device = device
    if not made or isinstance(peaks["build"], str):
        finish(options, peak_mb=peaks)
        return
    model = made[0]
    with on(options):
        cache = model.decoder.open_cache()
        side = config.vision.image_size

        def read() -> None:
            for _ in range(2):
                seen = model.see(torch.rand(1, 3, side, side))
                memory.append(model.project(seen), start=cache.length + 1)
                text_1TC = model.embed(torch.arange(3, 43)[None])
                embeddings_1TC = torch.cat([model.embed_picture(seen), text_1TC], 1)
                model.decoder(embeddings_1TC, cache=cache, pictures=memory)

        def write() -> None:
            ids_11 = torch.tensor([[5]])
            for _ in range(_WRITTEN):
                hidden_11C = model.decoder(model.embed(ids_11), cache=cache, pictures=memory)
                ids_11 = model.decoder.logits(hidden_11C).argmax(-1)

        def draw() -> None:
            before = model.see(torch.rand(1, 3, side, side))
            hidden_TC = torch.randn(100, config.decoder.hidden_size)
            with brought_to(model.drawing, torch.device(device)):
                draw_picture(model, hidden_TC, before, DrawSettings(steps=2))

        phase("read", read)
        phase("write", write)
        if model.image_decoder is not None:
            phase("draw", draw)
    there = [part for part in model.children() if not (options.offload and part is model.image_decoder)]
    finish(
        options,
        bits=options.bits,
        offload=options.offload,
        limit_gb=options.limit_gb,
        peak_mb=peaks,
        floor_mb={"weights": weight_bytes(*there) // 2**20, "drawing": weight_bytes(model) // 2**20},
    )


if __name__ == "__main__":
    main()
