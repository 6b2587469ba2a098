"""What stands where while it is built: read once, then kept up to date by whoever builds."""

from mmi_minecraft.block_state import AIR, BlockState
from mmi_minecraft.blueprint import Blueprint, Position

__all__ = ["REPLACED", "Ground"]

REPLACED = frozenset(
    {"air", "water", "lava", "grass", "short_grass", "tall_grass", "fern", "dead_bush", "seagrass", "snow", "fire"}
)
"""Blocks into whose place another can be put without digging."""

_UP = (0, 1, 0)


class Ground:
    """A box of the world; outside of it nothing is known, and taken for air.

    Args:
        found: The box; its origin is its place in the world.
    """

    def __init__(self, found: Blueprint) -> None:
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

    def has_room(self, feet: Position) -> bool:
        """Whether a body can be there."""
        return not self.solid(feet) and not self.solid(feet.plus(_UP))

    @property
    def top(self) -> int:
        """The height above everything."""
        return max((at.y for at in self._cells), default=0) + 1
