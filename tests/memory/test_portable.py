"""A memory as one file: out, in, and what is refused."""

import json
import zipfile
from pathlib import Path

import pytest
from toy_memory import fact, opened, png

from mmi_agent.errors import MemoryStoreError
from mmi_agent.memory import Query
from mmi_agent.memory.portable import export_memory, import_memory


def exported(folder: Path) -> Path:
    with opened(folder / "here") as memory:
        picture = memory.pictures.put(png("red"))
        old = memory.remember(fact("the door is red", pictures=(picture,), trust="screen", metadata={"n": 1}))
        memory.edit(old, text="the door is blue")
        assert export_memory(memory, folder / "memory.zip") == 2
        with pytest.raises(MemoryStoreError, match="is there already"):
            export_memory(memory, folder / "memory.zip")
        with pytest.raises(MemoryStoreError, match=r"there is no folder .*nowhere: make it"):
            export_memory(memory, folder / "nowhere" / "memory.zip")
    return folder / "memory.zip"


def test_everything_comes_back_word_for_word(tmp_path: Path) -> None:
    file = exported(tmp_path)
    with opened(tmp_path / "there") as there, opened(tmp_path / "here") as here:
        assert import_memory(there, file) == (2, 0)
        assert import_memory(there, file) == (0, 2), "a second time adds nothing"
        assert there.list(superseded=True) == here.list(superseded=True)
        found = there.recall(Query(picture=png("red")))
        assert [each.item.text for each in found] == ["the door is blue"]
        assert there.pictures.get(found[0].item.pictures[0].digest) == png("red")


def test_a_strangers_file_can_be_taken_as_a_screen(tmp_path: Path) -> None:
    with opened(tmp_path / "there") as memory:
        import_memory(memory, exported(tmp_path), trust="screen")
        assert {item.trust for item in memory.list(superseded=True)} == {"screen"}


def test_a_strangers_file_takes_the_place_of_nothing(tmp_path: Path) -> None:
    with opened(tmp_path / "theirs") as theirs:
        theirs.remember(fact("the door is open", id="door"))
        theirs.remember(fact("the window is open", id="evil", supersedes=("window",)))
        export_memory(theirs, tmp_path / "theirs.zip")
    with opened(tmp_path / "ours") as ours:
        ours.remember_all([fact("the door is shut", id="door"), fact("the window is shut", id="window")])
        assert import_memory(ours, tmp_path / "theirs.zip", trust="screen") == (1, 1)
        assert ours.get("door").text == "the door is shut"
        assert ours.is_current("window"), "what the owner said is still recalled"


def rewritten(file: Path, name: str, data: bytes) -> Path:
    """The file with one of its parts replaced, or left out where there is no data."""
    other = file.with_name("other.zip")
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(other, "w") as new:
        for part in old.namelist():
            content = data if part.startswith(name) else old.read(part)
            if content:
                new.writestr(part, content)
    return other


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("items", b"", "there is no items.jsonl in it"),
        ("items", b'{"memory": 2}\n', "memory version 2"),
        ("items", b'{"memory": 1}\n{"kind": "dream"}\n', "line 2 of items.jsonl is no item"),
        ("items", json.dumps({"memory": 1}).encode() + b"\n" + b"x" * 9_000_000, "line 2 of items.jsonl is no item"),
        ("pictures", b"", "is missing"),
        ("pictures", png("blue"), "is damaged"),
    ],
)
def test_a_file_that_is_not_whole_changes_nothing(tmp_path: Path, name: str, data: bytes, told: str) -> None:
    file = rewritten(exported(tmp_path), name, data)
    with opened(tmp_path / "there") as memory:
        with pytest.raises(MemoryStoreError, match=told) as error:
            import_memory(memory, file)
        assert "\n" not in str(error.value)
        assert len(memory) == 0


@pytest.mark.parametrize(
    ("method", "told"),
    [
        (zipfile.ZIP_DEFLATED, "is no export of a memory: Error -3"),
        (zipfile.ZIP_LZMA, "is no export of a memory: Corrupt input"),
        (zipfile.ZIP_BZIP2, "cannot read .*: Invalid data stream"),
    ],
)
def test_a_stream_that_was_damaged_is_refused(tmp_path: Path, method: int, told: str) -> None:
    file = tmp_path / "x.zip"
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("items.jsonl", json.dumps({"memory": 1}) + "\n" + "said again and again " * 9)
    data = bytearray(file.read_bytes())
    data[55:65] = b"\xff" * 10
    file.write_bytes(data)
    with opened(tmp_path / "there") as memory, pytest.raises(MemoryStoreError, match=told):
        import_memory(memory, file)


def test_what_is_no_export_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"no archive")
    with opened(tmp_path / "there") as memory:
        with pytest.raises(MemoryStoreError, match="is no export of a memory"):
            import_memory(memory, tmp_path / "x.zip")
        with pytest.raises(MemoryStoreError, match=r"cannot read .*nowhere"):
            import_memory(memory, tmp_path / "nowhere.zip")
