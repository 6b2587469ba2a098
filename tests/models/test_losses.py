import pytest
import torch

from mmi_agent.models.configs import tiny
from mmi_agent.models.losses import NoiseDraw, next_picture_loss, next_token_loss, next_token_targets, weighted_loss
from mmi_agent.models.mm_interleaved import MMInterleavedModel

CONFIG = tiny()
BOS, SOI, IMAGE = CONFIG.begin_of_text, CONFIG.begin_of_image, CONFIG.image
PICTURE = [SOI] + [IMAGE] * CONFIG.resampler.num_queries


def test_which_tokens_count():
    ids = torch.tensor([[BOS, 5, SOI, IMAGE, IMAGE, 6, 2, BOS, SOI, IMAGE, 7, 8]])
    mask = torch.ones_like(ids)
    mask[0, -1] = 0
    # counted: text, the end, and a picture that follows text; not what stands in a picture, begins or pads
    assert next_token_targets(ids, mask, CONFIG).tolist() == [
        [5, SOI, -100, -100, 6, 2, -100, -100, -100, 7, -100],
    ]


def batch(model):
    ids = torch.tensor([[BOS, 5, 6, *PICTURE, 7, 8, *PICTURE], [BOS, *PICTURE, 9, 10, 11, *([0] * 10)]])
    mask = torch.ones_like(ids)
    mask[1, 13:] = 0
    pixels, drawn = torch.rand(3, 3, 56, 56), torch.rand(3, 3, 32, 32)
    seen = model.see(pixels)
    return ids, mask, seen, model.read(ids, seen, mask), drawn


def test_both_losses_teach_every_part_but_the_autoencoder():
    learner = MMInterleavedModel.build(CONFIG, seed=2)
    for name, parameter in learner.named_parameters():
        if name.endswith(("gate", "output.weight")):
            torch.nn.init.normal_(parameter, std=0.2)  # as built, gates keep what is behind them out
    ids, mask, seen, reading, drawn = batch(learner)
    draw = NoiseDraw.random(learner, 3, drop=0, generator=torch.Generator().manual_seed(0))
    text = next_token_loss(reading, next_token_targets(ids, mask, CONFIG))
    picture = next_picture_loss(learner, ids, reading, seen, drawn, draw)
    loss = weighted_loss(text, picture)
    assert loss.item() == pytest.approx(text.item() + 10 * picture.item())
    loss.backward()
    untaught = {name for name, parameter in learner.named_parameters() if parameter.grad is None}
    assert {name.rpartition(".")[0].partition(".")[0] for name in untaught} == {"image_decoder"}
    assert all(name.startswith("image_decoder.autoencoder") for name in untaught)


def test_a_picture_that_nothing_precedes_is_not_learnt(model):
    ids, _, seen, reading, drawn = batch(model)
    draw = NoiseDraw.random(model, 3, generator=torch.Generator().manual_seed(0))
    told = next_picture_loss(model, ids, reading, seen, drawn, draw)
    drawn[2] = 1 - drawn[2]  # the picture that opens the second row
    assert next_picture_loss(model, ids, reading, seen, drawn, draw) == told
    drawn[1] = 1 - drawn[1]
    assert next_picture_loss(model, ids, reading, seen, drawn, draw) != told


def test_a_dropped_condition_is_the_learnt_one(model):
    ids, _, seen, reading, drawn = batch(model)
    draw = NoiseDraw.random(model, 3, drop=1, generator=torch.Generator().manual_seed(0))
    told = next_picture_loss(model, ids, reading, seen, drawn, draw)
    other = reading._replace(hidden=torch.randn_like(reading.hidden))
    assert next_picture_loss(model, ids, other, seen, drawn, draw) == told
