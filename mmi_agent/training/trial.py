"""`mmi train --try`: a handful of samples that `tiny` has to learn by heart, text and pictures, in a minute or two."""

import tempfile
from collections.abc import Callable, Generator
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image

from mmi_agent.checkpoints.adapters import weights_fingerprint
from mmi_agent.data.encoding import encode_sample
from mmi_agent.data.packing import Batch, collate, pack
from mmi_agent.data.sample import Sample
from mmi_agent.inference.loading import MMInterleaved
from mmi_agent.inference.prompts import Part
from mmi_agent.pictures import MemoryPictures
from mmi_agent.training.objective import Objective, draw_noise
from mmi_agent.training.recipes import Group, Recipe
from mmi_agent.training.supply import Portion
from mmi_agent.training.trainer import Plan, StepReport, Trainer

__all__ = ["TRIAL_STEPS", "Trial", "run_trial"]

TRIAL_STEPS = 40
_TEXT_FALLS, _PICTURE_FALLS = 0.5, 0.25
_ANSWERS = (("grass", "green", (30, 160, 60)), ("the sea", "blue", (20, 60, 200)), ("a rose", "red", (210, 30, 40)))
_NOISES = 4  # draws of noise over which the picture loss is compared
_RECIPE = Recipe(
    name="trial",
    groups=(
        Group(name="autoencoder", pattern=r"image_decoder\.autoencoder\.", rate=0.0),
        Group(name="everything", pattern=r""),
    ),
    learning_rate=3e-3,
    weight_decay=0.0,
    warm_up=0.1,
    floor=0.1,
)


class Trial(NamedTuple):
    """Losses before and after."""

    text: tuple[float, float]
    picture: tuple[float, float]

    @property
    def fell_enough(self) -> bool:
        """Whether both losses fell as far as they must."""
        return _fall(self.text) >= _TEXT_FALLS and _fall(self.picture) >= _PICTURE_FALLS

    def __str__(self) -> str:
        each = (("token", self.text, _TEXT_FALLS), ("picture", self.picture, _PICTURE_FALLS))
        return "; ".join(
            f"{name} loss {losses[0]:.3f} -> {losses[1]:.3f}, fell by {_fall(losses):.0%} ({least:.0%} needed)"
            for name, losses, least in each
        )


class _OneBatch:
    """The same batch at every step."""

    fingerprint = "the samples of the trial"

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    def portions(self, step: int) -> Generator[Portion]:
        """The batch, at every step."""
        while True:
            yield Portion((self._batch,))


def run_trial(report: Callable[[StepReport], None] | None = None) -> Trial:
    """Trains `tiny` on three samples, each with a picture to draw and to read.

    Args:
        report: Told of every step.
    """
    loaded = MMInterleaved.from_pretrained("tiny")
    model = loaded.model
    encoded = [
        encode_sample(sample, loaded.tokenizer, model.config, max_positions=256) for sample in map(_sample, _ANSWERS)
    ]
    batch = collate(pack(encoded, max_positions=256), model.config, draws=True)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model,
            base=weights_fingerprint(model),
            recipe=_RECIPE,
            plan=Plan(steps=TRIAL_STEPS, save_every=TRIAL_STEPS),
            supply=_OneBatch(batch),
            folder=Path(folder),
        )
        before = _losses(trainer.objective, batch)
        trainer.run(report)
        after = _losses(trainer.objective, batch)
    return Trial((before[0], after[0]), (before[1], after[1]))


def _sample(answer: tuple[str, str, tuple[int, int, int]]) -> Sample:
    thing, colour, rgb = answer
    pictures, file = MemoryPictures(), BytesIO()
    Image.new("RGB", (64, 64), rgb).save(file, "PNG")
    picture = pictures.put(file.getvalue())
    parts = (Part(f"{thing} is "), Part(colour, learnt=True), Part(picture, learnt=True), Part(" there", learnt=True))
    return Sample(parts=parts, pictures=pictures, source=f"trial: {thing}")


@torch.no_grad()
def _losses(objective: Objective, batch: Batch) -> tuple[float, float]:
    """Mean losses; that of the pictures over the same noise each time."""
    texts, pictures = [], []
    for number in range(_NOISES):
        draw = draw_noise(objective.model, batch, range(1000 * number, 1000 * (number + 1)))
        costs = objective(batch, draw)
        texts.append(costs.text.item() / batch.num_targets)
        pictures.append(costs.picture.item() / int(batch.draws.sum()))
    return sum(texts) / _NOISES, sum(pictures) / _NOISES


def _fall(losses: tuple[float, float]) -> float:
    before, after = losses
    return 1 - after / before
