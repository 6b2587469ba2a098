"""What is recalled, and in which order; what is refused, and that nothing is lost by it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from toy_memory import Colours, Words, fact, opened, png

from mmi_agent.errors import ActionError, ConfigError, MemoryStoreError, UnknownNameError
from mmi_agent.memory import MemoryItem, Query
from mmi_agent.memory.chroma import ChromaIndex
from mmi_agent.pictures import MemoryPictures
from mmi_agent.types import Picture

INDEXES = ("chroma", "exact")


def texts(found: Any) -> list[str]:
    return [each.item.text for each in found]


@pytest.mark.parametrize("index", INDEXES)
def test_recalls_by_text_by_picture_and_by_both(tmp_path: Path, index: str) -> None:
    with opened(tmp_path, index=index) as memory:
        red, blue = (memory.pictures.put(png(colour)) for colour in ("red", "blue"))
        memory.remember(fact("the shop sells red cups", pictures=(red,)))
        memory.remember(fact("the shop sells blue plates", pictures=(blue,)))
        memory.remember(fact("the bank closes at noon"))
        assert texts(memory.recall("what does the bank do at noon", 1)) == ["the bank closes at noon"]
        assert texts(memory.recall(Query(picture=png("darkblue")), 1)) == ["the shop sells blue plates"]
        both = memory.recall(Query(text="the shop sells cups", picture=png("blue")), 3)
        assert {each.item.text for each in both[:2]} == {"the shop sells red cups", "the shop sells blue plates"}
        assert all(each.text_similarity is not None and each.picture_similarity is not None for each in both[:2])
        assert both[2].picture_similarity is None, "it has no picture"


@pytest.mark.parametrize("index", INDEXES)
def test_filters_by_kind_world_and_trust(tmp_path: Path, index: str) -> None:
    with opened(tmp_path, index=index) as memory:
        for kind in ("fact", "skill", "episode"):
            for trust in ("user", "screen"):
                for world in ("shop", "bank"):
                    text = f"press save in {kind} {trust} {world}"
                    memory.remember(MemoryItem(kind=kind, trust=trust, environment=world, text=text))
        found = memory.recall(
            Query(text="press save", kinds=("skill", "fact"), environments=("shop",), trusts=("user",))
        )
        assert sorted(texts(found)) == ["press save in fact user shop", "press save in skill user shop"]
        assert memory.recall(Query(text="press save", environments=())) == []
        rare = Query(text="press save", fits=lambda item: "episode screen bank" in item.text)
        assert texts(memory.recall(rare, 1)) == ["press save in episode screen bank"], "however far down it stands"


def test_more_is_asked_for_than_there_is(tmp_path: Path) -> None:
    with opened(tmp_path) as memory:
        memory.remember_all([fact("press save"), fact("press send")])
        assert texts(memory.recall("press save", 10_000_000_000)) == ["press save", "press send"]
        assert isinstance(memory._index, ChromaIndex), "the index can count so far"


def test_one_of_several_that_say_the_same_comes_to_mind(tmp_path: Path) -> None:
    with opened(tmp_path) as memory:
        for said in ("Press Save twice.", "press  save twice.", "Press Save once."):
            memory.remember(fact(said))
        found = [" ".join(text.lower().split()) for text in texts(memory.recall("press save twice"))]
        assert found == ["press save twice.", "press save once."]
        assert len(memory.recall("press save twice", collapse=False)) == 3


def test_age_and_outcome_decide_between_what_fits_equally_well(tmp_path: Path) -> None:
    old = (datetime.now(UTC) - timedelta(days=900)).isoformat()
    with opened(tmp_path) as memory:
        memory.remember(fact("press save now a", success=False))
        memory.remember(fact("press save now b", time=old, success=True))
        memory.remember(fact("press save now c", success=True))
        memory.remember(fact("entirely unrelated words about fish"))
        order = [text[-1] for text in texts(memory.recall(Query(text="press save now", kinds=("fact",)), 3))]
        assert order[0] == "c"
        assert set(order) == {"a", "b", "c"}, "what fits is not pushed out by what does not"


def test_a_correction_stands_in_the_place_of_what_was_wrong(tmp_path: Path) -> None:
    with opened(tmp_path) as memory:
        wrong = memory.remember(fact("the code is 1234", trust="screen", environment="bank"))
        memory.recall("the code")
        right = memory.edit(wrong, text="the code is 4321")
        assert texts(memory.recall("the code is")) == ["the code is 4321"]
        assert (right.trust, right.environment, right.supersedes) == ("user", "bank", (wrong,))
        last = memory.edit(right.id, text="the code is 5678")
        for replaced in (wrong, right.id):
            with pytest.raises(ConfigError, match=f"another item stands in the place of {replaced}: edit {last.id}"):
                memory.edit(replaced, text="the code is 0000")
        assert [item.id for item in memory.list()] == [last.id]
        assert len(memory.list(superseded=True)) == 3
    with opened(tmp_path) as memory:
        assert texts(memory.recall("the code is")) == ["the code is 5678"]
        assert memory.forget(last.id) == 3, "what was wrong does not come back"
        assert len(memory) == 0


def test_an_item_with_the_id_of_another_takes_its_place(tmp_path: Path) -> None:
    with opened(tmp_path) as memory:
        memory.remember(fact("the sky is grey", id="sky"))
        memory.recall("sky")
        memory.remember(fact("the sky is blue", id="sky"))
        assert texts(memory.recall("the sky is")) == ["the sky is blue"]
        assert len(memory) == 1
    with opened(tmp_path) as memory:
        assert texts(memory.recall("the sky is")) == ["the sky is blue"]


def test_texts_that_no_file_can_hold_are_cleaned(tmp_path: Path) -> None:
    with opened(tmp_path) as memory:
        said = fact("lone \ud800 and NUL \x00", environment="\udcff", metadata={"\udfff": ["\ud800"]})
        id = memory.remember(said)
        (found,) = memory.recall(Query(text="lone \ud800", environments=("\udcff",)))
        assert found.item.text == "lone \ufffd and NUL \ufffd"
        assert memory.get(id).metadata == {"\ufffd": ["\ufffd"]}


def test_what_is_wrong_is_one_line_and_loses_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="10,000,000 characters are more than the 1,000,000"):
        fact("x" * 10_000_000)
    ghost = Picture(digest="0" * 64, width_px=1, height_px=1)
    with opened(tmp_path) as memory:
        memory.remember(fact("kept"))
        before = (tmp_path / "items.jsonl").read_bytes()
        with pytest.raises(MemoryStoreError, match="the picture 000000000000 of an item is not where"):
            memory.remember(fact("lost", pictures=(ghost,)))
        with pytest.raises(ConfigError, match="a query needs a text or a picture"):
            memory.recall(" ")
        with pytest.raises(UnknownNameError, match="unknown item"):
            memory.forget("nobody")
        with pytest.raises(MemoryStoreError, match="expected one each"):
            opened(tmp_path / "ragged", text_embedder=Broken([[1.0], [1.0, 2.0]])).remember_all([fact("a"), fact("b")])
        with pytest.raises(MemoryStoreError, match="NaN"):
            opened(tmp_path / "nan", text_embedder=Broken([[float("nan")]])).remember(fact("a"))
        assert (tmp_path / "items.jsonl").read_bytes() == before
        assert texts(memory.recall("kept")) == ["kept"]


def test_a_picture_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    store = MemoryPictures()
    picture = store.put(png("red"))
    store._files[picture.digest] = b"no picture"
    with opened(tmp_path) as memory:
        with pytest.raises((ActionError, OSError, MemoryStoreError)):
            memory.remember(fact("with a picture", pictures=(picture,)), pictures=store)
        assert len(memory) == 0


class Broken(Words):
    def __init__(self, rows: list[list[float]]) -> None:
        super().__init__()
        self._rows = rows

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self._rows


@pytest.mark.parametrize("other", [Words(32), Words(64, "other words")])
def test_vectors_of_different_makers_are_never_compared(tmp_path: Path, other: Words) -> None:
    with opened(tmp_path) as memory:
        memory.remember(fact("made with 64 numbers"))
    with opened(tmp_path, text_embedder=other) as memory:
        for attempt in (lambda: memory.remember(fact("made otherwise")), lambda: memory.recall("made")):
            with pytest.raises(MemoryStoreError, match=r"give the same embedder|expected one each"):
                attempt()
        assert len(memory) == 1


def test_an_embedder_that_is_not_needed_is_not_loaded(tmp_path: Path) -> None:
    with opened(tmp_path) as memory:
        memory.remember(fact("without a picture"))

    class Unloadable(Colours):
        def embed_pictures(self, pictures: list[bytes]) -> list[list[float]]:
            raise AssertionError

    with opened(tmp_path, picture_embedder=Unloadable()) as memory:
        assert len(memory.recall(Query(text="picture", picture=png("red")))) == 1
