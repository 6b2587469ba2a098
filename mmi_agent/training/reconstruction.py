"""What an autoencoder gives back: its loss, how like the originals it is, and latents made to measure.

The loss has no network that judges: screens are flat areas, borders and small text, and what makes these sharp is that
mistakes beside an edge count more than others, and differences of neighbours as much as the pixels themselves.
"""

# P pictures, S side of a picture, A channels of latents, H W height and width

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = [
    "Judgement",
    "Network",
    "Reconstruction",
    "fold_latents",
    "judge_autoencoder",
    "psnr",
    "reconstruct",
    "reconstruction_loss",
]

_EDGE = 4.0  # how much more a mistake on the sharpest edge counts than one on a flat area
_DIFFERENCES = 0.5
_KL = 1e-4  # of a latent number: a share of the loss too small to see, and the decoder learns to bear small mistakes
_JUDGED_AT_ONCE = 16


class Judgement(NamedTuple):
    """How like their originals pictures come out."""

    psnr: float
    """Mean over pictures, in decibels."""
    error: float
    """Mean absolute error of pixels, of 0..1."""
    pictures: int

    def __str__(self) -> str:
        return f"PSNR {self.psnr:.2f} dB, mean error {255 * self.error:.2f} of 255, {self.pictures} pictures"


class Reconstruction(NamedTuple):
    """Pictures that went through, -1..1, and the latents that they went through as."""

    pixels: Tensor
    mean: Tensor
    log_variance: Tensor


class Network(nn.Module):
    """An autoencoder of diffusers as one function whose noise is an argument."""

    def __init__(self, autoencoder: Any) -> None:
        super().__init__()
        self.autoencoder = autoencoder

    def forward(self, pixels_P3SS: Tensor, noise_PAHW: Tensor | None) -> Reconstruction:
        """Sends pictures through, RGB in -1..1; without noise, as their latents' mean."""
        encoded: Tensor = self.autoencoder.quant_conv(self.autoencoder.encoder(pixels_P3SS))
        mean_PAHW, log_variance_PAHW = encoded.chunk(2, dim=1)
        log_variance_PAHW = log_variance_PAHW.clamp(-30, 20)
        latents_PAHW = mean_PAHW
        if noise_PAHW is not None:
            latents_PAHW = mean_PAHW + (0.5 * log_variance_PAHW).exp() * noise_PAHW
        decoded_P3SS: Tensor = self.autoencoder.decoder(self.autoencoder.post_quant_conv(latents_PAHW))
        return Reconstruction(decoded_P3SS, mean_PAHW, log_variance_PAHW)


def reconstruction_loss(made: Reconstruction, wanted_P3SS: Tensor) -> Tensor:
    """What a reconstruction costs: pixels, the more the nearer to an edge; differences of neighbours; a little KL.

    Differences count at full size and at half, so that a border is in its place and a letter keeps its shape. Large
    mistakes count once more by their square: half of a letter is worse than a faint one.

    Args:
        made: The reconstruction.
        wanted_P3SS: RGB in -1..1.
    """
    wrong_P3SS = made.pixels.float() - wanted_P3SS.float()
    pixels = (_edge_weights(wanted_P3SS.float()) * (wrong_P3SS.abs() + wrong_P3SS.square())).mean()
    differences = sum(
        (_slopes(each).mean() for each in (wrong_P3SS, F.avg_pool2d(wrong_P3SS, 2))),
        torch.zeros((), device=pixels.device),
    )
    mean_PAHW, log_variance_PAHW = made.mean.float(), made.log_variance.float()
    kl = 0.5 * (mean_PAHW.square() + log_variance_PAHW.exp() - 1 - log_variance_PAHW).mean()
    return pixels + _DIFFERENCES * differences + _KL * kl


def _slopes(pixels_P3SS: Tensor) -> Tensor:
    """The absolute differences to the neighbours on the right and below, added; as large, 0 at the far borders."""
    right = F.pad(pixels_P3SS.diff(dim=3).abs(), (0, 1, 0, 0))
    return right + F.pad(pixels_P3SS.diff(dim=2).abs(), (0, 0, 0, 1))


