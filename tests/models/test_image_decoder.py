from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

from mmi_agent.errors import ConfigError, ShapeError
from mmi_agent.models.configs import tiny
from mmi_agent.models.image_decoder import DiffusionConfig, ImageDecoder
from mmi_agent.models.mm_interleaved import MMInterleavedModel

CONFIG = tiny()
DRAWING: Any = CONFIG.image_decoder
PICTURE = [CONFIG.begin_of_image] + [CONFIG.image] * CONFIG.resampler.num_queries


@pytest.fixture
def inputs(model):
    latents = torch.randn(2, 4, 16, 16)
    condition = model.drawing.condition([torch.randn(5, 64), torch.randn(9, 64)])
    return latents, torch.tensor([900, 20]), condition


def test_a_row_does_not_depend_on_longer_rows_beside_it(model):
    short, long = torch.randn(3, 64), torch.randn(11, 64)
    together = model.drawing.condition([short, long])
    torch.testing.assert_close(together[:1], model.drawing.condition([short]))
    with pytest.raises(ShapeError, match="none may be empty"):
        model.drawing.condition([short, torch.zeros(0, 64)])


def test_the_pictures_before_have_a_say_where_they_may_be_seen(model, inputs):
    seen = model.see(torch.rand(2, 3, 56, 56))
    denoiser = model.drawing.denoiser
    values, visible = model.look_back(seen, torch.tensor([-1, 0]))
    assert visible.tolist() == [[False], [True]]
    told = denoiser(*inputs, values, visible)
    nothing, others = denoiser(*inputs), denoiser(*inputs, *model.look_back(seen, torch.tensor([-1, 1])))
    torch.testing.assert_close(told[0], nothing[0])
    assert not torch.allclose(told[1], nothing[1], atol=1e-3)
    assert not torch.allclose(told[1], others[1], atol=1e-3)


def test_as_built_the_unet_is_as_if_there_were_no_synchronizers(inputs):
    model = MMInterleavedModel.build(CONFIG, seed=3).eval()
    values, _ = model.look_back(model.see(torch.rand(1, 3, 56, 56)), torch.tensor([0]))
    with torch.no_grad():
        torch.testing.assert_close(
            model.drawing.denoiser(*inputs, values), model.drawing.denoiser(*inputs, looks=False)
        )


def test_scenes_end_at_their_picture_and_look_one_back_within_their_document(model):
    ids = torch.tensor([[0, 5, *PICTURE, 6, *PICTURE, 0, *PICTURE], [0, 7, 8, *PICTURE, *([0] * 19)]])
    hidden = torch.randn(2, ids.shape[1], 64)
    scenes = model.scenes(ids, hidden, begins_P=torch.tensor([0, 0, 21, 0]))
    assert [len(context) for context in scenes.contexts] == [3, 13, 2, 4]
    assert torch.equal(scenes.contexts[2], hidden[0, 21:23])
    assert scenes.previous.tolist() == [-1, 0, -1, -1]
    assert model.scenes(ids, hidden).previous.tolist() == [-1, 0, 1, -1]


@pytest.mark.parametrize("schedule", ["scaled_linear", "linear"])
@pytest.mark.parametrize("predicts", ["epsilon", "v_prediction"])
def test_noise_grows_as_the_scheduler_that_draws_expects(schedule, predicts):
    noise = DiffusionConfig(beta_schedule=schedule, predicts=predicts)
    decoder = ImageDecoder(replace(DRAWING, diffusion=noise))
    scheduler = DDPMScheduler(
        beta_start=noise.beta_start, beta_end=noise.beta_end, beta_schedule=schedule, prediction_type=predicts
    )
    latents, sample = torch.randn(3, 4, 16, 16), torch.randn(3, 4, 16, 16)
    steps: Any = torch.tensor([0, 400, 999])
    torch.testing.assert_close(
        decoder.add_noise(latents, sample, steps), scheduler.add_noise(latents, sample, steps), atol=1e-5, rtol=1e-4
    )
    target = sample if predicts == "epsilon" else scheduler.get_velocity(latents, sample, steps)
    torch.testing.assert_close(decoder.target(latents, sample, steps), target, atol=1e-5, rtol=1e-4)


def test_sizes_that_do_not_fit_are_refused(model):
    with pytest.raises(ConfigError, match="image_size 48 is not"):
        replace(DRAWING, image_size=48)
    with pytest.raises(ConfigError, match="among the vision"):
        denoiser = replace(DRAWING.denoiser, level_widths=(64, 32))
        replace(CONFIG, image_decoder=replace(DRAWING, denoiser=denoiser))
    with pytest.raises(ShapeError, match=r"pixels must be .*32, 32.*got \(1, 3, 56, 56\)"):
        model.drawing.encode(torch.rand(1, 3, 56, 56))
    with pytest.raises(ConfigError, match="no image decoder: the presets tiny, small and full"):
        _ = MMInterleavedModel(replace(CONFIG, image_decoder=None)).drawing
