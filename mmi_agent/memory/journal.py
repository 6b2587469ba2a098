r"""The file of a memory: every item and its vectors, one JSON object a line, append only.

    DIR/items.jsonl            the first line names the version and the generation; every line ends with its own digest
    DIR/pictures/<sha256>.png  each picture once
    DIR/lock                   held by whoever writes
    DIR/index/                 made of the above, and made again where it is missing
    DIR/rebuilding/            the same again, while a rebuild makes new vectors

What is forgotten is gone: the file is written anew without it, whole or not at all, and gets a new generation, by which
every other process sees that what it knows is old. Three rules that the records do not show:

- A line counts once its newline is there. What a killed process left of one is cut off by the next that writes.
- A later item with the id of an earlier one stands in its place.
- A vector is float16, in base64: of a vector of length 1 that is exact to 1 in 2000, and all that search ever sees.
"""

import base64
import json
import os
import secrets
import shutil
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from pydantic import ValidationError

from mmi_agent.errors import MemoryStoreError
from mmi_agent.memory.embedders import numpy
from mmi_agent.memory.items import MemoryItem
from mmi_agent.sealed_file import lock_now, sealed_line, sync_folder, unsealed, write_all
from mmi_agent.whole_file import write_whole

if TYPE_CHECKING:
    from mmi_agent.memory.embedders import Vectors

__all__ = [
    "SCRATCH",
    "VERSION",
    "Damage",
    "Journal",
    "Remembered",
    "Space",
    "SpaceRecord",
    "holds_memory",
    "item_line",
    "parse",
    "record_of",
    "space_line",
]

VERSION = 1
SCRATCH = "rebuilding"
_ITEMS = "items.jsonl"

Space = Literal["text", "picture"]
"""Which vectors can be compared with each other."""

_PATIENCE_S = 60.0  # how long another process may write; a rewrite of 100,000 items takes a second or two
_CHUNK = 1 << 22


@dataclass(frozen=True, kw_only=True)
class SpaceRecord:
    """A line that says what made the vectors of a space, and how wide they are.

    Attributes:
        space: Which.
        name: Of the embedder.
        width: Numbers of a vector.
        at: Where the line begins, in bytes.
        size: Its length without the newline.
    """

    space: Space
    name: str
    width: int
    at: int = 0
    size: int = 0


@dataclass(frozen=True, kw_only=True)
class Remembered:
    """A line that holds an item.

    Attributes:
        item: The item.
        text_vector: Of its text, (width,); None where it has none.
        picture_vectors: One row for each picture, (pictures, width); None where they are not known.
        at: Where the line begins, in bytes.
        size: Its length without the newline.
    """

    item: MemoryItem
    text_vector: "Vectors | None" = None
    picture_vectors: "Vectors | None" = None
    at: int = 0
    size: int = 0


@dataclass(frozen=True, kw_only=True)
class Damage:
    """A line that cannot be used."""

    number: int
    reason: str
    line: bytes = field(repr=False)


def holds_memory(folder: Path) -> bool:
    """Whether a folder holds a memory; `Journal` finds out whether it can be used."""
    return (folder / _ITEMS).is_file()


