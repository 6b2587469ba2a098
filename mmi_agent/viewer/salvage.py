"""Reads what is left of a damaged run: every line before the first one that is wrong."""

import tempfile
from dataclasses import replace
from pathlib import Path

from mmi_agent.agent.trajectory import Trajectory, read_trajectory
from mmi_agent.errors import TrajectoryError

__all__ = ["read_intact"]


def read_intact(folder: Path) -> tuple[Trajectory, str]:
    """Reads a run up to its first damaged line.

    Returns:
        The intact part, and what is wrong with the rest; empty if nothing is.

    Raises:
        TrajectoryError: If not even the first line is intact.
    """
    try:
        return read_trajectory(folder), ""
    except TrajectoryError as error:
        damage = error
    try:
        lines = (folder / "trajectory.jsonl").read_bytes().splitlines(keepends=True)
    except OSError:
        raise damage from None
    with tempfile.TemporaryDirectory() as scratch:
        intact = _longest_readable(lines, Path(scratch))
    if intact is None:
        raise damage
    return replace(intact, folder=folder), str(damage)


def _longest_readable(lines: list[bytes], scratch: Path) -> Trajectory | None:
    """Bisects for the longest beginning that can be read: what spoils one spoils every longer one."""
    readable, found = 0, None
    unreadable = len(lines) + 1
    while unreadable - readable > 1:
        middle = (readable + unreadable) // 2
        (scratch / "trajectory.jsonl").write_bytes(b"".join(lines[:middle]))
        try:
            found = read_trajectory(scratch)
            readable = middle
        except TrajectoryError:
            unreadable = middle
    return found
