import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmi_agent.checkpoints.files import Source, check, making, read_manifest, verify, write_manifest
from mmi_agent.errors import CheckpointError

CONFIG = {"width": 16, "rope_theta": 1e5}


@pytest.fixture
def converted(tmp_path: Path) -> Path:
    folder = tmp_path / "cache" / "toy"
    with making(folder) as unfinished:
        (unfinished / "language.safetensors").write_bytes(b"weights")
        write_manifest(unfinished, model="toy", source=Source(kind="hub", name="toy", sha256="0"), config=CONFIG)
    return folder


def test_a_folder_is_made_whole(converted: Path) -> None:
    assert verify(converted) == check(converted) == read_manifest(converted)
    assert [path.name for path in converted.parent.iterdir()] == ["toy"]


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_leaves_nothing(tmp_path: Path, interruption: type[BaseException]) -> None:
    with pytest.raises(interruption), making(tmp_path / "toy") as unfinished:
        (unfinished / "language.safetensors").write_bytes(b"wei")
        raise interruption
    assert list(tmp_path.iterdir()) == []


def test_the_first_of_two_makers_wins(converted: Path) -> None:
    with making(converted) as unfinished:
        (unfinished / "language.safetensors").write_bytes(b"other w")
    verify(converted)


def test_leftovers_of_killed_processes_are_swept(converted: Path) -> None:
    old, fresh = converted.parent / ".making-old", converted.parent / ".making-fresh"
    old.mkdir()
    fresh.mkdir()
    os.utime(old, (time.time() - 1e6, time.time() - 1e6))
    with making(converted.parent / "another"):
        pass
    assert fresh.exists() and not old.exists()


def test_a_folder_that_another_process_is_done_with_meanwhile(converted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = converted.parent / ".making-gone"

    def listed(_self: Path, _pattern: str) -> Iterator[Path]:
        yield gone  # and renamed away before it is looked at

    monkeypatch.setattr(Path, "glob", listed)
    with making(converted.parent / "another") as unfinished:
        (unfinished / "manifest.json").touch()
    assert (converted.parent / "another").is_dir()


def test_damage_is_named(converted: Path) -> None:
    weights = converted / "language.safetensors"

    weights.write_bytes(b"wEights")
    check(converted)
    with pytest.raises(
        CheckpointError, match=r"language\.safetensors has SHA-256 .*, expected .*; delete .*toy to have"
    ):
        verify(converted)

    weights.write_bytes(b"weigh")
    with pytest.raises(CheckpointError, match=r"language\.safetensors has 5 bytes, expected 7; delete"):
        check(converted)

    weights.unlink()
    with pytest.raises(CheckpointError, match=r"language\.safetensors is missing: expected 7 bytes; delete"):
        check(converted)

    (converted / "manifest.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"manifest\.json is not the manifest of converted weights") as error:
        check(converted)
    assert "delete" not in str(error.value), "nobody knows whose folder it is"


def test_a_file_where_the_cache_should_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    with (
        pytest.raises(CheckpointError, match=r"cannot write .*; free some space or set MMI_CACHE"),
        making(tmp_path / "cache" / "toy"),
    ):
        pass
