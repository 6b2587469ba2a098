"""What is known of every item without reading it again: where it stands in the file, and what it is about."""

from dataclasses import dataclass, field

from mmi_agent.memory.items import Kind, Trust
from mmi_agent.memory.journal import Remembered, Space, SpaceRecord

__all__ = ["Catalogue", "Entry"]


@dataclass(slots=True, kw_only=True)
class Entry:
    """An item.

    Attributes:
        at: Where its line begins, in bytes.
        size: Length of the line.
        rows: How many vectors it has in each space.
        supersedes: Ids of the items that it stands in place of.
        pictures: Digests.
    """

    at: int
    size: int
    kind: Kind
    trust: Trust
    time: str
    rows: dict[Space, int]
    supersedes: tuple[str, ...]
    pictures: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class Catalogue:
    """All items.

    Attributes:
        start: Where the second line of the file begins.
        end: How far the file was read.
        lines: How many lines that is.
        entries: By id.
        spaces: What made the vectors.
        replaced: Ids whose item another line with that id took the place of.
    """

    start: int = 0
    end: int = 0
    lines: int = 1
    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])
    spaces: dict[Space, SpaceRecord] = field(default_factory=dict["Space", SpaceRecord])
    replaced: set[str] = field(default_factory=set[str])
    _superseded: dict[str, int] = field(default_factory=dict[str, int])

    def take(self, found: Remembered | SpaceRecord) -> None:
        """Takes note of the next line."""
        self.lines += 1
        self.end = found.at + found.size + 1
        if isinstance(found, SpaceRecord):
            self.spaces[found.space] = found
            return
        item, seen = found.item, found.picture_vectors
        if old := self.entries.pop(item.id, None):
            self.replaced.add(item.id)
            self._count(old.supersedes, -1)
        self.entries[item.id] = Entry(
            at=found.at,
            size=found.size,
            kind=item.kind,
            trust=item.trust,
            time=item.time,
            rows={"text": int(found.text_vector is not None), "picture": 0 if seen is None else len(seen)},
            supersedes=item.supersedes,
            pictures=tuple(picture.digest for picture in item.pictures),
        )
        self._count(item.supersedes, 1)

    def _count(self, ids: tuple[str, ...], change: int) -> None:
        for id in ids:
            self._superseded[id] = self._superseded.get(id, 0) + change

    def lives(self, id: str) -> bool:
        """Whether an item is there and no other stands in its place."""
        return id in self.entries and not self._superseded.get(id)

    def in_place_of(self, id: str) -> list[str]:
        """The items that stand where one stood, and in whose place no other does; of a circle none."""
        found: set[str] = set()
        ahead = {id}
        while ahead:
            ahead = {other for other, entry in self.entries.items() if ahead & {*entry.supersedes}} - found
            found |= ahead
        return sorted(filter(self.lives, found))

    def rows(self, space: Space) -> int:
        """How many vectors a complete index holds."""
        return sum(entry.rows[space] for id, entry in self.entries.items() if self.lives(id))

    def with_ancestors(self, ids: list[str]) -> set[str]:
        """The items, those that they stand in place of, and so on."""
        found: set[str] = set()
        ahead = list(ids)
        while ahead:
            id = ahead.pop()
            if id in self.entries and id not in found:
                found.add(id)
                ahead += self.entries[id].supersedes
        return found
