"""JSON lines, of whatever form: where each line is, and its sample when it is asked for."""

import hashlib
import json
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, cast

from mmi_agent.data.readers.reader import Reader
from mmi_agent.data.readers.source_files import SourceFile
from mmi_agent.data.readers.source_pictures import SourcePictures
from mmi_agent.data.sample import Broken, Sample
from mmi_agent.errors import DataError
from mmi_agent.inference.prompts import Part
from mmi_agent.types import Picture, clean_text

__all__ = ["JsonLines", "Line", "LineForm"]

_LOOKED_AT = 100  # lines at the beginning of a file of which one has to say what form it has


@dataclass(frozen=True)
class Line:
    """One line of data, with what its form needs to make a sample of it.

    Attributes:
        record: The JSON object.
        source: Where it stands.
        pictures: Finds and keeps its pictures.
    """

    record: Mapping[str, Any]
    source: str
    pictures: SourcePictures

    @property
    def chance(self) -> Random:
        """Decides what is left to chance: always alike for the same line."""
        return Random(hashlib.sha256(self.source.encode()).digest())

    def text(self, *names: str, of: Mapping[str, Any] | None = None) -> str:
        """The text under the first of some names that is there; empty if none is.

        Raises:
            DataError: If it is no text.
        """
        record = self.record if of is None else of
        name = next((name for name in names if record.get(name) is not None), None)
        value = "" if name is None else record[name]
        if not isinstance(value, str):
            raise DataError(f"{name!r} is {_kind(value)}: expected text")
        return clean_text(value)

    def items(self, name: str, *, of: Mapping[str, Any] | None = None) -> Sequence[Any]:
        """The list under a name.

        Raises:
            DataError: If there is none.
        """
        value = (self.record if of is None else of).get(name)
        if not isinstance(value, list):
            raise DataError(f"{name!r} is {_kind(value)}: expected a list")
        return cast("Sequence[Any]", value)

    def objects(self, name: str) -> Sequence[Mapping[str, Any]]:
        """The list of objects under a name.

        Raises:
            DataError: If there is none, or something else stands in it.
        """
        items = self.items(name)
        if wrong := [item for item in items if not isinstance(item, dict)]:
            raise DataError(f"{name!r} holds {_kind(wrong[0])}: expected objects")
        return items

    def picture(self, name: str, *, of: Mapping[str, Any] | None = None) -> Picture:
        """The picture under a name.

        Raises:
            DataError: If none is named, or it is missing or damaged.
        """
        return self.pictures.find((self.record if of is None else of).get(name))


@dataclass(frozen=True, kw_only=True)
class LineForm:
    """A form that a line of JSON can have.

    Attributes:
        name: What it is called.
        fits: Whether an object has this form.
        parts: Makes the parts of a sample of a line; DataError if it cannot.
        keys: What such an object holds, for whoever gave another.
    """

    name: str
    fits: Callable[[Mapping[str, Any]], bool]
    parts: Callable[[Line], tuple[Part, ...]]
    keys: str


class JsonLines(Reader):
    """A file with a JSON object in each line; empty lines do not count.

    Args:
        path: The file.
        forms: What its lines may be, of which the first line that is an object decides.
        source: What the file is called in the name of a sample.

    Raises:
        DataError: If it cannot be opened, has no line that is an object, or none of these forms.
    """

    def __init__(self, path: Path, forms: Sequence[LineForm], *, source: str = "") -> None:
        self.name = str(path)
        self._source = source or path.name
        self._file = SourceFile(path)
        self._starts, self._numbers = _places(self._file.rewound())
        self._folders = (path.parent, path.parent / "images")
        self._form = forms[0] if len(forms) == 1 else self._form_of_first(forms)
        self.form = self._form.name

    def __len__(self) -> int:
        return len(self._numbers) + bool(self._file.fault)

    def __getitem__(self, number: int, /) -> Sample | Broken:
        if number >= len(self) or number < 0:
            raise IndexError(number)
        source = self.source(number)
        if number == len(self._numbers):
            return Broken(source=source, reason=self._file.fault)
        pictures = SourcePictures(self._folders)
        try:
            parts = self._form.parts(Line(self._record(number), source, pictures))
        except DataError as error:
            return Broken(source=source, reason=str(error))
        return Sample(parts=parts, pictures=pictures, source=source)

    def source(self, number: int, /) -> str:
        """Where one comes from."""
        if number == len(self._numbers):
            return f"{self._source}: after line {self._numbers[-1] if self._numbers else 0}"
        return f"{self._source}: line {self._numbers[number]}"

    def _record(self, number: int) -> Mapping[str, Any]:
        start = self._starts[number]
        line = self._file.read(start, self._starts[number + 1] - start)
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"no JSON: {error}") from error
        if not isinstance(record, dict):
            raise DataError(f"{_kind(record)}: expected a JSON object")
        return cast("Mapping[str, Any]", record)

    def _form_of_first(self, forms: Sequence[LineForm]) -> LineForm:
        record = next(self._first_records(), None)
        if record is None and self._file.fault:
            raise DataError(f"{self.name}: {self._file.fault}")
        if record is None:
            raise DataError(f"{self.name}: none of its first {_LOOKED_AT} lines is a JSON object: expected JSON lines")
        found = next((form for form in forms if form.fits(record)), None)
        if found is None:
            keys = ", ".join(sorted(record)[:8])
            known = "; ".join(f"{form.name}: {form.keys}" for form in forms)
            raise DataError(f"{self.name}: lines with {keys} are of no form that is known here: {known}")
        return found

    def _first_records(self) -> Iterator[Mapping[str, Any]]:
        for number in range(min(len(self._numbers), _LOOKED_AT)):
            try:
                yield self._record(number)
            except DataError:
                continue


def _places(lines: Iterable[bytes]) -> "tuple[array[int], array[int]]":
    """Where each line that is not empty begins, with the end of the file; and its number, counted from 1."""
    starts, numbers, place = array("q"), array("q"), 0
    for number, line in enumerate(lines, start=1):
        if line.strip():
            starts.append(place)
            numbers.append(number)
        place += len(line)
    starts.append(place)
    return starts, numbers


def _kind(value: object) -> str:
    return "nothing" if value is None else f"{json.dumps(value, ensure_ascii=False)[:40]}"
