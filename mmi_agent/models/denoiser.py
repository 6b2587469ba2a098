"""The diffusion UNet that draws, with a synchronizer on each of its skip connections and in its middle.

Its convolutions and attentions are diffusers' own blocks, under diffusers' own names; what is ours is the walk through
them, and the look at earlier pictures between the way down and the way up. What it looks at is projected once for a
whole drawing, since it does not depend on the step of the diffusion.
"""

# B pictures in the making, A channels of latents, H W height and width, K condition tokens, X width of the condition,
# I pictures looked at, S cells of a picture, F width of picture features, C channels of a skip, Q places of a skip

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmi_agent.errors import ConfigError, ShapeError
from mmi_agent.models.feature_synchronizer import FeatureSynchronizer, FeatureSynchronizerConfig
from mmi_agent.models.positions import grid_positions
from mmi_agent.quiet_imports import quiet_imports

__all__ = ["Denoiser", "DenoiserConfig"]


@dataclass(frozen=True, kw_only=True)
class DenoiserConfig:
    """Sizes of a `Denoiser`.

    Attributes:
        latent_width: Side of the square of latents, in cells; divisible by 2 at every level but the last.
        latent_channels: A.
        widths: Channels of each level, finest first.
        num_heads: Attention heads of each level.
        attends: Whether a level attends to the condition.
        condition_width: X.
        blocks_per_level: Residual blocks on each level of the way down; the way up has one more.
        norm_groups: Groups of every group norm.
        feature_width: F.
        level_widths: Side of each feature map that is looked at, in cells, in the order in which they are joined.
        value_width: Channels of projected features.
        num_ranks: Rows of the table of picture ranks: the latest `num_ranks - 1` pictures can be looked at.
        looking_heads: Heads of each synchronizer.
    """

    latent_width: int
    latent_channels: int = 4
    widths: tuple[int, ...]
    num_heads: tuple[int, ...]
    attends: tuple[bool, ...]
    condition_width: int
    blocks_per_level: int = 2
    norm_groups: int = 32
    feature_width: int
    level_widths: tuple[int, ...] = (64, 32, 16, 8)
    value_width: int = 1024
    num_ranks: int = 10
    looking_heads: int = 16

    def __post_init__(self) -> None:
        if not len(self.widths) == len(self.num_heads) == len(self.attends):
            raise ConfigError(f"widths, num_heads and attends differ in length: {self.widths}, {self.num_heads}")
        if self.latent_width % 2 ** (len(self.widths) - 1):
            raise ConfigError(f"latent_width {self.latent_width} cannot be halved {len(self.widths) - 1} times")

    @property
    def skips(self) -> list[tuple[int, int]]:
        """(channels, side in cells) of each skip connection, in order."""
        side, skips = self.latent_width, [(self.widths[0], self.latent_width)]
        for level, width in enumerate(self.widths):
            skips += [(width, side)] * self.blocks_per_level
            if level < len(self.widths) - 1:
                side //= 2
                skips.append((width, side))
        return skips


