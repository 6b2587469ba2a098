"""Puts a moment of the game into words, and marks in its picture what the lidar meets. Looks at no pixel."""

import math
from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

from mmi_agent.types import Box, Element
from mmi_minecraft.minedojo.action import DEGREES_PER_STEP
from mmi_minecraft.minedojo.state import Hit, Slots, State
from mmi_minecraft.minedojo.tables import tables

__all__ = ["RAYS", "Camera", "Target", "describe", "targets"]

_EYE_HEIGHT = 1.62
_FOV_DEG = 70.0  # of the game's default, from top to bottom
_REACH = 24.0  # of the lidar, in blocks
_COMPASS = ("south", "south-west", "west", "north-west", "north", "north-east", "east", "south-east")
_WORN = ("feet", "legs", "chest", "head", "other hand")
_BESIDE = {"below": (1, 0, 1), "north": (1, 1, 0), "east": (2, 1, 1), "south": (1, 1, 2), "west": (0, 1, 1)}

RAYS = tuple((math.radians(pitch), math.radians(yaw), _REACH) for pitch in (-20, 0, 20) for yaw in range(-48, 49, 8))
"""The rays of the lidar that is asked for: pitch and yaw from where the player looks, in radians, and blocks."""

Vector = tuple[float, float, float]


class Target(NamedTuple):
    """Something that is seen, and how to look at it.

    Attributes:
        element: What it is and where in the picture.
        tilt_deg: By how much to look further down, in steps of 15.
        turn_deg: By how much to turn right, in steps of 15.
    """

    element: Element
    tilt_deg: int
    turn_deg: int


class Camera(NamedTuple):
    """The player's eyes.

    Attributes:
        position: Of the eyes.
        yaw_deg: 0 is south, 90 west.
        pitch_deg: 90 is straight down.
        aspect: The picture's width over its height.
    """

    position: Vector
    yaw_deg: float
    pitch_deg: float
    aspect: float

    @classmethod
    def of(cls, state: State, aspect: float) -> "Camera":
        """The eyes of a player."""
        x, y, z = state.location_stats.pos
        return cls((x, y + _EYE_HEIGHT, z), state.location_stats.yaw, state.location_stats.pitch, aspect)

    @property
    def forward(self) -> Vector:
        """Where it looks, a vector of length 1."""
        yaw, pitch = math.radians(self.yaw_deg), math.radians(self.pitch_deg)
        return -math.sin(yaw) * math.cos(pitch), -math.sin(pitch), math.cos(yaw) * math.cos(pitch)

    def project(self, point: Vector) -> tuple[float, float] | None:
        """Where a point is in the picture, 0..1000 of its width and height if it is inside; None behind the eyes."""
        yaw, forward = math.radians(self.yaw_deg), self.forward
        right = (-math.cos(yaw), 0.0, -math.sin(yaw))
        up = _cross(right, forward)
        away = _minus(point, self.position)
        depth = _dot(away, forward)
        if depth < 0.05:
            return None
        half = math.tan(math.radians(_FOV_DEG / 2))
        across = _dot(away, right) / depth / (half * self.aspect)
        return 500 * (1 + across), 500 * (1 - _dot(away, up) / depth / half)

    def ray(self, hit: Hit) -> Vector:
        """Which way a ray of the lidar goes: tilted about the world's x axis, then turned, as the game does it."""
        x, y, z = self.forward
        cos, sin = math.cos(hit.pitch_rad), math.sin(hit.pitch_rad)
        y, z = y * cos + z * sin, z * cos - y * sin
        cos, sin = math.cos(hit.yaw_rad), math.sin(hit.yaw_rad)
        return x * cos + z * sin, y, z * cos - x * sin

    def towards(self, point: Vector) -> tuple[int, int]:
        """By how much to look further down and to turn right to look at a point, in steps of 15 degrees."""
        x, y, z = _minus(point, self.position)
        yaw = math.degrees(math.atan2(-x, z))
        pitch = -math.degrees(math.atan2(y, math.hypot(x, z)))
        turn = (yaw - self.yaw_deg + 180) % 360 - 180
        return _in_steps(pitch - self.pitch_deg), _in_steps(turn)


def targets(state: State, aspect: float) -> list[Target]:
    """What the lidar meets within the picture, from left to right; each block once.

    Args:
        state: The moment.
        aspect: The picture's width over its height.
    """
    camera = Camera.of(state, aspect)
    bodies = dict.fromkeys(body for hit in state.rays.hits() if (body := _body(camera, hit)))
    seen = [(box, body) for body in bodies if (box := _box(camera, body))]
    return [_target(camera, mark, box, body) for mark, (box, body) in enumerate(sorted(seen), start=1)]


