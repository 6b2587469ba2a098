"""CLIP's vision transformer with a ViT-Adapter beside it: pixels in, feature maps of four sizes out.

The transformer sees patches of one size. The adapter carries finer and coarser cells along: before each quarter of
the layers the patches look at the cells, after it the cells look at the patches.
"""

# B pictures, C width, T class token and patches, Q patches, S cells of three levels, G side of the patch grid,
# H W height and width

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmi_agent.errors import ConfigError, ShapeError
from mmi_agent.models.attention import MultiHeadAttention
from mmi_agent.models.deformable_attention import DeformableAttention

__all__ = ["EncodedPictures", "VisionEncoder", "VisionEncoderConfig"]

_NUM_STAGES = 4
_PIXELS_PER_CELL = 16  # of the adapter's input, at the level of the patches
_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True, kw_only=True)
class VisionEncoderConfig:
    """Sizes of a `VisionEncoder`.

    Attributes:
        width: C, of transformer and adapter.
        intermediate_size: Channels inside the transformer's feed-forward layers.
        num_layers: Transformer layers, divisible by 4.
        num_heads: Attention heads of transformer and adapter.
        image_size: Side of the square picture, in pixels.
        patch_size: Side of a patch, in pixels; an even number of them must fit.
        stem_width: Channels of the adapter's first convolutions.
        num_points: Sampling points of each adapter head on each level.
        norm_eps: Added to the variance in the transformer's norms.
    """

    width: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    image_size: int = 224
    patch_size: int = 14
    stem_width: int = 64
    num_points: int = 4
    norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        if self.num_layers % _NUM_STAGES:
            raise ConfigError(f"num_layers {self.num_layers} is not divisible by {_NUM_STAGES}")
        if self.image_size % (2 * self.patch_size):
            raise ConfigError(f"image_size {self.image_size} does not hold an even number of {self.patch_size} px")

    @property
    def grid_width(self) -> int:
        """G: patches side by side."""
        return self.image_size // self.patch_size

    @property
    def map_widths(self) -> tuple[int, int, int, int]:
        """Sides of the four feature maps, in cells, finest first."""
        grid = self.grid_width
        return 4 * grid, 2 * grid, grid, grid // 2


class EncodedPictures(NamedTuple):
    """What the encoder saw."""

    tokens: Tensor
    """(B, T, C): the class token, then the patches row by row."""
    maps: tuple[Tensor, ...]
    """Four feature maps (B, C, H, W) of `VisionEncoderConfig.map_widths`."""


