import torch

from mmi_agent.checkpoints.footprint import footprint, parameters_per_part
from mmi_agent.models.configs import full, tiny
from mmi_agent.models.key_value_cache import KeyValueCache
from mmi_agent.models.mm_interleaved import MMInterleavedModel


def test_what_is_counted_is_what_a_model_takes() -> None:
    config = tiny()
    model = MMInterleavedModel.build(config).eval()
    taken = footprint(config, "float32")
    assert taken.weights_bytes == sum(weight.nbytes for weight in model.parameters())
    assert sum(parameters_per_part(config).values()) == sum(weight.numel() for weight in model.parameters())

    cache: KeyValueCache = model.decoder.open_cache(capacity=config.decoder.max_positions)
    assert taken.cache_bytes == cache._keys.nbytes + cache._values.nbytes

    with torch.inference_mode():
        seen = model.see(config.fake_batch(batch_size=1)[1])
        kept = [*seen.maps, seen.tokens, *model.project(seen)]
    in_window = config.decoder.max_positions // (1 + config.resampler.num_queries)
    assert taken.pictures_bytes == in_window * sum(tensor.nbytes for tensor in kept)


def test_the_released_model_fits_the_cards_that_it_is_meant_for() -> None:
    parts = parameters_per_part(full())
    assert sum(parts.values()) == 14_868_037_913
    taken = {precision: footprint(full(), precision) for precision in ("bfloat16", "int8", "int4")}
    assert taken["bfloat16"].weights_bytes == 2 * sum(parts.values())
    assert 30e9 < taken["bfloat16"].to_draw() < 40e9
    assert taken["int8"].to_draw() < 23e9
    assert taken["int4"].to_draw() < 15e9
    assert (
        taken["int4"].to_write(offloaded=False) - taken["int4"].to_write(offloaded=True) == 2 * parts["image decoder"]
    )
