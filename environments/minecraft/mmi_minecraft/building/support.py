"""What a block needs beside it to be placed, and to stay."""

from collections.abc import Callable

from mmi_minecraft.block_state import BlockState
from mmi_minecraft.blueprint import Position
from mmi_minecraft.connections import WAYS
from mmi_minecraft.turning import opposite

__all__ = ["SIDES", "companion", "is_second_half", "supported"]

SIDES: tuple[tuple[int, int, int], ...] = ((0, -1, 0), *WAYS.values(), (0, 1, 0))
"""The six neighbours; the one below first."""

_BELOW, _ABOVE = (0, -1, 0), (0, 1, 0)
_ON_GROUND = (
    *("_door", "_carpet", "rail", "_pressure_plate", "repeater", "comparator", "cake", "_banner", "_sign", "snow"),
    *("lantern", "_sapling", "flower_pot", "candle", "scaffolding"),
)
_FALLING = ("sand", "gravel", "_concrete_powder", "anvil", "dragon_egg", "suspicious_sand", "suspicious_gravel")
_ON_WALL = ("ladder", "wall_torch", "wall_sign", "wall_banner", "wall_hanging_sign", "tripwire_hook", "wall_head")


def supported(state: BlockState, position: Position, solid: Callable[[Position], bool]) -> bool:
    """Whether the block can be placed there and stays.

    Args:
        state: The block.
        position: Where.
        solid: Whether something to hold on to stands at a place.
    """
    return any(solid(position.plus(side)) for side in _holds(state))


def _holds(state: BlockState) -> tuple[tuple[int, int, int], ...]:
    """The neighbours that can hold a block; one of them is enough."""
    name = state.name
    if name.endswith(_ON_WALL) or state.get("face") == "wall":
        return tuple(WAYS[opposite(way)] for way in WAYS if way == state.get("facing"))
    if state.get("hanging") == "true" or state.get("face") == "ceiling" or name.endswith("_hanging_sign"):
        return (_ABOVE,)
    bodiless = state.kind.shape == "none" and name not in ("water", "lava")
    if bodiless or name.endswith(_ON_GROUND) or name in _FALLING or name.endswith("_concrete_powder"):
        return (_BELOW,)
    return SIDES


def is_second_half(state: BlockState) -> bool:
    """Whether the block appears with another one: the upper half of a door, the head of a bed."""
    return state.get("half") == "upper" or state.get("part") == "head"


def companion(state: BlockState) -> tuple[int, int, int] | None:
    """Where the second half appears that is placed with this block."""
    if state.get("half") == "lower":
        return _ABOVE
    if state.get("part") == "foot":
        return next(step for way, step in WAYS.items() if way == state.get("facing"))
    return None
