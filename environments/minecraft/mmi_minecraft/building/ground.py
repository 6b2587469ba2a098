"""What stands where while it is built: read once, then kept up to date by whoever builds."""

from collections import deque
from collections.abc import Iterator

from mmi_minecraft.block_state import AIR, BlockState
from mmi_minecraft.blueprint import Blueprint, Position
from mmi_minecraft.connections import WAYS

__all__ = ["REPLACED", "Ground"]

REPLACED = frozenset(
    {"air", "water", "lava", "grass", "short_grass", "tall_grass", "fern", "dead_bush", "seagrass", "snow", "fire"}
)
"""Blocks into whose place another can be put without digging."""

_UP, _DOWN = (0, 1, 0), (0, -1, 0)
_HARMLESS_FALL = 3
_LADDER = "ladder"
_STOOD_ON = ("_stairs", "_slab", "dirt_path", "grass_path", "farmland", "scaffolding", "chest", "_bed")


class Ground:
    """A box of the world; outside of it nothing is known, and taken for air.

    Args:
        found: The box; its origin is its place in the world.
    """

    def __init__(self, found: Blueprint) -> None:
        self._low, self._high = found.origin, found.origin.plus(found.size).minus((1, 1, 1))
        self._cells = {found.origin.plus(cell): state for cell, state in found.blocks()}

    def __getitem__(self, at: Position) -> BlockState:
        """The block of a cell."""
        return self._cells.get(at, AIR)

    def __setitem__(self, at: Position, state: BlockState) -> None:
        """Takes note of a change."""
        if state == AIR:
            self._cells.pop(at, None)
        else:
            self._cells[at] = state

    def named(self, name: str) -> list[Position]:
        """Where blocks of that name stand."""
        return [at for at, state in self._cells.items() if state.name == name]

    def solid(self, at: Position) -> bool:
        """Whether something stands there that a block can be placed against, or that a body bumps into."""
        state = self[at]
        return state != AIR and state.kind.shape != "none"

    def carries(self, at: Position) -> bool:
        """Whether somebody can stand on what is there; nobody steps onto a fence."""
        state = self[at]
        return self.solid(at) and (state.kind.shape == "full" or state.name.endswith(_STOOD_ON))

    def has_room(self, feet: Position) -> bool:
        """Whether a body can be there."""
        return all(not self.solid(at) or self[at].name == _LADDER for at in (feet, feet.plus(_UP)))

    def reachable(self, start: Position) -> dict[Position, int]:
        """The cells that can be walked to, each with the number of steps: a jump of one, a fall of three, a rung."""
        steps = {start: 0}
        waiting = deque([start])
        while waiting:
            at = waiting.popleft()
            for after in self._steps(at):
                if after not in steps:
                    steps[after] = steps[at] + 1
                    waiting.append(after)
        return steps

    def _steps(self, at: Position) -> Iterator[Position]:
        if self[at].name == _LADDER and self.has_room(at.plus(_UP)):
            yield at.plus(_UP)
        if self[at.plus(_DOWN)].name == _LADDER:
            yield at.plus(_DOWN)
        for way in WAYS.values():
            beside = at.plus(way)
            if not (self._low.x <= beside.x <= self._high.x and self._low.z <= beside.z <= self._high.z):
                continue
            if self.has_room(beside):
                yield from self._landing(beside)
            elif self.has_room(beside.plus(_UP)) and self.carries(beside) and not self.solid(at.plus((0, 2, 0))):
                yield beside.plus(_UP)

    def _landing(self, at: Position) -> Iterator[Position]:
        """Where somebody gets to who steps into a cell, which may be above nothing."""
        for depth in range(_HARMLESS_FALL + 1):
            landing = at.plus((0, -depth, 0))
            if self.solid(landing) or landing.y < self._low.y:
                return
            if self.carries(landing.plus(_DOWN)) or self[landing].name == _LADDER:
                yield landing
                return

    @property
    def top(self) -> int:
        """The height above everything."""
        return max((at.y for at in self._cells), default=0) + 1
