"""Checkpoint folders: a manifest with sizes and SHA-256, made whole or not at all.

A folder is written beside its final place and renamed into it, so that a reader never sees half of one, whatever
is interrupted and however many processes make it at once. This file knows nothing about models.
"""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from mmi_agent.errors import CheckpointError

__all__ = [
    "FileRecord",
    "LanguageConfig",
    "Manifest",
    "Source",
    "cache_root",
    "check",
    "making",
    "read_manifest",
    "sha256_of",
    "verify",
    "write_manifest",
]

MANIFEST = "manifest.json"
_UNFINISHED = ".making-"
_ABANDONED_AFTER_S = 24 * 3600


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(_Record):
    """Where the weights came from."""

    kind: Literal["wheel", "hub", "gguf", "folder"]
    name: str
    sha256: str


class FileRecord(_Record):
    """What a file of the folder must be."""

    size_bytes: int
    sha256: str


class LanguageConfig(_Record):
    """Sizes of a Llama decoder, as far as its weights decide them."""

    vocab_size: int
    width: int
    num_layers: int
    num_heads: int
    num_key_value_heads: int
    feed_forward_width: int
    rope_theta: float
    norm_eps: float
    max_positions: int


class Manifest(_Record):
    """The content of `manifest.json`."""

    format: Literal[1] = 1
    model: str
    source: Source
    config: LanguageConfig
    files: dict[str, FileRecord]


def cache_root() -> Path:
    """The folder that holds converted weights: `$MMI_CACHE`, else `mmi_agent` under the XDG cache."""
    if given := os.environ.get("MMI_CACHE"):
        return Path(given).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mmi_agent"


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def making(folder: Path) -> Generator[Path]:
    """Gives an empty folder to fill, which becomes `folder` when the block ends without an error.

    If another process has put `folder` there meanwhile, its work is kept and this one's is dropped.

    Raises:
        CheckpointError: If the disk is full, or the folder cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder.parent)
        with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=folder.parent, ignore_cleanup_errors=True) as scratch:
            unfinished = Path(scratch) / folder.name
            unfinished.mkdir()
            yield unfinished
            try:
                unfinished.replace(folder)
            except OSError:
                if not (folder / MANIFEST).is_file():
                    raise
    except OSError as error:
        raise CheckpointError(f"cannot write {folder}: {error}; free some space or set MMI_CACHE") from error


def write_manifest(folder: Path, *, model: str, source: Source, config: LanguageConfig) -> Manifest:
    """Hashes every file of `folder`, brings them to disk, and writes the manifest last."""
    files: dict[str, FileRecord] = {}
    for path in sorted(folder.iterdir()):
        with path.open("rb+") as file:
            os.fsync(file.fileno())
        path.chmod(0o644)  # safetensors writes for its owner alone; a cache may be shared
        files[path.name] = FileRecord(size_bytes=path.stat().st_size, sha256=sha256_of(path))
    manifest = Manifest(model=model, source=source, config=config, files=files)
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
        raise CheckpointError(f"{path} is missing: {folder} is not a converted checkpoint; {_again(folder)}") from error
    except (OSError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{path} cannot be read ({reason}); {_again(folder)}") from error


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


def verify(folder: Path) -> Manifest:
    """Checks every byte of a converted folder against its manifest; takes about a second.

    Raises:
        CheckpointError: Naming the first file that is missing, of another size or of another SHA-256.
    """
    manifest = check(folder)
    for name, record in manifest.files.items():
        if (found := sha256_of(folder / name)) != record.sha256:
            raise CheckpointError(f"{folder / name} has SHA-256 {found}, expected {record.sha256}; {_again(folder)}")
    return manifest


def _again(folder: Path) -> str:
    return f"delete {folder} to have it made again"


def _sweep(parent: Path) -> None:
    """Removes what killed processes left behind; a day is longer than any conversion that still runs."""
    for leftover in parent.glob(f"{_UNFINISHED}*"):
        with suppress(FileNotFoundError):  # another process may be done with it since it was listed
            if time.time() - leftover.stat().st_mtime > _ABANDONED_AFTER_S:
                shutil.rmtree(leftover, ignore_errors=True)
