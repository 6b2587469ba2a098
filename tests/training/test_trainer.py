import errno
import json
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import killed_training
import pytest
import torch
from toy_supply import CONFIG, ToySupply

from mmi_agent.errors import CheckpointError, ConfigError
from mmi_agent.models.mm_interleaved import MMInterleavedModel
from mmi_agent.training import checkpoint
from mmi_agent.training.log import Log, cut_off, read_log
from mmi_agent.training.parameters import find_learners, prepare
from mmi_agent.training.recipes import Recipe, recipe
from mmi_agent.training.supply import Portion
from mmi_agent.training.trainer import Plan, Trainer

HERE = Path(__file__).parent


class Texts(ToySupply):
    def __init__(self, *, batches: int = 2, name: str = "toy") -> None:
        super().__init__(num_samples=4, batches=batches, pictures=False, name=name)


def trainer(folder: Path, *, name="lora", plan=None, supply=None, given: Recipe | None = None) -> Trainer:
    return Trainer(
        MMInterleavedModel.build(CONFIG).eval(),
        base="tiny",
        recipe=given or recipe(name),
        plan=plan or Plan(steps=2),
        supply=supply or Texts(),
        folder=folder,
    )


def losses(folder: Path) -> list[float]:
    return [entry["loss"] for entry in read_log(folder)]


@pytest.mark.parametrize("name", ["pretrain", "finetune", "lora"])
def test_a_recipe_changes_what_it_names_and_not_a_bit_of_the_rest(tmp_path, name):
    run = trainer(tmp_path, name=name, supply=ToySupply(num_samples=2, batches=1), plan=Plan(steps=1))
    model = run.objective.model
    before = {key: each.detach().clone() for key, each in model.named_parameters()}
    run.run()
    changed = {key for key, each in model.named_parameters() if not torch.equal(each, before[key])}
    assert changed and all(dict(model.named_parameters())[key].requires_grad for key in changed)

    def is_language(key: str) -> bool:
        return key.startswith("decoder.") and ".look." not in key and "new_head" not in key

    assert not [key for key in changed if key.startswith("image_decoder.autoencoder")]
    assert any(is_language(key) for key in changed) == (name != "pretrain")
    assert any(key.startswith("image_decoder.denoiser") for key in changed) == (name != "lora")
    assert any(".encoder.layers." in key for key in changed) == (name == "finetune")
    if name == "lora":
        assert all(".lora_" in key for key in changed)


@pytest.mark.parametrize(
    ("name", "also", "picture_weight"),
    [
        ("finetune", [], 0.0),
        ("pretrain", [], 0.0),
        ("finetune", ["eyes", "hand", "language"], None),
        ("pretrain", ["hand"], None),
        ("lora", ["language"], None),
    ],
)
def test_recipes_go_together_with_what_is_asked_besides(name, also, picture_weight):
    chosen = recipe(name).also(also)
    chosen = chosen if picture_weight is None else replace(chosen, picture_weight=picture_weight)
    model = MMInterleavedModel.build(CONFIG if chosen.picture_weight else replace(CONFIG, image_decoder=None))
    prepare(model, chosen)
    learners = find_learners(model, chosen)
    rates = {parameter: group["rate"] for group in learners.groups for parameter in group["params"]}
    assert set(rates) == {each for each in model.parameters() if each.requires_grad}
    full = {"eyes": "visual_tokenizer.", "hand": "image_decoder.denoiser.", "language": "decoder.layers.0.attention."}
    for part in also:
        chosen_ones = [each for key, each in learners.parameters.items() if key.startswith(full[part])]
        assert chosen_ones and all(rates[each] == 1 for each in chosen_ones), part
    if name == "lora":
        kinds = {key.rpartition(".")[2] for key in learners.parameters if ".attention." in key}
        assert {"lora_A", "lora_B", "weight"} <= kinds


def test_a_recipe_of_which_nothing_is_left_is_refused():
    with pytest.raises(ConfigError, match="'hand' without a picture loss trains nothing"):
        prepare(MMInterleavedModel.build(CONFIG), replace(recipe("hand"), picture_weight=0.0))


def test_accumulation_is_one_big_batch(tmp_path):
    for batches in (1, 4):
        trainer(tmp_path / str(batches), supply=Texts(batches=batches)).run()
    assert losses(tmp_path / "1") == pytest.approx(losses(tmp_path / "4"), rel=1e-6)


def test_a_run_that_is_killed_goes_on_along_the_same_curve(tmp_path):
    def start(folder: str, pause_s: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, HERE / "killed_training.py", tmp_path / folder, pause_s])

    killed_training.main(str(tmp_path / "whole"))
    victim = start("killed", "1")
    deadline = time.monotonic() + 200
    while checkpoint.latest(tmp_path / "killed" / "checkpoints") is None and time.monotonic() < deadline:
        time.sleep(0.05)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    assert 2 <= len(losses(tmp_path / "killed")) < 6
    assert start("killed", "0").wait(timeout=200) == 0
    assert losses(tmp_path / "killed") == pytest.approx(losses(tmp_path / "whole"), rel=0, abs=1e-6)
    assert len(losses(tmp_path / "whole")) == 6


