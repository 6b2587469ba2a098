"""Makes a memory whole again: sets aside what cannot be used, builds the index anew, the vectors too where asked."""

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mmi_agent.errors import MemoryStoreError
from mmi_agent.memory.chroma import clear_folder
from mmi_agent.memory.damaged import set_aside
from mmi_agent.memory.items import MemoryItem
from mmi_agent.memory.journal import (
    SCRATCH,
    Damage,
    Journal,
    Remembered,
    Space,
    SpaceRecord,
    holds_memory,
    parse,
    record_of,
    space_line,
)
from mmi_agent.memory.store import Memory
from mmi_agent.pictures import FolderPictures

__all__ = ["Rebuilt", "rebuild"]

_AT_ONCE = 256


@dataclass(frozen=True, kw_only=True)
class Rebuilt:
    """What a rebuild did.

    Attributes:
        items: How many items there are.
        embedded: How many of them got new vectors.
        pictures_lost: How many pictures were named and are not there, or damaged; their items are kept without them.
        damaged: How many lines could not be used.
        aside: The file that these were moved to; None where there were none.
    """

    items: int
    embedded: int
    pictures_lost: int
    damaged: int
    aside: Path | None


def rebuild(
    folder: Path, *, embed: bool = False, progress: Callable[[str], None] | None = None, **options: Any
) -> Rebuilt:
    """Goes through every line of a memory's file, keeps what is whole, and builds the index anew.

    Args:
        folder: The memory's.
        embed: Whether to make all vectors anew, which lets the embedders be others than before.
        progress: Told what is being done while it takes long.
        options: What `Memory` takes besides.

    Raises:
        MemoryStoreError: If there is no memory, it is of a newer version, or it cannot be written.
    """
    journal = Journal(folder)
    if not holds_memory(folder):
        raise MemoryStoreError(f"{folder} holds no memory: there is no {journal.path.name} in it")
    say: Callable[[str], None] = progress or (lambda _: None)
    with journal.locked():
        say("reading every line")
        found = _salvaged(journal)
        aside = set_aside(folder, found.damage)
        lost = 0
        if embed:
            items = [each.item for each in found.items.values()]
            whole = [_with_pictures_there(item, folder / "pictures") for item in items]
            lost = sum(len(item.pictures) for item in items) - sum(len(item.pictures) for item in whole)
            _embed_anew(folder, whole, say, options)
        else:
            journal.rewrite([*map(space_line, found.spaces.values()), *found.lines.values()])
        clear_folder(folder)
    say("building the index")
    with Memory.open(folder, **options) as memory:
        memory.build_index()
        return Rebuilt(
            items=len(memory),
            embedded=len(memory) if embed else 0,
            pictures_lost=lost,
            damaged=len(found.damage),
            aside=aside,
        )


class _Salvaged(NamedTuple):
    """What the lines of a file hold; of several items with one id the last."""

    spaces: dict[Space, SpaceRecord]
    items: dict[str, Remembered]
    lines: dict[str, bytes]
    damage: Sequence[Damage]


def _salvaged(journal: Journal) -> _Salvaged:
    lines = journal.path.read_bytes().split(b"\n")[:-1]
    header = record_of(lines[0]) if lines else None
    begins = header is not None and header.get("record") == "memory"
    if begins:
        journal.reopen()  # says what to do with another version
        journal.close()
    found = _Salvaged({}, {}, {}, [])
    damage: list[Damage] = []
    for number, line in enumerate(lines[begins:], start=1 + begins):
        each = parse(line, number=number, at=0)
        if isinstance(each, Damage):
            damage.append(each)
        elif isinstance(each, SpaceRecord):
            found.spaces[each.space] = each
        else:
            found.items[each.item.id] = each
            found.lines[each.item.id] = line
    return found._replace(damage=damage)


def _with_pictures_there(item: MemoryItem, pictures: Path) -> MemoryItem:
    there = tuple(picture for picture in item.pictures if _is_whole(pictures / f"{picture.digest}.png"))
    return item if there == item.pictures else item.model_copy(update={"pictures": there})


def _is_whole(picture: Path) -> bool:
    return picture.is_file() and hashlib.sha256(picture.read_bytes()).hexdigest() == picture.stem


def _embed_anew(folder: Path, items: Sequence[MemoryItem], say: Callable[[str], None], options: dict[str, Any]) -> None:
    """Remembers everything once more, beside the old file, and puts the new one in its place."""
    scratch = folder / SCRATCH
    with Memory.open(scratch, **{**options, "index": "exact"}) as memory:
        memory.pictures = FolderPictures(folder / "pictures")
        for begin in range(0, len(items), _AT_ONCE):
            say(f"making vectors: {begin} of {len(items)}")
            memory.remember_all(items[begin : begin + _AT_ONCE])
    Journal(scratch).path.replace(Journal(folder).path)
    shutil.rmtree(scratch)
