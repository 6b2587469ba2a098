"""Our model against what the released code computed at toy width (tests/parity/released; commit ac539d0)."""

import json
from pathlib import Path

import pytest
import torch

from mmi_agent.checkpoints.official import (
    draws,
    from_official,
    is_computed,
    load_official,
    official_name,
    our_name,
    to_official,
)
from mmi_agent.checkpoints.parity import build_toy, parity_report, read_recorded
from mmi_agent.errors import CheckpointError

FOLDER = Path(__file__).parent / "released"


@pytest.fixture(scope="module")
def toy():
    return build_toy(FOLDER)


def released_weights(model):
    return to_official(model.state_dict())


def test_every_recorded_tensor_comes_out():
    recorded = read_recorded(FOLDER).keys() - {"text_ids", "attention_mask", "images", "num_image_per_seq"}
    rungs = parity_report(FOLDER)
    assert {rung.name for rung in rungs} == recorded
    assert not [rung for rung in rungs if not rung.holds]


def test_other_weights_give_other_tensors():
    held = {rung.name for rung in parity_report(FOLDER, salt="another model") if rung.holds}
    assert held == {"cross_attention_mask"}  # the only one that follows from the ids alone


def test_released_names_go_there_and_back(toy):
    names = json.loads((FOLDER / "names.json").read_text())
    reading = {name for name in names if not draws(name) and not is_computed(name)}
    assert {our_name(name) for name in reading} == set(toy.state_dict())
    assert {official_name(our_name(name)) for name in reading} == reading

    released = released_weights(toy)
    assert {name: list(tensor.shape) for name, tensor in released.items()} == {n: names[n][0] for n in reading}
    ours = from_official(released)
    assert ours.keys() == toy.state_dict().keys()
    assert all(torch.equal(ours[name], tensor) for name, tensor in toy.state_dict().items())


@pytest.mark.parametrize("stray", ["text_decoder.tail.weight", "mm_decoder.layers.0.mlp.gate_proj.0.weight"])
def test_a_stray_name_is_refused(toy, stray):
    with pytest.raises(CheckpointError, match=stray):
        load_official(toy, {**released_weights(toy), stray: torch.zeros(1)})


def test_a_missing_weight_and_a_wrong_shape_are_named(toy):
    released = released_weights(toy)
    del released["mm_decoder.norm.weight"]
    released["soi_token"] = torch.zeros(1, 7)
    with pytest.raises(CheckpointError, match=r"2 released .*begin_of_image: \(64,\) expected, \(7,\) .*decoder\.norm"):
        load_official(toy, released)


def test_an_incomplete_folder_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="no text_ids, attention_mask, images"):
        parity_report(tmp_path)