class Denoiser(nn.Module):
    """Tells the noise in latents, given a condition and the pictures before.

    Source: Stable Diffusion 2.1 (arXiv:2112.10752) with synchronizers as in MM-Interleaved, sec. 3.2 and fig. 3
    (arXiv:2401.10208).
    """

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        with quiet_imports():  # takes seconds; typed in part
            unet: Any = import_module("diffusers").UNet2DConditionModel
        self.config = config
        down = ["CrossAttnDownBlock2D" if attends else "DownBlock2D" for attends in config.attends]
        up = ["CrossAttnUpBlock2D" if attends else "UpBlock2D" for attends in reversed(config.attends)]
        self.unet: Any = unet(
            sample_size=config.latent_width,
            in_channels=config.latent_channels,
            out_channels=config.latent_channels,
            block_out_channels=config.widths,
            layers_per_block=config.blocks_per_level,
            cross_attention_dim=config.condition_width,
            attention_head_dim=config.num_heads,  # a number of heads, whatever diffusers calls it
            norm_num_groups=config.norm_groups,
            use_linear_projection=True,
            down_block_types=tuple(down),
            up_block_types=tuple(up),
        )
        self.looks = nn.ModuleList(SkipSynchronizer(config, width, side) for width, side in config.skips)
        self.middle_look = SkipSynchronizer(config, *config.skips[-1])

    def project(self, features_BISF: Tensor) -> list[Tensor]:
        """Projects picture features for every synchronizer, once for all steps of a drawing.

        Args:
            features_BISF: Feature maps, flattened row by row and joined in the order of `level_widths`.

        Returns:
            One tensor (B, I, S, heads, head width) per skip, and one for the middle.
        """
        return [look.project(features_BISF) for look in self._all_looks()]

    def forward(
        self,
        latents_BAHW: Tensor,
        timesteps_B: Tensor,
        condition_BKX: Tensor,
        values: Sequence[Tensor] = (),
        visible_BI: Tensor | None = None,
        *,
        looks: bool = True,
    ) -> Tensor:
        """Predicts the noise, or the velocity, that is in latents.

        Args:
            latents_BAHW: Noisy latents.
            timesteps_B: How noisy, in steps of training.
            condition_BKX: What is to be drawn.
            values: What `project` returned; their batch may be 1 where all rows look at the same pictures. Empty
                where there is nothing to look at.
            visible_BI: True where a row may look at a picture; None where all may look at all.
            looks: Whether the synchronizers have a say at all; off only to measure what they are worth.

        Raises:
            ShapeError: If the latents have another size.
        """
        expected = (self.config.latent_channels, self.config.latent_width, self.config.latent_width)
        if latents_BAHW.shape[1:] != expected:
            raise ShapeError(f"latents must be (batch, {expected}), got {tuple(latents_BAHW.shape)}")
        unet = self.unet
        time_BX: Tensor = unet.time_embedding(unet.time_proj(timesteps_B).to(latents_BAHW.dtype))

        sample: Tensor = unet.conv_in(latents_BAHW)
        skips: list[Tensor] = [sample]
        for block in unet.down_blocks:
            sample, outputs = block(hidden_states=sample, temb=time_BX, encoder_hidden_states=condition_BKX)
            skips += outputs
        sample = unet.mid_block(sample, time_BX, encoder_hidden_states=condition_BKX)

        if looks:
            *skips, sample = self._look([*skips, sample], values, visible_BI)

        for block in unet.up_blocks:
            count = len(block.resnets)
            skips, taken = skips[:-count], tuple(skips[-count:])
            sample = block(
                hidden_states=sample,
                res_hidden_states_tuple=taken,
                temb=time_BX,
                encoder_hidden_states=condition_BKX,
            )
        return unet.conv_out(unet.conv_act(unet.conv_norm_out(sample)))

    def _look(self, maps: Sequence[Tensor], values: Sequence[Tensor], visible_BI: Tensor | None) -> list[Tensor]:
        each = [*values] if values else [None] * len(maps)
        looks = self._all_looks()
        return [m + look(m, value, visible_BI) for m, look, value in zip(maps, looks, each, strict=True)]

    def _all_looks(self) -> "list[SkipSynchronizer]":
        return [look for look in (*self.looks, self.middle_look) if isinstance(look, SkipSynchronizer)]


class SkipSynchronizer(nn.Module):
    """What is added to a skip connection: each of its places looks at the pictures before, around where it stands.

    Args:
        config: Sizes of the denoiser.
        width: C.
        side: Of the map, in cells.
    """

    def __init__(self, config: DenoiserConfig, width: int, side: int) -> None:
        super().__init__()
        self.token_norm = nn.LayerNorm(width, eps=1e-6)
        self.feature_norm = nn.LayerNorm(config.feature_width, eps=1e-6)
        self.synchronizer = FeatureSynchronizer(
            FeatureSynchronizerConfig(
                token_width=width,
                feature_width=config.feature_width,
                value_width=config.value_width,
                level_widths=config.level_widths,
                num_heads=config.looking_heads,
                num_ranks=config.num_ranks,
                offset_unit=side,
            )
        )
        self.output = nn.Conv2d(width, width, 1)
        for parameter in self.output.parameters():
            nn.init.zeros_(parameter)
        table = F.interpolate(
            grid_positions(width, config.latent_width)[None], size=(side, side), mode="bicubic", align_corners=False
        )
        middle = (torch.arange(side) + 0.5) / side
        self.positions: Tensor
        self.centres: Tensor
        self.register_buffer("positions", table[0].flatten(1).T.contiguous(), persistent=False)
        self.register_buffer("centres", torch.cartesian_prod(middle, middle).flip(-1), persistent=False)

    def project(self, features_BISF: Tensor) -> Tensor:
        """Normalises and projects picture features; see `FeatureSynchronizer.project`."""
        return self.synchronizer.project(self.feature_norm(features_BISF))

    def forward(self, map_BCHW: Tensor, values_BISND: Tensor | None, visible_BI: Tensor | None) -> Tensor:
        """Returns what to add to a map; see `FeatureSynchronizer.forward`."""
        tokens_BQC = self.token_norm(map_BCHW.flatten(2).transpose(1, 2)) + self.positions
        visible_BQI = None if visible_BI is None else visible_BI[:, None].expand(-1, tokens_BQC.shape[1], -1)
        seen_BQC = self.synchronizer(tokens_BQC, values_BISND, visible_BQI, centres_T2=self.centres)
        return self.output(seen_BQC.transpose(1, 2).unflatten(2, map_BCHW.shape[-2:]))
