"""Eyes for a language decoder: a picture becomes visual tokens of its width, and feature maps to look back at."""

# P pictures, K visual tokens of a picture, C width of the language decoder, F width of the feature maps,
# T class token and patches, S cells of all levels that were asked for, H W height and width

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmi_agent.errors import ConfigError, ShapeError
from mmi_agent.models.perceiver_resampler import PerceiverResampler, PerceiverResamplerConfig
from mmi_agent.models.positions import grid_positions
from mmi_agent.models.vision_encoder import VisionEncoder, VisionEncoderConfig

__all__ = ["VisualFeatures", "VisualTokenizer"]


@dataclass(frozen=True, kw_only=True)
class VisualFeatures:
    """What the model keeps of some pictures.

    Attributes:
        tokens: (P, K, C), visual tokens in the width of the language decoder.
        maps: (P, F, H, W) each, feature maps with positions added, finest first.
    """

    tokens: Tensor
    maps: tuple[Tensor, ...]

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, which: slice | list[int]) -> "VisualFeatures":
        """Some of the pictures, in the order asked for."""
        return VisualFeatures(tokens=self.tokens[which], maps=tuple(map_PFHW[which] for map_PFHW in self.maps))

    def cells(self, widths: Sequence[int]) -> Tensor:
        """Joins the maps of these widths, each flattened row by row: (P, S, F).

        Raises:
            ShapeError: If there is no map of one of the widths.
        """
        maps = {map_PFHW.shape[-1]: map_PFHW for map_PFHW in self.maps}
        if not maps.keys() >= set(widths):
            raise ShapeError(f"feature maps of widths {list(widths)!r} were asked for, there are {list(maps)!r}")
        return torch.cat([maps[width].flatten(2).transpose(1, 2) for width in widths], 1)


class VisualTokenizer(nn.Module):
    """The vision encoder, and the resampler that condenses what it saw.

    Args:
        vision: Sizes of the encoder.
        resampler: Sizes of the resampler; its `feature_width` is the encoder's width.
        token_width: C.

    Source: MM-Interleaved, sec. 3.1 (arXiv:2401.10208).
    """

    def __init__(self, vision: VisionEncoderConfig, resampler: PerceiverResamplerConfig, *, token_width: int) -> None:
        super().__init__()
        if resampler.feature_width != vision.width:
            raise ConfigError(f"resampler.feature_width {resampler.feature_width} is not vision.width {vision.width}")
        self.encoder = VisionEncoder(vision)
        self.projection = nn.Linear(vision.width, vision.width)
        self.projection_norm = nn.LayerNorm(vision.width, eps=1e-6)
        self.position_norm = nn.LayerNorm(vision.width, eps=1e-6)
        self.resampler = PerceiverResampler(resampler)
        self.output = nn.Linear(resampler.width, token_width)
        self.positions: Tensor
        self.register_buffer("positions", grid_positions(vision.width, vision.grid_width), persistent=False)
        nn.init.normal_(self.output.weight, std=1e-3)
        nn.init.zeros_(self.output.bias)

    def forward(self, pixels_PCHW: Tensor) -> VisualFeatures:
        """Looks at pictures.

        Args:
            pixels_PCHW: RGB in 0..1, `image_size` high and wide.

        Raises:
            ShapeError: If the pictures have another size.
        """
        encoded = self.encoder(pixels_PCHW)
        patches_TF = self.positions.flatten(1).T
        positions_TF = torch.cat([torch.zeros_like(patches_TF[:1]), patches_TF])  # the class token is nowhere
        features_PTF = self.projection_norm(self.projection(encoded.tokens)) + positions_TF
        tokens_PKC = self.output(self.resampler(self.position_norm(features_PTF)))
        maps = tuple(map_PFHW + self._positions_at(map_PFHW.shape[-1]) for map_PFHW in encoded.maps)
        return VisualFeatures(tokens=tokens_PKC, maps=maps)

    def _positions_at(self, width: int) -> Tensor:
        """The table of positions, scaled to a map of another width."""
        if width == self.positions.shape[-1]:
            return self.positions
        return F.interpolate(self.positions[None], size=(width, width), mode="bicubic", align_corners=False)[0]
