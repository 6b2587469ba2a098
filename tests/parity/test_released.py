"""Our model against what the released code computed at toy width (tests/parity/released; commit ac539d0)."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from mmi_agent.checkpoints.official import (
    from_official,
    is_computed,
    load_official,
    official_name,
    our_name,
    to_official,
)
from mmi_agent.checkpoints.parity import build_toy, read_recorded
from mmi_agent.errors import CheckpointError
from mmi_agent.inference.ladder import climb
from mmi_agent.models.configs import full
from mmi_agent.models.mm_interleaved import MMInterleavedModel

FOLDER = Path(__file__).parent / "released"
FULL_SIZE = Path(__file__).parent / "released_names.json"
INPUTS = {
    *("text_ids", "attention_mask", "images", "images_dec", "num_image_per_seq", "unet_latents", "unet_timesteps"),
    *("loss_noise", "loss_timesteps", "loss_vae_eps", "gen_prompt", "score_prompt", "score_options", "img_prompt"),
    "gen_image_first_noise",
}


@pytest.fixture(scope="module")
def toy():
    return build_toy(FOLDER)


def released_weights(model):
    return to_official(model.state_dict())


@pytest.mark.slow
def test_every_recorded_tensor_comes_out():
    rungs = list(climb(FOLDER))
    assert {rung.name for rung in rungs} == read_recorded(FOLDER).keys() - INPUTS
    assert not [rung for rung in rungs if not rung.holds]


def test_other_weights_give_other_tensors(tmp_path):
    for name in ("config.json", "names.json"):
        shutil.copy(FOLDER / name, tmp_path)
    recorded = load_file(FOLDER / "golden.safetensors")
    kept = {name: tensor for name, tensor in recorded.items() if not name.startswith(("gen_", "unet_", "img_"))}
    save_file(kept, tmp_path / "golden.safetensors")
    held = {rung.name for rung in climb(tmp_path, salt="another model") if rung.holds}
    assert held == {"cross_attention_mask", "context_mask", "mmfs_mask"}  # those that follow from the ids alone


def test_the_first_noise_of_a_seed_is_the_released_code_s():
    noise = torch.randn(1, 4, 32, 32, generator=torch.Generator().manual_seed(42))
    assert torch.equal(noise, read_recorded(FOLDER)["gen_image_first_noise"])


def test_released_names_go_there_and_back_at_full_size():
    released = {name: shape for name, (shape, _) in json.loads(FULL_SIZE.read_text()).items()}
    assert len(released) == 2659
    with torch.device("meta"):
        model = MMInterleavedModel(full())
    stored = {name: shape for name, shape in released.items() if not is_computed(name)}
    assert {name.rpartition(".")[2] for name in released.keys() - stored.keys()} == {
        *("pos_embed", "clip_mean", "clip_std", "position_ids")
    }
    assert {our_name(name) for name in stored} == set(model.state_dict())
    assert all(official_name(our_name(name)) == name for name in stored)
    assert {name: list(tensor.shape) for name, tensor in released_weights(model).items()} == stored


def test_released_weights_go_there_and_back(toy):
    ours = from_official(released_weights(toy))
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
        list(climb(tmp_path))


@pytest.mark.parametrize("content", ["[]", '{"soi_token": 3}', '{"soi_token": [[-1], "float32"]}'])
def test_names_that_are_none_are_one_line(tmp_path, content):
    shutil.copy(FOLDER / "config.json", tmp_path)
    (tmp_path / "names.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"names\.json holds sizes that no model has"):
        build_toy(tmp_path)
