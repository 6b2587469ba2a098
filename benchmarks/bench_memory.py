"""How much memory each phase takes at its peak: building, reading, writing, drawing.

    python benchmarks/bench_memory.py [--size middle] [--device cpu] [--bits 8] [--offload] [--limit-gb 24]

A document of two pictures and text is read, 64 tokens are written, and a picture is drawn where the size has a hand.
`--bits` quantizes the decoder, `--offload` keeps the image decoder on the CPU but while it draws. `--limit-gb` lets a
GPU have no more than so much, in GiB, less what the driver keeps for a process, so that a small card can be tried on a
large one; a phase that does not fit says so. On a GPU the weights to quantize are windows on a strip of random numbers
on the CPU: they go to the device as any others would, one by one. The floor is the bytes of the weights that have to be
there. "reserved" is what PyTorch held of the device at most, "used" what was not free at the end.
"""

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import torch
from sizes import benchmark, config_of, finish, like, note, on, open_gates, weight_bytes
from torch import Tensor

from mmi_agent.errors import DeviceMemoryError
from mmi_agent.inference.drawing import DrawSettings, draw_picture
from mmi_agent.inference.offloading import brought_to
from mmi_agent.inference.quantization import quantize
from mmi_agent.models.feature_synchronizer import PictureMemory
from mmi_agent.models.mm_interleaved import MMInterleavedModel
from mmi_agent.models.visual_tokenizer import VisualFeatures

_WRITTEN, _STRIP = 64, 1 << 16


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

    def of_device(self) -> dict[str, int]:
        """What PyTorch held of a GPU at most, and what is not free of it now, in megabytes."""
        if not self._is_cuda:
            return {}
        free, total = torch.cuda.mem_get_info()
        return {"reserved": torch.cuda.max_memory_reserved() // 2**20, "used": (total - free) // 2**20}


def limit(gigabytes: float) -> int:
    """Lets this process have what a card of so many GiB would leave it; returns what the driver keeps, in megabytes."""
    torch.zeros(1, device="cuda")  # the context is there from now on
    free, total = torch.cuda.mem_get_info()
    kept = total - free - torch.cuda.memory_reserved()
    cuda: Any = torch.cuda
    whole = cuda.get_device_properties(0).total_memory
    cuda.set_per_process_memory_fraction((gigabytes * 2**30 - kept) / whole)
    return kept // 2**20


def windows(model: MMInterleavedModel, dtype: torch.dtype) -> dict[str, Tensor]:
    """Language weights that take no memory: row i of a matrix is a strip of random numbers from the i-th on."""
    strip = torch.randn(_STRIP, device="cpu", dtype=torch.float32).to(dtype)
    weights: dict[str, Tensor] = {}
    for name in model.decoder.language_weight_names():
        shape = model.decoder.get_parameter(name).shape
        scale = shape[-1] ** -0.5
        weights[name] = (
            (strip * scale).as_strided(shape, (1, 1))
            if len(shape) == 2
            else torch.full(shape, 0.0 if name.endswith("bias") else 1.0, device="cpu", dtype=dtype)
        )
    return weights


def build(options: argparse.Namespace) -> MMInterleavedModel:
    """Builds a model as it is loaded: what is quantized, or kept away, is never on the device as it was before."""
    dtype, hand_at = getattr(torch, options.dtype), "cpu" if options.offload else options.device
    by_windows = options.bits is not None and options.device != "cpu"
    config = config_of(options.size, draws=True)
    with on(options):
        model = MMInterleavedModel(config, language_device="meta" if by_windows else None).eval()
        if by_windows:
            model.decoder.assign_language_weights(windows(model, dtype))
        hand, model.image_decoder = model.drawing.to(hand_at, dtype), None
        torch.cuda.empty_cache()
        open_gates(model)
    with torch.inference_mode():
        if options.bits:
            quantize(model.decoder, options.bits, device=options.device)
        else:
            model.decoder.to(dtype)
        model.visual_tokenizer.to(dtype)
        model.to(options.device)
    model.image_decoder = hand
    return model


class Document:
    """What is read, written and drawn."""

    def __init__(self, model: MMInterleavedModel, options: argparse.Namespace) -> None:
        self._model, self._device = model, torch.device(options.device)
        self._cache, self._memory = model.decoder.open_cache(), PictureMemory()

    def _picture(self) -> VisualFeatures:
        side = self._model.config.vision.image_size
        return self._model.see(torch.rand(1, 3, side, side, **like(self._model)))

    def read(self) -> None:
        """Reads pictures and text."""
        model = self._model
        for _ in range(2):
            seen = self._picture()
            self._memory.append(model.project(seen), start=self._cache.length + 1)
            text_1TC = model.embed(torch.arange(3, 43, device=self._device)[None])
            embeddings_1TC = torch.cat([model.embed_picture(seen), text_1TC], 1)
            model.decoder(embeddings_1TC, cache=self._cache, pictures=self._memory)

    def write(self) -> None:
        """Writes tokens."""
        model, ids_11 = self._model, torch.tensor([[5]], device=self._device)
        for _ in range(_WRITTEN):
            hidden_11C = model.decoder(model.embed(ids_11), cache=self._cache, pictures=self._memory)
            ids_11 = model.decoder.logits(hidden_11C).argmax(-1)

    def draw(self) -> None:
        """Draws a picture, in two steps: more take no more memory."""
        hidden_TC = torch.randn(100, self._model.config.decoder.hidden_size, **like(self._model))
        before = self._picture()
        with brought_to(self._model.drawing, self._device):
            draw_picture(self._model, hidden_TC, before, DrawSettings(steps=2))


@torch.inference_mode()
def main() -> None:
    parser = benchmark(__doc__)
    parser.add_argument("--bits", type=int, choices=[4, 8])
    parser.add_argument("--offload", action="store_true")
    parser.add_argument("--limit-gb", type=float)
    options = parser.parse_args()
    with on(options):  # waits, where it is asked to
        pass
    asked = {"bits": options.bits, "offload": options.offload, "limit_gb": options.limit_gb}
    if options.limit_gb:
        asked["kept_by_driver_mb"] = limit(options.limit_gb)
    peak, peaks = Peak(options.device), dict[str, int | str]()

    def phase(name: str, run: Callable[[], object]) -> None:
        peak.begin()
        try:
            run()
            peaks[name] = peak.megabytes()
        except (torch.OutOfMemoryError, DeviceMemoryError) as error:
            peaks[name] = f"does not fit: {str(error).splitlines()[0]}"
        note(options, **asked, peak_mb=peaks)

    made: list[MMInterleavedModel] = []
    phase("build", lambda: made.append(build(options)))
    if not made:
        finish(options, **asked, peak_mb=peaks)
        return
    model, document = made[0], Document(made[0], options)
    for run in (document.read, document.write, document.draw):
        phase(run.__name__, run)
    there = [part for part in model.children() if not (options.offload and part is model.image_decoder)]
    finish(
        options,
        **asked,
        peak_mb=peaks,
        device_mb=peak.of_device(),
        floor_mb={"weights": weight_bytes(*there) // 2**20, "drawing": weight_bytes(model) // 2**20},
    )


if __name__ == "__main__":
    main()
