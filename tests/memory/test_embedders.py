"""The embedders that come with us, as they are: offline, and good enough to find what is meant."""

import socket
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mmi_agent.errors import ActionError
from mmi_agent.memory import Memory, MemoryItem
from mmi_agent.memory.eyes import ModelEyes, _untrained
from mmi_agent.memory.minilm import MiniLM
from mmi_agent.models.configs import preset
from mmi_agent.models.mm_interleaved import MMInterleavedModel

SAID = {
    "Click the button labelled Submit": "press submit",
    "Choose the date 3 May 2016 in the calendar": "pick a day from the date picker",
    "Log in with user and password": "sign in to the account",
    "Delete the mail from Bob": "remove the email that Bob sent",
    "Find the cheapest flight to Rome": "book the lowest fare to Rome",
    "Boil the water for pasta": "heat the pot for noodles",
    "The meeting room is on floor 4": "where is the conference room?",
}


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("nothing may be fetched")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.usefixtures("no_network")
def test_other_words_find_what_is_meant(tmp_path: Path) -> None:
    with Memory.open(tmp_path, index="exact") as memory:
        memory.remember_all([MemoryItem(kind="fact", trust="user", text=text) for text in SAID])
        for text, otherwise in SAID.items():
            assert memory.recall(otherwise, 1)[0].item.text == text


def test_a_text_has_the_same_vector_alone_and_among_others() -> None:
    model = MiniLM.load()
    texts = ["short", "a longer text " * 30, "x" * 20_000]
    together = np.asarray(model.embed_documents(texts))
    alone = np.asarray([model.embed_query(text) for text in texts])
    assert together.shape == (3, 384)
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_the_eyes_are_those_of_the_model() -> None:
    config = preset("tiny")
    ours, whole = _untrained(config.vision), MMInterleavedModel.build(config).visual_tokenizer.encoder
    for (name, mine), theirs in zip(ours.named_parameters(), whole.parameters(), strict=True):
        assert mine.equal(theirs), name


def page(text: str, top: int) -> bytes:
    image = Image.new("RGB", (320, 240), "white")
    draw = ImageDraw.Draw(image)
    for row in range(top, top + 3):
        draw.rectangle((20, 30 * row, 200, 30 * row + 20), outline="black")
        draw.text((30, 30 * row + 4), text, fill="black")
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_a_page_that_changed_a_little_is_nearer_than_another_one() -> None:
    eyes = ModelEyes()
    vectors = np.asarray(eyes.embed_pictures([page("Submit", 1), page("Submit!", 1), page("Cancel the order", 4)]))
    same, slightly, other = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert same @ slightly > same @ other
    with pytest.raises(ActionError, match="are not a picture"):
        eyes.embed_pictures([b"no picture"])
