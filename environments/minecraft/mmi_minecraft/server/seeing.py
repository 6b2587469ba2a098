"""From what a player knows to what an agent sees: words, and elements with their boxes in the picture."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import product
from math import cos, radians, sin, tan

from mmi_agent.types import Box, Element
from mmi_minecraft.server.player import PlayerState, SeenBlock, SeenEntity
from mmi_minecraft.server.world import state_of

__all__ = ["Camera", "describe", "elements"]

_EYES = 1.6
_NEAR = 0.1
_MOST_ELEMENTS = 40
_COMPASS = ("south", "south-west", "west", "north-west", "north", "north-east", "east", "south-east")

Corner = tuple[float, float, float, float, float, float]


class Camera:
    """Where a point of the world is in the picture.

    Args:
        state: Where the player is, and how it looks.
        aspect: Width of the picture over its height.
        field_of_view_deg: Of the picture, from top to bottom.
    """

    def __init__(self, state: PlayerState, *, aspect: float, field_of_view_deg: float) -> None:
        x, y, z = state.position
        self._eyes = (x, y + _EYES, z)
        self._yaw, self._pitch = radians(state.yaw), radians(state.pitch)
        self._up = tan(radians(field_of_view_deg) / 2)
        self._across = self._up * aspect

    def box(self, corners: Corner) -> Box | None:
        """The picture's part in which a box of the world lies, 0..1000; None if it is out of view.

        Args:
            corners: West, bottom, north, east, top, south.
        """
        west, bottom, north, east, top, south = corners
        points = [self._point(*corner) for corner in product((west, east), (bottom, top), (north, south))]
        seen = [point for point in points if point is not None]
        if not seen:
            return None
        across, down = zip(*seen, strict=True)
        left, right, upper, lower = min(across), max(across), min(down), max(down)
        if left >= 1000 or right <= 0 or upper >= 1000 or lower <= 0:
            return None
        return _within(left), _within(upper), _within(right), _within(lower)

    def _point(self, x: float, y: float, z: float) -> tuple[float, float] | None:
        """A point in the picture, unbounded; None if it lies behind."""
        east, above, south = (a - b for a, b in zip((x, y, z), self._eyes, strict=True))
        ahead = -east * sin(self._yaw) + south * cos(self._yaw)
        right = -east * cos(self._yaw) - south * sin(self._yaw)
        depth = ahead * cos(self._pitch) - above * sin(self._pitch)
        up = above * cos(self._pitch) + ahead * sin(self._pitch)
        if depth < _NEAR:
            return None
        return 500 + 500 * right / depth / self._across, 500 - 500 * up / depth / self._up


def _within(value: float) -> int:
    return round(min(1000, max(0, value)))


def elements(state: PlayerState, blocks: Sequence[SeenBlock], camera: Camera) -> tuple[Element, ...]:
    """What can be named in the picture: bodies, then blocks, rare kinds first; at most 40."""
    found: list[Element] = []
    for role, name, value, corners in (*map(_entity, state.entities), *map(_block, _rarest_first(blocks))):
        box = camera.box(corners)
        if box is not None and len(found) < _MOST_ELEMENTS:
            found.append(Element(mark=len(found) + 1, role=role, name=name, value=value, box=box, source="game"))
    return tuple(found)


def _rarest_first(blocks: Iterable[SeenBlock]) -> list[SeenBlock]:
    all_blocks = list(blocks)
    counted = Counter(block.state for block in all_blocks)
    return sorted(all_blocks, key=lambda block: (counted[block.state], block.distance))


def _entity(entity: SeenEntity) -> tuple[str, str, str, Corner]:
    x, y, z = entity.position
    half = entity.width / 2
    corners = (x - half, y, z - half, x + half, y + entity.height, z + half)
    return entity.kind, entity.name, f"at {x:.1f} {y:.1f} {z:.1f}", corners


def _block(block: SeenBlock) -> tuple[str, str, str, Corner]:
    x, y, z = block.position
    name, _, properties = str(state_of(block.state)).partition("[")
    value = f"at {x} {y} {z}" + (f", {properties.rstrip(']')}" if properties else "")
    return "block", name, value, block.box


def describe(state: PlayerState) -> list[str]:
    """Where the player is and what it has, line by line."""
    x, y, z = state.position
    carried = ", ".join(f"{count} {name}" for name, count in state.items.items())
    return [
        f"Position: {x:.1f} {y:.1f} {z:.1f}, feet in {' '.join(map(str, state.cell))}",
        f"Facing: {facing(state.yaw)} (yaw {state.yaw:.0f}, pitch {state.pitch:.0f})",
        f"Mode: {state.game_mode}, health {state.health:g} of 20, food {state.food:g} of 20",
        f"In hand: {state.held or 'nothing'}",
        f"Inventory: {carried or 'empty'}",
    ]


def facing(yaw_deg: float) -> str:
    """The point of the compass; x runs east, z south."""
    return _COMPASS[round(yaw_deg / 45) % 8]
