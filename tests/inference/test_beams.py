"""A search finds the best there is, and a document writes what it found; the recorded texts are in tests/parity."""

from io import BytesIO
from itertools import product
from pathlib import Path

import pytest
import torch
from PIL import Image

from mmi_agent.checkpoints.parity import build_toy, read_recorded
from mmi_agent.errors import ConfigError
from mmi_agent.inference import document as document_module
from mmi_agent.inference.beams import ReadState, read, search
from mmi_agent.inference.document import Continuation, Document, PictureUnit
from mmi_agent.inference.sampling import Sampling
from mmi_agent.inference.tokenizer import Tokenizer
from mmi_agent.models.mm_interleaved import MMInterleavedModel
from mmi_agent.pictures import MemoryPictures

FOLDER = Path(__file__).parents[1] / "parity" / "released"


@pytest.fixture(scope="module")
def toy() -> MMInterleavedModel:
    return build_toy(FOLDER)


@pytest.fixture(scope="module")
def recorded() -> dict[str, torch.Tensor]:
    return read_recorded(FOLDER)


@pytest.fixture(scope="module")
def state(toy: MMInterleavedModel, recorded: dict[str, torch.Tensor]) -> ReadState:
    return read(toy, recorded["gen_prompt"], recorded["images"][:2].float())


@torch.inference_mode()
def log_probability(model: MMInterleavedModel, state: ReadState, ids: list[int]) -> float:
    """Of a text after what was read, token by token, without any search."""
    cache, hidden_C, total = state.cache.fork(), state.hidden, 0.0
    for token in ids:
        total += float(model.decoder.logits(hidden_C).log_softmax(-1)[token])
        embedding_11C = model.embed(torch.tensor([[token]]))
        hidden_C = model.decoder(embedding_11C, cache=cache, pictures=state.pictures)[0, -1]
    return total


@pytest.mark.parametrize("length_penalty", [-1.0, 1.0, 3.0])
def test_enough_beams_find_the_best_text_of_all(
    toy: MMInterleavedModel, state: ReadState, length_penalty: float
) -> None:
    letters, end, longest = (94, 17, 185), 314, 3
    never = sorted({*range(toy.config.decoder.num_tokens)} - {*letters, end})
    texts = [[*text, end] for length in range(1, longest) for text in product(letters, repeat=length)]
    texts += [list(text) for text in product(letters, repeat=longest)]

    def worth(text: list[int]) -> float:
        length = 1 + len(text) - (text[-1] == end)  # the start id counts, the end does not
        return log_probability(toy, state, text) / length**length_penalty

    options = {"ends": [end], "max_tokens": longest, "min_tokens": 2, "never": never, "length_penalty": length_penalty}
    found = search(toy, state, num_beams=40, **options)  # pyright: ignore[reportArgumentType]
    assert worth(found) == pytest.approx(max(map(worth, texts)), abs=1e-4)
    assert found == max(texts, key=worth)


def test_searching_leaves_what_was_read_as_it_is(toy: MMInterleavedModel, state: ReadState) -> None:
    length = state.cache.length
    first = search(toy, state, ends=[2], max_tokens=8, num_beams=3)
    assert search(toy, state, ends=[2], max_tokens=8, num_beams=3) == first and state.cache.length == length


def test_a_document_scores_options_as_recorded(
    toy: MMInterleavedModel, recorded: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    # what was recorded are no whole numbers of 255ths: they come in behind the PNG files
    monkeypatch.setattr(document_module, "pixels_of", lambda *_: recorded["images"][:1].float())
    pictures = MemoryPictures()
    document = Document(toy, Tokenizer.byte_level(), pictures)
    prompt = recorded["score_prompt"].tolist()
    digest = _any_picture(pictures)
    assert prompt[:2] == [toy.config.begin_of_text, toy.config.begin_of_image]
    text = prompt[2 + toy.config.resampler.num_queries :]
    options = recorded["score_options"].tolist()
    expected = pytest.approx(recorded["scores"].flatten().tolist(), rel=1e-4)
    document.become([prompt[0], PictureUnit(digest), *text])
    assert document.score([Continuation([], option) for option in options]) == expected
    document.become([prompt[0], PictureUnit(digest), *text[:-2]])
    assert document.score([Continuation(text[-2:], option) for option in options]) == expected


def test_a_document_writes_what_a_search_finds(toy: MMInterleavedModel) -> None:
    tokenizer = Tokenizer.byte_level()
    document = Document(toy, tokenizer, MemoryPictures())
    document.append("Once")
    beams = Sampling(num_beams=4)
    side = document.fork()
    pieces = list(side.write(max_tokens=12, sampling=beams))
    written = [token for piece in pieces for token in piece.ids]
    assert list(side.units) == [*document.units, *written] and len(written) <= 12
    greedy = document.fork()
    list(greedy.write(max_tokens=12, pictures=0))

    def total(units: list[int]) -> float:
        return document.score([Continuation([], units)])[0]

    assert total(written) >= total([unit for unit in greedy.units if isinstance(unit, int)][len(document.units) :])
    with pytest.raises(ConfigError, match="beams write text alone"):
        document.write(max_tokens=12, sampling=beams, structure=1)


def _any_picture(pictures: MemoryPictures) -> str:
    buffer = BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "PNG")
    return pictures.put(buffer.getvalue()).digest
