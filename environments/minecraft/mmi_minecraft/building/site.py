"""The place where it is built: level ground, what stands there by now, and where a builder can stand and walk.

Stairs and slabs count as whole blocks; nothing else that fills a part of its cell is stood on. Doors and gates of wood
can be walked through, ladders and scaffolding climbed.
"""

from collections import deque
from collections.abc import Callable, Iterator
from math import dist

from mmi_minecraft.block_state import BlockState
from mmi_minecraft.blueprint import Blueprint, Position
from mmi_minecraft.connections import WAYS

__all__ = ["REACH", "Site"]

REACH = 4.5
"""Blocks from a builder's eyes to the middle of what can be placed or broken."""

_EYES = 1.62
_HARMLESS_FALL = 3
_MARGIN = 3
_UP, _DOWN = (0, 1, 0), (0, -1, 0)
_CLIMBED = ("ladder", "scaffolding", "vine")
_STOOD_ON = ("_stairs", "_slab", "dirt_path", "grass_path", "farmland")


class Site:
    """What stands where, in positions as seen from the builder's first place.

    Args:
        blueprint: What is to be built; nothing of it stands yet.
    """

    def __init__(self, blueprint: Blueprint) -> None:
        low, high = blueprint.origin, blueprint.origin.plus(blueprint.size).minus((1, 1, 1))
        self.low = Position(low.x - _MARGIN, min(low.y, 0) - 1, low.z - _MARGIN)
        self.high = Position(high.x + _MARGIN, high.y + _HARMLESS_FALL + 1, high.z + _MARGIN)
        self.placed: dict[Position, BlockState] = {}
        self.scaffolds: set[Position] = set()
        self.dug: set[Position] = set()
        self._footprint = (low, high)

    @property
    def home(self) -> Position:
        """Where the builder begins: on the ground, beside the north-west corner."""
        return Position(self.low.x + 1, 0, self.low.z + 1)

    def outside(self, at: Position) -> bool:
        """Whether somebody there stands on the ground, beside the building."""
        low, high = self._footprint
        return at.y == 0 and not (low.x <= at.x <= high.x and low.z <= at.z <= high.z)

    def holds(self, at: Position) -> bool:
        """Whether something stands there that a block can be placed against."""
        state = self.placed.get(at)
        if state is not None:
            return state.kind.shape != "none"
        return at in self.scaffolds or (at.y < 0 and at not in self.dug)

    def empty(self, at: Position) -> bool:
        """Whether a block could be placed there without taking another one away."""
        return at not in self.placed and at not in self.scaffolds and (at.y >= 0 or at in self.dug)

    def can_stand(self, at: Position) -> bool:
        """Whether a builder's feet can be there."""
        return self._free(at) and self._free(at.plus(_UP)) and (self._climbs(at) or self._carries(at.plus(_DOWN)))

    def can_rise(self, at: Position) -> bool:
        """Whether who stands there can jump and put a block below their feet."""
        return self.empty(at) and self._carries(at.plus(_DOWN)) and self._free(at.plus((0, 2, 0)))

    def _free(self, at: Position) -> bool:
        """Whether a body can be there."""
        state = self.placed.get(at)
        if state is None:
            return at.y >= 0 or at in self.dug
        if state.kind.shape == "none":
            return state.name != "lava"
        openable = state.name.endswith(("_door", "_fence_gate")) and state.name != "iron_door"
        return openable or state.name in _CLIMBED

    def _climbs(self, at: Position) -> bool:
        state = self.placed.get(at)
        return at in self.scaffolds or (state is not None and state.name in _CLIMBED)

    def _carries(self, at: Position) -> bool:
        """Whether somebody can stand on top of what is there."""
        state = self.placed.get(at)
        if state is None:
            return self.holds(at)
        return state.kind.shape == "full" or state.name.endswith(_STOOD_ON)

    def steps(self, at: Position) -> Iterator[Position]:
        """Where a builder can get to from there by one step, jump, fall or rung."""
        if self._climbs(at) and self.can_stand(at.plus(_UP)):
            yield at.plus(_UP)
        if self._climbs(at.plus(_DOWN)):
            yield at.plus(_DOWN)
        for way in WAYS.values():
            beside = at.plus(way)
            if not (self.low.x <= beside.x <= self.high.x and self.low.z <= beside.z <= self.high.z):
                continue
            if self.can_stand(beside):
                yield beside
            elif self._free(at.plus((0, 2, 0))) and self.can_stand(beside.plus(_UP)):
                yield beside.plus(_UP)
            elif self._free(beside) and self._free(beside.plus(_UP)):
                yield from self._fall(beside)

    def _fall(self, at: Position) -> Iterator[Position]:
        for _ in range(_HARMLESS_FALL):
            at = at.plus(_DOWN)
            if not self._free(at):
                return
            if self.can_stand(at):
                yield at
                return

    def walk(self, start: Position, arrived: Callable[[Position], bool]) -> list[Position]:
        """The shortest way from a place to one where somebody has arrived, both included; empty if there is none."""
        came_from: dict[Position, Position | None] = {start: None}
        waiting = deque([start])
        while waiting:
            at = waiting.popleft()
            if arrived(at):
                way: list[Position] = []
                back: Position | None = at
                while back is not None:
                    way.append(back)
                    back = came_from[back]
                return way[::-1]
            for after in self.steps(at):
                if after not in came_from:
                    came_from[after] = at
                    waiting.append(after)
        return []

    @staticmethod
    def in_reach(stand: Position, at: Position) -> bool:
        """Whether somebody who stands there reaches a cell."""
        return dist((stand.x, stand.y + _EYES, stand.z), (at.x, at.y + 0.5, at.z)) <= REACH
