"""A picture and its caption: archives as of webdataset, `KEY.jpg` beside `KEY.txt` or `KEY.json`, and JSON lines.

As in the released code the caption is in lower case and either comes first, so that the picture is learnt as well, or
last, half of the time each; which of them is settled by the pair's name.
"""

import hashlib
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from mmi_agent.data.readers.documents import learnt_document
from mmi_agent.data.readers.lines import Line, LineForm
from mmi_agent.data.readers.reader import Reader
from mmi_agent.data.readers.source_files import SourceFile
from mmi_agent.data.readers.source_pictures import SourcePictures
from mmi_agent.data.sample import Broken, Sample
from mmi_agent.errors import ActionError, DataError
from mmi_agent.inference.prompts import Part
from mmi_agent.types import Picture, clean_text

__all__ = ["PAIRS", "PairsArchive"]

_PICTURES = ("jpg", "jpeg", "png", "webp")
_CAPTIONS = ("txt", "caption", "json")


class _Member(NamedTuple):
    """A file of an archive: its ending, and where its bytes are."""

    ending: str
    offset: int
    size: int


class _Pair(NamedTuple):
    key: str
    members: Sequence[_Member]


class PairsArchive(Reader):
    """A tar of pictures and captions, or a compressed one; the files of a pair follow one another.

    Args:
        path: The archive.
        source: What it is called in the name of a sample.

    Raises:
        DataError: If it cannot be opened, or is no tar.
    """

    form = "pairs"

    def __init__(self, path: Path, *, source: str = "") -> None:
        self.name = str(path)
        self._source = source or path.name
        self._file = SourceFile(path)
        self._fault = ""
        self._pairs = list(_grouped(self._members()))
        if not self._pairs and self._fault:
            raise DataError(f"{path} is no tar that can be read: {self._fault}")

    def __len__(self) -> int:
        return len(self._pairs) + bool(self._fault)

    def __getitem__(self, number: int, /) -> Sample | Broken:
        source = self.source(number)
        if number == len(self._pairs):
            return Broken(source=source, reason=self._fault)
        members = self._pairs[number].members
        pictures = SourcePictures()
        try:
            picture = pictures.put(self._read(_one_of(members, _PICTURES, "picture")))
            caption = self._caption(_one_of(members, _CAPTIONS, "caption"))
            parts = _pair(picture, caption, source)
        except (DataError, ActionError) as error:
            return Broken(source=source, reason=str(error))
        return Sample(parts=parts, pictures=pictures, source=source)

    def source(self, number: int, /) -> str:
        """Where one comes from."""
        if number == len(self._pairs) and self._fault:
            return self._source
        return f"{self._source}: {self._pairs[number].key}"

    def _members(self) -> Iterator[tuple[str, _Member]]:
        """The archive's files by name, read header by header; what ends them too early becomes the fault."""
        last = "its beginning"
        try:
            with tarfile.open(fileobj=self._file.rewound(), mode="r:") as archive:
                while (entry := archive.next()) is not None:
                    archive.members = []  # they would pile up  # pyright: ignore[reportAttributeAccessIssue]
                    last = entry.name
                    if entry.isfile() and entry.offset_data + entry.size <= self._file.size:
                        folder, _, file = entry.name.rpartition("/")
                        name, _, ending = file.partition(".")
                        key = f"{folder}/{name}" if folder else name
                        yield key, _Member(ending.lower(), entry.offset_data, entry.size)
        except (tarfile.TarError, OSError) as error:
            self._fault = f"the archive is cut off or damaged at {last}: {error}"
        if self._file.fault and not self._fault:
            self._fault = f"the archive ends at {last}: {self._file.fault}"

    def _read(self, member: _Member) -> bytes:
        return self._file.read(member.offset, member.size)

    def _caption(self, member: _Member) -> str:
        text = self._read(member).decode("utf-8", "replace")
        if member.ending != "json":
            return text
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"its .json is none: {error}") from error
        found = cast("Mapping[str, object]", record).get("caption") if isinstance(record, dict) else None
        if not isinstance(found, str):
            raise DataError("its .json has no 'caption'")
        return found


def _grouped(members: Iterator[tuple[str, _Member]]) -> Iterator[_Pair]:
    key, group = "", list[_Member]()
    for name, member in members:
        if name != key and group:
            yield _Pair(key, group)
            group = []
        key = name
        group.append(member)
    if group:
        yield _Pair(key, group)


def _one_of(members: Sequence[_Member], endings: Sequence[str], what: str) -> _Member:
    by_ending = {member.ending: member for member in members}
    found = next((by_ending[ending] for ending in endings if ending in by_ending), None)
    if found is None:
        raise DataError(f"it has no {what}: expected a file that ends in {', '.join(endings)} beside the others")
    return found


def _pair(picture: Picture, caption: str, source: str) -> tuple[Part, ...]:
    caption = " ".join(clean_text(caption).lower().split())
    if not caption:
        raise DataError("its caption is empty")
    picture_first = hashlib.sha256(source.encode()).digest()[0] % 2
    return learnt_document((picture, caption) if picture_first else (caption, picture))


def _line(line: Line) -> tuple[Part, ...]:
    caption = line.record.get("caption", line.record.get("text"))
    if isinstance(caption, list):
        caption = " ".join(map(str, cast("list[Any]", caption)))
    if not isinstance(caption, str):
        raise DataError(f"'caption' is {caption!r}: expected text")
    return _pair(line.picture("image"), caption, line.source)


PAIRS = LineForm(
    name="pairs",
    fits=lambda record: "image" in record and not record.keys().isdisjoint(("caption", "text")),
    parts=_line,
    keys="image and caption",
)
