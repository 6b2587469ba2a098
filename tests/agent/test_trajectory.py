"""The file that a run leaves: whole, chained, small, and honest about damage."""

import errno
import json
import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mmi_agent import Agent, Limits, Observation, Run, TrajectoryError, read_trajectory
from mmi_agent.agent import recorder as recorder_module
from mmi_agent.agent.recorder import Recorder
from mmi_agent.sealed_file import seal
from mmi_agent.testing import EchoEnvironment, ScriptedPolicy
from mmi_agent.types import Element
from tests.agent.worlds import FilmEnvironment, run

CALLS: list[Any] = [
    ("type_text", {"text": "kiwi"}),
    ("press", {"mark": 1}),
    ("type_text", {"text": "fig"}),
    ("send", {}),
]

Change = Callable[[list[bytes]], list[bytes]]


@pytest.fixture
def left(tmp_path: Path) -> Run:
    return run(ScriptedPolicy(CALLS), EchoEnvironment("fig"), tmp_path / "run")


def rewrite(run: Run, change: Change) -> None:
    path = run.folder / "trajectory.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(change(lines)))


DAMAGE: list[tuple[Change, str]] = [
    (lambda lines: [*lines[:3], lines[3].replace(b"kiwi", b"pear"), *lines[4:]], "line 4 was edited"),
    (lambda lines: [*lines[:-1], lines[-1].replace(b"true", b"null")], "line 10 was edited"),
    (lambda lines: [*lines[:4], *lines[6:]], "line 5 does not follow line 4"),
    (lambda lines: [*lines[:4], lines[6], *lines[4:6], *lines[7:]], "line 5 does not follow line 4"),
    (lambda lines: [*lines[:2], b"not json\n", *lines[2:]], "line 3 was edited or damaged"),
    (lambda lines: lines[2:], "line 1 does not follow"),
    (lambda lines: [], "no whole line"),
]


@pytest.mark.parametrize(("change", "told"), DAMAGE)
def test_the_chain_says_where_the_file_was_tampered_with(change: Change, told: str, left: Run) -> None:
    rewrite(left, change)
    with pytest.raises(TrajectoryError, match=told) as error:
        read_trajectory(left.folder)
    assert "\n" not in str(error.value)


def test_a_torn_last_line_is_recognised_and_only_resuming_repairs_it(left: Run) -> None:
    rewrite(left, lambda lines: [*lines[:-2], lines[-2][:-200]])
    found = read_trajectory(left.folder)
    assert found.torn_bytes and found.end is None and found.steps[-1].result is None
    assert read_trajectory(left.folder).torn_bytes == found.torn_bytes, "reading repairs nothing"
    recorder, _ = Recorder.reopen(left.folder)
    recorder.close()
    assert read_trajectory(left.folder).torn_bytes == 0
    assert len((left.folder / "trajectory.torn").read_bytes()) == found.torn_bytes + 1


@pytest.mark.parametrize(
    ("forged", "told"),
    [
        ({"version": 99}, "trace version 99, this mmi_agent reads up to 1"),
        ({"version": "x"}, "line 1 is no record of a run: .*version"),
        ({"time": "2026-01-01T00:00:00"}, "line 1 is no record of a run: .* has no time zone"),
        ({"limits": "NESTED"}, "line 1 is sealed, but is no JSON object"),
    ],
)
def test_a_first_line_that_cannot_be_read_is_told_in_one(forged: dict[str, Any], told: str, left: Run) -> None:
    def forge(lines: list[bytes]) -> list[bytes]:
        record = json.loads(lines[0])
        del record["sha256"]
        body = json.dumps({**record, **forged}, separators=(",", ":"))
        return [seal(body.replace('"NESTED"', "[" * 100_000 + "]" * 100_000).encode()) + b"\n"]

    rewrite(left, forge)
    with pytest.raises(TrajectoryError, match=told) as error:
        read_trajectory(left.folder)
    assert "\n" not in str(error.value)


def test_a_sealed_line_that_is_no_json_is_one_line_too(left: Run) -> None:
    path = left.folder / "trajectory.jsonl"
    path.write_bytes(seal(b'{"record": start}') + b"\n" + path.read_bytes())
    with pytest.raises(TrajectoryError, match="line 1 is sealed, but is no JSON object"):
        read_trajectory(left.folder)


def test_missing_pictures_are_named(left: Run) -> None:
    gone = read_trajectory(left.folder).steps[1].intent.observation.pictures[0].digest
    (left.folder / "pictures" / f"{gone}.png").unlink()
    assert read_trajectory(left.folder).missing_pictures() == [gone]


def test_two_processes_cannot_write_one_run(tmp_path: Path) -> None:
    first = Recorder.create(tmp_path)
    with pytest.raises(TrajectoryError, match="another process is writing"):
        Recorder.create(tmp_path)
    with pytest.raises(TrajectoryError, match="another process is writing"):
        Recorder.reopen(tmp_path)
    first.close()
    Recorder.create(tmp_path).close()


def test_a_run_is_never_overwritten(left: Run) -> None:
    with pytest.raises(TrajectoryError, match="already holds a run"):
        run(ScriptedPolicy([]), EchoEnvironment("fig"), left.folder)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrajectoryError, match=r"cannot write a run to .*: Not a directory"):
        run(ScriptedPolicy([]), EchoEnvironment(), tmp_path / "file" / "run")


def test_nothing_half_written_is_left_by_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, written = os.write, 0

    def limited(file: int, data: bytes) -> int:
        nonlocal written
        if (room := 6000 - written) <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written += len(data[:room])
        return write(file, data[:room])

    monkeypatch.setattr(recorder_module.os, "write", limited)
    with pytest.raises(TrajectoryError, match=r"No space left on device; .* mmi resume .* goes on"):
        run(ScriptedPolicy(CALLS), EchoEnvironment("fig"), tmp_path)
    monkeypatch.undo()
    found = read_trajectory(tmp_path)
    assert not found.torn_bytes and not found.missing_pictures()
    policy = ScriptedPolicy(CALLS)
    assert Agent(policy, EchoEnvironment("fig"), approver=lambda _: True).resume(tmp_path).status == "finished"


def screenshot(shade: int) -> bytes:
    """About 200 kB that no compression makes smaller."""
    noise = Image.frombytes("RGB", (1280, 52), os.urandom(1280 * 52 * 3))
    image = Image.new("RGB", (1280, 720), (shade, 0, 0))
    image.paste(noise, (0, 0))
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("distinct", [20, 4])
def test_twenty_screenshots_store_little_more_than_themselves(distinct: int, tmp_path: Path) -> None:
    shots = [screenshot(i) for i in range(distinct)]
    links = [
        Element(
            mark=i + 1, role="link", name=f"a page's link, number {i}", box=(10, 2 * i, 900, 2 * i + 1), source="dom"
        )
        for i in range(200)
    ]

    def show(_looks: int, acted: int) -> Observation:
        moved = links[0].model_copy(update={"name": f"seen {acted} times"})
        picture = world.pictures.put(shots[acted % distinct])
        return Observation(pictures=(picture,), text="https://example.org/", elements=(moved, *links[1:]))

    world = FilmEnvironment(show)
    notes: list[Any] = [("note", {"text": str(i)}) for i in range(20)]
    agent = Agent(ScriptedPolicy(notes), world, limits=Limits(max_steps=20, fresh_s=0.0))
    assert agent.run(folder=tmp_path).steps == 20
    assert 190_000 < len(shots[0]) < 230_000
    stored = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert stored <= 1.1 * sum(map(len, shots))
    assert len(read_trajectory(tmp_path).steps[19].intent.observation.elements) == 200
