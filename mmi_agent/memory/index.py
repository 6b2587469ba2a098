"""Finds the nearest vectors: the contract of an index, and one that compares with every vector there is.

An index holds nothing that the memory's file does not, so it may be thrown away at any time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from mmi_agent.memory.embedders import numpy
from mmi_agent.memory.journal import Space

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mmi_agent.memory.embedders import Vectors

__all__ = ["ExactIndex", "Filter", "Found", "Index", "IndexBrokenError", "Row", "Tags"]


class IndexBrokenError(Exception):
    """The index is no good any more: never seen outside of the memory, which builds another one."""


class Tags(NamedTuple):
    """What a search can be narrowed by."""

    kind: str
    environment: str
    trust: str


@dataclass(frozen=True, kw_only=True)
class Row:
    """The vectors of an item in a space.

    Attributes:
        id: The item's.
        vectors: (count, width), each of length 1: one of its text, or one for each picture.
        tags: The item's.
    """

    id: str
    vectors: "Vectors"
    tags: Tags


@dataclass(frozen=True, kw_only=True)
class Filter:
    """What a search is narrowed to; None takes all."""

    kinds: tuple[str, ...] | None = None
    environments: tuple[str, ...] | None = None
    trusts: tuple[str, ...] | None = None

    @property
    def wanted(self) -> dict[str, tuple[str, ...]]:
        """The values that may stand in each field of `Tags` that is narrowed."""
        each = {"kind": self.kinds, "environment": self.environments, "trust": self.trusts}
        return {name: values for name, values in each.items() if values is not None}


class Found(NamedTuple):
    """An item that is near."""

    id: str
    similarity: float


class Index(Protocol):
    """Vectors of items, by space.

    Raises:
        IndexBrokenError: From every method, if it cannot be used any more.
    """

    def add(self, space: Space, rows: Sequence[Row]) -> None:
        """Takes vectors in; the ids are new."""
        ...

    def remove(self, ids: Iterable[str]) -> None:
        """Forgets every vector of these items."""
        ...

    def search(self, space: Space, vector: "Vectors", k: int, within: Filter) -> list[Found]:
        """The k nearest items, nearest first, by the best of their vectors."""
        ...

    def count(self, space: Space) -> int:
        """How many vectors it holds."""
        ...

    def synced(self, end: int) -> None:
        """Takes note that it holds what the memory's file says up to there."""
        ...

    def close(self) -> None:
        """Lets go of everything."""
        ...


class ExactIndex:
    """Compares with every vector: exact, in this process's memory, and fast enough up to some ten thousand."""

    def __init__(self) -> None:
        self._spaces: dict[Space, _Matrix] = {}

    def add(self, space: Space, rows: Sequence[Row]) -> None:
        """Takes vectors in."""
        if rows:
            matrix = self._spaces.setdefault(space, _Matrix(rows[0].vectors.shape[1]))
            matrix.add(rows)

    def remove(self, ids: Iterable[str]) -> None:
        """Forgets every vector of these items."""
        for matrix in self._spaces.values():
            matrix.remove(set(ids))

    def search(self, space: Space, vector: "Vectors", k: int, within: Filter) -> list[Found]:
        """The k nearest items, nearest first."""
        matrix = self._spaces.get(space)
        return matrix.search(vector, k, within) if matrix else []

    def count(self, space: Space) -> int:
        """How many vectors it holds."""
        matrix = self._spaces.get(space)
        return matrix.count if matrix else 0

    def synced(self, end: int) -> None:
        """It keeps nothing, so there is nothing to note."""

    def close(self) -> None:
        """Lets go of the vectors."""
        self._spaces.clear()


class _Matrix:
    """The vectors of a space in rows, with room for more."""

    def __init__(self, width: int) -> None:
        numpy_here = numpy()
        self._vectors: Vectors = numpy_here.zeros((0, width), numpy_here.float32)
        self._codes: NDArray[np.int64] = numpy_here.zeros((0, len(Tags._fields)), numpy_here.int64)
        self._ids: list[str | None] = []
        self._known: dict[str, int] = {}

    @property
    def count(self) -> int:
        return sum(id is not None for id in self._ids)

    def _code(self, value: str) -> int:
        return self._known.setdefault(value, len(self._known))

    def add(self, rows: Sequence[Row]) -> None:
        np = numpy()
        begin, more = len(self._ids), sum(len(row.vectors) for row in rows)
        if begin + more > len(self._vectors):
            room = max(begin + more, 2 * len(self._vectors), 256) - len(self._vectors)
            self._vectors = np.pad(self._vectors, ((0, room), (0, 0)))
            self._codes = np.pad(self._codes, ((0, room), (0, 0)))
        self._vectors[begin : begin + more] = np.concatenate([row.vectors for row in rows])
        codes = [[self._code(value) for value in row.tags] for row in rows for _ in row.vectors]
        self._codes[begin : begin + more] = codes
        self._ids += [row.id for row in rows for _ in row.vectors]

    def remove(self, ids: set[str]) -> None:
        for number, id in enumerate(self._ids):
            if id in ids:
                self._ids[number] = None
                self._vectors[number] = 0

    def search(self, vector: "Vectors", k: int, within: Filter) -> list[Found]:
        np = numpy()
        used = len(self._ids)
        similarity_N = self._vectors[:used] @ vector
        for field, values in within.wanted.items():
            codes = [self._known[value] for value in values if value in self._known]
            similarity_N[~np.isin(self._codes[:used, Tags._fields.index(field)], codes)] = -np.inf
        return best_of(
            ((self._ids[n], float(similarity_N[n])) for n in _descending(similarity_N, used) if self._lives(n)), k
        )

    def _lives(self, number: int) -> bool:
        return self._ids[number] is not None


def _descending(similarity_N: "Vectors", used: int) -> Iterable[int]:
    """Numbers of rows from the nearest on: the first hundreds by a partial sort, since seldom more are wanted."""
    np = numpy()
    head = min(used, 512)
    top = np.argpartition(-similarity_N, head - 1)[:head] if head < used else np.arange(used)
    top = top[np.argsort(-similarity_N[top], kind="stable")]
    yield from (int(n) for n in top if np.isfinite(similarity_N[n]))
    if head < used:
        rest = np.argsort(-similarity_N, kind="stable")[head:]
        yield from (int(n) for n in rest if np.isfinite(similarity_N[n]))


def best_of(found: Iterable[tuple[str | None, float]], k: int) -> list[Found]:
    """The first k distinct items of what is sorted by similarity."""
    best: dict[str, Found] = {}
    for id, similarity in found:
        if id is not None and id not in best:
            best[id] = Found(id, similarity)
            if len(best) == k:
                break
    return list(best.values())
