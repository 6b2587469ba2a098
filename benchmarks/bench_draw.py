"""How long a picture takes: ours against the released procedure.

    python benchmarks/bench_draw.py [--size middle] [--device cpu] [--compiled] [--recorded] [--profile]

The released procedure, as far as it was rebuilt: 30 steps of DDPM, guided, in which every synchronizer normalises and
projects the feature maps of both rows again at every step, and an autoencoder in float32. (It also reloads its pipeline
from disk for every picture, which is not counted.) Ours: the same 30 steps and 12 of the solver, with features
projected once for a drawing; also with them projected at every step, and on request with a denoiser that is compiled,
or compiled and recorded as a CUDA graph. Prints seconds, turn about, ratios to the released procedure, and beside them
the time of the denoiser's calls alone, eager and with nothing to look at. `--profile` tells what a call that looks
spends its time on, the longest first.
"""

import argparse
import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import torch
from sizes import attempt, benchmark, build, finish, like, note, profiled, rounded, seconds, turn_about
from torch import Tensor, nn

from mmi_agent.inference.drawing import DrawSettings, draw_picture, make_scheduler
from mmi_agent.models.mm_interleaved import MMInterleavedModel
from mmi_agent.models.visual_tokenizer import VisualFeatures

_GUIDANCE, _SOLVER_STEPS = 7.5, 12
SchedulerName = Literal["dpm-solver", "ddpm"]


def released(
    model: MMInterleavedModel,
    hidden_TC: Tensor,
    before: VisualFeatures,
    steps: int,
    *,
    kind: SchedulerName = "ddpm",
    wide: bool = True,
) -> Tensor:
    """Draws as the released code does: what does not change is computed again at every step.

    Args:
        model: The model.
        hidden_TC: See `draw_picture`.
        before: See `draw_picture`.
        steps: Calls of the denoiser.
        kind: Of scheduler.
        wide: Whether the autoencoder works in float32, as the released one.
    """
    decoder = model.drawing
    config = decoder.config.denoiser
    scheduler = make_scheduler(kind, decoder.config.diffusion)
    scheduler.set_timesteps(steps, device=hidden_TC.device)
    condition_2KX = torch.cat([decoder.unconditional[None], decoder.condition([hidden_TC])])
    cells_2ISF = before.cells(config.level_widths)[None].expand(2, -1, -1, -1)
    latents_1AHW = hidden_TC.new_empty(1, config.latent_channels, config.latent_width, config.latent_width).normal_()
    for timestep in scheduler.timesteps:
        values = decoder.denoiser.project(cells_2ISF)
        told = decoder.denoiser(latents_1AHW.expand(2, -1, -1, -1), timestep.expand(2), condition_2KX, values)
        free_1AHW, told_1AHW = told.chunk(2)
        guided_1AHW = free_1AHW + _GUIDANCE * (told_1AHW - free_1AHW)
        latents_1AHW = scheduler.step(guided_1AHW, timestep, latents_1AHW).prev_sample
    if not wide or latents_1AHW.dtype == torch.float32:
        return decoder.decode(latents_1AHW).cpu()
    autoencoder = copy.deepcopy(decoder.autoencoder).float()
    return autoencoder.decode(latents_1AHW.float() / decoder.config.autoencoder.scale).sample.cpu()


def denoise(model: MMInterleavedModel, values: Sequence[Tensor] | None = None) -> None:
    """Calls the denoiser once for two rows that look at these values, or do not look."""
    hand, config, has = model.drawing, model.drawing.config.denoiser, like(model)
    condition_2KX = torch.randn(2, hand.config.resampler.num_queries, config.condition_width, **has)
    latents = torch.randn(2, config.latent_channels, config.latent_width, config.latent_width, **has)
    timesteps = torch.full((2,), 500, device=latents.device)
    hand.denoiser(latents, timesteps, condition_2KX, values or (), looks=values is not None)


