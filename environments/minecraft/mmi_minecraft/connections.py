"""How blocks join their neighbours: fences, walls, panes, gates and the corners of stairs.

The game itself computes these when a block is placed by hand; files, commands and some servers don't.
So it is done here.
"""

from collections.abc import Callable

from mmi_minecraft.block_state import BlockState
from mmi_minecraft.blueprint import Blueprint, Position
from mmi_minecraft.turning import Direction, clockwise, opposite

__all__ = ["WAYS", "connected", "has_full_face"]

WAYS: dict[Direction, tuple[int, int, int]] = {
    "north": (0, 0, -1),
    "east": (1, 0, 0),
    "south": (0, 0, 1),
    "west": (-1, 0, 0),
}
"""The step that each direction takes."""

_LOOSE = ("_leaves", "_shulker_box")
_LOOSE_BLOCKS = {"barrier", "pumpkin", "carved_pumpkin", "jack_o_lantern", "melon", "shulker_box", "azalea"}
_ON_POST = ("torch", "_sign", "_banner", "_pressure_plate", "tripwire", "_bars")

_Look = Callable[[Position], BlockState]


def connected(blueprint: Blueprint) -> Blueprint:
    """The same with every fence, wall, pane, gate and stair joined to what stands beside it."""
    joining = {index for index, state in enumerate(blueprint.palette) if _joiner(state)}
    if not joining:
        return blueprint
    palette = list(blueprint.palette)
    places = {state: index for index, state in enumerate(palette)}
    cells = list(blueprint.cells)
    # walls ask what stands above them, which must be joined already: from the top down
    joined: dict[Position, BlockState] = {}
    for place, position in reversed(list(enumerate(blueprint.positions()))):
        if cells[place] not in joining:
            continue
        state = palette[cells[place]]
        above = position.plus((0, 1, 0))
        new = _joined(state, position, lambda at: blueprint[at], joined.get(above, blueprint[above]))
        joined[position] = new
        if new not in places:
            places[new] = len(palette)
            palette.append(new)
        cells[place] = places[new]
    return Blueprint.of(blueprint.size, palette, cells, origin=blueprint.origin, name=blueprint.name)


def has_full_face(state: BlockState, side: Direction) -> bool:
    """Whether fences and walls hold on to that side of the block."""
    if _is_stairs(state):
        return state.get("shape") in ("straight", "inner_left", "inner_right") and state.get("facing") == side
    if state.get("type") == "double" and state.name.endswith("_slab"):
        return True
    return state.kind.shape == "full" and not state.name.endswith(_LOOSE) and state.name not in _LOOSE_BLOCKS


def _joiner(state: BlockState) -> Callable[[BlockState, Position, _Look, BlockState], BlockState] | None:
    if _is_wall(state):
        return _join_wall
    if _is_gate(state):
        return _join_gate
    if _is_stairs(state):
        return _join_stairs
    return _join_sides if _is_fence(state) or _is_pane(state) else None


def _joined(state: BlockState, position: Position, look: _Look, above: BlockState) -> BlockState:
    join = _joiner(state)
    assert join
    return join(state, position, look, above)


def _is_fence(state: BlockState) -> bool:
    return state.name.endswith("_fence")


def _is_gate(state: BlockState) -> bool:
    return state.name.endswith("_fence_gate")


def _is_wall(state: BlockState) -> bool:
    return state.name.endswith("_wall")


def _is_pane(state: BlockState) -> bool:
    return state.name.endswith("_pane") or state.name in ("glass_pane", "iron_bars")


def _is_stairs(state: BlockState) -> bool:
    return state.name.endswith("_stairs")


def _gate_across(state: BlockState, way: Direction) -> bool:
    """Whether the block is a gate whose posts lie along that way."""
    return _is_gate(state) and state.get("facing") not in (way, opposite(way))


def _holds(state: BlockState, way: Direction, neighbour: BlockState) -> bool:
    """Whether a block reaches for its neighbour that way."""
    if has_full_face(neighbour, opposite(way)):
        return True
    if _is_fence(state):
        wooden = state.name != "nether_brick_fence"
        same = _is_fence(neighbour) and wooden == (neighbour.name != "nether_brick_fence")
        return same or _gate_across(neighbour, way)
    if _is_pane(state):
        return _is_pane(neighbour) or _is_wall(neighbour)
    return _is_wall(neighbour) or _is_pane(neighbour) or _gate_across(neighbour, way)


def _join_sides(state: BlockState, position: Position, look: _Look, above: BlockState) -> BlockState:
    sides = {way: str(_holds(state, way, look(position.plus(step)))).lower() for way, step in WAYS.items()}
    return state.with_(**sides)


def _join_gate(state: BlockState, position: Position, look: _Look, above: BlockState) -> BlockState:
    across = [step for way, step in WAYS.items() if _gate_across(state, way)]
    in_wall = any(_is_wall(look(position.plus(step))) for step in across)
    return state.with_(in_wall=str(in_wall).lower())


def _join_wall(state: BlockState, position: Position, look: _Look, above: BlockState) -> BlockState:
    heights: dict[str, str] = {
        way: ("tall" if _covers(above, way) else "low") if _holds(state, way, look(position.plus(step))) else "none"
        for way, step in WAYS.items()
    }
    return state.with_(up=str(_has_post(heights, above)).lower(), **heights)


def _covers(above: BlockState, way: Direction) -> bool:
    """Whether the block above rests on the arm of a wall that reaches that way."""
    return has_full_bottom(above) or above.get(way) in ("true", "low", "tall") or _gate_across(above, way)


def _has_post(heights: dict[str, str], above: BlockState) -> bool:
    north, east, south, west = (heights[way] for way in WAYS)
    if _is_wall(above) and above.get("up") == "true":
        return True
    if (
        (north == "none") != (south == "none")
        or (east == "none") != (west == "none")
        or set(heights.values()) == {"none"}
    ):
        return True
    if north == south == "tall" or east == west == "tall":
        return False
    joins = _is_fence(above) or _is_pane(above) or _is_wall(above) or _is_gate(above)
    return joins or has_full_bottom(above) or above.name.endswith(_ON_POST)


def has_full_bottom(state: BlockState) -> bool:
    """Whether the underside of the block is a whole square."""
    if _is_stairs(state) or state.name.endswith("_slab"):
        return state.get("half") == "bottom" or state.get("type") in ("bottom", "double")
    return state.kind.shape == "full"


def _join_stairs(state: BlockState, position: Position, look: _Look, above: BlockState) -> BlockState:
    facing = _facing(state)
    return state.with_(shape=_corner(state, facing, position, look))


def _corner(state: BlockState, facing: Direction, position: Position, look: _Look) -> str:
    ways: dict[str, Direction] = {"outer": facing, "inner": opposite(facing)}
    for kind, way in ways.items():
        other = look(position.plus(WAYS[way]))
        if not (_is_stairs(other) and other.get("half") == state.get("half")):
            continue
        turn = _facing(other)
        side = opposite(turn) if kind == "outer" else turn
        if turn not in (facing, opposite(facing)) and _free(state, look(position.plus(WAYS[side]))):
            return f"{kind}_{'left' if turn == clockwise(facing, -1) else 'right'}"
    return "straight"


def _free(state: BlockState, beside: BlockState) -> bool:
    """Whether the neighbour does not carry on the same flight of stairs."""
    same = beside.get("facing") == state.get("facing") and beside.get("half") == state.get("half")
    return not (_is_stairs(beside) and same)


def _facing(state: BlockState) -> Direction:
    return next(way for way in WAYS if way == state.get("facing"))
