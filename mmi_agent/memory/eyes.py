"""Picture vectors from the model's own eyes: what its vision encoder makes of each quarter of a picture.

What it makes of a plain grey picture is taken off, so that two vectors are alike where two pictures are, and not
because every picture has something in common.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from mmi_agent.inference.document import pixels_of
from mmi_agent.models.configs import preset
from mmi_agent.models.vision_encoder import VisionEncoder

__all__ = ["ModelEyes"]

_QUARTERS = 2  # a side: screens differ in where things stand


class ModelEyes:
    """Embeds pictures.

    Args:
        encoder: A vision encoder; None is the one of `small` as it is built, which nothing has trained yet.
        name: What its vectors are known by: other weights need another name.
    """

    def __init__(self, encoder: VisionEncoder | None = None, *, name: str = "eyes-of-small-untrained-1") -> None:
        self.name = name
        self._encoder = (encoder or _untrained()).eval()
        side = self._encoder.config.image_size
        self._grey_D = self._seen(torch.full((1, 3, side, side), 0.5))[0]

    def embed_pictures(self, pictures: list[bytes]) -> Sequence[Sequence[float]]:
        """One vector for each encoded picture.

        Raises:
            ActionError: If one is no picture that can be read.
        """
        side = self._encoder.config.image_size
        return [(self._seen(pixels_of(data, side))[0] - self._grey_D).tolist() for data in pictures]

    def _seen(self, pixels_PCHW: Tensor) -> Tensor:
        """(P, D): the mean over the patches of each quarter, one after the other."""
        with torch.inference_mode():
            patches_PTC = self._encoder(pixels_PCHW).tokens[:, 1:]
            grid_PCHW = patches_PTC.transpose(1, 2).unflatten(2, (self._encoder.config.grid_width, -1))
            return F.adaptive_avg_pool2d(grid_PCHW, _QUARTERS).flatten(1)


def _untrained() -> VisionEncoder:
    """The vision encoder of `small`: the first that is built of it, so its weights follow from the seed alone."""
    state = torch.get_rng_state()
    try:
        torch.default_generator.manual_seed(0)
        return VisionEncoder(preset("small").vision)
    finally:
        torch.set_rng_state(state)
