"""Checkpoint folders: a manifest with sizes and SHA-256, made whole or not at all.

A folder is written beside its final place and renamed into it, so that a reader never sees half of one, whatever
is interrupted and however many processes make it at once. This file knows nothing about models.
"""

import hashlib
import os
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from mmi_agent.errors import CheckpointError
from mmi_agent.whole_folder import making_whole

__all__ = [
    "MANIFEST",
    "TRAINED",
    "FileRecord",
    "Manifest",
    "Source",
    "check",
    "making",
    "read_manifest",
    "sha256_of",
    "verify",
    "write_manifest",
]

MANIFEST = "manifest.json"
TRAINED = Path(__file__).parent / "trained"
"""The adapters that come with presets, each in a folder of the preset's name."""

_CHUNK_BYTES = 1 << 22


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileRecord(_Record):
    """What a file must be."""

    size_bytes: int
    sha256: str


class Source(_Record):
    """Where the weights came from.

    Attributes:
        kind: The kind of place.
        name: Its name; of a hub's repository, with the commit.
        sha256: Of the file, or of the hashes of all files one after the other.
        files: Each file, where there are several.
    """

    kind: Literal["wheel", "hub", "gguf", "folder"]
    name: str
    sha256: str
    files: dict[str, FileRecord] = {}


class Manifest(_Record):
    """The content of `manifest.json`.

    Attributes:
        format: Of the manifest itself.
        model: What the weights are, by name.
        source: Where they came from.
        config: The model's sizes, as whoever wrote them reads them.
        files: Every other file of the folder.
        dtype: Of all weights, as torch names it; empty in folders made before it was recorded.
        weights: Which file holds which tensor, where there are several.
    """

    format: Literal[1] = 1
    model: str
    source: Source
    config: dict[str, JsonValue]
    files: dict[str, FileRecord]
    dtype: str = ""
    weights: dict[str, str] = {}


def sha256_of(path: Path, progress: Callable[[int], None] | None = None) -> str:
    """The SHA-256 of a file, in hexadecimal.

    Args:
        path: The file.
        progress: Told how many bytes were read since it was told last.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            if progress:
                progress(len(chunk))
    return digest.hexdigest()


@contextmanager
def making(folder: Path) -> Generator[Path]:
    """Gives an empty folder to fill, as `making_whole` does.

    Raises:
        CheckpointError: If the disk is full, or the folder cannot be written.
    """
    try:
        with making_whole(folder) as unfinished:
            yield unfinished
    except OSError as error:
        raise CheckpointError(f"cannot write {folder}: {error}; free some space or set MMI_CACHE") from error


def write_manifest(
    folder: Path,
    *,
    model: str,
    source: Source,
    config: Mapping[str, JsonValue],
    dtype: str = "",
    weights: Mapping[str, str] | None = None,
    known: Mapping[str, FileRecord] | None = None,
) -> Manifest:
    """Brings every file of `folder` to disk and writes the manifest last.

    Args:
        folder: What to describe; every file in it is listed.
        model: What the weights are, by name.
        source: Where they came from.
        config: The model's sizes.
        dtype: Of all weights.
        weights: Which file holds which tensor.
        known: Files that are on disk and hashed already; the others are hashed here.
    """
    files = dict(known or {})
    for path in sorted(folder.iterdir()):
        path.chmod(0o644)  # safetensors writes for its owner alone; a cache may be shared
        if path.name not in files:
            with path.open("rb+") as file:
                os.fsync(file.fileno())
            files[path.name] = FileRecord(size_bytes=path.stat().st_size, sha256=sha256_of(path))
    manifest = Manifest(
        model=model, source=source, config=dict(config), files=files, dtype=dtype, weights=dict(weights or {})
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """Reads the manifest of a converted folder.

    Raises:
        CheckpointError: If it is missing, or is not one of ours.
    """
    path = folder / MANIFEST
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing: expected a folder that mmi weights convert made") from error
    except (OSError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(
            f"{path} is not the manifest of converted weights ({reason}): expected a folder that mmi weights convert "
            "made"
        ) from error


def check(folder: Path) -> Manifest:
    """Checks that every file is there with its size: cheap, done at every start.

    Raises:
        CheckpointError: Naming the first file that is missing or of another size.
    """
    manifest = read_manifest(folder)
    for name, record in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise CheckpointError(f"{path} is missing: expected {record.size_bytes} bytes; {_again(folder)}")
        if (size := path.stat().st_size) != record.size_bytes:
            raise CheckpointError(f"{path} has {size} bytes, expected {record.size_bytes}; {_again(folder)}")
    return manifest


def verify(folder: Path, progress: Callable[[int], None] | None = None) -> Manifest:
    """Checks every byte of a converted folder against its manifest; takes about a second for each gigabyte.

    Args:
        folder: A converted folder.
        progress: Told how many bytes were read since it was told last.

    Raises:
        CheckpointError: Naming the first file that is missing, of another size or of another SHA-256.
    """
    manifest = check(folder)
    for name, record in manifest.files.items():
        if (found := sha256_of(folder / name, progress)) != record.sha256:
            raise CheckpointError(f"{folder / name} has SHA-256 {found}, expected {record.sha256}; {_again(folder)}")
    return manifest


def _again(folder: Path) -> str:
    return f"delete {folder} to have it made again"
