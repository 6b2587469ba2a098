"""The one form in which buildings are held: a box of cells, each a block, air, or nothing said.

x runs east, y up, z south. Knows nothing about files, pictures or worlds.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

from mmi_agent.errors import ConfigError
from mmi_minecraft.block_state import AIR, VOID, BlockState

__all__ = ["MAX_CELLS", "Blueprint", "Canvas", "Position", "Size", "TooManyCells", "check_volume"]

MAX_CELLS = 1_000_000
"""A blueprint of more cells is refused unless it is asked for."""


class TooManyCells(ConfigError):  # noqa: N818 - as its kin
    """A blueprint has more cells than was asked for with `max_cells`."""


class Position(NamedTuple):
    """A cell of a blueprint, or of the world."""

    x: int
    y: int
    z: int

    def plus(self, other: tuple[int, int, int]) -> "Position":
        """The cell that is `other` away."""
        return Position(self.x + other[0], self.y + other[1], self.z + other[2])

    def minus(self, other: tuple[int, int, int]) -> "Position":
        """The way from `other` to this cell."""
        return Position(self.x - other[0], self.y - other[1], self.z - other[2])


class Size(NamedTuple):
    """Cells from west to east, from bottom to top, from north to south."""

    x: int
    y: int
    z: int

    @property
    def volume(self) -> int:
        """How many cells it has."""
        return self.x * self.y * self.z

    def __str__(self) -> str:
        """As people write it."""
        return f"{self.x} x {self.y} x {self.z}"


def check_volume(size: Size, max_cells: int = MAX_CELLS) -> None:
    """Refuses a box without cells, or with too many.

    Raises:
        ConfigError: If it has none.
        TooManyCells: Saying how many there are, and how many there may be.
    """
    if min(size) < 1:
        raise ConfigError(f"a blueprint is at least 1 x 1 x 1, not {size}")
    if size.volume > max_cells:
        raise TooManyCells(f"a blueprint of {size} has {size.volume:,} cells, more than {max_cells:,}: make it smaller")


@dataclass(frozen=True, kw_only=True)
class Blueprint:
    """A building, immutable.

    Attributes:
        size: Of the box.
        palette: The blocks that occur, each once, in the order in which the cells bring them.
        cells: The place in the palette of each cell's block: layer by layer from the bottom, in a layer row by row
            from the north, in a row from the west.
        origin: Where the first cell stands, as seen from where the builder stands: (0, -1, 0) lets the bottom layer
            into the ground.
        name: What it is called.
    """

    size: Size
    palette: tuple[BlockState, ...]
    cells: tuple[int, ...]
    origin: Position = field(default=Position(0, 0, 0))
    name: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        check_volume(self.size, max(len(self.cells), MAX_CELLS))
        if len(self.cells) != self.size.volume:
            raise ConfigError(f"a blueprint of {self.size} has {self.size.volume:,} cells, not {len(self.cells):,}")
        if list(dict.fromkeys(self.cells)) != list(range(len(self.palette))):
            raise ConfigError("the palette must hold each block that occurs, in order; Blueprint.of sees to that")

    @staticmethod
    def of(
        size: tuple[int, int, int],
        palette: Sequence[BlockState],
        cells: Iterable[int],
        *,
        origin: tuple[int, int, int] = (0, 0, 0),
        name: str = "",
    ) -> "Blueprint":
        """Makes one of any palette: blocks that do not occur, or occur twice, are put right.

        Raises:
            ConfigError: If the cells do not fill the box, or name a block that is not in the palette.
        """
        indices = tuple(cells)
        used = list(dict.fromkeys(indices))
        if used and not (0 <= min(used) and max(used) < len(palette)):
            raise ConfigError(f"a cell names block {max(used)} of a palette of {len(palette)}")
        distinct = {state: place for place, state in enumerate(dict.fromkeys(palette[index] for index in used))}
        moved = {index: distinct[palette[index]] for index in used}
        return Blueprint(
            size=Size(*size),
            palette=tuple(distinct),
            cells=tuple(map(moved.__getitem__, indices)),
            origin=Position(*origin),
            name=name,
        )

    def __getitem__(self, position: tuple[int, int, int]) -> BlockState:
        """The block of a cell; nothing outside of the box."""
        x, y, z = position
        width, height, depth = self.size
        if 0 <= x < width and 0 <= y < height and 0 <= z < depth:
            return self.palette[self.cells[(y * depth + z) * width + x]]
        return VOID

    def positions(self) -> Iterator[Position]:
        """Every cell, in the order of `cells`."""
        width, height, depth = self.size
        return (Position(x, y, z) for y in range(height) for z in range(depth) for x in range(width))

    def states(self) -> Iterator[tuple[Position, BlockState]]:
        """Every cell with its block, air and nothing included."""
        return zip(self.positions(), map(self.palette.__getitem__, self.cells), strict=True)

    def blocks(self) -> Iterator[tuple[Position, BlockState]]:
        """The cells where something is to be placed, with their blocks."""
        empty = {index for index, state in enumerate(self.palette) if state in (AIR, VOID)}
        cells = zip(self.positions(), self.cells, strict=True)
        return ((position, self.palette[index]) for position, index in cells if index not in empty)

    @cached_property
    def counts(self) -> Mapping[BlockState, int]:
        """How often each block occurs, air and nothing left out."""
        counted = Counter(self.cells)
        return {state: counted[index] for index, state in enumerate(self.palette) if state not in (AIR, VOID)}

    @property
    def num_blocks(self) -> int:
        """How many cells have a block."""
        return sum(self.counts.values())

    def layer(self, y: int) -> list[list[BlockState]]:
        """The rows of a layer from north to south, each from west to east."""
        width, _, depth = self.size
        start = y * depth * width
        rows = (self.cells[start + z * width : start + (z + 1) * width] for z in range(depth))
        return [[self.palette[index] for index in row] for row in rows]

    def named(self, name: str) -> "Blueprint":
        """The same under another name."""
        return replace(self, name=name)


class Canvas:
    """A blueprint in the making: blocks are put anywhere, and the box is drawn around them in the end."""

    def __init__(self) -> None:
        self._placed: dict[tuple[int, int, int], BlockState] = {}

    def __setitem__(self, position: tuple[int, int, int], block: BlockState | str) -> None:
        """Puts a block, in the place of what was there."""
        self._placed[position] = BlockState.parse(block) if isinstance(block, str) else block

    def __getitem__(self, position: tuple[int, int, int]) -> BlockState:
        """What was put there."""
        return self._placed.get(position, VOID)

    def fill(self, xs: Iterable[int], ys: Iterable[int], zs: Iterable[int], block: BlockState | str) -> None:
        """Puts the same block into every cell of a box."""
        state = BlockState.parse(block) if isinstance(block, str) else block
        across, along = list(xs), list(zs)
        self._placed.update({(x, y, z): state for y in ys for z in along for x in across})

    def blueprint(self, *, name: str = "", max_cells: int = MAX_CELLS) -> Blueprint:
        """The smallest box around what was put; its origin is the corner, so that positions mean the same.

        Raises:
            ConfigError: If nothing was put, or the box has too many cells.
        """
        if not self._placed:
            raise ConfigError("a blueprint without blocks: expected at least one")
        corners = [(min(axis), max(axis)) for axis in zip(*self._placed, strict=True)]
        origin = Position(*(low for low, _ in corners))
        size = Size(*(high - low + 1 for low, high in corners))
        check_volume(size, max_cells)
        palette = {state: index for index, state in enumerate(dict.fromkeys([VOID, *self._placed.values()]))}
        cells = [0] * size.volume
        for (x, y, z), state in self._placed.items():
            cells[((y - origin.y) * size.z + z - origin.z) * size.x + x - origin.x] = palette[state]
        return Blueprint.of(size, list(palette), cells, origin=origin, name=name)
