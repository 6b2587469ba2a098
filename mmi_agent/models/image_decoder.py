"""The image decoder: hidden states of the language decoder, and the pictures before, become a picture.

A resampler condenses the hidden states into the condition, the denoiser takes noise out of latents step by step, and
an autoencoder turns latents into pixels and back. It does not know which steps are taken: `inference/drawing.py` does.
"""

# P pictures, T tokens of a context, C width of the language decoder, K condition tokens, X width of the condition,
# A channels of latents, H W height and width

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from mmi_agent.errors import ConfigError, ShapeError
from mmi_agent.models.denoiser import Denoiser, DenoiserConfig
from mmi_agent.models.perceiver_resampler import PerceiverResampler, PerceiverResamplerConfig
from mmi_agent.models.positions import line_positions
from mmi_agent.quiet_imports import quiet_imports

__all__ = ["AutoencoderConfig", "DiffusionConfig", "ImageDecoder", "ImageDecoderConfig"]


@dataclass(frozen=True, kw_only=True)
class AutoencoderConfig:
    """Sizes of the autoencoder.

    Attributes:
        widths: Channels of each level, finest first; each but the last halves the map.
        blocks_per_level: Residual blocks on each level of the way down; the way up has one more.
        latent_channels: A.
        norm_groups: Groups of every group norm.
        scale: What latents are multiplied by, so that they have about unit variance.
    """

    widths: tuple[int, ...]
    blocks_per_level: int = 2
    latent_channels: int = 4
    norm_groups: int = 32
    scale: float = 0.18215

    @property
    def pixels_per_latent(self) -> int:
        """Side of the square of pixels that a latent stands for."""
        return 2 ** (len(self.widths) - 1)


@dataclass(frozen=True, kw_only=True)
class DiffusionConfig:
    """How noise grows over the steps of training.

    Attributes:
        num_steps: Steps of training.
        beta_start: Variance that the first step adds.
        beta_end: Variance that the last step adds.
        beta_schedule: How it rises between them: in equal steps of its root, or of itself.
        predicts: What the denoiser tells: the noise, or the velocity of arXiv:2202.00512.
    """

    num_steps: int = 1000
    beta_start: float = 0.00085
    beta_end: float = 0.012
    beta_schedule: Literal["scaled_linear", "linear"] = "scaled_linear"
    predicts: Literal["epsilon", "v_prediction"] = "epsilon"

    def kept_signal(self) -> Tensor:
        """Share of the signal's variance that is left after each step, shape (num_steps,), float32."""
        power = 0.5 if self.beta_schedule == "scaled_linear" else 1.0
        betas = torch.linspace(self.beta_start**power, self.beta_end**power, self.num_steps) ** (1 / power)
        return (1 - betas).cumprod(0)


@dataclass(frozen=True, kw_only=True)
class ImageDecoderConfig:
    """Sizes of an `ImageDecoder`.

    Attributes:
        image_size: Side of the square picture, in pixels.
        resampler: Of the condition; its `feature_width` is the language decoder's width.
        denoiser: Of the denoiser.
        autoencoder: Of the autoencoder.
        diffusion: How noise grows.
    """

    image_size: int
    resampler: PerceiverResamplerConfig
    denoiser: DenoiserConfig
    autoencoder: AutoencoderConfig
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)

    def __post_init__(self) -> None:
        if self.image_size != self.denoiser.latent_width * self.autoencoder.pixels_per_latent:
            raise ConfigError(
                f"image_size {self.image_size} is not denoiser.latent_width {self.denoiser.latent_width} times the "
                f"autoencoder's {self.autoencoder.pixels_per_latent} px"
            )
        if self.resampler.width != self.denoiser.condition_width:
            raise ConfigError(
                f"resampler.width {self.resampler.width} is not condition_width {self.denoiser.condition_width}"
            )