def test_a_run_goes_on_with_nothing_else(tmp_path):
    plan = Plan(steps=4, save_every=2)
    first = trainer(tmp_path, plan=plan)
    first.stop()
    first.run()
    assert first.state.step == 1  # a stop is a checkpoint
    with pytest.raises(ConfigError, match="trains on data"):
        trainer(tmp_path, plan=plan, supply=Texts(name="other"))
    with pytest.raises(ConfigError, match=r"has learning_rate 0.0005, asked was 1.0: go on"):
        trainer(tmp_path, plan=plan, given=replace(recipe("lora"), learning_rate=1.0))
    with pytest.raises(ConfigError, match="has steps 4, asked was 5"):
        trainer(tmp_path, plan=Plan(steps=5))
    lent = replace(plan, seconds=1000.0)
    trainer(tmp_path / "lent", plan=replace(lent, seconds=1e-9)).run()
    with pytest.raises(ConfigError, match="has seconds 1e-09, asked was None"):
        trainer(tmp_path / "lent", plan=plan)
    with pytest.raises(ConfigError, match="has seconds None, asked was 1000"):
        trainer(tmp_path, plan=lent)
    other = tuple(replace(group, pattern=r"decoder\.") for group in recipe("lora").groups)
    with pytest.raises(ConfigError, match="other patterns"):
        trainer(tmp_path, plan=plan, given=replace(recipe("lora"), groups=other))
    of_two = first.state.model_copy(update={"processes": 2})
    (tmp_path / "checkpoints" / "step-000001" / "state.json").write_text(of_two.model_dump_json())
    with pytest.raises(ConfigError, match="has 2 processes, these are 1"):
        trainer(tmp_path, plan=plan)


class Poisoned(Texts):
    """Loses its numbers in some steps."""

    def __init__(self, *steps: int) -> None:
        super().__init__(batches=1)
        self.steps = steps

    def portion(self, step: int) -> Portion:
        portion = super().portion(step)
        if step + 1 not in self.steps:
            return portion
        layout = portion.batches[0].layout
        far = layout._replace(positions=torch.full_like(layout.positions.float(), float("nan")))
        return portion._replace(batches=(portion.batches[0]._replace(layout=far),))


def test_two_runs_do_not_share_a_folder(tmp_path):
    first = trainer(tmp_path, plan=Plan(steps=2))
    refused: list[str] = []

    def begin_another(_told: object) -> None:
        with pytest.raises(ConfigError, match="another process is at work in") as caught:
            trainer(tmp_path, plan=Plan(steps=2)).run()
        refused.append(str(caught.value))

    first.run(begin_another)
    assert len(refused) == 2 and len(losses(tmp_path)) == 2


def test_a_step_that_is_not_finite_is_skipped_and_named(tmp_path):
    run = trainer(tmp_path, supply=Poisoned(2), plan=Plan(steps=3))
    run.run()
    entries = list(read_log(tmp_path))
    assert [entry["skipped"] for entry in entries] == [False, True, False]
    assert entries[1]["loss"] is None and sorted(entries[1]["sources"]) == [f"toy: {number}" for number in range(4)]
    assert run.state.counters.skipped == 1 and entries[2]["loss"] < entries[0]["loss"]
    trainer(tmp_path / "first", supply=Poisoned(1), plan=Plan(steps=1)).run()
    assert trainer(tmp_path / "first", supply=Poisoned(1), plan=Plan(steps=1)).done  # without a state of the optimiser


def test_what_lost_its_end_is_summed_up(tmp_path):
    with closing(Log(tmp_path, step=0)) as log:
        for entry in ({"samples": 4, "cut": 1, "lost": 10}, {"held_back": {}}, {"samples": 4}):  # the last is older
            log.write({"step": 1, **entry})
    assert cut_off(tmp_path).startswith("1 of 8 samples that were read are longer than a row and lost their ends, 10")


def test_too_many_of_them_end_the_run(tmp_path):
    run = trainer(tmp_path, supply=Poisoned(*range(1, 9)), plan=Plan(steps=8, patience=3))
    with pytest.raises(ConfigError, match=r"3 steps in a row .* toy: "):
        run.run()
    assert len(losses(tmp_path)) == 3


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    run = trainer(tmp_path, plan=Plan(steps=2, save_every=1))
    real, saved = checkpoint.save_file, []

    def save_file(tensors, path):
        saved.append(path)
        if len(saved) == 4:  # the second file of the second checkpoint
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        real(tensors, path)

    monkeypatch.setattr(checkpoint, "save_file", save_file)
    with pytest.raises(CheckpointError, match=r"No space left on device.*step-000001 is whole"):
        run.run()
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-000001"]
    monkeypatch.setattr(checkpoint, "save_file", real)
    again = trainer(tmp_path, plan=Plan(steps=2, save_every=1))
    assert again.state.step == 1
    again.run()
    assert json.loads((tmp_path / "checkpoints/step-000002/state.json").read_text())["step"] == 2


def test_a_recipe_for_what_the_model_lacks_is_refused(tmp_path):
    for chosen in (recipe("finetune"), recipe("lora").also(["hand"])):
        blind = MMInterleavedModel.build(replace(CONFIG, image_decoder=None)).eval()
        with pytest.raises(ConfigError, match="picture loss and the model has no image decoder"):
            Trainer(blind, base="tiny", recipe=chosen, plan=Plan(steps=1), supply=Texts(), folder=tmp_path)
