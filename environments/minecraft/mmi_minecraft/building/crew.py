"""Whoever builds on a live server: places and digs one block at a time, and holds up what would float.

`Crew` knows how a block is put; how one gets to where it can be put is what `Flying` and `Walking` add.
"""

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import product
from math import dist
from typing import NamedTuple

from mmi_agent.errors import ActionError
from mmi_minecraft.block_state import AIR, BlockState
from mmi_minecraft.blueprint import Position
from mmi_minecraft.building.ground import REPLACED, Ground
from mmi_minecraft.building.support import SIDES, companion, is_second_half, supported
from mmi_minecraft.building.verifying import Difference
from mmi_minecraft.materials import items
from mmi_minecraft.server.bridge import Refused
from mmi_minecraft.server.player import Player

__all__ = ["AROUND", "HELPERS", "Crew", "OutOfTime"]

AROUND = tuple(sorted(product(range(-3, 4), range(-5, 4), range(-3, 4)), key=lambda step: dist(step, (0, 0, 0))))
"""The ways from a cell to where feet may be that reach it, shortest first."""

HELPERS = ("scaffolding", "dirt", "cobblestone", "netherrack", "cobbled_deepslate", "oak_planks", "stone")
"""What something is placed against for a moment where nothing else is; the first of them that is carried."""

_DEEPEST = 24


class OutOfTime(Exception):  # noqa: N818 - no error: what is left can be built later
    """The time to build is over."""


class _Failed(NamedTuple):
    position: Position
    reason: str


class Crew:
    """Builds with one player.

    Args:
        player: Who builds.
        ground: What stands where.
        creative: Whether blocks come from nowhere.
        until_s: When the time is over, on the monotonic clock.
    """

    def __init__(self, player: Player, ground: Ground, *, creative: bool, until_s: float) -> None:
        self.player = player
        self.ground = ground
        self.creative = creative
        self.placed = 0
        self.dug = 0
        self.failed: list[_Failed] = []
        self._until_s = until_s

    def reach(self, at: Position, stand: Position | None = None) -> None:
        """Gets to where a cell can be reached from, and is not stood in.

        Raises:
            ActionError: If there is no way.
        """
        raise NotImplementedError

    def attempt(self, deed: Callable[[], None], at: Position) -> None:
        """Does something; if the world refuses, takes note of why.

        Raises:
            OutOfTime: If the time is over.
        """
        if time.monotonic() > self._until_s:
            raise OutOfTime
        try:
            deed()
        except ActionError as error:
            self.failed.append(_Failed(at, str(error)))

    def supportable(self, wrong: Iterable[Difference]) -> Iterator[list[Difference]]:
        """What is to be put, in batches: each time what has its support by then, or one if nothing has."""
        left = [each for each in wrong if each.wanted != AIR and not is_second_half(each.wanted)]
        while left:
            ready = [each for each in left if supported(each.wanted, each.position, self.ground.solid)] or left[:1]
            yield ready
            done = {each.position for each in ready}
            left = [each for each in left if each.position not in done]

    def dig(self, at: Position, stand: Position | None = None) -> None:
        """Takes a block away, if something stands there that can be taken away."""
        state = self.ground[at]
        if state == AIR or state.name in ("water", "lava"):
            return
        self.reach(at, stand)
        self.player.dig(at)
        self.ground[at] = AIR
        self.dug += 1
        second = companion(state)
        if second and self.ground[at.plus(second)].name == state.name:
            self.ground[at.plus(second)] = AIR

    def put(self, at: Position, state: BlockState, stand: Position | None = None) -> None:
        """Puts a block, in the place of what is there."""
        if self.ground[at].name not in REPLACED:
            self.dig(at, stand)
        self.reach(at, stand)
        for part in _parts(state):
            self.ground[at] = self._place(at, part, self._item(state))
        self.placed += 1
        second = companion(state)
        if second:
            with suppress(ActionError):
                self.ground[at.plus(second)] = self.player.block(at.plus(second))

    def _place(self, at: Position, state: BlockState, item: str) -> BlockState:
        try:
            return self.player.place(at, state, item)
        except Refused as refused:
            helpers = [Position(*cell) for cell in refused.helpers]
            if not helpers:
                raise
            with self._held(helpers):
                return self.player.place(at, state, item)

    def _item(self, state: BlockState) -> str:
        """What is put down for a block."""
        if self.creative and state.kind.stack:
            return state.name
        item = next(items(state), None)
        if item is None:
            raise ActionError(f"{state.name} comes with another block, which is not there")
        return item[0]

    @contextmanager
    def _held(self, cells: Iterable[Position], depth: int = 0) -> Generator[None]:
        """With a block in one of these cells, for as long as it is needed."""
        near = sorted((cell for cell in cells if self.ground[cell] == AIR), key=self._trouble)
        if not near or depth > _DEEPEST:
            raise ActionError("there is nothing to hold on to, and no way to put something there")
        cell, item = near[0], self.helper()
        try:
            self.ground[cell] = self.player.place(cell, item, item)
        except Refused as refused:
            below = [Position(*each) for each in refused.helpers if each[1] < cell.y]
            if not below:
                raise
            with self._held(below, depth + 1):
                self.ground[cell] = self.player.place(cell, item, item)
        try:
            yield
        finally:
            self.player.dig(cell)
            self.ground[cell] = AIR

    def _trouble(self, cell: Position) -> tuple[bool, int]:
        """How little a cell is fit for something that helps."""
        return not any(self.ground.solid(cell.plus(side)) for side in SIDES), cell.y

    def helper(self) -> str:
        """What is put down for a moment.

        Raises:
            ActionError: If nothing of the kind is carried.
        """
        if self.creative:
            return "dirt"
        carried = self.player.state().items
        if found := next((item for item in HELPERS if item in carried), None):
            return found
        raise ActionError(f"nothing is carried that could hold a block for a moment: any of {', '.join(HELPERS)}")


def _parts(state: BlockState) -> list[BlockState]:
    """What is put one after the other to get a block: two halves of a double slab."""
    if state.name.endswith("_slab") and state.get("type") == "double":
        return [state.with_(type="bottom"), state]
    return [state]
