"""What can be asked of the blocks on a server. Each goal names what is wrong, in words."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping

from mmi_minecraft.block_state import AIR, VOID, BlockState
from mmi_minecraft.blueprint import Position
from mmi_minecraft.building.support import SIDES
from mmi_minecraft.tasks.problem import FEET, GROUND, Goal, World

__all__ = ["box", "carries", "crossed", "every", "lit", "shut_in", "stands", "surfaced"]

_TORCHLIGHT = 14
_UP = (0, 1, 0)


def box(low: Position, high: Position) -> Iterable[Position]:
    """The cells from one corner to another, both included."""
    return (
        Position(x, y, z)
        for y in range(low.y, high.y + 1)
        for z in range(low.z, high.z + 1)
        for x in range(low.x, high.x + 1)
    )


def every(*goals: Goal) -> Goal:
    """All of them."""

    def faults(world: World) -> Iterator[str]:
        for goal in goals:
            yield from goal(world)

    return faults


def stands(cells: Mapping[Position, str]) -> Goal:
    """In each of these cells that block, with the properties that are named, as in "oak_door[half=lower]"."""

    def faults(world: World) -> Iterator[str]:
        for at, asked in cells.items():
            if not world[at].matches(asked):
                yield f"{at.x} {at.y} {at.z}: {asked}, found {world[at]}"

    return faults


def carries(items: Mapping[str, int]) -> Goal:
    """At least so many of each item in the inventory."""

    def faults(world: World) -> Iterator[str]:
        for item, count in items.items():
            if (there := world.items.get(item, 0)) < count:
                yield f"{count} {item}, found {there}"

    return faults


def surfaced(columns: Mapping[tuple[int, int], int], block: str) -> Goal:
    """In each column (x, z), at that height, that block, and room for somebody who walks on it."""

    def faults(world: World) -> Iterator[str]:
        for (x, z), y in columns.items():
            yield from stands({Position(x, y, z): block})(world)
            yield from _crowded(world, Position(x, y + 1, z))

    return faults


def crossed(xs: range, z: int, block: str) -> Goal:
    """A row of that block, at the height of the ground or one above it, that can be walked on from end to end."""

    def faults(world: World) -> Iterator[str]:
        for x in xs:
            y = FEET if _is_floor(world[x, FEET, z]) else GROUND
            if world[x, y, z].matches(block):
                yield from _crowded(world, Position(x, y + 1, z))
            else:
                yield f"{x} {y} {z}: {block} to walk on, found {world[x, y, z]}"

    return faults


def lit(xs: range, zs: range, light: int) -> Goal:
    """Light of torches in each cell that one can stand in, at least so much; it fades by one with each block."""

    def faults(world: World) -> Iterator[str]:
        found = _light(world)
        for z in zs:
            for x in xs:
                at = Position(x, FEET, z)
                if not _is_floor(world[at]) and found.get(at, 0) < light:
                    yield f"{x} {FEET} {z}: light {light}, found {found.get(at, 0)}"

    return faults


def shut_in(inside: Position) -> Goal:
    """No way out of a room, for whoever goes through no door."""

    def faults(world: World) -> Iterator[str]:
        known, waiting = {inside}, deque([inside])
        while waiting:
            at = waiting.popleft()
            for beside in map(at.plus, SIDES):
                if world[beside] == VOID:
                    yield f"the room around {inside.x} {inside.y} {inside.z} is open"
                    return
                if beside not in known and _is_open(world[beside]):
                    known.add(beside)
                    waiting.append(beside)

    return faults


def _light(world: World) -> dict[Position, int]:
    """Where torches shine, and how bright it is there."""
    torches = [world.blocks.origin.plus(at) for at, state in world.blocks.blocks() if state.name.endswith("torch")]
    light = dict.fromkeys(torches, _TORCHLIGHT)
    waiting = deque(torches)
    while waiting:
        at = waiting.popleft()
        for beside in map(at.plus, SIDES):
            if beside not in light and light[at] > 1 and _is_open(world[beside]) and world[beside] != VOID:
                light[beside] = light[at] - 1
                waiting.append(beside)
    return light


def _is_floor(state: BlockState) -> bool:
    return state not in (AIR, VOID) and state.kind.shape != "none"


def _is_open(state: BlockState) -> bool:
    """Whether air gets through: what has a body shuts a room, be it a pane or a door."""
    return state == AIR or (state != VOID and state.kind.shape == "none")


def _crowded(world: World, feet: Position) -> Iterator[str]:
    """What somebody who stands there would bump into."""
    for at in (feet, feet.plus(_UP)):
        if _is_floor(world[at]):
            yield f"{at.x} {at.y} {at.z}: room to walk, found {world[at]}"
