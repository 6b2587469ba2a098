"""The order in which one builder can build a blueprint in survival: nothing floats, and nobody is walled in.

From the bottom up. Each block is placed against another, from a place within reach that can be walked to, and after
each the builder can still leave. Where no place is near enough, scaffolding is put up, and taken away in the end.
Whether a block can be seen past others from where the builder stands is not asked.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from mmi_agent.errors import ConfigError
from mmi_minecraft.block_state import AIR, VOID, BlockState
from mmi_minecraft.blueprint import Blueprint, Position
from mmi_minecraft.building.site import Site
from mmi_minecraft.building.support import companion, is_second_half, supported

__all__ = ["MAX_BLOCKS", "BuildOrder", "BuildStep", "build_order"]

MAX_BLOCKS = 20_000
"""For more blocks no order is looked for."""

_SCAFFOLDING = BlockState("scaffolding")
_MAX_DEPTH = 3
_COLUMNS_TRIED = 40


@dataclass(frozen=True, kw_only=True)
class BuildStep:
    """One thing to do.

    Attributes:
        action: To place a block, to dig one away from the ground, or to put up or take away scaffolding.
        position: Where, as seen from the builder's first place.
        block: What is placed.
        stand: Where the builder's feet are. Where that is `position`, the builder jumps and places it below.
    """

    action: Literal["place", "dig", "scaffold", "remove"]
    position: Position
    block: BlockState
    stand: Position


@dataclass(frozen=True, kw_only=True)
class BuildOrder:
    """All that is to be done, in order."""

    steps: Sequence[BuildStep]

    @cached_property
    def scaffolding(self) -> int:
        """How much scaffolding stands at most at a time."""
        standing = most = 0
        for step in self.steps:
            standing += (step.action == "scaffold") - (step.action == "remove")
            most = max(most, standing)
        return most


def build_order(blueprint: Blueprint) -> BuildOrder:
    """Finds an order.

    Raises:
        ConfigError: If there are too many blocks, if it is dug too deep, or if some block cannot be placed without
            floating or being walled in; says which.
    """
    if blueprint.num_blocks > MAX_BLOCKS:
        raise ConfigError(f"no order is looked for with {blueprint.num_blocks:,} blocks, more than {MAX_BLOCKS:,}")
    if blueprint.origin.y < -_MAX_DEPTH:
        raise ConfigError(f"it goes {-blueprint.origin.y} deep into the ground: expected at most {_MAX_DEPTH}")
    return BuildOrder(steps=_Planner(blueprint).plan())


class _Planner:
    def __init__(self, blueprint: Blueprint) -> None:
        self._site = Site(blueprint)
        self._stand = self._site.home
        self._steps: list[BuildStep] = []
        self._blocks = {blueprint.origin.plus(position): state for position, state in blueprint.blocks()}
        self._todo: dict[int, dict[Position, BlockState]] = {}
        for position, state in blueprint.states():
            at = blueprint.origin.plus(position)
            if state != VOID and not is_second_half(state) and (state != AIR or at.y < 0):
                self._todo.setdefault(at.y, {})[at] = state
        self._escape: set[Position] | None = None

    def plan(self) -> list[BuildStep]:
        while self._todo:
            if not (self._go_on() or self._climb() or self._prop()):
                at, state = next(self._left())
                raise ConfigError(
                    f"no way to place {state} at {at.x} {at.y} {at.z} without floating or being walled in"
                )
        self._clear_away()
        return self._steps

    # what comes next

    def _left(self) -> Iterator[tuple[Position, BlockState]]:
        for y in sorted(self._todo):
            yield from self._todo[y].items()

    def _ready(self) -> Iterator[list[tuple[Position, BlockState]]]:
        """What would not float, layer by layer from the bottom."""
        for y in sorted(self._todo):
            layer = [(at, state) for at, state in self._todo[y].items() if self._would_stay(at, state)]
            if layer:
                yield layer

    def _would_stay(self, at: Position, state: BlockState) -> bool:
        return state == AIR or supported(state, at, self._site.holds)

    def _go_on(self) -> bool:
        """Places one block of the lowest layer in which that is possible."""
        for layer in self._ready():
            near = sorted(layer, key=lambda cell: _distance(self._stand, cell[0]))
            for at, state in near:
                if self._can_do(self._stand, at, state) and self._is_safe(at, state):
                    self._do(at, state)
                    return True
            way = self._site.walk(self._stand, lambda stand, cells=near: self._chance(stand, cells) is not None)
            if way:
                self._move(way[-1])
                chosen = self._chance(way[-1], near)
                assert chosen
                self._do(*chosen)
                return True
        return False

    def _chance(
        self, stand: Position, cells: Iterable[tuple[Position, BlockState]]
    ) -> tuple[Position, BlockState] | None:
        """What could be placed by somebody who stood there."""
        for at, state in cells:
            if self._can_do(stand, at, state):
                with self._standing(stand):
                    if self._is_safe(at, state):
                        return at, state
        return None

    # whether it can be done

    def _can_do(self, stand: Position, at: Position, state: BlockState) -> bool:
        if not self._site.in_reach(stand, at):
            return False
        if at.y < 0:
            return at != stand.plus((0, -1, 0)) and (at.y >= stand.y - 1 or state == AIR)
        if at == stand:
            return self._site.can_rise(at) and state.kind.shape == "full"
        second = companion(state)
        cells = [at, at.plus(second)] if second else [at]
        body = (stand, stand.plus((0, 1, 0)))
        return all(self._site.empty(cell) for cell in cells) and not any(cell in body for cell in cells)

    def _is_safe(self, at: Position, state: BlockState) -> bool:
        """Whether the builder can leave once the block is there."""
        if self._escape is not None and at not in self._escape and at != self._stand and at.y >= 0:
            return True
        before = self._stand
        with self._tried(at, state):
            stand = before.plus((0, 1, 0)) if at == before else before
            way = self._site.walk(stand, self._site.outside)
        if way and at != before:
            self._escape = _room(way)
        return bool(way)

    @contextmanager
    def _tried(self, at: Position, state: BlockState) -> Generator[None]:
        """With the block in its place, for as long as it is asked."""
        site, ground = self._site, at.y < 0 and at not in self._site.dug
        if ground:
            site.dug.add(at)
        if state != AIR:
            site.placed[at] = state
        try:
            yield
        finally:
            site.placed.pop(at, None)
            if ground:
                site.dug.discard(at)

    @contextmanager
    def _standing(self, stand: Position) -> Generator[None]:
        """With the builder at another place, for as long as it is asked."""
        before, escape = self._stand, self._escape
        self._stand, self._escape = stand, None
        try:
            yield
        finally:
            self._stand, self._escape = before, escape

    # doing it

    def _move(self, stand: Position) -> None:
        self._stand, self._escape = stand, None

    def _do(self, at: Position, state: BlockState) -> None:
        if at.y < 0 and at not in self._site.dug:
            self._step("dig", at, AIR)
            self._site.dug.add(at)
        if state != AIR:
            self._step("place", at, state)
            self._site.placed[at] = state
            second = companion(state)
            if second and at.plus(second) in self._blocks:
                self._site.placed[at.plus(second)] = self._blocks[at.plus(second)]
                self._escape = None
            if at == self._stand:
                self._move(at.plus((0, 1, 0)))
        layer = self._todo[at.y]
        del layer[at]
        if not layer:
            del self._todo[at.y]

    def _step(self, action: Literal["place", "dig", "scaffold", "remove"], at: Position, block: BlockState) -> None:
        self._steps.append(BuildStep(action=action, position=at, block=block, stand=self._stand))

    # scaffolding

    def _climb(self) -> bool:
        """Puts up scaffolding from which a block can be placed that nobody reaches now."""
        for layer in self._ready():
            for at, state in sorted(layer, key=lambda cell: _distance(self._stand, cell[0]))[:4]:
                for column in self._columns(at):
                    if self._raise(column, at, state):
                        return True
        return False

    def _columns(self, at: Position) -> list[Position]:
        """Where scaffolding could stand, nearest to a cell first: where nothing of the blueprint stands."""
        taken = {(each.x, each.z) for each in self._blocks if each.y >= 0}
        low, high = self._site.low, self._site.high
        ground = [
            Position(x, 0, z)
            for x in range(low.x + 1, high.x)
            for z in range(low.z + 1, high.z)
            if (x, z) not in taken and abs(x - at.x) + abs(z - at.z) <= 2 * _MAX_DEPTH
        ]
        return sorted(ground, key=lambda foot: (abs(foot.x - at.x) + abs(foot.z - at.z), foot))[:_COLUMNS_TRIED]

    def _raise(self, foot: Position, at: Position, state: BlockState) -> bool:
        """Puts up a column high enough for a block, or leaves everything as it was."""
        height = foot.y
        while Position(foot.x, height, foot.z) in self._site.scaffolds:
            height += 1
        top = next((y for y in range(height + 1, at.y + 3) if self._site.in_reach(foot.plus((0, y, 0)), at)), None)
        way = self._site.walk(self._stand, lambda stand: stand == Position(foot.x, height, foot.z))
        if top is None or not way:
            return False
        cells = [Position(foot.x, y, foot.z) for y in range(height, top)]
        if not all(self._site.empty(cell.plus((0, 2, 0))) for cell in cells) or not self._site.can_rise(cells[0]):
            return False
        self._site.scaffolds.update(cells)
        with self._standing(cells[-1].plus((0, 1, 0))):
            good = self._can_do(self._stand, at, state) and self._is_safe(at, state)
        self._site.scaffolds.difference_update(cells)
        if good:
            self._move(way[-1])
            self._put_up(cells)
        return good

    def _put_up(self, cells: Iterable[Position]) -> None:
        for cell in cells:
            self._step("scaffold", cell, _SCAFFOLDING)
            self._site.scaffolds.add(cell)
            self._move(cell.plus((0, 1, 0)))

    def _prop(self) -> bool:
        """Puts up scaffolding below a block that would float, and comes down again."""
        for at, state in self._left():
            if at.y <= 0 or self._would_stay(at, state):
                continue
            cells: list[Position] = []
            below = at.plus((0, -1, 0))
            while self._site.empty(below) and below not in self._blocks:
                cells.insert(0, below)
                below = below.plus((0, -1, 0))
            if not cells or not self._site.holds(below):
                continue
            way = self._site.walk(self._stand, lambda stand, foot=cells[0]: stand == foot)
            if way and self._site.can_rise(cells[0]):
                self._move(way[-1])
                self._put_up(cells)
                if self._would_stay(at, state):
                    return True
        return False

    def _clear_away(self) -> None:
        """Takes all scaffolding away, from the top down."""
        while self._site.scaffolds:
            tops = [at for at in self._site.scaffolds if at.plus((0, 1, 0)) not in self._site.scaffolds]
            tops.sort(key=lambda top: (top.plus((0, 1, 0)) not in self._site.placed, _distance(self._stand, top)))
            if not any(self._take_away(top) for top in tops):
                top = tops[0]
                raise ConfigError(f"no way to take the scaffolding away at {top.x} {top.y} {top.z}")

    def _take_away(self, top: Position) -> bool:
        def safe(stand: Position) -> bool:
            if not self._site.in_reach(stand, top) or stand == top:
                return False
            self._site.scaffolds.discard(top)
            lands = self._landing(stand, top)
            free = lands is not None and bool(self._site.walk(lands, self._site.outside))
            self._site.scaffolds.add(top)
            return free

        way = self._site.walk(self._stand, safe)
        if not way:
            return False
        self._move(way[-1])
        self._step("remove", top, _SCAFFOLDING)
        self._site.scaffolds.discard(top)
        lands = self._landing(way[-1], top)
        assert lands
        self._move(lands)
        return True

    def _landing(self, stand: Position, top: Position) -> Position | None:
        """Where the builder is after the scaffolding is gone; None after a deep fall."""
        for _ in range(_MAX_DEPTH + 1):
            if self._site.can_stand(stand):
                return stand
            stand = stand.plus((0, -1, 0))
        return None


def _distance(one: Position, other: Position) -> int:
    return sum(abs(a - b) for a, b in zip(one, other, strict=True))


def _room(way: Iterable[Position]) -> set[Position]:
    """The cells that must stay free for a way to stay open: feet, head, and what a jump takes."""
    return {at.plus((0, y, 0)) for at in way for y in range(3)}
