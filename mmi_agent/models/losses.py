"""The two losses of training: the next token, and the noise in the next picture.

Which tokens count, and which pictures, follows the released code.
"""

# B rows, T tokens, P pictures of all rows, A channels of latents, H W height and width, C width of the decoder

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from mmi_agent.models.image_decoder import ImageDecoderConfig
from mmi_agent.models.mm_interleaved import MMInterleavedConfig, MMInterleavedModel, Reading, Scenes
from mmi_agent.models.visual_tokenizer import VisualFeatures

__all__ = [
    "IGNORED",
    "NoiseDraw",
    "next_picture_errors",
    "next_picture_loss",
    "next_token_loss",
    "next_token_targets",
    "weighted_loss",
]

IGNORED = -100
"""The target of a token that does not count."""

TEXT_WEIGHT, PICTURE_WEIGHT = 1.0, 10.0


class NoiseDraw(NamedTuple):
    """What chance decides in a step of training the image decoder."""

    noise: Tensor
    """(P, A, H, W), standard normal: what the denoiser has to find."""
    timesteps: Tensor
    """(P,), how noisy each picture is made, in 0..num_steps - 1."""
    posterior_noise: Tensor
    """(P, A, H, W), standard normal: draws latents from the autoencoder's posterior."""
    unconditional: Tensor
    """(P,), true where the condition is dropped, so that guidance has something to be guided away from."""

    @classmethod
    def random(
        cls,
        model: MMInterleavedModel,
        num_pictures: int,
        *,
        drop: float = 0.1,
        generator: torch.Generator | None = None,
    ) -> "NoiseDraw":
        """Draws for so many pictures, the condition of a share `drop` of them dropped; where the generator is."""
        device = model.begin_of_image.device
        return cls._drawn(model.drawing.config, num_pictures, drop, generator, device).to(device)

    @classmethod
    def seeded(cls, model: MMInterleavedModel, seeds: Sequence[int], *, drop: float = 0.1) -> "NoiseDraw":
        """Draws for each seed what `random` draws for one picture with a generator of that seed on the CPU."""
        config = model.drawing.config
        each = [cls._drawn(config, 1, drop, torch.Generator().manual_seed(seed), None) for seed in seeds]
        return cls(*map(torch.cat, zip(*each, strict=True))).to(model.begin_of_image.device)

    def to(self, device: torch.device | str) -> "NoiseDraw":
        """Moves all tensors."""
        return NoiseDraw(*(tensor.to(device) for tensor in self))

    @classmethod
    def _drawn(
        cls,
        config: ImageDecoderConfig,
        num_pictures: int,
        drop: float,
        generator: torch.Generator | None,
        device: torch.device | None,
    ) -> "NoiseDraw":
        side, channels = config.denoiser.latent_width, config.denoiser.latent_channels
        shape, where = (num_pictures, channels, side, side), device if generator is None else generator.device
        return cls(
            torch.randn(shape, generator=generator, device=where),
            torch.randint(config.diffusion.num_steps, (num_pictures,), generator=generator, device=where),
            torch.randn(shape, generator=generator, device=where),
            torch.rand(num_pictures, generator=generator, device=where) < drop,
        )


def next_token_targets(ids_BT: Tensor, attention_mask_BT: Tensor, config: MMInterleavedConfig) -> Tensor:
    """The token after each, or -100 where it does not count: shape (B, T - 1).

    Visual tokens, padding and the beginnings of documents do not count, nor does a picture that opens a document.
    """
    now_BT, next_BT = ids_BT[:, :-1], ids_BT[:, 1:]
    opens_BT = (now_BT == config.begin_of_text) & (next_BT == config.begin_of_image)
    silent = torch.tensor([config.padding, config.image, config.begin_of_text], device=ids_BT.device)
    ignored_BT = torch.isin(next_BT, silent) | (attention_mask_BT[:, 1:] == 0) | opens_BT
    return next_BT.masked_fill(ignored_BT, IGNORED)


def next_token_loss(reading: Reading, targets_BT: Tensor) -> Tensor:
    """Mean cross entropy of the tokens that count, in nats."""
    return F.cross_entropy(reading.logits[:, :-1].float().flatten(0, 1), targets_BT.flatten(), ignore_index=IGNORED)


def next_picture_loss(
    model: MMInterleavedModel,
    ids_BT: Tensor,
    reading: Reading,
    seen: VisualFeatures,
    pixels_PCHW: Tensor,
    draw: NoiseDraw,
    begins_P: Tensor | None = None,
) -> Tensor:
    """Mean square of what the denoiser gets wrong. A picture that nothing but its document's beginning precedes is 0.

    Args:
        model: The model.
        ids_BT: What was read.
        reading: What came of it.
        seen: The pictures as they were read.
        pixels_PCHW: The same pictures as they are to be drawn: RGB in 0..1, `image_decoder.image_size` high and wide.
        draw: The noise.
        begins_P: Where each picture's document begins; see `MMInterleavedModel.scenes`.
    """
    scenes = model.scenes(ids_BT, reading.hidden, begins_P)
    return next_picture_errors(model, scenes, seen, pixels_PCHW, draw).mean()


def next_picture_errors(
    model: MMInterleavedModel, scenes: Scenes, seen: VisualFeatures, pixels_PCHW: Tensor, draw: NoiseDraw
) -> Tensor:
    """Mean square of what the denoiser gets wrong in each picture, shape (P,); see `next_picture_loss`.

    Args:
        model: The model.
        scenes: What the pictures are drawn from.
        seen: The pictures that `scenes.previous` counts.
        pixels_PCHW: The pictures as they are to be drawn.
        draw: The noise.
    """
    decoder = model.drawing
    condition_PKX = decoder.condition(scenes.contexts)
    condition_PKX = torch.where(draw.unconditional[:, None, None], decoder.unconditional, condition_PKX)
    with torch.no_grad():
        latents_PAHW = decoder.encode(pixels_PCHW, draw.posterior_noise).float()  # whatever pixels are computed in
        noisy_PAHW = decoder.add_noise(latents_PAHW, draw.noise, draw.timesteps)
        target_PAHW = decoder.target(latents_PAHW, draw.noise, draw.timesteps)
    values, visible_PI = model.look_back(seen, scenes.previous)
    told_PAHW = decoder.denoiser(noisy_PAHW, draw.timesteps, condition_PKX, values, visible_PI)
    wrong_P = F.mse_loss(told_PAHW.float(), target_PAHW.float(), reduction="none").mean((1, 2, 3))
    return wrong_P * torch.tensor([len(context_TC) > 2 for context_TC in scenes.contexts], device=wrong_P.device)


def weighted_loss(
    text_loss: Tensor, picture_loss: Tensor, *, text: float = TEXT_WEIGHT, picture: float = PICTURE_WEIGHT
) -> Tensor:
    """The sum that is trained on, by default with the paper's weights 1 and 10."""
    return text * text_loss + picture * picture_loss
