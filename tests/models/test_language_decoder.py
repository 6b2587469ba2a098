from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch.nn import functional as F

from mmi_agent.errors import CheckpointError, ConfigError, ShapeError
from mmi_agent.models.feature_synchronizer import PictureMemory
from mmi_agent.models.language_decoder import LanguageDecoder, LanguageDecoderConfig

LLAMA = LanguageDecoderConfig(
    vocab_size=50,
    hidden_size=24,
    intermediate_size=40,
    num_layers=3,
    num_heads=6,
    num_kv_heads=2,
    rope_theta=500.0,
    max_positions=64,
    tied_head=True,
)


@pytest.fixture(scope="module")
def decoder(model):
    return model.decoder


def pictures(decoder, starts):
    """A memory of random pictures that begin at these positions."""
    memory, config = PictureMemory(), decoder.config.synchronizer
    for start in starts:
        features_11SF = torch.randn(1, 1, config.num_cells, config.feature_width)
        memory.append(decoder.project_pictures(features_11SF), start=start)
    return memory


@pytest.mark.parametrize("tied", [True, False])
def test_is_the_llama_of_transformers(tied):
    transformers = pytest.importorskip("transformers")
    theirs = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=50,
            hidden_size=24,
            intermediate_size=40,
            num_hidden_layers=3,
            num_attention_heads=6,
            num_key_value_heads=2,
            rope_theta=500.0,
            rms_norm_eps=1e-5,
            tie_word_embeddings=tied,
        )
    ).eval()
    state = theirs.state_dict()
    parts = {"attention_norm": "input_layernorm", "feed_forward_norm": "post_attention_layernorm"}
    parts |= {f"attention.{name}": f"self_attn.{name[0]}_proj" for name in ("query", "key", "value", "output")}
    parts |= {f"feed_forward.{name}": f"mlp.{name}_proj" for name in ("gate", "up", "down")}
    weights = {"embedding.weight": state["model.embed_tokens.weight"], "norm.weight": state["model.norm.weight"]}
    weights |= {} if tied else {"head.weight": state["lm_head.weight"]}
    for i in range(3):
        for ours, name in parts.items():
            weights[f"layers.{i}.{ours}.weight"] = state[f"model.layers.{i}.{name}.weight"]

    decoder = LanguageDecoder(replace(LLAMA, tied_head=tied), language_device="meta")
    decoder.assign_language_weights(weights)
    ids_BT = torch.randint(50, (2, 17))
    with torch.inference_mode():
        logits_BTV = decoder.logits(decoder(decoder.embed(ids_BT)))
        torch.testing.assert_close(logits_BTV, theirs(ids_BT).logits)


@pytest.mark.parametrize("seed", range(5))
def test_reading_in_parts_is_reading_at_once(decoder, seed):
    generator = torch.Generator().manual_seed(seed)
    embeddings_1TC = decoder.embed(torch.randint(322, (1, 40), generator=generator))
    starts = sorted(torch.randint(40, (4,), generator=generator).tolist())
    memory = pictures(decoder, starts)
    whole_1TC = decoder(embeddings_1TC, pictures=memory)

    cuts = sorted({0, 40, *torch.randint(1, 40, (6,), generator=generator).tolist()})
    cache = decoder.open_cache(capacity=2)
    parts = []
    for begin, end in pairwise(cuts):
        so_far = memory.fork()  # a growing document has not met the pictures to come
        so_far.rewind(end)
        parts.append(decoder(embeddings_1TC[:, begin:end], cache=cache, pictures=so_far))
    torch.testing.assert_close(torch.cat(parts, 1), whole_1TC, atol=1e-5, rtol=1e-4)


def test_going_back_and_forking_change_nothing(decoder):
    prefix_1TC, first_1TC, second_1TC = (decoder.embed(torch.randint(322, (1, n))) for n in (9, 4, 5))
    memory, cache = pictures(decoder, [2, 6]), decoder.open_cache(capacity=9)
    decoder(prefix_1TC, cache=cache, pictures=memory)
    fork = cache.fork()
    hidden_1TC = decoder(first_1TC, cache=cache, pictures=memory)
    decoder(second_1TC, cache=cache, pictures=memory)
    cache.rewind(9)
    assert torch.equal(decoder(first_1TC, cache=cache, pictures=memory), hidden_1TC)
    assert torch.equal(decoder(first_1TC, cache=fork, pictures=memory), hidden_1TC)

    rows = fork.fork(2)
    rows.rewind(9)
    padded_BTC = torch.cat([F.pad(first_1TC, (0, 0, 0, 1)), second_1TC])
    hidden_BTC = decoder(padded_BTC, cache=rows, pictures=memory)
    torch.testing.assert_close(hidden_BTC[:1, :4], hidden_1TC)
    fork.rewind(9)
    torch.testing.assert_close(hidden_BTC[1:], decoder(second_1TC, cache=fork, pictures=memory))


def test_new_tokens_are_scored_with_and_without_rows_of_their_own():
    without = LanguageDecoder(replace(LLAMA, num_new_tokens=2))
    ids_BT = torch.tensor([[3, 50, 51]])
    embeddings_BTC = without.embed(ids_BT)
    assert embeddings_BTC[0, 0].any() and not embeddings_BTC[0, 1:].any()
    logits_BTV = without.logits(without(embeddings_BTC))
    assert logits_BTV.shape == (1, 3, 52) and bool((logits_BTV[..., 50:] == -5).all())

    rows = replace(LLAMA, num_new_tokens=2, first_new_token=48, tied_head=False, head_bias=True)
    assert LanguageDecoder(rows).logits(torch.randn(1, 3, 24)).shape == (1, 3, 50)


def test_the_window_has_an_end():
    decoder = LanguageDecoder(LLAMA)
    cache = decoder.open_cache(capacity=3)
    decoder(torch.randn(1, 60, 24), cache=cache)
    assert cache.length == 60
    with pytest.raises(ShapeError, match="5 tokens more than the 60 read exceed the window of 64"):
        decoder(torch.randn(1, 5, 24), cache=cache)
    assert cache.length == 60


def test_what_does_not_fit_is_refused():
    decoder = LanguageDecoder(LLAMA)
    with pytest.raises(ShapeError, match=r"expected embeddings \(any, tokens, 24\), got \(1, 2, 23\)"):
        decoder(torch.randn(1, 2, 23))
    with pytest.raises(ShapeError, match="expected embeddings \\(2, "):
        decoder(torch.randn(1, 2, 24), cache=decoder.open_cache(batch_size=2))
    with pytest.raises(ShapeError, match="cannot fork 2 rows into 3"):
        decoder.open_cache(batch_size=2).fork(3)
    with pytest.raises(ShapeError, match="cannot rewind to 1"):
        decoder.open_cache().rewind(1)
    with pytest.raises(CheckpointError, match=r"1 language weights do not fit: norm.weight: \(24,\) expected, None"):
        state = decoder.state_dict()
        decoder.assign_language_weights({name: state[name] for name in state if name != "norm.weight"})
    with pytest.raises(ConfigError, match="num_kv_heads 4"):
        replace(LLAMA, num_kv_heads=4)
