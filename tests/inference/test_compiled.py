"""A compiled step gives the numbers of the decoder it stands for, and is compiled once."""

from dataclasses import replace

import pytest
import torch
from torch._dynamo.utils import counters

from mmi_agent.errors import ShapeError
from mmi_agent.inference.compiled import CompiledDecoder
from mmi_agent.inference.loading import MMInterleaved
from mmi_agent.models.configs import tiny
from mmi_agent.models.feature_synchronizer import PictureMemory
from mmi_agent.models.language_decoder import LanguageDecoder


@pytest.fixture(scope="module")
def decoder() -> LanguageDecoder:
    generator = torch.Generator().manual_seed(1)
    decoder = LanguageDecoder(replace(tiny().decoder, num_layers=2, max_positions=60)).eval().requires_grad_(False)
    for parameter in decoder.parameters():
        parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
    return decoder


@pytest.fixture(autouse=True)
def _fresh_compiler():
    torch._dynamo.reset()
    counters.clear()


def picture(decoder: LanguageDecoder) -> list[torch.Tensor]:
    config = decoder.config.synchronizer
    assert config is not None
    return decoder.project_pictures(torch.randn(1, 1, config.num_cells, config.feature_width))


def compare(decoder: LanguageDecoder, compiled: CompiledDecoder, num_tokens: int) -> None:
    """Writes a document of text and pictures with both."""
    caches, memory = [decoder.open_cache(capacity=4) for _ in range(2)], PictureMemory()
    for position in range(num_tokens):
        if position % 9 == 3:
            memory.append(picture(decoder), start=position)
        embedding_11C = torch.randn(1, 1, decoder.config.hidden_size)
        hidden_11C = compiled(embedding_11C, cache=caches[0], pictures=memory)
        torch.testing.assert_close(hidden_11C, decoder(embedding_11C, cache=caches[1], pictures=memory))
    for held, expected in zip(caches[0].held(), caches[1].held(), strict=True):
        torch.testing.assert_close(held, expected)


@torch.inference_mode()
def test_is_compiled_once_however_long_the_document_grows(decoder):
    compare(decoder, CompiledDecoder(decoder, tokens=64, pictures=4), 38)
    assert counters["stats"]["unique_graphs"] == 1 and not counters["graph_break"]


@pytest.mark.parametrize("backend", ["inductor", "aot_eager", None])
@torch.inference_mode()
def test_layer_by_layer_a_layer_is_compiled_once_for_all_of_its_kind(backend):
    torch.manual_seed(1)
    decoder = LanguageDecoder(replace(tiny().decoder, num_layers=6, max_positions=60)).eval().requires_grad_(False)
    for parameter in decoder.parameters():
        parameter += 0.1 * torch.randn(parameter.shape)
    compare(decoder, CompiledDecoder(decoder, tokens=64, pictures=4, backend=backend, by_layer=True), 20)
    assert counters["stats"]["unique_graphs"] == (2 if backend else 0)  # with a synchronizer and without one


@torch.inference_mode()
def test_forks_rewinds_and_other_documents_do_not_disturb_each_other(decoder):
    compiled = CompiledDecoder(decoder, tokens=32, pictures=2, backend="aot_eager")
    embeddings_1TC = torch.randn(1, 12, decoder.config.hidden_size)
    pictures = [picture(decoder) for _ in range(2)]

    def read(cache, memory, begin, end, reader):
        return torch.cat(
            [reader(embeddings_1TC[:, i : i + 1], cache=cache, pictures=memory) for i in range(begin, end)]
        )

    def story(reader):
        cache, memory = decoder.open_cache(), PictureMemory()
        memory.append(pictures[0], start=0)
        decoder(embeddings_1TC[:, :4], cache=cache, pictures=memory)
        hidden = [read(cache, memory, 4, 8, reader)]
        fork, forked = cache.fork(), memory.fork()
        forked.append(pictures[1], start=8)
        hidden.append(read(fork, forked, 8, 12, reader))
        hidden.append(read(cache, memory, 8, 10, reader))
        cache.rewind(5)
        memory.rewind(5)
        hidden.append(read(cache, memory, 6, 12, reader))
        fork.rewind(6)
        hidden.append(read(fork, forked.fork(), 6, 8, reader))
        return torch.cat(hidden)

    torch.testing.assert_close(story(compiled), story(decoder))
    assert counters["stats"]["unique_graphs"] == 1


@torch.inference_mode()
def test_room_is_doubled_up_to_the_window(decoder):
    compiled = CompiledDecoder(decoder, tokens=32, pictures=4, backend="aot_eager")
    compare(decoder, compiled, 60)
    assert counters["stats"]["unique_graphs"] == 3  # more tokens, more pictures
    cache = decoder.open_cache()
    decoder(torch.randn(1, 60, decoder.config.hidden_size), cache=cache)
    with pytest.raises(ShapeError, match="window of 60"):
        compiled(torch.randn(1, 1, decoder.config.hidden_size), cache=cache)


@torch.inference_mode()
def test_what_the_step_cannot_do_is_left_to_the_decoder(decoder):
    compiled = CompiledDecoder(decoder, tokens=32, pictures=2, backend="aot_eager")
    caches, memory = [decoder.open_cache() for _ in range(2)], PictureMemory()
    memory.append(picture(decoder), start=3)  # is seen by some of the tokens only
    embeddings_1TC = torch.randn(1, 5, decoder.config.hidden_size)
    for part in (embeddings_1TC, embeddings_1TC[:, :1]):
        hidden_1TC = compiled(part, cache=caches[0], pictures=memory)
        torch.testing.assert_close(hidden_1TC, decoder(part, cache=caches[1], pictures=memory))


def test_a_compiled_document_writes_what_the_eager_one_writes():
    loaded = MMInterleaved.from_pretrained("tiny", draws=False)
    compiled = replace(loaded, compiled=CompiledDecoder(loaded.model.decoder, tokens=64, backend="aot_eager"))
    assert isinstance(loaded.compile().compiled, CompiledDecoder)
    written = []
    for each in (loaded, compiled):
        document = each.open()
        document.append("Once")
        fork = document.fork()
        written.append([[str(piece) for piece in page.write(max_tokens=8, seed=3)] for page in (document, fork)])
    assert written[0] == written[1] and counters["stats"]["unique_graphs"] == 1
