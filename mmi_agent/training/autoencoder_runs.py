"""A training of the autoencoder as a person asks for it: names and paths become a trainer, a run becomes an adapter."""

# N pictures, S side

from collections.abc import Callable, Sequence
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from pydantic import JsonValue
from torch import Tensor

from mmi_agent.checkpoints.adapters import (
    AdapterManifest,
    Dataset,
    kept_or_removed,
    save_adapter,
    weights_fingerprint,
)
from mmi_agent.errors import CheckpointError
from mmi_agent.inference.loading import MMInterleaved
from mmi_agent.models.image_decoder import ImageDecoder
from mmi_agent.picture_page import PictureRow, write_picture_page
from mmi_agent.training.autoencoder import AutoencoderPlan, AutoencoderTrainer
from mmi_agent.training.commit import commit_of_code
from mmi_agent.training.picture_stream import PictureSource, open_sources
from mmi_agent.training.reconstruction import Judgement, fold_latents, judge_autoencoder, reconstruct

__all__ = ["AutoencoderRun", "as_png"]

_ADAPTER, _PAGE = "adapter", "reconstructions.html"
_NAMED = "image_decoder.autoencoder."
_SHOWN = 20
_MEASURED = 400  # pictures over which latents are measured
_SAME = 0.02  # of 0..1: folding may move a pixel so far, by rounding


class AutoencoderRun:
    """A run in its folder, begun or gone on with.

    Args:
        preset: The model whose autoencoder is trained; the adapter is for the bare preset.
        data: Files and folders, each maybe with "=weight".
        plan: What is asked.
        folder: The run's.
        progress: Told what is being done while it takes long.

    Attributes:
        trainer: The trainer, at the latest checkpoint where there is one.
        adapter: Where the adapter goes.
        page: Where pictures beside their reconstructions go.

    Raises:
        DataError: If the data cannot be used.
        ConfigError: If the folder holds another run, or the model has no image decoder.
        CheckpointError: If weights or a checkpoint are missing or damaged.
    """

    def __init__(
        self,
        *,
        preset: str,
        data: Sequence[str],
        plan: AutoencoderPlan,
        folder: Path,
        progress: Callable[[str], None],
    ) -> None:
        self._sources = open_sources(data)
        self._preset, self._folder, self._plan = preset, folder, plan
        progress(f"loading {preset}")
        model = MMInterleaved.from_pretrained(preset, weights="base", progress=progress).model
        self._base = weights_fingerprint(model)
        self._decoder: ImageDecoder = model.drawing
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.backends.cudnn.benchmark = True  # batches are all of one shape
        progress("looking for pictures that are held back")
        self.trainer = AutoencoderTrainer(
            self._decoder.autoencoder,
            image_size=self._decoder.config.image_size,
            plan=plan,
            sources=self._sources,
            folder=folder,
            base=self._base,
            device=device,
        )
        self.adapter, self.page = folder / _ADAPTER, folder / _PAGE

    def finish(self) -> tuple[AdapterManifest, Judgement]:
        """Folds the latents' spread into the layers, and writes adapter and page of the weights so far.

        Returns:
            What is known of the adapter, and how good it is on pictures that were held back; on some that were trained
            on where none were.

        Raises:
            CheckpointError: If they cannot be written, or folding changed what comes out.
        """
        made = self.trainer.averaged()
        held = self.trainer.held_back
        judged_N3SS = held if len(held) else self.trainer.some_pictures(_SHOWN)
        before = reconstruct(made, judged_N3SS[:_SHOWN].float() / 255)
        measured_N3SS = self.trainer.some_pictures(_MEASURED).float() / 255
        fold_latents(made, measured_N3SS, scale=self._decoder.config.autoencoder.scale)
        after = reconstruct(made, judged_N3SS[:_SHOWN].float() / 255)
        if not (moved := (after - before).abs().max().item()) <= _SAME:
            raise CheckpointError(f"folding the latents moved a pixel by {moved:.3f} of 1: the weights are damaged")
        found = judge_autoencoder(made, judged_N3SS)
        self._write_page(judged_N3SS[:_SHOWN], after, found)
        if kept := kept_or_removed(self.adapter, steps=self.trainer.state.step):
            return kept, found
        tensors = {f"{_NAMED}{name}": tensor.detach().cpu() for name, tensor in made.named_parameters()}
        return save_adapter(self.adapter, tensors, self._manifest(found)), found

    def _manifest(self, found: Judgement) -> AdapterManifest:
        recipe: dict[str, JsonValue] = {"name": "autoencoder", "lora": None, **asdict(self._plan)}
        state = self.trainer.state
        return AdapterManifest(
            preset=self._preset,
            base=self._base,
            lora_scale=None,
            recipe=recipe,
            data=tuple(map(_dataset, self._sources)),
            seed=self._plan.seed,
            steps=state.step,
            samples=state.counters.samples,
            tokens=0,
            commit=commit_of_code(),
            figures={"psnr": found.psnr, "error": found.error, "pictures": float(found.pictures)},
        )

    def _write_page(self, wanted_N3SS: Tensor, made_N3SS: Tensor, found: Judgement) -> None:
        pairs = zip(wanted_N3SS, made_N3SS, strict=True)
        rows = [PictureRow("", (as_png(wanted_3SS.float() / 255), as_png(made_3SS))) for wanted_3SS, made_3SS in pairs]
        told = "held back from training" if len(self.trainer.held_back) else "of those that were trained on"
        said = [f"After {self.trainer.state.step} steps: {found}. Pictures {told}."]
        write_picture_page(
            self.page, title="Reconstructions", said=said, heads=("picture", "reconstruction"), rows=rows
        )


def as_png(pixels_3HW: Tensor) -> bytes:
    """Encodes a picture, RGB in 0..1."""
    array: Any = (pixels_3HW.detach().float().cpu().clamp(0, 1).permute(1, 2, 0) * 255).round().numpy().astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def _dataset(source: PictureSource) -> Dataset:
    reader = source.reader
    return Dataset(name=reader.name, fingerprint=source.fingerprint, samples=len(reader), weight=source.weight)
