"""The levels of mindcraft's construction tasks (`.json`): rows of block names, one table for each layer.

A level is `{"level": 0, "coordinates": [x, y, z], "placement": [[west, ..., east], ... to the south]}`; an empty name
says nothing about a cell. States stand in brackets behind names; mindcraft itself compares names alone.
"""

import json
from typing import Any, cast

from mmi_agent.errors import ConfigError
from mmi_minecraft.block_state import VOID, BlockState
from mmi_minecraft.blueprint import Blueprint, Canvas, TooManyCells

__all__ = ["read_levels", "write_levels"]

_MAX_BYTES = 16 << 20
_FARTHEST = 30_000_000  # where the world ends


def read_levels(data: bytes, max_cells: int) -> Blueprint:
    """Reads a blueprint, alone or within a task."""
    if len(data) > _MAX_BYTES:
        raise ConfigError(f"the file has more than {_MAX_BYTES >> 20} MiB")
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"not JSON: {error}") from error
    canvas, placed = Canvas(), 0
    for number, level in enumerate(_levels(content)):
        rows = _rows(level, number)
        placed += sum(map(len, rows))
        if placed > max_cells:
            raise TooManyCells(f"more than {max_cells:,} cells: make it smaller")
        x, y, z = _coordinates(level, number)
        for south, row in enumerate(rows):
            for east, name in enumerate(row):
                canvas[x + east, y, z + south] = BlockState.parse(name) if name else VOID
    return canvas.blueprint(max_cells=max_cells)


def write_levels(blueprint: Blueprint, data_version: int) -> bytes:
    """Writes a blueprint; its origin is where the first level begins."""
    x, y, z = blueprint.origin
    levels = [
        {
            "level": number,
            "coordinates": [x, y + number, z],
            "placement": [["" if state == VOID else str(state) for state in row] for row in blueprint.layer(number)],
        }
        for number in range(blueprint.size.y)
    ]
    return json.dumps({"levels": levels}, indent=None).replace('{"level"', '\n{"level"').encode()


def _levels(content: Any) -> list[Any]:
    """The levels of a blueprint, of a task with one, or of the only task of several that has one."""
    found = _find(content) or [
        levels for task in (content.values() if isinstance(content, dict) else ()) for levels in _find(task)
    ]
    if len(found) != 1:
        raise ConfigError(f"expected the levels of one blueprint, found {len(found)}")
    return found[0]


def _find(content: Any) -> list[list[Any]]:
    if not isinstance(content, dict):
        return []
    holder = cast("dict[str, Any]", content)
    inner = holder.get("blueprint", holder)
    levels = cast("dict[str, Any]", inner).get("levels") if isinstance(inner, dict) else None
    return [cast("list[Any]", levels)] if isinstance(levels, list) else []


def _rows(level: Any, number: int) -> list[list[str]]:
    rows = level.get("placement") if isinstance(level, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise ConfigError(f"level {number} has no placement: expected rows of block names")
    if len({len(row) for row in rows}) != 1 or not all(isinstance(name, str) for row in rows for name in row):
        raise ConfigError(f"the rows of level {number} are not equally long, or hold something other than names")
    return cast("list[list[str]]", rows)


def _coordinates(level: Any, number: int) -> tuple[int, int, int]:
    place = level.get("coordinates", [0, number, 0])
    if not isinstance(place, list) or len(place) != 3 or not all(type(value) is int for value in place):
        raise ConfigError(f"level {number} has the coordinates {place!r:.60}: expected three whole numbers")
    if max(map(abs, place)) > _FARTHEST:
        raise ConfigError(f"level {number} has the coordinates {place!r:.60}: the world ends at {_FARTHEST:,}")
    return place[0], place[1], place[2]