class ImageDecoder(nn.Module):
    """Draws.

    Source: MM-Interleaved, sec. 3.1 and 3.3 (arXiv:2401.10208); latent diffusion (arXiv:2112.10752).
    """

    def __init__(self, config: ImageDecoderConfig) -> None:
        super().__init__()
        with quiet_imports():  # takes seconds; typed in part
            autoencoder_kl: Any = import_module("diffusers").AutoencoderKL
        self.config = config
        resampler, autoencoder = config.resampler, config.autoencoder
        levels = len(autoencoder.widths)
        self.context = nn.Linear(resampler.feature_width, resampler.feature_width)
        self.resampler = PerceiverResampler(resampler)
        self.unconditional = nn.Parameter(torch.empty(resampler.num_queries, resampler.width))
        self.denoiser = Denoiser(config.denoiser)
        self.autoencoder: Any = autoencoder_kl(
            block_out_channels=autoencoder.widths,
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            layers_per_block=autoencoder.blocks_per_level,
            latent_channels=autoencoder.latent_channels,
            norm_num_groups=autoencoder.norm_groups,
            sample_size=config.image_size,
            scaling_factor=autoencoder.scale,
        )
        nn.init.normal_(self.unconditional, std=0.02)

    def context_features(self, contexts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Projects what stands before each picture, latest first, with its distance from the picture added.

        Args:
            contexts: For each picture the hidden states (T, C) from the beginning of its document up to its
                begin-of-image token.

        Returns:
            Features (P, T, C), T of the longest, and a mask (P, T), true where there is one.

        Raises:
            ShapeError: If there are none, or one is empty.
        """
        if not contexts or not all(len(context_TC) for context_TC in contexts):
            raise ShapeError(f"contexts of lengths {[len(context_TC) for context_TC in contexts]}: none may be empty")
        latest_first_PTC = pad_sequence([context_TC.flip(0) for context_TC in contexts], batch_first=True)
        length, width = latest_first_PTC.shape[1:]
        lengths_P = torch.tensor([len(context_TC) for context_TC in contexts], device=latest_first_PTC.device)
        positions_TC = line_positions(width, length, device=latest_first_PTC.device).to(latest_first_PTC.dtype)
        mask_PT = torch.arange(length, device=latest_first_PTC.device) < lengths_P[:, None]
        return self.context(latest_first_PTC) + positions_TC, mask_PT

    def condition(self, contexts: Sequence[Tensor]) -> Tensor:
        """Condenses what stands before each picture: shape (P, K, X). See `context_features`."""
        return self.resampler(*self.context_features(contexts))

    def encode(self, pixels_PCHW: Tensor, noise_PAHW: Tensor | None = None) -> Tensor:
        """Turns pixels into latents.

        Args:
            pixels_PCHW: RGB in 0..1, `image_size` high and wide.
            noise_PAHW: Standard normal, to draw from the autoencoder's posterior; None takes its mean.

        Returns:
            Latents (P, A, H, W) of about unit variance.

        Raises:
            ShapeError: If the pictures have another size.
        """
        expected = (3, self.config.image_size, self.config.image_size)
        if pixels_PCHW.shape[1:] != expected:
            raise ShapeError(f"pixels must be (pictures, {expected}), got {tuple(pixels_PCHW.shape)}")
        posterior: Any = self.autoencoder.encode(2 * pixels_PCHW - 1).latent_dist
        latents_PAHW: Tensor = posterior.mean if noise_PAHW is None else posterior.mean + posterior.std * noise_PAHW
        return latents_PAHW * self.config.autoencoder.scale

    def decode(self, latents_PAHW: Tensor) -> Tensor:
        """Turns latents into pixels: RGB in 0..1, shape (P, 3, image_size, image_size)."""
        decoded_PCHW: Tensor = self.autoencoder.decode(latents_PAHW / self.config.autoencoder.scale).sample
        return (decoded_PCHW / 2 + 0.5).clamp(0, 1)

    def add_noise(self, latents_PAHW: Tensor, noise_PAHW: Tensor, timesteps_P: Tensor) -> Tensor:
        """Mixes latents with noise, as noisy as it is after so many steps of training."""
        signal_P111, rest_P111 = self._shares(timesteps_P, latents_PAHW.dtype)
        return signal_P111 * latents_PAHW + rest_P111 * noise_PAHW

    def target(self, latents_PAHW: Tensor, noise_PAHW: Tensor, timesteps_P: Tensor) -> Tensor:
        """What the denoiser should tell of that mixture."""
        if self.config.diffusion.predicts == "epsilon":
            return noise_PAHW
        signal_P111, rest_P111 = self._shares(timesteps_P, latents_PAHW.dtype)
        return signal_P111 * noise_PAHW - rest_P111 * latents_PAHW

    def _shares(self, timesteps_P: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        kept_P111 = self.config.diffusion.kept_signal().to(timesteps_P.device)[timesteps_P][:, None, None, None]
        return kept_P111.sqrt().to(dtype), (1 - kept_P111).sqrt().to(dtype)
