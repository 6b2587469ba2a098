"""Real processes are killed, real files are damaged: what was remembered stays, and what was forgotten is gone."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_memory import Colours, Words, every_byte, fact, opened, png

from mmi_agent.errors import MemoryStoreError
from mmi_agent.memory import Memory, Query, journal
from mmi_agent.memory.chroma import ChromaIndex
from mmi_agent.memory.index import ExactIndex, IndexBrokenError
from mmi_agent.memory.journal import Journal, item_line
from mmi_agent.memory.upkeep import rebuild
from mmi_agent.sealed_file import sealed_line

HERE = Path(__file__).parent


def start(folder: Path, name: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(HERE / "writer.py"), str(folder), name],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(HERE)])},
    )


def in_process(script: str, folder: Path) -> int:
    """Runs a script in a process of its own, which knows nothing of what this one knew."""
    script = (
        f"import sys\nfrom pathlib import Path\nfrom toy_memory import opened\nfolder = Path(sys.argv[1])\n{script}"
    )
    path = os.pathsep.join([*sys.path, str(HERE)])
    return subprocess.run(
        [sys.executable, "-c", script, str(folder)], env={**os.environ, "PYTHONPATH": path}
    ).returncode


def promised(lines: list[str]) -> set[str]:
    """The ids that a writer said were remembered, without those that it may have forgotten."""
    whole = [line.strip() for line in lines if line.endswith("\n")]
    gone = {line.split()[1] for line in whole if line.startswith("forgets ")}
    return {line for line in whole if not line.startswith("forgets ")} - gone


def said(process: "subprocess.Popen[str]", count: int) -> list[str]:
    assert process.stdout
    return [process.stdout.readline() for _ in range(count)]


@pytest.mark.parametrize("after", [1, 24])
def test_a_process_that_is_killed_while_it_writes_loses_nothing(tmp_path: Path, after: int) -> None:
    process = start(tmp_path, "a")
    lines = said(process, after)
    time.sleep(random.random() / 50)
    process.kill()
    assert process.stdout
    lines += process.stdout.readlines()
    assert process.wait() == -signal.SIGKILL
    with opened(tmp_path) as memory:
        kept = {item.id for item in memory.list()}
        assert promised(lines) <= kept
        assert len(kept - promised(lines)) <= 2, "what was under way when it died"
        for id in kept:
            assert memory.recall(f"a number {id[2:]}", 1)[0].item.id == id
        memory.remember(fact("and it goes on"))
        assert len(memory) == len(kept) + 1


def test_two_processes_use_one_memory_at_the_same_time(tmp_path: Path) -> None:
    a, b = start(tmp_path, "a"), start(tmp_path, "b")
    with opened(tmp_path) as memory:
        lines = [*said(a, 8), *said(b, 8)]
        mine = memory.remember(fact("from the third"))
        lines += [*said(a, 8), *said(b, 8)]
        assert memory.recall("a number 2", 1)[0].item.id == "a-2", "what another process wrote is found at once"
        for process in (a, b):
            process.kill()
            assert process.stdout
            lines += process.stdout.readlines()
            process.wait()
        kept = {item.id for item in memory.list()}
    assert promised(lines) | {mine} <= kept
    assert len(kept - promised(lines)) <= 5


def delete(index: Path) -> None:
    shutil.rmtree(index)


def scramble(index: Path) -> None:
    for path in index.rglob("*"):
        if path.is_file() and path.name != "synced":
            path.write_bytes(random.Random(1).randbytes(path.stat().st_size))


def lose_the_vectors(index: Path) -> None:
    for path in index.rglob("*.bin"):
        path.unlink()


COUNT = 1100  # more than Chroma keeps outside of its graph, so that all its files are there


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    with opened(folder, text_embedder=Words(24)) as memory:
        memory.remember_all([fact(f"thing {n} of box {n % 13}", id=str(n)) for n in range(COUNT)])
        memory.build_index()
    return folder


@pytest.mark.parametrize("damage", [delete, scramble, lose_the_vectors])
def test_an_index_that_is_lost_or_damaged_loses_nothing(
    tmp_path: Path, many: Path, damage: Callable[[Path], None]
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(many, folder)
    with opened(folder, text_embedder=Words(24)) as memory:
        assert memory.recall("thing 5 of box 5", 1)[0].item.id == "5"
        assert isinstance(memory._index, ChromaIndex)
        assert memory._index.end, "the index was kept, not made anew"
    damage(folder / "index")
    with opened(folder, text_embedder=Words(24)) as memory:
        for n in random.Random(0).sample(range(COUNT), 20):
            assert memory.recall(f"thing {n} of box {n % 13}", 1)[0].item.id == str(n)
        assert len(memory) == COUNT


def test_an_index_that_breaks_while_it_is_open_is_made_anew(tmp_path: Path) -> None:
    with opened(tmp_path) as memory:
        memory.remember(fact("before"))
        assert memory.recall("before")[0].item.text == "before"
        delete(tmp_path / "index")
        memory.remember(fact("after"))
        assert memory.recall("after", 1)[0].item.text == "after"


def test_an_index_that_breaks_whenever_it_is_asked_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: Any) -> None:
        raise IndexBrokenError

    monkeypatch.setattr(ChromaIndex, "search", breaks)
    with opened(tmp_path) as memory:
        memory.remember(fact("still here"))
        assert memory.recall("still here")[0].item.text == "still here"
        assert isinstance(memory._index, ExactIndex)


def test_who_comes_second_compares_with_every_vector_and_finds_the_same(tmp_path: Path) -> None:
    with opened(tmp_path) as first, opened(tmp_path) as second:
        first.remember_all([fact(f"thing number {n}") for n in range(30)])
        query = Query(text="thing number 7", kinds=("fact",))
        mine, theirs = first.recall(query, 30), second.recall(query, 30)
        assert [r.item.id for r in mine] == [r.item.id for r in theirs]
        assert [r.text_similarity for r in mine] == pytest.approx([r.text_similarity for r in theirs], abs=1e-5)
        assert isinstance(first._index, ChromaIndex)
        assert isinstance(second._index, ExactIndex)


def test_what_is_forgotten_is_in_no_file_any_more(tmp_path: Path) -> None:
    with opened(tmp_path) as memory, opened(tmp_path) as other:
        red, blue = (memory.pictures.put(png(colour)) for colour in ("red", "blue"))
        secret = fact("the hidden password is xyzzy", pictures=(red,), cue="where the treasure lies")
        memory.remember_all([secret, fact("something else", pictures=(blue,))])
        assert memory.recall("where the treasure lies", 1)[0].item.id == secret.id
        assert other.recall("where the treasure lies", 1)[0].item.id == secret.id
        vector = memory._read(secret.id).text_vector
        assert vector is not None
        traces = [b"xyzzy", b"treasure", secret.id.encode(), vector.tobytes(), vector.astype("<f2").tobytes()]
        before = every_byte(tmp_path)
        assert all(trace in before for trace in (*traces[:3], vector.tobytes())), "there is something to be found"
        assert memory.forget(secret.id) == 1
        for each in (memory, other):
            assert secret.id not in each
            assert all(r.item.id != secret.id for r in each.recall("where the treasure lies"))
        assert not memory.pictures.path(red.digest).exists()
        assert memory.pictures.path(blue.digest).exists()
    assert not [trace for trace in traces if trace in every_byte(tmp_path)]
    in_process("opened(folder).build_index()", tmp_path)
    assert list(tmp_path.glob("index/*/chroma.sqlite3")), "the next process makes an index"
    assert not [trace for trace in traces if trace in every_byte(tmp_path)]


def test_a_process_killed_while_it_forgets_has_forgotten_or_not(tmp_path: Path) -> None:
    """It dies right before, and right after, the new file takes the place of the old one."""
    for dies in ("before", "after"):
        folder = tmp_path / dies
        with opened(folder) as memory:
            memory.remember_all([fact("stays", id="stays"), fact("the password is xyzzy", id="goes")])
        script = (
            "import os\nreplace = Path.replace\ndef die(self, target):\n"
            + ("    replace(self, target)\n" if dies == "after" else "")
            + "    os.kill(os.getpid(), 9)\nmemory = opened(folder)\nPath.replace = die\nmemory.forget('goes')\n"
        )
        assert in_process(script, folder) == -signal.SIGKILL
        with opened(folder) as memory:
            assert {item.id for item in memory.list()} == ({"stays"} if dies == "after" else {"stays", "goes"})
            if dies == "before":
                memory.forget("goes")
            memory.remember(fact("later"))
        assert b"xyzzy" not in every_byte(folder)


@pytest.mark.parametrize(("at", "is_damaged"), [("rebuilding/items.jsonl", False), ("damaged.jsonl.*", True)])
def test_what_a_killed_rebuild_left_is_forgotten_with_the_item(tmp_path: Path, at: str, is_damaged: bool) -> None:
    """It dies right before a file takes its place: the one with the new vectors, or that of damaged lines."""
    with opened(tmp_path) as memory:
        memory.remember_all([fact("stays", id="stays"), fact("the password is xyzzy", id="goes")])
    path = tmp_path / "items.jsonl"
    if is_damaged:
        path.write_bytes(path.read_bytes() + path.read_bytes().splitlines()[-1].replace(b"password", b"pass") + b"\n")
    script = (
        "import os\nfrom mmi_agent.memory.upkeep import rebuild\nfrom toy_memory import Words\nreplace = Path.replace\n"
        f"def die(self, target):\n    if self.match({at!r}):\n        os.kill(os.getpid(), 9)\n"
        "    return replace(self, target)\nPath.replace = die\nrebuild(folder, embed=True, text_embedder=Words())\n"
    )
    assert in_process(script, tmp_path) == -signal.SIGKILL
    (left,) = [found for found in tmp_path.rglob("*") if found.match(at)]
    assert b"xyzzy" in left.read_bytes()
    if is_damaged:
        rebuild(tmp_path, text_embedder=Words())  # it cannot be opened before
    with opened(tmp_path) as memory:
        memory.forget("goes")
        assert {item.id for item in memory.list()} == {"stays"}
    assert b"xyzzy" not in every_byte(tmp_path)


def test_a_damaged_line_is_named_and_set_aside(tmp_path: Path) -> None:
    with opened(tmp_path) as memory:
        memory.remember_all([fact(f"thing {n}", id=f"thing-{n}") for n in range(5)])
    path = tmp_path / "items.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"thing 3"', b'"thinG 3"'))
    with pytest.raises(MemoryStoreError, match="line 6 was edited or damaged"):
        opened(tmp_path)
    done = rebuild(tmp_path, text_embedder=Words())
    assert (done.items, done.damaged, done.embedded) == (4, 1, 0)
    assert done.aside and b"thinG 3" in done.aside.read_bytes()
    with opened(tmp_path) as memory:
        assert memory.recall("thing 4", 1)[0].item.id == "thing-4"


def test_damaged_lines_are_forgotten_with_their_item_and_no_others(tmp_path: Path) -> None:
    with opened(tmp_path) as memory:
        memory.remember_all([fact(f"thing {id}", id=id) for id in ("e", 'é "1"', "other")])
    path = tmp_path / "items.jsonl"
    *before, e, quoted, other = path.read_text().splitlines()
    spaced = [json.dumps(json.loads(line)) for line in (e, quoted)]  # as an editor would write them
    damaged = [line.replace('"thing', '"thinG') for line in (e, quoted, *spaced, other)]
    path.write_text("\n".join([*before, e, quoted, *damaged, ""]))
    assert rebuild(tmp_path, text_embedder=Words()).damaged == 5
    with opened(tmp_path) as memory:
        assert memory.forget("e", 'é "1"') == 2
    assert (tmp_path / "damaged.jsonl").read_text() == f"{damaged[-1]}\n"


def test_a_damaged_first_line_loses_no_item(tmp_path: Path) -> None:
    with opened(tmp_path) as memory:
        memory.remember(fact("still here"))
    path = tmp_path / "items.jsonl"
    path.write_bytes(b"x" + path.read_bytes())
    with pytest.raises(MemoryStoreError, match="does not begin as a memory does"):
        opened(tmp_path)
    assert rebuild(tmp_path, text_embedder=Words()).items == 1
    with opened(tmp_path) as memory:
        assert memory.recall("still here")[0].item.text == "still here"


def test_a_missing_first_line_loses_no_item(tmp_path: Path) -> None:
    with opened(tmp_path) as memory:
        memory.remember_all([fact("the first"), fact("the second")])
    path = tmp_path / "items.jsonl"
    _header, space, *items = path.read_bytes().splitlines(keepends=True)
    for left in ([space, *items], [*items, space]):
        path.write_bytes(b"".join(left))
        done = rebuild(tmp_path, text_embedder=Words(), embed=left[0] != space)
        assert (done.items, done.damaged) == (2, 0)
        with opened(tmp_path) as memory:
            assert memory.recall("the first", 1)[0].item.text == "the first"


def test_a_picture_that_was_damaged_on_the_disk_loses_no_item(tmp_path: Path) -> None:
    with opened(tmp_path) as memory:
        red, blue = (memory.pictures.put(png(colour)) for colour in ("red", "blue"))
        memory.remember(fact("a red cup and a blue one", pictures=(red, blue), id="cups"))
        memory.pictures.path(red.digest).write_bytes(b"no picture")
        memory.pictures.path(blue.digest).unlink()
        with pytest.raises(MemoryStoreError, match="mmi memory rebuild --embed leave out what is lost"):
            memory.edit("cups", text="two cups")
    options: dict[str, Any] = {"text_embedder": Words(), "picture_embedder": Colours()}
    assert rebuild(tmp_path, embed=True, **options).pictures_lost == 2
    with opened(tmp_path) as memory:
        assert memory.edit("cups", text="two cups").pictures == ()


@pytest.mark.parametrize("version", [2, "two"])
def test_a_newer_version_is_left_alone(tmp_path: Path, version: Any) -> None:
    header = {"record": "memory", "version": version, "generation": "a"}
    (tmp_path / "items.jsonl").write_bytes(sealed_line(header) + b"\n")
    before = (tmp_path / "items.jsonl").read_bytes()
    for attempt in (opened, rebuild):
        with pytest.raises(MemoryStoreError, match=f"memory version {version}, this mmi_agent reads up to 1: upgrade"):
            attempt(tmp_path)
    assert (tmp_path / "items.jsonl").read_bytes() == before


def test_mixed_widths_are_refused_and_made_whole_by_new_vectors(tmp_path: Path) -> None:
    with opened(tmp_path) as memory:
        memory.remember(fact("sixty-four numbers", pictures=(memory.pictures.put(png("red")),)))
    stray = item_line(fact("thirty-two numbers"), text=np.asarray(Words(32).embed_query("thirty-two"), np.float32))
    with (tmp_path / "items.jsonl").open("ab") as file:
        file.write(stray + b"\n")
    with pytest.raises(MemoryStoreError, match="a text vector of 32 numbers, expected 64"):
        opened(tmp_path)
    options: dict[str, Any] = {"text_embedder": Words(48, "new words"), "picture_embedder": Colours()}
    assert rebuild(tmp_path, embed=True, **options).embedded == 2
    with Memory.open(tmp_path, **options) as memory:
        assert memory.recall("thirty-two", 1)[0].item.text == "thirty-two numbers"
        assert memory.recall(Query(picture=png("red")), 1)[0].item.text == "sixty-four numbers"


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int, data: bytes) -> None:
        os.write(file, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    with opened(tmp_path) as memory:
        memory.remember(fact("kept"))
        with monkeypatch.context() as patch:
            patch.setattr(journal, "write_all", full)
            with pytest.raises(MemoryStoreError, match="No space left on device"):
                memory.remember(fact("lost"))
        memory.remember(fact("kept too"))
        assert {item.text for item in memory.list()} == {"kept", "kept too"}


def test_every_line_of_the_file_can_be_read_without_us(tmp_path: Path) -> None:
    with opened(tmp_path) as memory:
        memory.remember(fact("plain JSON"))
        assert Journal(tmp_path).path.name == "items.jsonl"
    lines = [json.loads(line) for line in (tmp_path / "items.jsonl").read_text().splitlines()]
    assert [line["record"] for line in lines] == ["memory", "space", "item"]
    assert lines[2]["text"] == "plain JSON"
