from dataclasses import replace

import pytest
import torch

from mmi_agent.errors import ConfigError, ShapeError, UnknownNameError
from mmi_agent.models.configs import preset, tiny
from mmi_agent.models.feature_synchronizer import PictureMemory
from mmi_agent.models.mm_interleaved import MMInterleavedModel

CONFIG = tiny()
PICTURE = [CONFIG.begin_of_image] + [CONFIG.image] * CONFIG.resampler.num_queries


def test_a_growing_document_is_a_row_of_a_batch(model):
    row = [1, 5, 6, *PICTURE, 7, *PICTURE, *PICTURE, 8, 9]
    other = [1, *PICTURE, 5, 6]
    ids_BT = torch.tensor([row, other + [0] * (len(row) - len(other))])
    pixels_PCHW = torch.rand(4, 3, 56, 56)
    reading = model(ids_BT, pixels_PCHW)

    cache, memory, parts, number = model.decoder.open_cache(), PictureMemory(), [], 0
    for part in ([1, 5, 6], "picture", [7], "picture", "picture", [8], [9]):
        if part == "picture":
            seen = model.see(pixels_PCHW[number : number + 1])
            memory.append(model.project(seen), start=cache.length + 1)
            embeddings_1TC, number = model.embed_picture(seen), number + 1
        else:
            embeddings_1TC = model.embed(torch.tensor([part]))
        parts.append(model.decoder(embeddings_1TC, cache=cache, pictures=memory))
    torch.testing.assert_close(torch.cat(parts, 1), reading.hidden[:1], atol=1e-5, rtol=1e-4)

    alone = model(torch.tensor([other]), pixels_PCHW[3:])
    torch.testing.assert_close(reading.hidden[1:, : len(other)], alone.hidden, atol=1e-5, rtol=1e-4)


def test_padding_on_the_right_needs_no_mask(model):
    ids_BT, pixels_PCHW = CONFIG.fake_batch()
    mask_BT = torch.ones_like(ids_BT)
    mask_BT[1, -4:] = 0
    masked, unmasked = model(ids_BT, pixels_PCHW, mask_BT), model(ids_BT, pixels_PCHW)
    torch.testing.assert_close(masked.logits[mask_BT.bool()], unmasked.logits[mask_BT.bool()])
    assert not torch.allclose(masked.hidden[1, -1], unmasked.hidden[1, -1])


def test_pictures_before_a_document_are_out_of_its_sight(model):
    begin = CONFIG.begin_of_text
    ids_BT = torch.tensor([[begin, *PICTURE, 5, begin, 6, *PICTURE]])
    visible_BTI = model.merge(ids_BT, model.see(torch.rand(2, 3, 56, 56))).visible
    first, second = visible_BTI[0].int().T.tolist()
    assert first == [0, 0, *[1] * 8, 1, *[0] * 11]
    assert second == [0] * 14 + [1] * 8


@pytest.mark.parametrize("is_open", [False, True])
def test_a_closed_gate_keeps_feature_maps_out(is_open):
    model = MMInterleavedModel.build(CONFIG, seed=3).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("look.gate"):
            assert not parameter.any()  # as built
            parameter.data += 0.5 * is_open
    ids_BT, pixels_PCHW = CONFIG.fake_batch()
    seen = model.see(pixels_PCHW)
    hidden = []
    for maps in (seen.maps, tuple(torch.randn_like(map_PFHW) for map_PFHW in seen.maps)):
        batch = model.merge(ids_BT, replace(seen, maps=maps))
        hidden.append(model.decoder(batch.embeddings, pictures=batch.pictures, visible_BTI=batch.visible))
    assert torch.equal(*hidden) != is_open


def test_all_weights_that_read_learn_but_those_of_the_finest_map(model):
    learner = MMInterleavedModel(CONFIG)
    learner.load_state_dict(model.state_dict())
    ids_BT, pixels_PCHW = CONFIG.fake_batch()
    learner(ids_BT, pixels_PCHW).logits.logsumexp(-1).sum().backward()
    silent = {name for name, parameter in learner.named_parameters() if parameter.grad is None}
    silent = {name for name in silent if not name.startswith("image_decoder.")}  # see test_losses.py
    finest = ("visual_tokenizer.encoder.finer.", "visual_tokenizer.encoder.spatial_prior.projections.0.")
    assert silent and all(name.startswith(finest) for name in silent)  # the decoder does not look at it


def test_a_seed_decides_all_weights_and_nothing_else():
    before = torch.get_rng_state()
    first, second, other = (MMInterleavedModel.build(CONFIG, seed=seed).state_dict() for seed in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["decoder.embedding.weight"], other["decoder.embedding.weight"])


def test_small_is_built_around_given_language_weights_at_once():
    config = preset("small")
    skeleton = MMInterleavedModel(config, language_device="meta").decoder
    names = skeleton.language_weight_names()
    assert (len(names), names[0], names[-1]) == (30 * 9 + 2, "embedding.weight", "norm.weight")
    weights = {name: torch.zeros(1).expand(skeleton.get_parameter(name).shape) for name in names}
    model = MMInterleavedModel.build(config, language_weights=weights)
    assert not any(parameter.is_meta for parameter in model.parameters())
    assert model.see(torch.rand(1, 3, 224, 224)).tokens.shape == (1, 64, 576)


@pytest.mark.parametrize(
    ("ids", "pixels_shape", "message"),
    [
        ([1, 5], (1, 3, 56, 56), r"places .*\(0, 0\), given were \(1, 8\)"),
        ([1, *PICTURE], None, r"places .*\(1, 8\), given were \(0, 0\)"),
        ([1, *PICTURE[:-1]], (1, 3, 56, 56), r"places .*\(1, 7\), given were \(1, 8\)"),
        ([1, *PICTURE], (1, 3, 56, 57), r"pixels must be .*got \(1, 3, 56, 57\)"),
    ],
)
def test_pictures_without_places_and_places_without_pictures_are_refused(model, ids, pixels_shape, message):
    with pytest.raises(ShapeError, match=message):
        model(torch.tensor([ids]), None if pixels_shape is None else torch.rand(pixels_shape))


def test_configurations_that_contradict_themselves_are_refused():
    with pytest.raises(ConfigError, match="level_widths"):
        replace(CONFIG, vision=replace(CONFIG.vision, image_size=224))
    with pytest.raises(ConfigError, match="feature_width"):
        MMInterleavedModel(replace(CONFIG, resampler=replace(CONFIG.resampler, feature_width=16)))
    with pytest.raises(UnknownNameError, match="'tiny'"):
        preset("tinny")
