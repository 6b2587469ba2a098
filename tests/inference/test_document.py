"""A document pays only for what is new, and what it keeps changes nothing."""

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from mmi_agent.errors import ActionError, CheckpointError, ConfigError, DeviceMemoryError, ShapeError
from mmi_agent.inference.document import Continuation, Document, PictureUnit, Piece, Unit, pixels_of
from mmi_agent.inference.drawing import DrawSettings, draw_picture
from mmi_agent.inference.grammar import Grammar
from mmi_agent.inference.loading import MMInterleaved
from mmi_agent.inference.sampling import Sampling
from mmi_agent.models.mm_interleaved import MMInterleavedModel
from mmi_agent.pictures import MemoryPictures

QUICK = DrawSettings(steps=2)


@pytest.fixture(scope="module")
def tiny() -> MMInterleaved:
    loaded = MMInterleaved.from_pretrained("tiny")
    _open_eyes(loaded.model)
    return loaded


def _open_eyes(model: MMInterleavedModel) -> None:
    """Looks at pictures begin with nothing to say; here they must matter."""
    for name, parameter in model.named_parameters():
        if name.endswith("look.gate"):
            torch.nn.init.constant_(parameter, 1.0)
        if "look" in name and name.endswith("output.weight"):
            torch.nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def pictures() -> MemoryPictures:
    return MemoryPictures()


def _picture(pictures: MemoryPictures, colour: str) -> PictureUnit:
    buffer = io.BytesIO()
    Image.new("RGB", (60, 40), colour).save(buffer, "PNG")
    return PictureUnit(pictures.put(buffer.getvalue()).digest)


@torch.inference_mode()
def _next(document: Document) -> torch.Tensor:
    return document.next_scores()


def test_what_is_shared_is_kept_and_gives_the_same_numbers(tiny: MMInterleaved, pictures: MemoryPictures) -> None:
    red, blue = _picture(pictures, "red"), _picture(pictures, "blue")
    visual = 1 + tiny.model.config.resampler.num_queries
    first: list[Unit] = [1, 10, 11, red, 12, 13]
    second: list[Unit] = [1, 10, 11, red, 12, 14, blue, 15]
    grown = tiny.open(pictures)
    assert grown.become(first) == (0, 5 + visual, 0)
    assert grown.become(second) == (4 + visual, 2 + visual, 0)
    fresh = tiny.open(pictures)
    fresh.become(second)
    torch.testing.assert_close(_next(grown), _next(fresh), atol=1e-5, rtol=1e-4)
    other = tiny.open(pictures)
    other.become([1, 10, 11, blue, 12, 14, blue, 15])
    assert (_next(other) - _next(fresh)).abs().max() > 1e-3, "another picture must change what comes next"


