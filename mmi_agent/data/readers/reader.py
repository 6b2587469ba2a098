"""What every reader of training data is: samples by number, some of them broken."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path

from mmi_agent.data.sample import Broken, Sample

__all__ = ["Joined", "Reader", "Unreadable"]


class Reader(ABC):
    """The samples of a file or folder, each read when it is asked for, from any thread.

    A number names the same sample for as long as the data is the same. What is broken has a number too.

    Attributes:
        name: The file or folder.
        form: Its form, one of `FORMS`.
        left_out: What there is that is none of the samples, and why, in a line; empty where there is nothing.
    """

    name: str
    form: str
    left_out: str = ""

    @abstractmethod
    def __len__(self) -> int:
        """How many samples there are, broken ones included."""

    @abstractmethod
    def __getitem__(self, number: int, /) -> Sample | Broken:
        """Reads one; IndexError if there is none of that number."""

    def source(self, number: int, /) -> str:
        """Where one comes from, as it says itself once it was read."""
        return self[number].source

    def __iter__(self) -> Iterator[Sample | Broken]:
        """All of them, in the order of the data."""
        for number in range(len(self)):
            yield self[number]


class Unreadable(Reader):
    """A file that cannot be opened, as a single broken sample.

    Args:
        path: The file.
        source: What it is called in the name of the sample.
        reason: What is wrong with it.

    Attributes:
        reason: What is wrong with it, as it was given.
    """

    form = ""

    def __init__(self, path: Path, *, source: str, reason: str) -> None:
        self.name, self.reason = str(path), reason
        self._source = source

    def __len__(self) -> int:
        return 1

    def __getitem__(self, number: int, /) -> Broken:
        if number:
            raise IndexError(number)
        return Broken(source=self._source, reason=self.reason.removeprefix(f"{self.name}: "))


class Joined(Reader):
    """Several readers as one, as of the shards of a folder."""

    def __init__(self, name: str, readers: Sequence[Reader]) -> None:
        self.name = name
        self.form = ", ".join(dict.fromkeys(reader.form for reader in readers if reader.form))
        self._readers = readers

    def __len__(self) -> int:
        return sum(map(len, self._readers))

    def __getitem__(self, number: int, /) -> Sample | Broken:
        reader, number = self._place(number)
        return reader[number]

    def source(self, number: int, /) -> str:
        """Where one comes from."""
        reader, number = self._place(number)
        return reader.source(number)

    def _place(self, number: int) -> tuple[Reader, int]:
        rest = number
        for reader in self._readers:
            if rest < len(reader):
                return reader, rest
            rest -= len(reader)
        raise IndexError(number)
