"""Rows of several samples: for each sample the numbers of reading it by itself."""

from io import BytesIO

import pytest
import torch
from PIL import Image

from mmi_agent.data.encoding import encode_sample
from mmi_agent.data.packing import collate, pack
from mmi_agent.data.sample import Sample
from mmi_agent.errors import DataError
from mmi_agent.inference.prompts import Part, turn
from mmi_agent.inference.tokenizer import Tokenizer
from mmi_agent.models.configs import preset
from mmi_agent.models.mm_interleaved import MMInterleavedModel
from mmi_agent.pictures import MemoryPictures

CONFIG, TOKENIZER = preset("tiny"), Tokenizer.byte_level()


def a_picture(store: MemoryPictures, colour: str):
    buffer = BytesIO()
    Image.new("RGB", (60, 40), colour).save(buffer, "PNG")
    return store.put(buffer.getvalue())


def a_chat(store: MemoryPictures, number: int, *, looks: bool) -> Sample:
    """A run: the rules that all runs share, a screen, what is learnt."""
    seen = [a_picture(store, f"#{number % 10}{number % 10}8020")] if looks else []
    asked = [*turn("system", ["The rules that every run begins with."]), *turn("user", [*seen, f"Task {number}"])]
    answer = [Part(content, learnt=True) for content in turn("assistant", [f"Done {number}"])]
    return Sample(parts=(*map(Part, asked), *answer), pictures=store, source=f"run {number}")


def encoded(samples, max_positions=400):
    return [encode_sample(sample, TOKENIZER, CONFIG, max_positions=max_positions) for sample in samples]


@pytest.mark.parametrize("looks", [False, True])
def test_a_row_gives_each_sample_what_it_gets_alone(looks):
    store = MemoryPictures()
    model = MMInterleavedModel.build(CONFIG, seed=1).eval()
    samples = encoded([a_chat(store, number, looks=looks) for number in range(1, 6)])
    rows = pack(samples, max_positions=400)
    assert rows[0].shared > 40
    assert sum(row.length for row in rows) < sum(len(sample.tokens) for sample in samples)

    def losses_of(rows):
        batch = collate(rows, CONFIG, draws=False)
        with torch.no_grad():
            seen = None if batch.pixels is None else model.see(batch.pixels)
            logits = model.decoder.logits(model.read_rows(batch.ids, batch.layout, seen))
        losses = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), batch.targets.flatten(), ignore_index=-100, reduction="none"
        )
        return losses[losses > 0], batch

    packed, batch = losses_of(rows)
    alone = [losses_of(pack([sample], max_positions=400))[0] for row in rows for sample in row.samples]
    torch.testing.assert_close(packed, torch.cat(alone), atol=2e-5, rtol=1e-4)
    assert batch.num_targets == sum(sample.num_learnt for sample in samples)


def test_documents_share_nothing_and_are_packed_all_the_same():
    store = MemoryPictures()
    texts = ["A fence of oak. ", "A roof of straw. ", "A bridge over the river. "]
    documents = [
        Sample(parts=(Part(text, True), Part(a_picture(store, colour), True)), pictures=store, source=f"line {place}")
        for place, (text, colour) in enumerate(zip(texts, ("red", "green", "blue"), strict=True))
    ]
    (row,) = pack(encoded(documents), max_positions=400)
    batch = collate([row], CONFIG, draws=True)
    assert row.shared == 0
    assert batch.draws.tolist() == [True] * 3
    assert batch.drawn_pixels is not None
    assert CONFIG.image_decoder is not None
    assert batch.drawn_pixels.shape[-1] == CONFIG.image_decoder.image_size
    begins = batch.begins.tolist()
    assert batch.ids[0, begins].tolist() == [CONFIG.begin_of_text] * 3
    assert (batch.layout.positions[0, begins] == 0).all()
    ends = [begin - 1 for begin in [*begins[1:], row.length]]
    assert batch.ids[0, ends].tolist() == [CONFIG.end_of_text] * 3


def test_what_does_not_fit_is_cut_and_what_nothing_is_left_of_is_refused():
    store = MemoryPictures()
    sample = a_chat(store, 1, looks=True)
    (whole,) = encoded([sample])
    (cut,) = encoded([sample], max_positions=len(whole.tokens) - 3)
    assert cut.tokens == whole.tokens[:-3]
    with pytest.raises(DataError, match="run 1: nothing in its first 50 tokens is to be learnt"):
        encoded([sample], max_positions=50)
    store = MemoryPictures()
    with pytest.raises(DataError, match=r"run 1: its picture .* is missing"):
        encoded([Sample(parts=sample.parts, pictures=store, source=sample.source)])


def test_padding_changes_nothing():
    store = MemoryPictures()
    model = MMInterleavedModel.build(CONFIG, seed=1).eval()
    long, short = (pack(encoded([a_chat(store, n, looks=True)]), max_positions=400)[0] for n in (1234567, 8))
    together, alone = collate([long, short], CONFIG, draws=False), collate([short], CONFIG, draws=False)
    assert together.pixels is not None
    assert alone.pixels is not None
    with torch.no_grad():
        both = model.read_rows(together.ids, together.layout, model.see(together.pixels))
        one = model.read_rows(alone.ids, alone.layout, model.see(alone.pixels))
    torch.testing.assert_close(both[1, : short.length], one[0], atol=1e-5, rtol=1e-4)
    assert torch.isfinite(both).all()
