import math
from typing import Any

import pytest
import torch

from mmi_agent.errors import CheckpointError, ConfigError
from mmi_agent.inference.drawing import DrawSettings, draw_picture
from mmi_agent.models.configs import tiny
from mmi_agent.models.mm_interleaved import MMInterleavedModel


@pytest.fixture(scope="module")
def model() -> MMInterleavedModel:
    return MMInterleavedModel.build(tiny(), seed=1).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def hidden() -> torch.Tensor:
    return torch.randn(7, 64, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("scheduler", ["dpm-solver", "ddim", "ddpm"])
def test_a_seed_decides_the_picture_and_nothing_else_does(model, hidden, scheduler) -> None:
    settings = DrawSettings(steps=4, scheduler=scheduler)
    first, again, other = (draw_picture(model, hidden, settings=settings, seed=seed) for seed in (5, 5, 6))
    torch.randn(3)  # chance of elsewhere
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
    assert first.shape == (3, 32, 32) and 0 <= first.min() and first.max() <= 1


def test_twelve_steps_of_the_solver_come_near_where_two_hundred_lead(model, hidden) -> None:
    def drawn(**settings: Any) -> torch.Tensor:
        return draw_picture(model, hidden, settings=DrawSettings(guidance_scale=1.5, **settings))

    goal = drawn(steps=200)
    assert (drawn(steps=12) - goal).abs().mean() < 0.4 * (drawn(steps=12, scheduler="ddim") - goal).abs().mean()


def test_without_guidance_each_step_costs_half(model, hidden) -> None:
    rows: list[int] = []
    hook = model.drawing.denoiser.register_forward_pre_hook(lambda _, inputs: rows.append(len(inputs[0])))
    for scale in (1, 7.5):
        draw_picture(model, hidden, settings=DrawSettings(steps=3, guidance_scale=scale))
    hook.remove()
    assert rows == [1, 1, 1, 2, 2, 2]


def test_what_is_before_is_projected_once_for_all_steps(model, hidden) -> None:
    looks = [model.drawing.denoiser.middle_look, *model.drawing.denoiser.looks]
    projected: list[torch.nn.Module] = []
    hooks = [look.synchronizer.value.register_forward_hook(lambda m, *_: projected.append(m)) for look in looks]
    told: list[tuple[int, int]] = []
    before = model.see(torch.rand(2, 3, 56, 56))
    draw_picture(model, hidden, before, DrawSettings(steps=5), progress=lambda *step: told.append(step))
    for hook in hooks:
        hook.remove()
    assert len(projected) == len(looks)
    assert told == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]


def test_damaged_weights_and_wrong_settings_are_said(hidden) -> None:
    damaged = MMInterleavedModel.build(tiny(), seed=1).eval()
    torch.nn.init.constant_(damaged.drawing.denoiser.unet.conv_in.bias, float("nan"))
    with pytest.raises(CheckpointError, match="weights of the image decoder are damaged"):
        draw_picture(damaged, hidden, settings=DrawSettings(steps=1))
    wrongs: list[dict[str, Any]] = [{"steps": 0}, {"scheduler": "euler"}]
    wrongs += [{"guidance_scale": value} for value in (0.5, math.nan, math.inf)]
    for wrong in wrongs:
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            DrawSettings(**wrong)
    with pytest.raises(ConfigError, match="steps is 1000: the model takes up to 999"):
        draw_picture(damaged, hidden, settings=DrawSettings(steps=1000))
