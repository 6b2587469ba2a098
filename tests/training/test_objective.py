import pytest
import torch
from toy_supply import CONFIG, batch

from mmi_agent.models.losses import NoiseDraw, next_picture_loss, next_token_loss
from mmi_agent.models.mm_interleaved import MMInterleavedModel
from mmi_agent.training.objective import Objective, checkpoint_layers, count, draw_noise, share
from mmi_agent.training.parameters import find_learners, prepare
from mmi_agent.training.recipes import recipe


@pytest.fixture
def model() -> MMInterleavedModel:
    """As built, but with open gates: no part is silent."""
    model = MMInterleavedModel.build(CONFIG, seed=1).eval()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return model


def test_sums_over_counts_are_the_losses_of_reading_each_sample_by_itself(model):
    together = batch(range(3))
    costs = Objective(model)(together, draw_noise(model, together, range(3)))
    text, picture = [], []
    for number in range(3):
        alone = batch([number])
        assert alone.pixels is not None and alone.drawn_pixels is not None
        seen = model.see(alone.pixels)
        reading = model.read(alone.ids, seen)
        text += [next_token_loss(reading, alone.targets[:, :-1]) * alone.num_targets]
        noise = NoiseDraw.random(model, 1, generator=torch.Generator().manual_seed(number))
        picture += [next_picture_loss(model, alone.ids, reading, seen, alone.drawn_pixels, noise)]
    torch.testing.assert_close(costs.text, sum(text))
    torch.testing.assert_close(costs.picture, sum(picture))
    assert count(together) == (sum(batch([n]).num_targets for n in range(3)), 3)


def gradients(model, costs):
    model.zero_grad()
    costs.backward()
    return {name: each.grad.clone() for name, each in model.named_parameters() if each.grad is not None}


def test_layers_that_are_computed_again_have_the_same_gradients(model):
    prepare(model, recipe("lora"))
    with torch.no_grad():
        for each in find_learners(model, recipe("lora")).parameters.values():
            each.normal_(std=0.1)
    objective, rows = Objective(model), batch(range(3))
    kept = gradients(model, objective(rows, None).text)
    checkpoint_layers(model)
    again = gradients(model, objective(rows, None).text)
    assert kept.keys() == again.keys() and len(kept) == 70
    for name in kept:
        torch.testing.assert_close(again[name], kept[name])


def test_what_processes_share_adds_up(model):
    rows = batch(range(5), max_positions=64)  # each a row of its own, for three processes
    noise = draw_noise(model, rows, range(5))
    objective = Objective(model)
    with torch.no_grad():
        whole = objective(rows, noise)
        parts = [objective(*share(rows, noise, CONFIG, rank=rank, size=3)) for rank in range(3)]
        idle, no_noise = share(batch([0]), draw_noise(model, batch([0]), range(1)), CONFIG, rank=2, size=3)
    torch.testing.assert_close(sum(part.text for part in parts), whole.text)
    torch.testing.assert_close(sum(part.picture for part in parts), whole.picture)
    assert (idle.num_targets, no_noise, len(idle.ids)) == (0, None, 1)
