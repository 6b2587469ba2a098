"""Picture vectors from the model's own eyes: the mean of what its vision encoder makes of the patches.

What it makes of a white page is taken off, so that two vectors are alike where two pictures are, and not because every
picture has something in common.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from mmi_agent.inference.document import pixels_of
from mmi_agent.models.configs import preset
from mmi_agent.models.vision_encoder import VisionEncoder, VisionEncoderConfig

__all__ = ["ModelEyes"]


class ModelEyes:
    """Embeds pictures.

    Args:
        encoder: A vision encoder; None is the one of `small` as it is built, which nothing has trained yet.
        name: What its vectors are known by: other weights need another name.
    """

    def __init__(self, encoder: VisionEncoder | None = None, *, name: str = "eyes of small, untrained") -> None:
        self.name = name
        self._encoder = (encoder or _untrained(preset("small").vision)).eval()
        side = self._encoder.config.image_size
        self._white_C = self._seen(torch.ones(1, 3, side, side))

    def embed_pictures(self, pictures: list[bytes]) -> Sequence[Sequence[float]]:
        """One vector for each encoded picture.

        Raises:
            ActionError: If one is no picture that can be read.
        """
        side = self._encoder.config.image_size
        vectors_PC = torch.stack([self._seen(pixels_of(data, side)) for data in pictures]) - self._white_C
        return cast("Any", vectors_PC).tolist()

    def _seen(self, pixels_1CHW: Tensor) -> Tensor:
        with torch.inference_mode():
            return self._encoder(pixels_1CHW).tokens[0, 1:].mean(0)


def _untrained(config: VisionEncoderConfig) -> VisionEncoder:
    """The vision encoder of a preset: the first that is built of it, so its weights follow from the seed alone."""
    state = torch.get_rng_state()
    try:
        torch.default_generator.manual_seed(0)
        return VisionEncoder(config)
    finally:
        torch.set_rng_state(state)
