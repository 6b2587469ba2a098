"""From hidden states to a picture: guided diffusion with a scheduler of diffusers.

What does not depend on the step is computed once for a drawing: the condition, and the projected pictures before.
"""

# K condition tokens, X width of the condition, A channels of latents, H W height and width, C width of the decoder

import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from mmi_agent.errors import CheckpointError, ConfigError
from mmi_agent.inference.offloading import brought_to
from mmi_agent.models.image_decoder import DiffusionConfig, ImageDecoder
from mmi_agent.models.mm_interleaved import MMInterleavedModel
from mmi_agent.models.visual_tokenizer import VisualFeatures
from mmi_agent.quiet_imports import quiet_imports

__all__ = ["DrawSettings", "Scheduler", "draw_picture", "make_scheduler"]

SchedulerName = Literal["dpm-solver", "ddim", "ddpm"]


@dataclass(frozen=True, kw_only=True)
class DrawSettings:
    """How a picture is drawn.

    Attributes:
        steps: Calls of the denoiser. A solver needs 10 to 15, the released procedure took 30 of "ddpm".
        guidance_scale: How far away from what nothing in particular would give; 1 does not guide, and costs half.
        scheduler: "dpm-solver" (multistep, second order), "ddim", or "ddpm" as the released code drew.
    """

    steps: int = 12
    guidance_scale: float = 7.5
    scheduler: SchedulerName = "dpm-solver"

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ConfigError(f"steps is {self.steps}: a drawing takes at least 1")
        if not 1 <= self.guidance_scale < math.inf:
            raise ConfigError(f"guidance_scale is {self.guidance_scale}: 1 does not guide, 7.5 is usual")
        if self.scheduler not in ("dpm-solver", "ddim", "ddpm"):
            raise ConfigError(f"scheduler {self.scheduler!r} is none of dpm-solver, ddim and ddpm")

    def check(self, config: DiffusionConfig) -> None:
        """Refuses what a model cannot do.

        Args:
            config: How the model was trained to draw.

        Raises:
            ConfigError: If it was trained with too few steps of noise.
        """
        if self.steps >= config.num_steps:
            raise ConfigError(f"steps is {self.steps}: the model takes up to {config.num_steps - 1}, 12 are usual")


class Scheduler(Protocol):
    """What a drawing needs of diffusers' schedulers."""

    timesteps: Tensor
    init_noise_sigma: float

    def set_timesteps(self, num_inference_steps: int, *, device: torch.device) -> None:
        """Chooses the steps."""
        ...

    def scale_model_input(self, sample: Tensor, timestep: Tensor) -> Tensor:
        """Scales latents for the denoiser."""
        ...

    def step(self, model_output: Tensor, timestep: Tensor, sample: Tensor, **options: Any) -> Any:
        """Takes one step; `prev_sample` of what it returns are the latents after it."""
        ...


def make_scheduler(name: SchedulerName, config: DiffusionConfig) -> Scheduler:
    """Builds the scheduler of that name for the noise that a model was trained with."""
    kinds = {"dpm-solver": "DPMSolverMultistepScheduler", "ddim": "DDIMScheduler", "ddpm": "DDPMScheduler"}
    ends = {"dpm-solver": {}, "ddim": {"clip_sample": False, "set_alpha_to_one": False}, "ddpm": {"clip_sample": False}}
    with quiet_imports():  # takes seconds; typed in part
        kind: Any = getattr(import_module("diffusers"), kinds[name])
    return kind(
        num_train_timesteps=config.num_steps,
        beta_start=config.beta_start,
        beta_end=config.beta_end,
        beta_schedule=config.beta_schedule,
        prediction_type=config.predicts,
        steps_offset=1,  # whatever a configuration says: so the pipeline has it that the released code draws with
        **ends[name],
    )


@torch.inference_mode()
def draw_picture(
    model: MMInterleavedModel,
    hidden_TC: Tensor,
    before: VisualFeatures | None = None,
    settings: DrawSettings | None = None,
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Draws the picture that a document calls for.

    Args:
        model: A model with an image decoder.
        hidden_TC: Hidden states from the beginning of the document up to the picture's begin-of-image token.
        before: The pictures before it, latest last, at most nine of them; the released code shows the latest alone.
        settings: How to draw; None takes the defaults.
        seed: Of the noise that the drawing begins with. Noise is drawn on the CPU, so that a seed means the same
            noise on every device.
        progress: Told after each step how many of how many are done.

    Returns:
        RGB in 0..1, shape (3, image_size, image_size), float32, on the CPU.

    Raises:
        ConfigError: If the model has no image decoder, or does not take so many steps.
        CheckpointError: If no number comes out, as from damaged weights.
    """
    settings = settings or DrawSettings()
    decoder = model.drawing
    settings.check(decoder.config.diffusion)
    if len(hidden_TC) == 0:
        raise ConfigError("nothing stands before the picture: a drawing needs at least its begin-of-image token")
    with brought_to(decoder, hidden_TC.device):
        condition_BKX = decoder.condition([hidden_TC])
        if settings.guidance_scale > 1:
            condition_BKX = torch.cat([decoder.unconditional[None], condition_BKX])
        latents_1AHW = _denoise(decoder, condition_BKX, _look_back(decoder, before), settings, seed, progress)
        pixels_CHW = decoder.decode(latents_1AHW)[0].float().cpu()
    if not bool(pixels_CHW.isfinite().all()):
        raise CheckpointError(
            "the drawing came out as no number: the weights of the image decoder are damaged, or guidance_scale "
            f"{settings.guidance_scale:g} is too much"
        )
    return pixels_CHW


def _look_back(decoder: ImageDecoder, before: VisualFeatures | None) -> list[Tensor]:
    if before is None or len(before) == 0:
        return []
    config = decoder.config.denoiser
    return decoder.denoiser.project(before.cells(config.level_widths)[None, -(config.num_ranks - 1) :])


def _denoise(
    decoder: ImageDecoder,
    condition_BKX: Tensor,
    values: list[Tensor],
    settings: DrawSettings,
    seed: int,
    progress: Callable[[int, int], None] | None,
) -> Tensor:
    config, device, dtype = decoder.config.denoiser, condition_BKX.device, condition_BKX.dtype
    generator = torch.Generator().manual_seed(seed)
    scheduler = make_scheduler(settings.scheduler, decoder.config.diffusion)
    scheduler.set_timesteps(settings.steps, device=device)
    shape = (1, config.latent_channels, config.latent_width, config.latent_width)
    latents_1AHW = torch.randn(shape, generator=generator).to(device, dtype) * scheduler.init_noise_sigma
    for done, timestep in enumerate(scheduler.timesteps, start=1):
        input_BAHW = scheduler.scale_model_input(latents_1AHW, timestep).expand(len(condition_BKX), -1, -1, -1)
        told_BAHW = decoder.denoiser(input_BAHW, timestep.expand(len(condition_BKX)), condition_BKX, values)
        if settings.guidance_scale > 1:
            free_1AHW, told_BAHW = told_BAHW.chunk(2)
            told_BAHW = free_1AHW + settings.guidance_scale * (told_BAHW - free_1AHW)
        options = {} if settings.scheduler == "dpm-solver" else {"generator": generator}
        latents_1AHW = scheduler.step(told_BAHW, timestep, latents_1AHW, **options).prev_sample
        if progress:
            progress(done, len(scheduler.timesteps))
    return latents_1AHW
