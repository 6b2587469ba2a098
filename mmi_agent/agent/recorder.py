"""Writes a trajectory: every line is on the disk, whole, before the run goes on; one process at a time.

Knows nothing of loops or policies. What a line names is stored before the line.
"""

import hashlib
import os
from collections import OrderedDict
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Self, TypedDict

from mmi_agent.agent.trajectory import (
    ElementTable,
    End,
    Intent,
    Result,
    Resume,
    Start,
    Trajectory,
    pictures_in,
    read_trajectory,
)
from mmi_agent.errors import TrajectoryError
from mmi_agent.pictures import FolderPictures, MemoryPictures
from mmi_agent.sealed_file import lock_now, sealed_line, sync_folder, write_all
from mmi_agent.types import Picture

__all__ = ["Recorder", "RunPictures", "Stamp"]

_HELD = 16  # pictures that no line has named yet; an environment may show one again without putting it again


class Stamp(TypedDict):
    """What every line begins with."""

    time: str
    previous: str


class RunPictures:
    """The pictures of a run: in memory until a line names them, then on the disk.

    So a look that nobody recorded (a check right before acting, a poll until a page is still) costs no disk.
    """

    def __init__(self, folder: Path) -> None:
        self._disk = FolderPictures(folder)
        self._held: OrderedDict[str, MemoryPictures] = OrderedDict()

    def put(self, data: bytes, *, origin: Literal["observed", "drawn"] = "observed") -> Picture:
        """Takes an encoded picture and returns its name; ActionError if it cannot be read."""
        memory = MemoryPictures()
        picture = memory.put(data, origin=origin)
        self._held[picture.digest] = memory
        self._held.move_to_end(picture.digest)
        while len(self._held) > _HELD:
            self._held.popitem(last=False)
        return picture

    def get(self, digest: str) -> bytes:
        """Returns the PNG file; KeyError if it is not here."""
        held = self._held.get(digest)
        return held.get(digest) if held else self._disk.get(digest)

    def keep(self, picture: Picture) -> None:
        """Makes sure that the picture is on the disk.

        Raises:
            TrajectoryError: If it cannot be written, or nobody put it here.
        """
        if self._disk.path(picture.digest).exists():
            return
        try:
            self._disk.put(self.get(picture.digest), origin=picture.origin)
        except KeyError:
            raise TrajectoryError(
                f"the picture {picture.digest} was named and never put into the run's store"
            ) from None


class Recorder:
    """Appends the lines of one run.

    Use `create` for a new run and `reopen` for one that a process left behind.
    """

    def __init__(self, folder: Path, file: int, *, size: int, head: str, elements: ElementTable) -> None:
        self.folder = folder
        self.pictures = RunPictures(folder / "pictures")
        self._file = file
        self._size = size
        self._head = head
        self._elements = elements

    @classmethod
    def create(cls, folder: Path) -> Self:
        """Begins a run in a folder that holds none.

        Raises:
            TrajectoryError: If the folder holds a run, cannot be written, or another process writes there.
        """
        path = folder / "trajectory.jsonl"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = _open_locked(path, os.O_CREAT | os.O_RDWR | os.O_APPEND)
        except OSError as error:
            raise TrajectoryError(f"cannot write a run to {folder}: {error.strerror}") from error
        if b"\n" in os.pread(file, os.fstat(file).st_size, 0):
            os.close(file)
            raise TrajectoryError(f"{folder} already holds a run: resume it, or name another folder")
        os.ftruncate(file, 0)  # a process may have died while writing the very first line
        sync_folder(folder)
        sync_folder(folder.parent)
        return cls(folder, file, size=0, head=hashlib.sha256(b"").hexdigest(), elements=ElementTable())

    @classmethod
    def reopen(cls, folder: Path) -> tuple[Self, Trajectory]:
        """Takes up a run, and moves a torn last line to `trajectory.torn`.

        Returns:
            The recorder, and the run as it was found.

        Raises:
            TrajectoryError: If the run cannot be read or written, was edited, or another process writes it.
        """
        path = folder / "trajectory.jsonl"
        try:
            file = _open_locked(path, os.O_RDWR | os.O_APPEND)
        except OSError as error:
            raise TrajectoryError(f"cannot resume {folder}: {error.strerror}") from error
        try:
            found = read_trajectory(folder)
            if found.torn_bytes:
                _cut_tail(file, folder / "trajectory.torn", found)
        except OSError as error:
            os.close(file)
            raise TrajectoryError(f"cannot repair {path}: {error.strerror}") from error
        except BaseException:
            os.close(file)
            raise
        return cls(folder, file, size=found.size_bytes, head=found.head, elements=found.elements), found

    def stamp(self) -> Stamp:
        """The time, and the digest of the line before."""
        return Stamp(time=datetime.now(UTC).isoformat(timespec="milliseconds"), previous=self._head)

    def append(self, line: Start | Intent | Result | Resume | End) -> None:
        """Puts a line on the disk, with the pictures that it names, whole or not at all.

        Raises:
            TrajectoryError: If it cannot be written.
        """
        for picture in pictures_in(line):
            self.pictures.keep(picture)
        data = self._encoded(line) + b"\n"
        try:
            write_all(self._file, data)
            os.fsync(self._file)
        except BaseException as error:
            os.ftruncate(self._file, self._size)
            if isinstance(error, OSError):
                where = self.folder / "trajectory.jsonl"
                raise TrajectoryError(
                    f"cannot write to {where}: {error.strerror}; what came before is whole, and once there is room "
                    f"mmi resume {self.folder} goes on"
                ) from error
            raise
        self._size += len(data)
        self._head = hashlib.sha256(data[:-1]).hexdigest()
        if isinstance(line, (Intent, End)) and line.observation:
            self._elements.add(line.observation.elements)

    def _encoded(self, line: Start | Intent | Result | Resume | End) -> bytes:
        record = line.model_dump(mode="json", exclude={"observation": {"elements"}})
        if isinstance(line, (Intent, End)) and line.observation:
            record["observation"]["elements"] = self._elements.fold(line.observation.elements)
        return sealed_line(record)

    def close(self) -> None:
        """Lets go of the file and its lock; a second call does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _open_locked(path: Path, flags: int) -> int:
    file = os.open(path, flags | os.O_CLOEXEC, 0o644)
    if not lock_now(file):
        os.close(file)
        raise TrajectoryError(f"another process is writing {path}")
    return file


def _cut_tail(file: int, aside: Path, found: Trajectory) -> None:
    """Moves the torn last line to a file of its own: nothing that was written is thrown away."""
    tail = os.pread(file, found.torn_bytes, found.size_bytes)
    with aside.open("ab") as torn:
        torn.write(tail + b"\n")
        torn.flush()
        os.fsync(torn.fileno())
    os.ftruncate(file, found.size_bytes)
    os.fsync(file)
