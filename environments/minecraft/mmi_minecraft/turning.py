"""What turning and mirroring do to a block's state: directions, axes, connections, rails, hinges, signs."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Literal

from mmi_minecraft.block_state import BlockState

__all__ = ["Direction", "MirrorAxis", "clockwise", "opposite", "reflected", "turned"]

Direction = Literal["north", "east", "south", "west"]
MirrorAxis = Literal["x", "z"]
"""Along which axis places are exchanged: x exchanges east and west, z north and south."""

_ROUND: tuple[Direction, ...] = ("north", "east", "south", "west")
_SIGN_STEPS = 16  # signs, banners and heads on the ground stand in one of 16 directions, 0 is south
_SWAPPED_SIDES = {"left": "right", "right": "left"}
_SWAPPED_CORNERS = {
    "inner_left": "inner_right",
    "inner_right": "inner_left",
    "outer_left": "outer_right",
    "outer_right": "outer_left",
}


def clockwise(direction: Direction, turns: int = 1) -> Direction:
    """The direction after quarter turns clockwise, as seen from above."""
    return _ROUND[(_ROUND.index(direction) + turns) % 4]


def opposite(direction: Direction) -> Direction:
    """The other way."""
    return clockwise(direction, 2)


@lru_cache(maxsize=65536)
def turned(state: BlockState, turns: int) -> BlockState:
    """The block after quarter turns clockwise, as seen from above."""
    names = {str(each): str(clockwise(each, turns)) for each in _ROUND}
    axes = {"x": "z", "z": "x"} if turns % 2 else {}
    return _mapped(state, names, axes, lambda step: step + turns * _SIGN_STEPS // 4, mirrored=False)


@lru_cache(maxsize=65536)
def reflected(state: BlockState, axis: MirrorAxis) -> BlockState:
    """The block as a mirror shows it that exchanges the two ends of the axis."""
    if axis == "x":
        return _mapped(state, {"east": "west", "west": "east"}, {}, lambda step: -step, mirrored=True)
    names = {"north": "south", "south": "north"}
    return _mapped(state, names, {}, lambda step: _SIGN_STEPS // 2 - step, mirrored=True)


def _mapped(
    state: BlockState,
    names: Mapping[str, str],
    axes: Mapping[str, str],
    sign: Callable[[int], int],
    *,
    mirrored: bool,
) -> BlockState:
    changed: dict[str, str] = {}
    for key, value in state.properties:
        if key == "rotation":
            value = str(sign(int(value)) % _SIGN_STEPS)
        elif key == "axis":
            value = axes.get(value, value)
        elif mirrored and (key == "hinge" or (key == "type" and value in _SWAPPED_SIDES)):
            value = _SWAPPED_SIDES[value]
        elif mirrored and value in _SWAPPED_CORNERS:
            value = _SWAPPED_CORNERS[value]
        else:
            value = _words(value, names) if key in ("facing", "shape", "orientation") else value
        changed[names.get(key, key)] = value
    return BlockState.of(state.name, changed)


def _words(value: str, names: Mapping[str, str]) -> str:
    """A direction, or several in one word, as the shapes of rails have them: north and south come first there."""
    words = [names.get(word, word) for word in value.split("_")]
    if len(words) == 2 and set(words) <= set(_ROUND):
        words.sort(key=lambda word: word in ("east", "west"))
        if words == ["south", "north"]:
            words = ["north", "south"]
        if words == ["west", "east"]:
            words = ["east", "west"]
    return "_".join(words)
