"""Lines of a memory's file that could not be used: set aside, never thrown away unasked."""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from mmi_agent.memory.journal import Damage
from mmi_agent.whole_file import write_whole

__all__ = ["forget_damaged", "set_aside"]

_DAMAGED = "damaged.jsonl"


def set_aside(folder: Path, damage: Sequence[Damage]) -> Path | None:
    """Adds damaged lines to the file of these, and returns it; None where there are none."""
    path = folder / _DAMAGED
    if damage:
        before = path.read_bytes() if path.exists() else b""
        write_whole(path, before + b"".join(each.line + b"\n" for each in damage), synced=True)
    return path if damage else None


def forget_damaged(folder: Path, ids: Iterable[str]) -> None:
    """Drops the damaged lines of forgotten items."""
    path = folder / _DAMAGED
    if path.exists():
        gone = _of_any(ids)
        lines = path.read_bytes().splitlines(keepends=True)
        write_whole(path, b"".join(line for line in lines if not gone.search(line)), synced=True)


def _of_any(ids: Iterable[str]) -> re.Pattern[bytes]:
    """Finds the id of one of these items in a line, whoever wrote its JSON."""
    written = {json.dumps(id, ensure_ascii=is_ascii) for id in ids for is_ascii in (True, False)}
    return re.compile(rb'"id"\s*:\s*(%s)' % b"|".join(re.escape(each.encode()) for each in written))