class Drawings:
    """All ways to draw one picture, after one other, and how long each took."""

    def __init__(self, model: MMInterleavedModel, options: argparse.Namespace) -> None:
        self._model, self._options = model, options
        side = model.config.vision.image_size
        self._before = model.see(torch.rand(1, 3, side, side, **like(model)))
        self._hidden_TC = torch.randn(100, model.config.decoder.hidden_size, **like(model))
        self._call_s = seconds(partial(denoise, model), options)
        self._taken: dict[str, float] = {}

    def _ours(self, kind: SchedulerName, steps: int) -> object:
        settings = DrawSettings(steps=steps, guidance_scale=_GUIDANCE, scheduler=kind)
        return draw_picture(self._model, self._hidden_TC, self._before, settings)

    def _again(self, kind: SchedulerName, steps: int, *, wide: bool) -> object:
        return released(self._model, self._hidden_TC, self._before, steps, kind=kind, wide=wide)

    def _cached(self) -> dict[str, Callable[[], object]]:
        return {
            "ddpm": partial(self._ours, "ddpm", self._options.steps),
            "solver": partial(self._ours, "dpm-solver", _SOLVER_STEPS),
        }

    def compare(self) -> None:
        """Times everything that is not compiled."""
        steps = self._options.steps
        runs = {
            "released": partial(self._again, "ddpm", steps, wide=True),
            **self._cached(),
            "ddpm, nothing cached": partial(self._again, "ddpm", steps, wide=False),
            "solver, nothing cached": partial(self._again, "dpm-solver", _SOLVER_STEPS, wide=False),
        }
        self._taken |= turn_about(runs, self._options, warm_up=0 if self._options.device == "cpu" else 1)

    def compile(self, how: str, mode: str | None) -> None:
        """Compiles the denoiser in a mode of `torch.compile`, and times what uses it."""
        torch_compile: Any = nn.Module.compile  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        torch_compile(self._model.drawing.denoiser, dynamic=False, mode=mode)
        found = turn_about(self._cached(), self._options, warm_up=2)
        self._taken |= {f"{name}, {how}": each for name, each in found.items()}

    def profile(self) -> dict[str, object]:
        """What a call of the denoiser spends its time on."""
        hand = self._model.drawing
        values = hand.denoiser.project(self._before.cells(hand.config.denoiser.level_widths)[None])
        return profiled(partial(denoise, self._model, values), self._options)

    def told(self) -> dict[str, object]:
        """What was found so far."""
        steps, taken = self._options.steps, self._taken
        return {
            "image_size": self._model.drawing.config.image_size,
            "steps": {"released": steps, "ddpm": steps, "solver": _SOLVER_STEPS},
            "seconds": {name: rounded(each) for name, each in taken.items()},
            "times_as_fast_as_released": {name: rounded(taken["released"] / each) for name, each in taken.items()},
            "calls_seconds": {"ddpm": rounded(steps * self._call_s), "solver": rounded(_SOLVER_STEPS * self._call_s)},
            "goal": "on one H200 at full size: at least 3",
        }


@torch.inference_mode()
def main() -> None:
    parser = benchmark(__doc__, rounds=1)
    parser.add_argument("--steps", type=int, default=30, help="of DDPM")
    parser.add_argument("--compiled", action="store_true", help="also with a compiled denoiser")
    parser.add_argument("--recorded", action="store_true", help="also with one that is recorded as well")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    drawings = Drawings(build(options, draws=True), options)
    drawings.compare()
    rest: dict[str, object] = {"profile": drawings.profile()} if options.profile else {}
    note(options, **drawings.told(), **rest)
    for how, mode in {"compiled": None, "recorded": "reduce-overhead"}.items():
        if getattr(options, how):
            rest[f"{how}_failed"] = attempt(partial(drawings.compile, how, mode))
    finish(options, **drawings.told(), **rest)


if __name__ == "__main__":
    main()