class VisionEncoder(nn.Module):
    """The transformer and its adapter.

    Source: CLIP (arXiv:2103.00020), ViT-Adapter (arXiv:2205.08534); with the class token kept out of the adapter, as
    in MM-Interleaved.
    """

    def __init__(self, config: VisionEncoderConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.class_token = nn.Parameter(torch.empty(width))
        self.patches = nn.Conv2d(3, width, config.patch_size, stride=config.patch_size, bias=False)
        self.positions = nn.Embedding(config.grid_width**2 + 1, width)
        self.norm = nn.LayerNorm(width, eps=config.norm_eps)
        self.layers = nn.ModuleList(VisionLayer(config) for _ in range(config.num_layers))
        self.spatial_prior = SpatialPrior(width, config.stem_width)
        self.levels = nn.Embedding(3, width)
        self.injectors = nn.ModuleList(Injector(config) for _ in range(_NUM_STAGES))
        self.extractors = nn.ModuleList(Extractor(config) for _ in range(_NUM_STAGES + 2))
        self.finer = nn.ConvTranspose2d(width, width, 2, stride=2)
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(_CLIP_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_CLIP_STD).view(3, 1, 1), persistent=False)
        for parameter in (self.class_token, self.positions.weight, self.levels.weight):
            nn.init.normal_(parameter, std=0.02)

    def forward(self, pixels_BCHW: Tensor) -> EncodedPictures:
        """Looks at pictures.

        Args:
            pixels_BCHW: RGB in 0..1, `image_size` high and wide.

        Raises:
            ShapeError: If the pictures have another size.
        """
        expected = (3, self.config.image_size, self.config.image_size)
        if pixels_BCHW.ndim != 4 or pixels_BCHW.shape[1:] != expected:
            raise ShapeError(f"pixels must be (pictures, {expected}), got {tuple(pixels_BCHW.shape)}")
        pixels_BCHW = (pixels_BCHW - self.mean) / self.std
        B, grid = len(pixels_BCHW), self.config.grid_width

        patches_BQC = self.patches(pixels_BCHW).flatten(2).transpose(1, 2)
        tokens_BTC = torch.cat([self.class_token.expand(B, 1, -1), patches_BQC], 1) + self.positions.weight
        tokens_BTC = self.norm(tokens_BTC)
        finest_BCHW, cells_BSC = self._spatial_cells(pixels_BCHW)

        stage_maps: list[Tensor] = []
        for stage in range(_NUM_STAGES):
            tokens_BTC, cells_BSC = self._stage(stage, tokens_BTC, cells_BSC)
            stage_maps.append(tokens_BTC[:, 1:].transpose(1, 2).reshape(B, -1, grid, grid))
        return EncodedPictures(tokens_BTC, self._maps(finest_BCHW, cells_BSC, stage_maps))

    def _spatial_cells(self, pixels_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Convolves the picture into the finest map, and into the cells of the three coarser ones."""
        side = _PIXELS_PER_CELL * self.config.grid_width
        resized_BCHW = F.interpolate(pixels_BCHW, size=(side, side), mode="bilinear", align_corners=False)
        finest_BCHW, *coarser = self.spatial_prior(resized_BCHW)
        levels = [_rows(map_BCHW) + level for map_BCHW, level in zip(coarser, self.levels.weight, strict=True)]
        return finest_BCHW, torch.cat(levels, 1)

    def _stage(self, stage: int, tokens_BTC: Tensor, cells_BSC: Tensor) -> tuple[Tensor, Tensor]:
        """Runs a quarter of the layers, with the adapter's exchange before and after it."""
        class_B1C, patches_BQC = tokens_BTC[:, :1], tokens_BTC[:, 1:]
        tokens_BTC = torch.cat([class_B1C, self.injectors[stage](patches_BQC, cells_BSC)], 1)
        depth = len(self.layers) // _NUM_STAGES
        for index in range(stage * depth, (stage + 1) * depth):
            tokens_BTC = self.layers[index](tokens_BTC)
        last = len(self.extractors) if stage == _NUM_STAGES - 1 else stage + 1
        for index in range(stage, last):
            cells_BSC = self.extractors[index](cells_BSC, tokens_BTC[:, 1:])
        return tokens_BTC, cells_BSC

    def _maps(self, finest_BCHW: Tensor, cells_BSC: Tensor, stage_maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Adds the four stages to the four levels, a stage's map scaled to its level."""
        coarser = _unflatten(cells_BSC, self.config.map_widths[1:])
        levels = [self.finer(coarser[0]) + finest_BCHW, *coarser]
        return tuple(
            level + F.interpolate(stage, size=level.shape[-2:], mode="bilinear", align_corners=False)
            for level, stage in zip(levels, stage_maps, strict=True)
        )


class VisionLayer(nn.Module):
    """A transformer layer, normalised before attention and feed-forward."""

    def __init__(self, config: VisionEncoderConfig) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.width, eps=config.norm_eps)
        self.attention = MultiHeadAttention(width=config.width, num_heads=config.num_heads)
        self.feed_forward_norm = nn.LayerNorm(config.width, eps=config.norm_eps)
        self.up = nn.Linear(config.width, config.intermediate_size)
        self.down = nn.Linear(config.intermediate_size, config.width)

    def forward(self, tokens_BTC: Tensor) -> Tensor:
        """Returns the tokens after this layer."""
        tokens_BTC = tokens_BTC + self.attention(self.attention_norm(tokens_BTC))
        inner_BTX = self.up(self.feed_forward_norm(tokens_BTC))
        return tokens_BTC + self.down(inner_BTX * torch.sigmoid(1.702 * inner_BTX))  # CLIP's own GELU


class Injector(nn.Module):
    """Lets the patches look at the cells of all levels, behind a gate that starts closed."""

    def __init__(self, config: VisionEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_norm = nn.LayerNorm(config.width)
        self.cell_norm = nn.LayerNorm(config.width)
        self.attention = _adapter_attention(config, num_levels=3)
        self.gate = nn.Parameter(torch.zeros(config.width))

    def forward(self, patches_BQC: Tensor, cells_BSC: Tensor) -> Tensor:
        """Returns the patches with what they saw."""
        sizes = [(width, width) for width in self.config.map_widths[1:]]
        centres_Q2 = _centres([self.config.grid_width], patches_BQC)
        seen_BQC = self.attention(self.patch_norm(patches_BQC), centres_Q2, self.cell_norm(cells_BSC), sizes)
        return patches_BQC + self.gate * seen_BQC


class Extractor(nn.Module):
    """Lets the cells of all levels look at the patches, and then at the cells next to them."""

    def __init__(self, config: VisionEncoderConfig) -> None:
        super().__init__()
        self.config = config
        inner_width = config.width // 4
        self.cell_norm = nn.LayerNorm(config.width)
        self.patch_norm = nn.LayerNorm(config.width)
        self.attention = _adapter_attention(config, num_levels=1)
        self.feed_forward_norm = nn.LayerNorm(config.width)
        self.up = nn.Linear(config.width, inner_width)
        self.neighbours = nn.Conv2d(inner_width, inner_width, 3, padding=1, groups=inner_width)
        self.down = nn.Linear(inner_width, config.width)

    def forward(self, cells_BSC: Tensor, patches_BQC: Tensor) -> Tensor:
        """Returns the cells with what they saw."""
        grid, widths = self.config.grid_width, self.config.map_widths[1:]
        centres_S2 = _centres(widths, cells_BSC)
        seen_BSC = self.attention(self.cell_norm(cells_BSC), centres_S2, self.patch_norm(patches_BQC), [(grid, grid)])
        cells_BSC = cells_BSC + seen_BSC
        inner_BSX = self.up(self.feed_forward_norm(cells_BSC))
        mixed_BSX = torch.cat([_rows(self.neighbours(map_BXHW)) for map_BXHW in _unflatten(inner_BSX, widths)], 1)
        return cells_BSC + self.down(F.gelu(mixed_BSX))


class SpatialPrior(nn.Module):
    """Convolutions that halve the picture from 1/4 to 1/32 of its side, one map each."""

    def __init__(self, width: int, stem_width: int) -> None:
        super().__init__()
        widths = (stem_width, 2 * stem_width, 4 * stem_width, 4 * stem_width)
        self.stem = nn.Sequential(
            _Convolution(3, stem_width, stride=2),
            _Convolution(stem_width, stem_width, stride=1),
            _Convolution(stem_width, stem_width, stride=1),
        )
        self.halvings = nn.ModuleList(_Convolution(widths[i], widths[i + 1], stride=2) for i in range(3))
        self.projections = nn.ModuleList(nn.Conv2d(inner_width, width, 1) for inner_width in widths)

    def forward(self, pixels_BCHW: Tensor) -> list[Tensor]:
        """Returns four maps, finest first."""
        maps = [F.max_pool2d(self.stem(pixels_BCHW), 3, stride=2, padding=1)]
        for halve in self.halvings:
            maps.append(halve(maps[-1]))
        return [project(map_BCHW) for project, map_BCHW in zip(self.projections, maps, strict=True)]


class _Convolution(nn.Module):
    """A 3 x 3 convolution, normalised over channels, cut off below zero."""

    def __init__(self, width: int, result_width: int, *, stride: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(width, result_width, 3, stride=stride, padding=1, bias=False)
        self.norm = nn.LayerNorm(result_width, eps=1e-6)

    def forward(self, map_BCHW: Tensor) -> Tensor:
        last_BHWC = self.convolution(map_BCHW).permute(0, 2, 3, 1)
        return F.relu(self.norm(last_BHWC)).permute(0, 3, 1, 2)


def _adapter_attention(config: VisionEncoderConfig, *, num_levels: int) -> DeformableAttention:
    return DeformableAttention(
        width=config.width,
        value_width=config.width // 2,
        num_heads=config.num_heads,
        num_levels=num_levels,
        num_points=config.num_points,
    )


def _rows(map_BCHW: Tensor) -> Tensor:
    """Flattens a map row by row: (B, cells, C)."""
    return map_BCHW.flatten(2).transpose(1, 2)


def _unflatten(cells_BSC: Tensor, widths: Sequence[int]) -> list[Tensor]:
    """Takes joined levels apart again: one (B, C, width, width) each."""
    levels = torch.split(cells_BSC, [width * width for width in widths], dim=1)
    return [
        level.transpose(1, 2).reshape(len(level), -1, width, width) for level, width in zip(levels, widths, strict=True)
    ]


def _centres(widths: Sequence[int], like: Tensor) -> Tensor:
    """Middles of the cells of joined square levels, (x, y) in 0..1."""
    levels: list[Tensor] = []
    for width in widths:
        middle = (torch.arange(width, device=like.device, dtype=like.dtype) + 0.5) / width
        levels.append(torch.cartesian_prod(middle, middle).flip(-1))
    return torch.cat(levels)
