"""Functions of commands (`.mcfunction`): a line `setblock` or `fill` for each block or row of blocks."""

import re
from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

from mmi_agent.errors import ConfigError, MMIError
from mmi_minecraft.block_state import VOID, BlockState
from mmi_minecraft.blueprint import Blueprint, Canvas, Position, TooManyCells

__all__ = ["MAX_COMMANDS", "read_function", "write_function"]

MAX_COMMANDS = 65_536
"""The game runs no more commands of one function, unless a game rule says otherwise."""

_NUMBER = r"(~?-?\d{1,8}|~)"
_CORNER = rf"{_NUMBER} {_NUMBER} {_NUMBER}"
_SETBLOCK = re.compile(rf"/?setblock {_CORNER} (\S+)(?: (replace|destroy|keep))?")
_FILL = re.compile(rf"/?fill {_CORNER} {_CORNER} (\S+)(?: (replace|destroy|keep))?")
_BOX = re.compile(rf"# box {_CORNER} {_CORNER}")
_SPLIT = re.compile(r"\{.*\}$")  # what a chest holds


class _Box(NamedTuple):
    """From one corner to the other, both included."""

    low: Position
    high: Position

    @property
    def volume(self) -> int:
        x, y, z = self.high.minus(self.low)
        return (x + 1) * (y + 1) * (z + 1)


def read_function(data: bytes, max_cells: int) -> Blueprint:
    """Reads a function that only sets and fills; whatever else it does is refused.

    Positions may all be relative (~) or all not; those that are not are taken as they are.
    """
    canvas, placed, kinds = Canvas(), 0, set[bool]()
    for number, line in enumerate(_lines(data), 1):
        try:
            placed += _run(line, canvas, max_cells - placed, kinds)
        except MMIError as error:
            raise type(error)(f"line {number}: {error}") from error
    return canvas.blueprint(max_cells=max_cells)


def write_function(blueprint: Blueprint, data_version: int) -> bytes:
    """Writes positions relative to where the function is run. The box stands in a comment, so that nothing gets lost.

    Raises:
        ConfigError: If the game would not run so many commands.
    """
    low = blueprint.origin
    lines = [f"# box {_text(low)} {_text(low.plus(blueprint.size).minus((1, 1, 1)))}", *_commands(blueprint)]
    if len(lines) - 1 > MAX_COMMANDS:
        raise ConfigError(f"{len(lines) - 1:,} commands, the game runs {MAX_COMMANDS:,} of a function: write a .schem")
    return ("\n".join(lines) + "\n").encode()


def _commands(blueprint: Blueprint) -> Iterator[str]:
    """Layer by layer from the bottom, so that what needs ground finds it."""
    for (_, _, state), row in groupby(blueprint.states(), key=lambda cell: (cell[0].y, cell[0].z, cell[1])):
        cells = [blueprint.origin.plus(position) for position, _ in row]
        if state == VOID:
            continue
        if len(cells) == 1:
            yield f"setblock {_text(cells[0])} {_block(state)}"
        else:
            yield f"fill {_text(cells[0])} {_text(cells[-1])} {_block(state)}"


def _lines(data: bytes) -> list[str]:
    try:
        return data.decode().splitlines()
    except UnicodeDecodeError as error:
        raise ConfigError(f"not a function: it is no text ({error.reason} at byte {error.start})") from error


def _run(line: str, canvas: Canvas, room: int, kinds: set[bool]) -> int:
    """Carries out a line; returns how many cells it filled. `kinds` says whether positions so far were relative."""
    line = " ".join(line.split())
    if box := _BOX.fullmatch(line):
        corners = _corners(kinds, *box.groups())
        for corner in corners:
            if canvas[corner] == VOID:
                canvas[corner] = VOID
        return 0
    if not line or line.startswith("#"):
        return 0
    if single := _SETBLOCK.fullmatch(line):
        *place, block, mode = single.groups()
        corners = _corners(kinds, *place, *place)
    elif filled := _FILL.fullmatch(line):
        *place, block, mode = filled.groups()
        corners = _corners(kinds, *place)
    else:
        raise ConfigError(f"{line[:60]!r} is no setblock or fill that is read here")
    if corners.volume > room:
        raise TooManyCells(f"more cells are filled than the {room:,} that are left: make it smaller")
    _fill(canvas, corners, BlockState.parse(_SPLIT.sub("", block)), keep=mode == "keep")
    return corners.volume


def _fill(canvas: Canvas, box: _Box, state: BlockState, *, keep: bool) -> None:
    (west, bottom, north), (east, top, south) = box
    for y in range(bottom, top + 1):
        for z in range(north, south + 1):
            for x in range(west, east + 1):
                if not (keep and canvas[x, y, z].name not in ("air", "structure_void")):
                    canvas[x, y, z] = state


def _corners(kinds: set[bool], *numbers: str) -> _Box:
    kinds.update(number.startswith("~") for number in numbers)
    if len(kinds) > 1:
        raise ConfigError("some positions are relative (~) and some are not")
    values = [int(number.lstrip("~") or 0) for number in numbers]
    first, second = values[:3], values[3:]
    return _Box(Position(*map(min, first, second)), Position(*map(max, first, second)))


def _text(position: Position) -> str:
    return " ".join(f"~{value or ''}" for value in position)


def _block(state: BlockState) -> str:
    return f"minecraft:{state}"
