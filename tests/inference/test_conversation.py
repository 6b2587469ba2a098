"""A chat is one document: turns pay for what is new, and can be taken back, stopped and dropped."""

from pathlib import Path

import pytest
from PIL import Image

from mmi_agent.errors import ConfigError
from mmi_agent.inference.conversation import Conversation
from mmi_agent.inference.document import PictureUnit
from mmi_agent.inference.drawing import DrawSettings
from mmi_agent.inference.loading import MMInterleaved
from mmi_agent.inference.sampling import Sampling
from mmi_agent.pictures import MemoryPictures
from mmi_agent.types import Picture


@pytest.fixture(scope="module")
def tiny() -> MMInterleaved:
    return MMInterleaved.from_pretrained("tiny")


def _open(tiny: MMInterleaved, store: MemoryPictures, **options: int) -> Conversation:
    return Conversation(
        tiny,
        store,
        instruction="Help.",
        sampling=Sampling(temperature=1.0),
        drawing=DrawSettings(steps=2),
        max_tokens=options.get("max_tokens", 8),
        seed=options.get("seed", 0),
    )


def _red(store: MemoryPictures, tmp_path: Path) -> Picture:
    Image.new("RGB", (60, 40), "red").save(tmp_path / "red.png")
    return store.put((tmp_path / "red.png").read_bytes())


def test_a_turn_pays_for_what_is_new_and_one_taken_back_leaves_no_trace(tiny: MMInterleaved, tmp_path: Path) -> None:
    store = MemoryPictures()
    conversation = _open(tiny, store)
    list(conversation.say("Hello."))
    length = conversation.length
    list(conversation.say("What is this?", [_red(store, tmp_path)]))
    first = conversation.exchanges[-1]
    question = len("user\nWhat is this?\nassistant\n") + 3 + tiny.picture_positions  # three markers
    assert first.read == (length, question, 0)
    taken_back = conversation.undo()
    assert taken_back is first
    assert conversation.length == length
    fresh = _open(tiny, store)
    list(fresh.say("Hello."))
    for each in (conversation, fresh):
        each._seed = 7
        list(each.say("And this?"))
    assert conversation.exchanges[-1].answer == fresh.exchanges[-1].answer
    assert list(conversation._document.units) == list(fresh._document.units)


def test_draws_into_the_chat_and_answers_again_with_another_seed(tiny: MMInterleaved) -> None:
    store = MemoryPictures()
    conversation = _open(tiny, store)
    (piece,) = conversation.draw("a cup")
    (other,) = conversation.again()
    assert piece.picture and other.picture
    assert piece.picture.digest != other.picture.digest
    assert [unit for unit in conversation._document.units if isinstance(unit, PictureUnit)] == [
        PictureUnit(other.picture.digest)
    ]
    list(conversation.draw())
    assert conversation.exchanges[-1].asked == ()
    assert conversation.transcript().startswith(
        f"**You:** a cup\n\n**Model:** ![drawn](pictures/{other.picture.digest}"
    )


def test_an_answer_left_early_is_closed_and_one_that_breaks_is_forgotten(tiny: MMInterleaved) -> None:
    conversation = _open(tiny, MemoryPictures(), max_tokens=200)
    pieces = conversation.say("Hello.")
    next(pieces)
    pieces.close()
    assert conversation._document.units[-2] == tiny.tokenizer.end_of_turn
    units = list(conversation._document.units)

    def break_off(done: int, steps: int) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        list(conversation.draw("a cup", progress=break_off))
    assert list(conversation._document.units) == units
    assert len(conversation.exchanges) == 1


def test_an_answer_that_breaks_brings_back_the_one_that_it_should_replace(tiny: MMInterleaved) -> None:
    conversation = _open(tiny, MemoryPictures())
    list(conversation.draw("a cup"))
    units, transcript = list(conversation._document.units), conversation.transcript()

    def break_off(done: int, steps: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(conversation.again(progress=break_off))
    assert (list(conversation._document.units), conversation.transcript()) == (units, transcript)
    list(conversation.again())
    assert conversation.transcript() != transcript and len(conversation.exchanges) == 1


def test_an_instruction_that_leaves_no_room_is_refused(tiny: MMInterleaved) -> None:
    window = tiny.model.config.decoder.max_positions
    with pytest.raises(ConfigError, match=rf"takes 3\d\d\d positions, the window has {window}.*: shorten it"):
        Conversation(tiny, MemoryPictures(), instruction="x" * (window - window // 4))


def test_a_full_window_drops_the_oldest_turns_and_keeps_the_instruction(tiny: MMInterleaved, tmp_path: Path) -> None:
    store = MemoryPictures()
    conversation = _open(tiny, store)
    head = list(conversation._document.units)
    picture = _red(store, tmp_path)
    list(conversation.say("first", [picture]))
    window = tiny.model.config.decoder.max_positions
    list(conversation.say("x" * (window // 2)))
    list(conversation.say("y" * (window // 2)))
    assert conversation.dropped.pictures == (PictureUnit(picture.digest),)
    assert list(conversation._document.units[: len(head)]) == head
    assert conversation.length <= window
    conversation.undo()
    with pytest.raises(ConfigError, match="was dropped, because the window is full"):
        conversation.undo()
    list(conversation.say("still there?"))


def test_a_vicuna_folder_is_spoken_to_by_name(tiny: MMInterleaved, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = tiny.tokenizer
    monkeypatch.delitem(tokenizer._special_ids, "<|im_start|>")
    conversation = _open(tiny, MemoryPictures())
    list(conversation.say("Hello."))
    given = conversation._document.text()
    assert given.startswith("Help. USER: Hello. ASSISTANT:")
    assert conversation._document.units[0] == tiny.model.config.begin_of_text
    assert conversation._document.units[-1] == tokenizer.end_of_turn