@torch.inference_mode()
def test_it_reads_and_draws_what_the_whole_row_at_once_would(tiny: MMInterleaved, pictures: MemoryPictures) -> None:
    model, config = tiny.model, tiny.model.config
    document = tiny.open(pictures)
    document.append("From ", Image.new("RGB", (60, 40), "red"), "and ")
    document.append(Image.new("RGB", (20, 90), "blue"), "to:")
    row: list[int] = []
    for unit in [*document.units, config.begin_of_image]:
        visual = [config.image] * config.resampler.num_queries
        row += [unit] if isinstance(unit, int) else [config.begin_of_image, *visual]
    units = [unit for unit in document.units if isinstance(unit, PictureUnit)]
    pixels = torch.cat([pixels_of(pictures.get(unit.digest), config.vision.image_size) for unit in units])
    reading = model(torch.tensor([row]), pixels)
    torch.testing.assert_close(_next(document), reading.logits[0, -2], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(
        document.embed(), torch.nn.functional.normalize(reading.hidden[0, :-1].mean(0), dim=0), atol=1e-5, rtol=1e-4
    )
    drawn = pixels_of(pictures.get(document.draw(QUICK, seed=9).digest), 32)[0]
    expected = draw_picture(model, reading.hidden[0], model.see(pixels[1:]), QUICK, seed=9)
    assert (drawn - expected).abs().max() < 0.01
    for other in (None, model.see(pixels[:1])):
        assert (drawn - draw_picture(model, reading.hidden[0], other, QUICK, seed=9)).abs().max() > 0.02


def test_scores_are_those_of_reading_one_after_the_other(tiny: MMInterleaved, pictures: MemoryPictures) -> None:
    document = tiny.open(pictures)
    document.become([1, _picture(pictures, "green"), 20])
    rows = [Continuation([30, 31], [40, 41, 42]), Continuation([33], [50]), *[Continuation([7], [8, 9])] * 20]
    scores = document.score(rows)
    for (given, scored), score in zip(rows[:3], scores, strict=False):
        alone = document.fork()
        alone.append(given)
        expected = 0.0
        for token in scored:
            expected += float(_next(alone).log_softmax(-1)[token])
            alone.append([token])
        assert score == pytest.approx(expected, abs=1e-4)
    assert document.length == 3 + tiny.model.config.resampler.num_queries, "scoring must not change the document"

    document.append([40, 41, 42])
    hindsight = document.hindsight(3).gather(1, torch.tensor([[40], [41], [42]])).sum()
    document.take_back(3)
    assert float(hindsight) == pytest.approx(document.score([Continuation([], [40, 41, 42])])[0], abs=1e-4)
    with pytest.raises(ConfigError, match="nothing stands before the latest 3 units of 3"):
        document.hindsight(3)


def test_a_fork_goes_its_own_way_and_a_rewind_forgets(tiny: MMInterleaved, pictures: MemoryPictures) -> None:
    document = tiny.open(pictures)
    document.become([1, 2, 3])
    before = _next(document).clone()
    fork = document.fork()
    fork.append([_picture(pictures, "red"), 9])
    assert document.length == 3
    torch.testing.assert_close(_next(document), before)
    fork.rewind(2)
    fork.append([3])
    torch.testing.assert_close(_next(fork), before, atol=1e-5, rtol=1e-4)
    fork.take_back(99)
    assert not fork.units and fork.length == 0


def test_writing_repeats_with_its_seed_and_never_writes_a_picture(
    tiny: MMInterleaved, pictures: MemoryPictures
) -> None:
    def written(seed: int) -> list[int]:
        document = tiny.open(pictures)
        document.become([1, 60, 61])
        pieces = document.write(max_tokens=64, sampling=Sampling(temperature=5.0), seed=seed, pictures=0)
        return [token for piece in pieces for token in piece.ids]

    config = tiny.model.config
    assert written(3) == written(3) != written(4)
    assert not {config.begin_of_image, config.image} & {*written(5)}


def test_a_document_that_must_be_just_so_says_when_it_is_too_long(tiny: MMInterleaved) -> None:
    window = tiny.model.config.decoder.max_positions
    with pytest.raises(ShapeError, match=str(window)):
        tiny.open().become([1] * (window + 1))


def test_text_and_pictures_come_in_every_form(tiny: MMInterleaved, pictures: MemoryPictures, tmp_path: Path) -> None:
    image = Image.new("RGB", (60, 40), "red")
    unit = _picture(pictures, "red")
    (tmp_path / "red.png").write_bytes(pictures.get(unit.digest))
    stored = pictures.put(pictures.get(unit.digest))
    document = tiny.open(pictures)
    count = document.append("A", image, pictures.get(unit.digest), tmp_path / "red.png", stored, unit, [5, unit])
    text = tiny.tokenizer.encode("A")
    begin = tiny.model.config.begin_of_text
    assert list(document.units) == [begin, *text, unit, unit, unit, unit, unit, 5, unit]
    assert count == (0, document.length, 0)
    assert document.append("B") == (document.length - 1, 1, 0)
    with pytest.raises(ConfigError, match=r"missing\.png"):
        document.append(tmp_path / "missing.png")
    with pytest.raises(ActionError, match="not a picture"):
        document.append(b"no picture")
    wrongs: list[Any] = [[-1], [10**6], Image.new("RGB", (0, 0))]
    for wrong in wrongs:
        with pytest.raises(ShapeError, match=r"^-1 is no id|^1000000 is no id|is 0 x 0 px"):
            document.append("C", wrong)
    assert document.length == count.read + 1, "what could not be read must leave no trace"


def test_only_pictures_and_nothing_at_all_are_documents_too(tiny: MMInterleaved, pictures: MemoryPictures) -> None:
    only = tiny.open(pictures)
    only.append(_picture(pictures, "red"), _picture(pictures, "blue"))
    assert list(only.write(max_tokens=3, min_tokens=3, pictures=0))
    assert only.embed().shape == (tiny.model.config.decoder.hidden_size,)
    nothing = tiny.open(pictures)
    for ask in (nothing.embed, nothing.next_scores, lambda: nothing.score([Continuation([], [1])])):
        with pytest.raises(ConfigError, match="append"):
            ask()
    assert list(nothing.write(max_tokens=3, min_tokens=3, pictures=0))
    assert nothing.units[0] == tiny.model.config.begin_of_text
    assert tiny.open(pictures).draw(QUICK).origin == "drawn"


def test_a_drawn_picture_is_the_next_of_the_document(tiny: MMInterleaved, pictures: MemoryPictures) -> None:
    document = tiny.open(pictures)
    document.append("A red square: ", Image.new("RGB", (9, 9), "red"), "and another: ")
    before = document.fork()
    picture = document.draw(QUICK, seed=3)
    read = before.fork()
    read.append(picture)
    assert document.units == read.units and document.units[-1] == PictureUnit(picture.digest)
    torch.testing.assert_close(_next(document), _next(read), atol=1e-5, rtol=1e-4)
    again, other = before.fork().draw(QUICK, seed=3), before.fork().draw(QUICK, seed=4)
    assert again == picture != other
    blue = tiny.open(pictures)
    blue.append("A red square: ", Image.new("RGB", (9, 9), "blue"), "and another: ")
    assert blue.draw(QUICK, seed=3) != picture, "what was read must matter"
    laid_out = tiny.open(pictures)
    drawn = laid_out.draw_from_segmentation(Image.new("P", (9, 9), 3), "A wall.", QUICK)
    assert laid_out.text() == "A wall." and laid_out.units[-1] == PictureUnit(drawn.digest)


def test_the_structure_is_kept_whatever_the_model_would_rather_do(
    tiny: MMInterleaved, pictures: MemoryPictures
) -> None:
    def kinds(pieces: Iterator[Piece]) -> list[str]:
        told = ["picture" if piece.picture else "text" for piece in pieces]
        return [kind for index, kind in enumerate(told) if kind == "picture" or told[index - 1 : index] != ["text"]]

    document = tiny.open(pictures)
    document.append("A story. ")
    hot = Sampling(temperature=3.0)
    for seed in range(3):
        options: dict[str, Any] = {"max_tokens": 12, "sampling": hot, "seed": seed, "drawing": QUICK}
        wanted = ["text", "picture", "text"]
        assert kinds(document.fork().write(structure=["text", "picture", "text"], **options)) == wanted
        assert kinds(document.fork().write(structure=2, **options)).count("picture") == 2
        assert "picture" not in kinds(document.fork().write(pictures=0, **options))
    with pytest.raises(ConfigError, match="3 are enough"):
        document.write(structure=["text", "picture", "text"], max_tokens=2)


def test_where_the_model_begins_a_picture_one_is_drawn(tiny: MMInterleaved, pictures: MemoryPictures) -> None:
    document = tiny.open(pictures)
    document.append("Look: ")
    head = tiny.model.decoder.new_head
    assert head is not None
    with torch.no_grad():
        head.bias[0] += 100
    try:
        pieces = list(document.write(max_tokens=4, pictures=2, drawing=QUICK))
        drawn = [piece.picture.digest for piece in pieces if piece.picture]
    finally:
        with torch.no_grad():
            head.bias[0] -= 100
    assert [bool(piece.picture) for piece in pieces[:2]] == [True, True] and len(set(drawn)) == len(drawn) == 2
    assert PictureUnit(drawn[1]) in document.units


def test_a_model_without_a_hand_says_who_has_one(tiny: MMInterleaved, pictures: MemoryPictures) -> None:
    config = replace(tiny.model.config, image_decoder=None)
    document = Document(MMInterleavedModel.build(config).eval(), tiny.tokenizer, pictures)
    document.append("Draw: ")
    assert all(piece.picture is None for piece in document.write(max_tokens=5))
    for ask in (document.draw, lambda: document.write(pictures=1), lambda: document.write(structure=["picture"])):
        with pytest.raises(ConfigError, match=r"no image decoder.*tiny"):
            ask()


def test_a_grammar_that_cannot_be_met_is_refused_before_anything_is_written(tiny: MMInterleaved) -> None:
    grammar = Grammar.for_choices(["a long answer", "another one"], tiny.tokenizer)
    document = tiny.open()
    document.append("Well? ")
    least = len("another one")
    with pytest.raises(ConfigError, match=r"max_tokens 5: (1[0-9]) are enough") as error:
        document.write(grammar=grammar, max_tokens=5)
    assert document.text() == "Well? "
    enough = int(str(error.value).split(": ")[1].split()[0])
    assert enough >= least
    told = "".join(piece.text for piece in document.write(grammar=grammar, max_tokens=enough))
    assert told in ("a long answer", "another one")
    with pytest.raises(ConfigError, match="a grammar is not kept by beams"):
        document.write(grammar=grammar, max_tokens=enough, sampling=Sampling(num_beams=2))


def test_a_stop_string_leaves_no_trace(tiny: MMInterleaved) -> None:
    document = tiny.open()
    document.append("Well? ")
    hot = Sampling(temperature=3.0)
    whole = "".join(piece.text for piece in document.fork().write(max_tokens=60, sampling=hot, seed=2, pictures=0))
    stop = next(whole[place : place + 2] for place in range(20, 40) if "\ufffd" not in whole[place : place + 2])
    told = "".join(
        piece.text for piece in document.write(max_tokens=60, sampling=hot, seed=2, pictures=0, stop=[stop, "zzz"])
    )
    assert told == whole[: whole.index(stop)]
    assert document.text() == f"Well? {told}"


def test_what_is_held_back_goes_when_the_reader_leaves(tiny: MMInterleaved) -> None:
    document = tiny.open()
    document.append("Well? ")
    grammar = Grammar.for_choices(["aaaaaaab", "aaaaaaac"], tiny.tokenizer)  # the beginning comes at once
    pieces = document.write(grammar=grammar, max_tokens=9, stop=["a!"])
    assert next(pieces).text == "aaaaaa"
    assert document.text() == "Well? aaaaaaa", "the last might have begun a stop string"
    pieces.close()
    assert document.text() == "Well? aaaaaa"


@pytest.fixture(scope="module")
def narrow() -> MMInterleaved:
    """A model with room for 64 positions, that tells 3 pictures apart."""
    whole = MMInterleaved.from_pretrained("tiny", draws=False)
    synchronizer = whole.model.config.decoder.synchronizer
    assert synchronizer is not None
    decoder = replace(whole.model.config.decoder, max_positions=64, synchronizer=replace(synchronizer, num_ranks=4))
    model = MMInterleavedModel.build(replace(whole.model.config, decoder=decoder)).eval()
    _open_eyes(model)
    return replace(whole, model=model)


def test_what_the_window_cannot_hold_goes_from_the_old_end_whole_and_in_batches(narrow: MMInterleaved) -> None:
    document = narrow.open()
    begin = narrow.model.config.begin_of_text
    document.append("head")
    document.protect()
    document.append(Image.new("RGB", (9, 9), "red"), "x" * 48)
    assert document.length == 5 + 9 + 48 and document.dropped == (0, 0, ())
    count = document.append("abcd")
    # 2 too many, but a quarter of the window goes at once: the picture (9 positions) and 7 letters
    assert count.dropped == 16 and document.dropped.positions == 16 and document.dropped.units == 8
    assert [type(unit) for unit in document.dropped.pictures] == [PictureUnit]
    assert document.text() == "head" + "x" * 41 + "abcd" and count == (5, 45, 16)
    fresh = narrow.open()
    fresh.become([begin, *narrow.tokenizer.encode("head" + "x" * 41 + "abcd")])
    torch.testing.assert_close(_next(document), _next(fresh), atol=1e-5, rtol=1e-4)
    document.append("y" * 200)
    assert document.text() == "head" + "y" * 59 and document.length == 64
    document.protect()
    gone = document.dropped
    with pytest.raises(ShapeError, match="protect fewer"):
        document.append("no room")
    assert document.dropped == gone and document.text() == "head" + "y" * 59


def test_writing_goes_on_beyond_the_window(narrow: MMInterleaved) -> None:
    document = narrow.open()
    document.append("Once upon a time")
    hot = Sampling(temperature=2.0)
    told = "".join(p.text for p in document.write(max_tokens=150, min_tokens=150, sampling=hot, stop=["zzzz"]))
    assert told.endswith(document.text()[-20:]) and document.length <= 64
    assert document.dropped.positions >= 100 and document.units[0] == narrow.model.config.begin_of_text
    beams = list(document.write(max_tokens=40, min_tokens=40, sampling=Sampling(num_beams=2)))
    assert sum(len(piece.ids) for piece in beams) == 40 and document.length <= 64


def test_pictures_beyond_the_table_of_ranks_are_counted(narrow: MMInterleaved) -> None:
    document = narrow.open()
    colours = ["red", "green", "blue", "white", "black"]
    for number, colour in enumerate(colours, start=1):
        document.append(Image.new("RGB", (9, 9), colour))
        assert document.overlooked == max(number - 3, 0)
    assert list(document.write(max_tokens=3, min_tokens=3))
    document.rewind(3)
    assert document.overlooked == 0


def test_a_weight_that_is_no_number_is_named(narrow: MMInterleaved) -> None:
    document = narrow.open()
    name = "decoder.layers.2.feed_forward.up.weight"
    weight = dict(narrow.model.named_parameters())[name]
    good = weight[0, 0].item()
    with torch.no_grad():
        weight[0, 0] = torch.nan
    try:
        document.append("Well?")
        for ask in (
            lambda: list(document.write(max_tokens=3)),
            lambda: document.score([Continuation([], [5])]),
            document.embed,
        ):
            with pytest.raises(CheckpointError, match=name):
                ask()
    finally:
        with torch.no_grad():
            weight[0, 0] = good


def test_a_full_device_says_what_to_lower_and_the_document_goes_on(
    narrow: MMInterleaved, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = narrow.open()
    document.append("Well? ")
    scores = _next(document).clone()
    with monkeypatch.context() as full:

        def refuse(*_: object) -> torch.Tensor:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB\nand much more")

        full.setattr(type(narrow.model.decoder.layers[3]), "forward", refuse)
        with pytest.raises(DeviceMemoryError, match=r"2\.00 GiB.*fewer pictures") as error:
            document.append(Image.new("RGB", (9, 9)))
        assert "\n" not in str(error.value)
    assert document.text() == "Well? "
    assert _next(document).equal(scores)
    fresh = narrow.open()
    for each in (fresh, document):
        each.append("Well? " if each is fresh else "", Image.new("RGB", (9, 9)), "!")
    assert _next(document).equal(_next(fresh))
