"""How long a picture takes: ours against the released procedure.

    python benchmarks/bench_draw.py [--size middle] [--device cpu] [--compiled]

The released procedure, as far as it was rebuilt: 30 steps of DDPM, guided, in which every synchronizer normalises and
projects the feature maps of both rows again at every step, and an autoencoder in float32. (It also reloads its pipeline
from disk for every picture, which is not counted.) Ours: the same 30 steps and 12 of the solver, with features
projected once for a drawing; on request with a compiled denoiser. Prints seconds, ratios to the released procedure,
and as the floor the time of the denoiser's calls alone, with nothing to look at.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from sizes import benchmark, config_of, finish, on, rounded, seconds
from torch import Tensor, nn

from mmi_agent.inference.drawing import DrawSettings, draw_picture, make_scheduler
from mmi_agent.models.mm_interleaved import MMInterleavedModel
from mmi_agent.models.visual_tokenizer import VisualFeatures

_GUIDANCE = 7.5


def released(model: MMInterleavedModel, hidden_TC: Tensor, before: VisualFeatures, steps: int) -> Tensor:
    """Draws as the released code does: what does not change is computed again at every step."""
    decoder = model.drawing
    config = decoder.config.denoiser
    scheduler = make_scheduler("ddpm", decoder.config.diffusion)
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
    autoencoder = copy.deepcopy(decoder.autoencoder).float() if latents_1AHW.dtype != torch.float32 else None
    sample = (autoencoder or decoder.autoencoder).decode(latents_1AHW.float() / decoder.config.autoencoder.scale).sample
    return sample.cpu()


def main() -> None:
    parser = benchmark(__doc__, rounds=1)
    parser.add_argument("--steps", type=int, default=30, help="of DDPM")
    parser.add_argument("--compiled", action="store_true", help="also with a compiled denoiser")
    options = parser.parse_args()
    with on(options):
        model = MMInterleavedModel(config_of(options.size, draws=True)).eval()
        side, config = model.config.vision.image_size, model.drawing.config.denoiser
        before = model.see(torch.rand(1, 3, side, side))
        hidden_TC = torch.randn(100, model.config.decoder.hidden_size)
        condition_2KX = torch.randn(2, model.drawing.config.resampler.num_queries, config.condition_width)
        latents = torch.randn(2, config.latent_channels, config.latent_width, config.latent_width)
        timesteps = torch.full((2,), 500)

        def ours(steps: int, scheduler: str) -> Callable[[], object]:
            settings = DrawSettings(steps=steps, guidance_scale=_GUIDANCE, scheduler=scheduler)  # type: ignore[arg-type]
            return lambda: draw_picture(model, hidden_TC, before, settings)

        def denoise() -> None:
            model.drawing.denoiser(latents, timesteps, condition_2KX, looks=False)

        runs = {"ddpm": ours(options.steps, "ddpm"), "solver": ours(12, "dpm-solver")}
        warm_up = 0 if options.device == "cpu" else 1
        taken = {
            "released": seconds(lambda: released(model, hidden_TC, before, options.steps), options, warm_up=warm_up)
        }
        taken |= {name: seconds(run, options, warm_up=warm_up) for name, run in runs.items()}
        call_s = seconds(denoise, options)
        if options.compiled:
            torch_compile: Any = nn.Module.compile  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
            torch_compile(model.drawing.denoiser, dynamic=False)
            taken |= {f"{name}, compiled": seconds(run, options, warm_up=2) for name, run in runs.items()}
    finish(
        options,
        image_size=model.drawing.config.image_size,
        steps={"released": options.steps, "ddpm": options.steps, "solver": 12},
        seconds={name: rounded(each) for name, each in taken.items()},
        times_as_fast_as_released={name: rounded(taken["released"] / each) for name, each in taken.items()},
        floor_seconds={"ddpm": rounded(options.steps * call_s), "solver": rounded(12 * call_s)},
        goal="on one H200 at full size: at least 3",
    )


if __name__ == "__main__":
    main()
