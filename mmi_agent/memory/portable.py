"""A memory as one file that its owner can keep, read and carry: a ZIP of `items.jsonl` and the pictures, no vectors."""

import hashlib
import json
import lzma
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from mmi_agent.errors import ActionError, MemoryStoreError
from mmi_agent.memory.items import MemoryItem, Trust
from mmi_agent.memory.journal import VERSION
from mmi_agent.memory.store import Memory
from mmi_agent.pictures import MemoryPictures

__all__ = ["Imported", "export_memory", "import_memory"]

_ITEMS = "items.jsonl"
_MAX_LINE = 8_000_000  # bytes; an item's text has at most a million characters
_MAX_PICTURE = 64_000_000
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    UnicodeDecodeError,
)
"""What a damaged archive raises, beside OSError: bzip2 has nothing else."""


class Imported(NamedTuple):
    """What an import did."""

    added: int
    there: int
    """Items whose ids the memory has already: these stay as they are."""


def export_memory(memory: Memory, path: Path) -> int:
    """Writes every item, those in whose place others stand included, and every picture that one names.

    Returns:
        How many items.

    Raises:
        MemoryStoreError: If the file is there already or cannot be written, or a picture is missing.
    """
    if path.exists():
        raise MemoryStoreError(f"{path} is there already: name another file")
    if not path.parent.is_dir():
        raise MemoryStoreError(f"cannot write {path}: there is no folder {path.parent}: make it, or name another file")
    unfinished = path.with_name(f"{path.name}.part")
    items = memory.list(superseded=True)
    digests = sorted({picture.digest for item in items for picture in item.pictures})
    try:
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
            lines = [json.dumps({"memory": VERSION})]
            lines += [_written(item) for item in reversed(items)]
            archive.writestr(_ITEMS, "".join(f"{line}\n" for line in lines))
            for digest in digests:
                archive.write(memory.pictures.path(digest), f"pictures/{digest}.png", zipfile.ZIP_STORED)
        unfinished.replace(path)
    except FileNotFoundError as error:
        unfinished.unlink(missing_ok=True)
        raise MemoryStoreError(f"cannot write {path}: {error.filename} is missing") from error
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise MemoryStoreError(f"cannot write {path}: {error.strerror}") from error
    return len(items)


def import_memory(memory: Memory, path: Path, *, trust: Trust | None = None) -> Imported:
    """Remembers what `export_memory` wrote; nothing is kept of a file that is not whole.

    Args:
        memory: Takes it in. What it has already stays as it is.
        path: The file.
        trust: What all of it counts as; None believes the file. Of a stranger's file everything should count as
            "screen": then none of it stands in place of what the memory has.

    Raises:
        MemoryStoreError: If it is no such file, is damaged, or is of a newer version.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            items = list(_items(archive, path))
            new = [_counted_as(trust, item, memory) for item in items if item.id not in memory]
            pictures = _pictures(archive, path, new)
    except _DAMAGE as error:
        raise MemoryStoreError(f"{path} is no export of a memory: {error}") from error
    except OSError as error:
        raise MemoryStoreError(f"cannot read {path}: {error.strerror or error}") from error
    memory.remember_all(new, pictures=pictures)
    return Imported(added=len(new), there=len(items) - len(new))


def _counted_as(trust: Trust | None, item: MemoryItem, memory: Memory) -> MemoryItem:
    own = tuple(id for id in item.supersedes if id not in memory)
    return item.model_copy(
        update={"trust": trust or item.trust, "supersedes": own if trust == "screen" else item.supersedes}
    )


def _written(item: MemoryItem) -> str:
    record = item.model_dump(mode="json", exclude_defaults=True)
    return json.dumps({**record, "id": item.id, "time": item.time}, ensure_ascii=False)


def _items(archive: zipfile.ZipFile, path: Path) -> Iterator[MemoryItem]:
    try:
        file = archive.open(_ITEMS)
    except KeyError:
        raise MemoryStoreError(f"{path} is no export of a memory: there is no {_ITEMS} in it") from None
    with file:
        version = _version(file.readline(1000))
        if not 1 <= version <= VERSION:
            raise MemoryStoreError(f"{path} has memory version {version}, this mmi_agent reads up to {VERSION}")
        number = 1
        while line := file.readline(_MAX_LINE):
            number += 1
            try:
                yield MemoryItem.model_validate_json(line)
            except ValidationError as error:
                fault = " ".join(str(error).split()[:24])
                raise MemoryStoreError(f"{path}: line {number} of {_ITEMS} is no item: {fault}") from error


def _version(line: bytes) -> int:
    try:
        return int(json.loads(line)["memory"])
    except (ValueError, KeyError, TypeError):
        return 0


def _pictures(archive: zipfile.ZipFile, path: Path, items: Sequence[MemoryItem]) -> MemoryPictures:
    """The pictures that the items name, each checked against its digest."""
    pictures = MemoryPictures()
    for digest in sorted({picture.digest for item in items for picture in item.pictures}):
        try:
            with archive.open(f"pictures/{digest}.png") as file:
                data = file.read(_MAX_PICTURE + 1)
            whole = len(data) <= _MAX_PICTURE and hashlib.sha256(data).hexdigest() == digest
            if not whole or pictures.put(data).digest != digest:
                raise MemoryStoreError(f"{path}: the picture {digest:.12} is damaged or too large")
        except KeyError:
            raise MemoryStoreError(f"{path}: the picture {digest:.12} is missing") from None
        except ActionError as error:
            raise MemoryStoreError(f"{path}: the picture {digest:.12} cannot be read: {error}") from error
    return pictures
