"""A run whose screens are learnt: what is drawn from what, that the loss falls, and how drawings are judged."""

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from mmi_agent.cli.app import app
from mmi_agent.data.encoding import Encoded, encode_sample
from mmi_agent.data.packing import collate, pack
from mmi_agent.data.readers import open_data
from mmi_agent.data.readers.next_screens import NextScreens
from mmi_agent.data.sample import Sample
from mmi_agent.errors import ShapeError
from mmi_agent.evaluation.next_screens import likeness, next_screens
from mmi_agent.inference.document import Document
from mmi_agent.inference.loading import MMInterleaved
from mmi_agent.testing import EchoEnvironment, ScriptedPolicy
from mmi_agent.training.objective import Objective, draw_noise
from mmi_agent.training.parameters import find_learners, make_optimizer, prepare
from mmi_agent.training.recipes import PARTS, Recipe
from mmi_agent.types import Picture
from tests.agent.worlds import run

CALLS = [("scroll", {"rows": 1}), ("type_text", {"text": "fig"}), ("send", {})]


@pytest.fixture
def runs(tmp_path) -> Path:
    for number in range(2):
        run(ScriptedPolicy(CALLS[number:]), EchoEnvironment("fig"), tmp_path / "runs" / str(number))
    return tmp_path / "runs"


def samples(folder: Path) -> list[Sample]:
    return [each for each in NextScreens(open_data(folder)) if isinstance(each, Sample)]


def encoded(loaded: MMInterleaved, folder: Path) -> list[Encoded]:
    return [encode_sample(each, loaded.tokenizer, loaded.model.config, max_positions=4096) for each in samples(folder)]


def test_each_screen_but_the_first_is_drawn_from_all_before_it(runs):
    loaded = MMInterleaved.from_pretrained("tiny")
    config = loaded.model.config
    pictures = [part for part in samples(runs)[0].parts if isinstance(part.content, Picture)]
    drawn = [False] + [True] * (len(pictures) - 1)  # a run in four shows at its end how to stop, and one screen more
    assert len(drawn) in (3, 4) and [part.learnt for part in pictures] == drawn
    (batch,) = [collate(pack(encoded(loaded, runs)[:1], max_positions=4096), config, draws=True)]
    assert batch.draws.tolist() == drawn
    scenes = loaded.model.scenes(batch.ids, batch.ids[..., None].float(), batch.begins)
    assert scenes.previous.tolist() == [*range(-1, len(drawn) - 1)], "it looks back at the screen before"
    read = [loaded.tokenizer.decode(int(token) for token in context if token < 256) for context in scenes.contexts]
    assert '"tool":"scroll"' in read[1] and '"tool":"type_text"' not in read[1]
    assert '"tool":"type_text"' in read[2], "the call that leads to it is known"


@torch.no_grad()
def loss_of(objective: Objective, batch) -> float:
    """The picture loss over the same noise each time."""
    return objective(batch, draw_noise(objective.model, batch, range(9))).picture.item()


def test_the_hand_alone_learns_to_draw_the_next_screen(runs):
    loaded = MMInterleaved.from_pretrained("tiny")
    model, objective = loaded.model, Objective(loaded.model)
    batch = collate(pack(encoded(loaded, runs)[1:], max_positions=4096), model.config, draws=True)
    recipe = Recipe(name="hand", groups=PARTS["hand"], learning_rate=1e-2, weight_decay=0.0)
    prepare(model, recipe)
    learners = find_learners(model, recipe)
    assert all(name.startswith("image_decoder.") for name in learners.parameters)
    assert not any(name.startswith("image_decoder.autoencoder.") for name in learners.parameters)
    assert any(name.startswith("image_decoder.denoiser.looks.") for name in learners.parameters)
    optimizer = make_optimizer(learners, recipe)
    before = loss_of(objective, batch)
    for step in range(12):
        costs = objective(batch, draw_noise(model, batch, range(9 * step, 9 * step + 9)))
        assert not costs.text.requires_grad, "nothing is kept of the language model's layers"
        costs.picture.backward()
        optimizer.step()
        optimizer.zero_grad()
    after = loss_of(objective, batch)
    assert after < 0.8 * before, (before, after)


def test_noise_does_not_depend_on_how_pictures_are_batched(runs):
    loaded = MMInterleaved.from_pretrained("tiny")
    each = encoded(loaded, runs)
    together = collate(pack(each, max_positions=4096), loaded.model.config, draws=True)
    noise = draw_noise(loaded.model, together, iter(range(9)))
    alone = draw_noise(loaded.model, together, range(2, 9))
    assert noise is not None and alone is not None
    torch.testing.assert_close(noise.noise[2], alone.noise[0])
    torch.testing.assert_close(noise.posterior_noise[2], alone.posterior_noise[0])
    assert len(noise.timesteps) == int(together.draws.sum())


def test_screens_that_changed_are_found_and_what_leads_to_them_is_given(runs):
    found = list(next_screens(open_data(runs), held_back=1.0))
    assert len(found) == 2
    for screen in found:
        assert screen.before != screen.real
        said = "".join(part.content for part in screen.given if isinstance(part.content, str))
        assert said.rstrip().endswith("user") and '"tool":' in said
    assert not list(next_screens(open_data(runs), held_back=0.0))


def test_likeness_tells_what_changed_apart():
    real, before = torch.zeros(3, 10, 10), torch.zeros(3, 10, 10)
    before[:, 0] = 0.5  # a tenth of it
    told = likeness(before, real, (before - real).abs().amax(0) > 0.1)
    assert told.error == pytest.approx(12.75) and told.changed_error == pytest.approx(127.5)
    assert told.psnr - told.changed_psnr == pytest.approx(10)


def test_the_command_draws_and_writes_a_page(runs, tmp_path, monkeypatch):
    page = tmp_path / "page.html"
    asked = ("eval", "screens", "--preset", "tiny", "--data", runs, "--out", page, "--steps", 1, "--held-back", 1)
    result = CliRunner().invoke(app, list(map(str, asked)), prog_name="mmi")
    assert result.exit_code == 0, result.output
    assert "the screen before: error" in result.output and "2 screens" in result.output
    text = page.read_text()
    assert text.count("<img") == 8 and "http" not in text
    become, first = Document.become, iter([True])

    def too_long_at_first(document, units):
        if next(first, False):
            raise ShapeError("9000 positions exceed the window of 8192")
        return become(document, units)

    page.unlink()
    monkeypatch.setattr(Document, "become", too_long_at_first)
    result = CliRunner().invoke(app, list(map(str, asked)), prog_name="mmi")
    assert result.exit_code == 0 and "1 screens" in result.output, result.output
    assert "trajectory.jsonl: 9000 positions exceed the window" in result.output and page.exists()
    result = CliRunner().invoke(app, list(map(str, (*asked[:-1], 0))), prog_name="mmi")
    assert result.exit_code == 1 and "--held-back 1 takes all runs" in result.output
