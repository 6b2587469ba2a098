"""Lines of a memory's file that could not be used: set aside, never thrown away unasked."""

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
    """Drops the damaged lines that name a forgotten item."""
    path = folder / _DAMAGED
    if path.exists():
        names = [id.encode() for id in ids]
        lines = path.read_bytes().splitlines(keepends=True)
        write_whole(path, b"".join(line for line in lines if not any(name in line for name in names)), synced=True)