class Journal:
    """Reads and writes the file.

    A reader needs no lock: it takes whole lines, and `stale` tells it that the file was written anew.

    Args:
        folder: The memory's.

    Raises:
        MemoryStoreError: If the folder cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / _ITEMS
        self.generation = ""
        self._file = -1

    # ---- reading

    def reopen(self) -> int:
        """Opens the file as it stands now; makes it where there is none.

        Returns:
            Where its second line begins.

        Raises:
            MemoryStoreError: If it is no memory, is of a newer version, or cannot be read.
        """
        self.close()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not self.path.exists():
                with self.locked():
                    if not self.path.exists():
                        write_whole(self.path, _header(), synced=True)
                        sync_folder(self.folder)
            self._file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        except OSError as error:
            raise MemoryStoreError(f"cannot use the memory {self.folder}: {error.strerror}") from error
        first = self._first_line()
        self.generation = self._checked_header(first)
        return len(first) + 1

    def _first_line(self) -> bytes:
        head = os.pread(self._file, 4096, 0)
        line, newline, _ = head.partition(b"\n")
        return line if newline else b""

    def _checked_header(self, line: bytes) -> str:
        record = record_of(line)
        if record is None or record.get("record") != "memory":
            raise MemoryStoreError(
                f"{self.path} does not begin as a memory does: mmi memory rebuild {self.folder} keeps every whole item"
            )
        if (version := record.get("version")) not in range(1, VERSION + 1):
            raise MemoryStoreError(
                f"{self.path} has memory version {version}, this mmi_agent reads up to {VERSION}: upgrade it"
            )
        return str(record["generation"])

    @property
    def stale(self) -> bool:
        """Whether the file was written anew, or removed, since it was opened."""
        try:
            return self._file < 0 or not os.path.samestat(os.stat(self.path), os.fstat(self._file))
        except OSError:
            return True

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return os.fstat(self._file).st_size

    def lines(self, start: int) -> Iterator[tuple[int, bytes]]:
        """Yields every whole line from a place on, with the place where it begins."""
        at, rest = start, b""
        while chunk := os.pread(self._file, _CHUNK, at + len(rest)):
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                yield at, line
                at += len(line) + 1

    def records(self, start: int, *, number: int) -> Iterator[Remembered | SpaceRecord]:
        """Reads the lines from a place on.

        Args:
            start: Where.
            number: Of the line there, for errors.

        Raises:
            MemoryStoreError: If a line was edited or damaged.
        """
        for at, line in self.lines(start):
            parsed = parse(line, number=number, at=at)
            if isinstance(parsed, Damage):
                raise MemoryStoreError(
                    f"{self.path}: line {number} {parsed.reason}: mmi memory rebuild {self.folder} sets it aside"
                )
            yield parsed
            number += 1

    def line(self, at: int, size: int) -> bytes:
        """Reads one line again."""
        return os.pread(self._file, size, at)

    def read(self, at: int, size: int) -> Remembered:
        """Reads one item again."""
        found = parse(self.line(at, size), number=0, at=at)
        if not isinstance(found, Remembered):
            raise MemoryStoreError(f"{self.path} was damaged while it was open: mmi memory rebuild {self.folder}")
        return found

    # ---- writing, always under the lock

    @contextmanager
    def locked(self) -> Generator[None]:
        """Keeps every other process from writing.

        Raises:
            MemoryStoreError: If another one does not let go of it.
        """
        file = os.open(self.folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
        try:
            deadline = time.monotonic() + _PATIENCE_S
            while not lock_now(file):
                if time.monotonic() > deadline:
                    raise MemoryStoreError(f"another process has been writing {self.folder} for {_PATIENCE_S:g} s")
                time.sleep(0.005)
            self._clear_unfinished()
            yield
        finally:
            os.close(file)

    def _clear_unfinished(self) -> None:
        """Removes what a process left that was killed under the lock: nobody would ever forget what stands in it."""
        for unfinished in self.folder.glob("*.jsonl.*.part"):
            unfinished.unlink(missing_ok=True)
        if (scratch := self.folder / SCRATCH).exists():
            shutil.rmtree(scratch)

    def append(self, lines: Iterable[bytes], *, end: int) -> None:
        """Puts lines on the disk, all or none.

        Args:
            lines: Without their newlines.
            end: Where the last whole line ends: what stands after it is cut off.

        Raises:
            MemoryStoreError: If they cannot be written.
        """
        data = b"".join(line + b"\n" for line in lines)
        try:
            os.ftruncate(self._file, end)
            write_all(self._file, data)
            os.fsync(self._file)
        except BaseException as error:
            os.ftruncate(self._file, end)
            if isinstance(error, OSError):
                raise MemoryStoreError(f"cannot write to {self.path}: {error.strerror}") from error
            raise

    def rewrite(self, lines: Iterable[bytes]) -> None:
        """Writes the file anew with these lines after a first one, whole or not at all.

        Raises:
            MemoryStoreError: If it cannot be written; then all is as it was.
        """
        data = b"".join([_header(), *(line + b"\n" for line in lines)])
        try:
            write_whole(self.path, data, synced=True)
            sync_folder(self.folder)
        except OSError as error:
            raise MemoryStoreError(f"cannot write {self.path} anew: {error.strerror}") from error

    def close(self) -> None:
        """Lets go of the file; a second call does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


# ---- lines


def item_line(item: MemoryItem, *, text: "Vectors | None" = None, pictures: "Iterable[Vectors]" = ()) -> bytes:
    """Writes an item and its vectors as a line."""
    record = {"record": "item", **item.model_dump(mode="json", exclude_defaults=True)}
    record["id"], record["time"] = item.id, item.time  # defaults that no other process would make up alike
    if text is not None:
        record["text_vector"] = _encoded(text)
    if seen := [_encoded(vector) for vector in pictures]:
        record["picture_vectors"] = seen
    return sealed_line(record)


def space_line(space: SpaceRecord) -> bytes:
    """Writes what made the vectors of a space as a line."""
    return sealed_line({"record": "space", "space": space.space, "name": space.name, "width": space.width})


def _header() -> bytes:
    return sealed_line({"record": "memory", "version": VERSION, "generation": secrets.token_hex(8)}) + b"\n"


def record_of(line: bytes) -> dict[str, Any] | None:
    """The JSON object of a line; None if it does not fit its own digest."""
    body = unsealed(line)
    if body is None:
        return None
    try:
        record = json.loads(body)
    except ValueError:
        return None
    return cast("dict[str, Any]", record) if isinstance(record, dict) else None


def parse(line: bytes, *, number: int, at: int) -> Remembered | SpaceRecord | Damage:
    """Reads a line; what cannot be used is a `Damage`, which says why."""
    record = record_of(line)
    if record is None:
        return Damage(number=number, reason="was edited or damaged: it does not fit its own digest", line=line)
    kind = record.pop("record", None)
    try:
        if kind == "space":
            return SpaceRecord(**record, at=at, size=len(line))
        if kind == "item":
            text, pictures = record.pop("text_vector", None), record.pop("picture_vectors", None)
            return Remembered(
                item=MemoryItem.model_validate(record),
                text_vector=None if text is None else _decoded([text])[0],
                picture_vectors=None if pictures is None else _decoded(pictures),
                at=at,
                size=len(line),
            )
    except (ValidationError, ValueError, TypeError) as error:
        return Damage(number=number, reason=f"holds no item: {' '.join(str(error).split())[:200]}", line=line)
    return Damage(number=number, reason=f"is a record of the kind {kind!r}, which is not known here", line=line)


def _encoded(vector: "Vectors") -> str:
    return base64.b64encode(vector.astype("<f2").tobytes()).decode()


def _decoded(written: Iterable[str]) -> "Vectors":
    """Vectors that `_encoded` wrote, one in a row; what rounding did to their lengths is undone."""
    np = numpy()
    vectors_ND = np.stack([np.frombuffer(base64.b64decode(row), "<f2") for row in written]).astype(np.float32)
    lengths_N1 = np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    return vectors_ND / np.where(lengths_N1 > 0, lengths_N1, 1)