def _edge_weights(wanted_P3SS: Tensor) -> Tensor:
    """1 on flat areas, up to 1 + _EDGE beside the sharpest edges; shape (P, 1, S, S)."""
    steep_P1SS = _slopes(wanted_P3SS).amax(1, keepdim=True).clamp(max=1.0)
    return 1 + _EDGE * F.max_pool2d(steep_P1SS, 3, stride=1, padding=1)


def psnr(made_P3SS: Tensor, wanted_P3SS: Tensor) -> Tensor:
    """Peak signal to noise ratio of each picture in decibels, at most 100; RGB in 0..1."""
    squares_P = (made_P3SS.float() - wanted_P3SS.float()).square().flatten(1).mean(1)
    return -10 * squares_P.clamp(min=1e-10).log10()


@torch.no_grad()
def reconstruct(autoencoder: Any, pixels_P3SS: Tensor) -> Tensor:
    """Sends pictures through, without noise: RGB in 0..1 in and out, float32 out, a few at a time."""
    weight: Tensor = next(autoencoder.parameters())
    network = Network(autoencoder)
    made = [
        network((2 * part.to(weight.device, weight.dtype) - 1), None).pixels.float() / 2 + 0.5
        for part in pixels_P3SS.split(_JUDGED_AT_ONCE)
    ]
    return torch.cat(made).clamp(0, 1)


def judge_autoencoder(autoencoder: Any, pixels_P3SS: Tensor) -> Judgement:
    """Compares pictures with what comes out; RGB, uint8, on any device, at least one."""
    ratios, errors = list[Tensor](), list[Tensor]()
    for part in pixels_P3SS.split(_JUDGED_AT_ONCE):
        wanted_P3SS = part.float() / 255
        made_P3SS = reconstruct(autoencoder, wanted_P3SS).to(wanted_P3SS.device)
        ratios.append(psnr(made_P3SS, wanted_P3SS))
        errors.append((made_P3SS - wanted_P3SS).abs().flatten(1).mean(1))
    return Judgement(torch.cat(ratios).mean().item(), torch.cat(errors).mean().item(), len(pixels_P3SS))


@torch.no_grad()
def fold_latents(autoencoder: Any, pixels_P3SS: Tensor, *, scale: float) -> None:
    """Makes latents times `scale` have mean 0 and variance 1 in each channel; what is decoded of them stays the same.

    Args:
        autoencoder: Changed in its `quant_conv` and `post_quant_conv`.
        pixels_P3SS: Pictures whose latents are measured: RGB in 0..1.
        scale: What the preset multiplies latents by.
    """
    weight: Tensor = autoencoder.quant_conv.weight
    encoded = [
        autoencoder.quant_conv(autoencoder.encoder(2 * part.to(weight.device, weight.dtype) - 1)).double()
        for part in pixels_P3SS.split(_JUDGED_AT_ONCE)
    ]
    mean_PAHW, log_variance_PAHW = torch.cat(encoded).chunk(2, dim=1)
    middle_A = mean_PAHW.mean((0, 2, 3))
    noise_A = log_variance_PAHW.clamp(-30, 20).exp().mean((0, 2, 3))
    spread_A = (mean_PAHW.var((0, 2, 3)) + noise_A).sqrt().clamp(min=1e-6) * scale
    into, out_of = autoencoder.quant_conv, autoencoder.post_quant_conv
    channels = len(middle_A)
    into.weight[:channels] /= spread_A[:, None, None, None]
    into.bias[:channels] = (into.bias[:channels] - middle_A) / spread_A
    into.bias[channels:] -= 2 * spread_A.log()
    out_of.bias += (out_of.weight[:, :, 0, 0].double() @ middle_A).to(weight.dtype)
    out_of.weight *= spread_A[None, :, None, None]
