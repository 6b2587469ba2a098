import pytest
import torch
from toy_supply import CONFIG, batch

from mmi_agent.checkpoints.adapters import (
    AdapterManifest,
    average_adapters,
    put_on,
    read_adapter,
    read_tensors,
    save_adapter,
    weights_fingerprint,
)
from mmi_agent.errors import CheckpointError, ConfigError
from mmi_agent.models.mm_interleaved import MMInterleavedModel
from mmi_agent.training.parameters import find_learners, prepare
from mmi_agent.training.recipes import recipe


def build(seed: int = 0) -> MMInterleavedModel:
    return MMInterleavedModel.build(CONFIG, seed=seed).eval()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model with LoRA and open gates, and the adapter of it."""
    model, base = build(), weights_fingerprint(build())
    chosen = recipe("lora").also(["looks"])
    prepare(model, chosen)
    learners = find_learners(model, chosen)
    with torch.no_grad():
        for parameter in learners.parameters.values():
            parameter.normal_(std=0.05)
    folder = tmp_path_factory.mktemp("weights") / "adapter"
    manifest = AdapterManifest(
        preset="tiny",
        base=base,
        lora_scale=2.0,
        recipe={"name": "lora"},
        data=(),
        seed=0,
        steps=1,
        samples=1,
        tokens=1,
    )
    tensors = {name: each.detach() for name, each in learners.parameters.items()}
    return model, folder, save_adapter(folder, tensors, manifest)


def logits(model: MMInterleavedModel) -> torch.Tensor:
    rows = batch(range(2))
    assert rows.pixels is not None
    with torch.no_grad():
        hidden = model.read_rows(rows.ids, rows.layout, model.see(rows.pixels))
        return model.decoder.logits(hidden)


def test_a_merged_adapter_gives_what_the_trained_model_gave(trained):
    model, folder, manifest = trained
    fresh = build()
    before = logits(fresh)
    assert put_on(fresh, folder) == manifest == read_adapter(folder)
    assert not torch.allclose(logits(fresh), before, atol=1e-2)
    torch.testing.assert_close(logits(fresh), logits(model), rtol=1e-5, atol=1e-5)


def test_an_adapter_is_put_on_the_weights_that_it_was_trained_on_alone(trained):
    _, folder, _ = trained
    with pytest.raises(CheckpointError, match="was trained on other weights of 'tiny'"):
        put_on(build(seed=1), folder)
    twice = build()
    put_on(twice, folder)
    with pytest.raises(CheckpointError, match="other weights"):
        put_on(twice, folder)


def test_eyes_that_chance_made_do_not_matter(trained):
    """Another version of torch draws other numbers from the same seed: the adapter fits all the same."""
    _, folder, manifest = trained
    other = build()
    with torch.no_grad():
        other.visual_tokenizer.encoder.class_token.normal_()
    assert put_on(other, folder) == manifest


def test_an_average_changes_a_model_by_the_weighted_sum_of_the_changes(trained, tmp_path):
    _, first, manifest = trained
    tensors = read_tensors(first, manifest)
    scaled = {name: 3.0 * tensor if name.endswith(".lora_B") else tensor for name, tensor in tensors.items()}
    second = tmp_path / "second"
    save_adapter(second, scaled, manifest.model_copy(update={"lora_scale": 0.5, "files": {}, "weights": {}}))
    joined = average_adapters([(first, 0.25), (second, 0.5)], tmp_path / "both")
    assert (joined.base, joined.steps, len(joined.continues)) == (manifest.base, 2, 2)

    def weight(*folders) -> torch.Tensor:
        model = build()
        for folder in folders:
            put_on(model, folder)
        return model.decoder.get_parameter("layers.0.attention.query.weight").detach()

    change = weight(first) - weight()  # the second changes 3 * 0.5 / 2 times as much
    torch.testing.assert_close(weight(tmp_path / "both") - weight(), (0.25 + 0.5 * 0.75) * change, atol=1e-6, rtol=1e-4)
    gate = "decoder.layers.0.look.gate"
    torch.testing.assert_close(read_tensors(tmp_path / "both", joined)[gate], tensors[gate])
    for weights in (
        (0.0, 0.0),
        (float("nan"), 1.0),
        (float("inf"), 1.0),
        (1.0, -1.0),
    ):  # the gate has no mean of the last
        with pytest.raises(ConfigError, match=r"make no sum|look\.\S+ add up to 0"):
            average_adapters([*zip((first, second), weights, strict=True)], tmp_path / "none")
    assert not (tmp_path / "none").exists()
    with pytest.raises(CheckpointError, match="was trained on other weights than"):
        other = tmp_path / "other"
        save_adapter(other, tensors, manifest.model_copy(update={"base": "0" * 64, "files": {}, "weights": {}}))
        average_adapters([(first, 0.5), (other, 0.5)], tmp_path / "none")


def test_a_damaged_adapter_is_named(trained, tmp_path):
    _, folder, manifest = trained
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    (file,) = manifest.files
    content = bytearray((copy / file).read_bytes())
    content[-1] ^= 1
    (copy / file).write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"{file} has SHA-256"):
        put_on(build(), copy)
    (copy / file).unlink()
    with pytest.raises(CheckpointError, match="No such file"):
        put_on(build(), copy)
    with pytest.raises(CheckpointError, match="is there already"):
        save_adapter(folder, {}, manifest)