class _Body(NamedTuple):
    """A block, or the space that a creature is taken to fill: from its lowest corner to its highest."""

    role: str
    name: str
    low: Vector
    high: Vector

    @property
    def middle(self) -> Vector:
        x, y, z = (round((a + b) / 2, 3) for a, b in zip(self.low, self.high, strict=True))
        return x, y, z


def _body(camera: Camera, hit: Hit) -> _Body | None:
    if hit.entity != "null":
        x, y, z = (
            round(eye + step * hit.entity_distance, 1)
            for eye, step in zip(camera.position, camera.ray(hit), strict=True)
        )
        return _Body("creature", hit.entity, (x - 0.4, y - 0.6, z - 0.4), (x + 0.4, y + 0.6, z + 0.4))
    if hit.block == "air":
        return None
    x, y, z = hit.cell
    return _Body("block", hit.block, hit.cell, (x + 1, y + 1, z + 1))


def _box(camera: Camera, body: _Body) -> Box | None:
    """Where it is in the picture; None where its middle is not."""
    middle = camera.project(body.middle)
    if middle is None or not all(0 <= number <= 1000 for number in middle):
        return None
    corners = product(*zip(body.low, body.high, strict=True))
    points = [point for x, y, z in corners if (point := camera.project((x, y, z)))]
    left, top = (max(0, round(min(point[axis] for point in points))) for axis in (0, 1))
    right, bottom = (min(1000, round(max(point[axis] for point in points))) for axis in (0, 1))
    return left, top, right, bottom


def _target(camera: Camera, mark: int, box: Box, body: _Body) -> Target:
    away = math.dist(camera.position, body.middle)
    element = Element(
        mark=mark, role=body.role, name=body.name, value=f"{away:.1f} blocks away", box=box, source="game"
    )
    return Target(element, *camera.towards(body.middle))


def describe(state: State) -> str:
    """The moment in words: place, body, inventory, what is near."""
    return "\n".join(_lines(state))


def _lines(state: State) -> Iterator[str]:
    place, life = state.location_stats, state.life_stats
    x, y, z = place.pos
    facing = _COMPASS[round(place.yaw / 45) % 8]
    yield (
        f"Position: x {x:.1f}, y {y:.1f}, z {z:.1f}; facing {facing} (yaw {place.yaw:.0f}), "
        f"looking {_tilt(place.pitch)}"
    )
    weather = "; it rains" if place.is_raining else ""
    yield f"Biome {tables().biomes.get(place.biome_id, 'unknown')}; light {place.light_level:.0f} of 15{weather}"
    yield f"Health {life.life:.0f} of 20, food {life.food:.0f} of 20, air {life.oxygen:.0f} of 300"
    held, *worn = zip(("hand", *_WORN), state.equipment.name, strict=True)
    yield f"In the hand: {'nothing' if held[1] == 'air' else held[1]}"
    if dressed := [f"{name} ({where})" for where, name in worn if name != "air"]:
        yield f"Worn: {', '.join(dressed)}"
    yield f"Inventory by slot: {_listed(state.inventory) or 'empty'}"
    if near := [name for name, is_near in _near(state) if is_near]:
        yield f"Can be used from here: {', '.join(near)}"
    if made := [name for name, can in zip(tables().crafts, state.masks.craft_smelt, strict=True) if can]:
        yield f"Can be made now: {', '.join(made)}"
    if beside := [f"{name} {where}" for where, name in _beside(state) if name != "air"]:
        yield f"Beside you: {', '.join(beside)}"


def _listed(slots: Slots) -> str:
    return ", ".join(
        f"{slot}: {quantity} {name}" + (f" ({durability[0]} of {durability[1]} left)" if durability else "")
        for slot, name, quantity, durability in slots.stacks()
    )


def _near(state: State) -> Iterator[tuple[str, bool]]:
    yield "crafting table", state.nearby_tools.table
    yield "furnace", state.nearby_tools.furnace


def _beside(state: State) -> Iterator[tuple[str, str]]:
    for where, (x, y, z) in _BESIDE.items():
        yield where, state.voxels.block_name[x][y][z]


def _tilt(pitch_deg: float) -> str:
    if abs(pitch_deg) < 0.5:
        return "straight ahead"
    return f"{abs(pitch_deg):.0f} degrees {'down' if pitch_deg > 0 else 'up'}"


def _in_steps(degrees: float) -> int:
    return DEGREES_PER_STEP * max(-12, min(12, round(degrees / DEGREES_PER_STEP)))


def _minus(a: Vector, b: Vector) -> Vector:
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


def _dot(a: Vector, b: Vector) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _cross(a: Vector, b: Vector) -> Vector:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]
