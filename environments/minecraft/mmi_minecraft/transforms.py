"""Turning, mirroring, repeating, shifting and laying blueprints over one another. Each returns a new blueprint.

Turns and mirrors go about where the builder stands, so that parts which were built around one place stay together.
"""

from collections.abc import Callable
from dataclasses import replace

from mmi_agent.errors import ConfigError
from mmi_minecraft.block_state import VOID, BlockState
from mmi_minecraft.blueprint import MAX_CELLS, Blueprint, Canvas, Position, Size, check_volume
from mmi_minecraft.turning import MirrorAxis, reflected, turned

__all__ = ["mirrored", "moved_to", "overlaid", "repeated", "rotated", "shifted"]


def rotated(blueprint: Blueprint, turns: int = 1) -> Blueprint:
    """Turned by quarter turns clockwise, as seen from above; negative ones go the other way."""
    for _ in range(turns % 4):
        blueprint = _placed(blueprint, lambda x, z: (-z, x), lambda state: turned(state, 1))
    return blueprint


def mirrored(blueprint: Blueprint, axis: MirrorAxis) -> Blueprint:
    """With east and west exchanged (x), or north and south (z)."""
    if axis == "x":
        return _placed(blueprint, lambda x, z: (-x, z), lambda state: reflected(state, "x"))
    return _placed(blueprint, lambda x, z: (x, -z), lambda state: reflected(state, "z"))


def _placed(
    blueprint: Blueprint, place: Callable[[int, int], tuple[int, int]], change: Callable[[BlockState], BlockState]
) -> Blueprint:
    """With every column at another place, and every block changed."""
    (width, height, depth), (left, bottom, back) = blueprint.size, blueprint.origin
    ends = [place(left, back), place(left + width - 1, back + depth - 1)]
    west, north = (min(axis) for axis in zip(*ends, strict=True))
    east, south = (max(axis) for axis in zip(*ends, strict=True))
    size = Size(east - west + 1, height, south - north + 1)
    ground = [0] * (size.x * size.z)
    for z in range(depth):
        for x in range(width):
            to_x, to_z = place(left + x, back + z)
            ground[(to_z - north) * size.x + to_x - west] = z * width + x
    area, cells = width * depth, blueprint.cells
    return Blueprint.of(
        size,
        [change(state) for state in blueprint.palette],
        [cells[y * area + column] for y in range(height) for column in ground],
        origin=Position(west, bottom, north),
        name=blueprint.name,
    )


def shifted(blueprint: Blueprint, by: tuple[int, int, int]) -> Blueprint:
    """Moved by so many blocks east, up and south."""
    return replace(blueprint, origin=blueprint.origin.plus(by))


def moved_to(blueprint: Blueprint, origin: tuple[int, int, int]) -> Blueprint:
    """With its first cell at that place."""
    return replace(blueprint, origin=Position(*origin))


def overlaid(below: Blueprint, above: Blueprint, *, max_cells: int = MAX_CELLS) -> Blueprint:
    """Both in one, each where its origin says. Where both say something, `above` counts.

    Raises:
        ConfigError: If the box around both has too many cells.
    """
    canvas = Canvas()
    ends = [part.origin.plus(part.size) for part in (below, above)]
    low = Position(*map(min, below.origin, above.origin))
    beyond = Position(*map(max, *ends))
    check_volume(Size(*beyond.minus(low)), max_cells)
    canvas[low] = canvas[beyond.minus((1, 1, 1))] = VOID
    for part in (below, above):
        for position, state in part.states():
            if state != VOID:
                canvas[part.origin.plus(position)] = state
    return canvas.blueprint(name=below.name, max_cells=max_cells)


def repeated(
    blueprint: Blueprint,
    times: tuple[int, int, int],
    *,
    gap: tuple[int, int, int] = (0, 0, 0),
    max_cells: int = MAX_CELLS,
) -> Blueprint:
    """Side by side, so many times east, up and south.

    Args:
        blueprint: What is repeated.
        times: How often along x, y and z; 1 leaves it as it is.
        gap: Cells between two of them, about which nothing is said; -1 lets them share an edge.
        max_cells: Of the result.

    Raises:
        ConfigError: If a number is out of range, or the result has too many cells.
    """
    steps = [length + between for length, between in zip(blueprint.size, gap, strict=True)]
    if min(times) < 1 or min(steps) < 1:
        raise ConfigError(f"{times} times with gaps of {gap}: expected at least once, and gaps that leave a step")
    spans = zip(times, steps, blueprint.size, strict=True)
    size = Size(*((count - 1) * step + length for count, step, length in spans))
    check_volume(size, max_cells)
    canvas = Canvas()
    origin = blueprint.origin
    canvas[origin] = canvas[origin.plus(size).minus((1, 1, 1))] = VOID
    said = [(position, state) for position, state in blueprint.states() if state != VOID]
    for y in range(times[1]):
        for z in range(times[2]):
            for x in range(times[0]):
                corner = origin.plus((x * steps[0], y * steps[1], z * steps[2]))
                for position, state in said:
                    canvas[corner.plus(position)] = state
    return canvas.blueprint(name=blueprint.name, max_cells=max_cells)
