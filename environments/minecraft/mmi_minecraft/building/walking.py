"""Builds in survival mode: on foot, in the planned order, with scaffolding where nobody could reach.

The order takes the ground for level and empty. Where it is not, the player goes as near as there is a way, and puts up
scaffolding for the rest.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from math import dist

from mmi_agent.errors import ActionError, ConfigError
from mmi_minecraft.block_state import AIR
from mmi_minecraft.blueprint import Blueprint, Position
from mmi_minecraft.building.crew import AROUND, Crew
from mmi_minecraft.building.order import BuildOrder, BuildStep, build_order
from mmi_minecraft.building.site import Site
from mmi_minecraft.building.support import is_second_half, supported
from mmi_minecraft.building.verifying import Difference

__all__ = ["Walking"]

_UP, _DOWN = (0, 1, 0), (0, -1, 0)
_SCAFFOLDING = "scaffolding"
_HIGHEST_CLIMB = 24
_PLACES_TRIED = 8
_WALK_TIMEOUT_S = 20
_FALL_LOOKS, _TICK_S = 40, 0.05
_SHUTS = ("_door", "_fence_gate")


class Walking(Crew):
    """A player on foot."""

    scaffolding = 0
    """How much scaffolding the plan takes at a time."""

    _steps: tuple[BuildStep, ...] = ()
    _planned: frozenset[Position] = frozenset()

    def plan(self, blueprint: Blueprint, at: Position, wrong: Iterable[Difference]) -> None:
        """Finds the order for what is wrong; where there is none, it is built from the bottom up.

        Args:
            blueprint: The whole.
            at: Where the builder stands that its origin is seen from.
            wrong: What has to be done, in positions of the world.
        """
        self._planned = frozenset(at.plus(blueprint.origin).plus(cell) for cell, _ in blueprint.blocks())
        try:
            order = build_order(blueprint)
        except ConfigError:
            return
        steps = [
            BuildStep(action=step.action, position=at.plus(step.position), block=step.block, stand=at.plus(step.stand))
            for step in order.steps
        ]
        needed = _needed(steps, {each.position for each in wrong})
        self._steps = tuple(sorted(needed, key=lambda step: step.block.name.endswith(_SHUTS)))
        self.scaffolding = BuildOrder(steps=self._steps).scaffolding

    def work(self, wrong: Iterable[Difference]) -> None:
        """Follows the plan the first time, and mends what is wrong the next times."""
        todo = list(wrong)
        steps, self._steps = self._steps, ()
        dug_later = {step.position for step in steps if step.action == "dig"}
        for each in sorted(todo, key=lambda each: -each.position.y):
            if each.position not in dug_later:
                self.attempt(lambda at=each.position: self.dig(at), each.position)
        for step in steps:
            self.attempt(lambda step=step: self._do(step), step.position)
        if not steps:
            self._mend(todo)
        self._clear_away()

    def reach(self, at: Position, stand: Position | None = None) -> None:
        """Goes to the planned place, or to any from which a cell is reached."""
        if stand is not None:
            try:
                return self._go(stand)
            except ActionError:
                pass  # the ground is not as level as the plan takes it to be
        if not self._serves(self._feet(), at):
            self._come_near(at)

    # what is done

    def _do(self, step: BuildStep) -> None:
        match step.action:
            case "place" if step.stand == step.position:
                self._go(step.stand)
                self.ground[step.position] = self.player.pillar(step.block.full, self._item(step.block))
                self.placed += 1
            case "place":
                self.put(step.position, step.block, step.stand)
            case "scaffold":
                if self.ground[step.position].name != _SCAFFOLDING:
                    self._go(step.stand)
                    self._rise(1)
            case "remove" if self.ground[step.position].name != _SCAFFOLDING:
                pass  # it was taken away on the way down
            case "dig" | "remove":
                self.dig(step.position, step.stand)

    def _mend(self, todo: Iterable[Difference]) -> None:
        """Places what is missing, from the bottom up."""
        left = [each for each in todo if each.wanted != AIR and not is_second_half(each.wanted)]
        left.sort(key=lambda each: (each.position.y, each.position))
        while left:
            ready = [each for each in left if supported(each.wanted, each.position, self.ground.solid)] or left[:1]
            for each in ready:
                self.attempt(lambda each=each: self.put(each.position, each.wanted), each.position)
            done = {each.position for each in ready}
            left = [each for each in left if each.position not in done]

    def _clear_away(self) -> None:
        """Takes scaffolding away that is no part of the building: what is left over, from an earlier time too."""
        left = [at for at in self.ground.named(_SCAFFOLDING) if at not in self._planned]
        for at in sorted(left, key=lambda at: -at.y):
            self.attempt(lambda at=at: self._take_away(at), at)

    def _take_away(self, at: Position) -> None:
        if self._feet() == at.plus(_UP):
            self._sink()
        else:
            self.dig(at)

    # getting about

    def _feet(self) -> Position:
        return self.player.state().cell

    def _serves(self, feet: Position, at: Position) -> bool:
        return at not in (feet, feet.plus(_UP)) and Site.in_reach(feet, at)

    def _go(self, stand: Position) -> None:
        """Gets to a cell: on foot, down from scaffolding, or up on some."""
        if self._walked(stand):
            return
        while self.ground[self._feet().plus(_DOWN)].name == _SCAFFOLDING and self._feet() != stand:
            self._sink()
        if self._walked(stand):
            return
        base = stand
        while not self.ground.solid(base.plus(_DOWN)) and stand.y - base.y < _HIGHEST_CLIMB:
            base = base.plus(_DOWN)
        if base == stand or not self._walked(base):
            raise ActionError(f"there is no way to {stand.x} {stand.y} {stand.z}")
        self._rise(stand.y - base.y)

    def _walked(self, stand: Position) -> bool:
        if self._feet() == stand:
            return True
        if not (self.ground.has_room(stand) and self.ground.solid(stand.plus(_DOWN))):
            return False
        try:
            self.player.walk(stand, timeout_s=_WALK_TIMEOUT_S)
        except ActionError:
            return False
        return self._feet() == stand

    def _come_near(self, at: Position) -> None:
        """Goes to where a cell is reached from; up on scaffolding where there is no such place.

        Raises:
            ActionError: If there is none of both.
        """
        feet = self._feet()
        places = [place for step in AROUND if self._serves(place := at.plus(step), at)]
        standing = [place for place in places if self.ground.solid(place.plus(_DOWN)) and self.ground.has_room(place)]
        for place in sorted(standing, key=lambda place: dist(place, feet))[:_PLACES_TRIED]:
            if self._walked(place):
                return
        free = [place for place in places if self._can_rise_to(place)]
        for place in sorted(free, key=lambda place: (place.y, dist(place, feet)))[:_PLACES_TRIED]:
            with suppress(ActionError):
                return self._go(place)
        raise ActionError(f"there is no place to stand from which {at.x} {at.y} {at.z} is reached")

    def _can_rise_to(self, place: Position) -> bool:
        """Whether scaffolding can be put up below a place, where nothing is planned."""
        for _ in range(_HIGHEST_CLIMB):
            if place in self._planned or not self.ground.has_room(place):
                return False
            if self.ground.solid(place.plus(_DOWN)):
                return True
            place = place.plus(_DOWN)
        return False

    def _rise(self, blocks: int) -> None:
        for _ in range(blocks):
            feet, item = self._feet(), self.helper()
            self.ground[feet] = self.player.pillar(item, item)

    def _sink(self) -> None:
        """Digs the block below the feet, and falls."""
        below = self._feet().plus(_DOWN)
        self.player.dig(below)
        self.ground[below] = AIR
        for _ in range(_FALL_LOOKS):
            self.player.wait(_TICK_S)
            if self.player.state().on_ground:
                return


def _needed(steps: Sequence[BuildStep], missing: Collection[Position]) -> Iterator[BuildStep]:
    """The steps that have something to do; scaffolding only where something is done from it, or held by it."""
    kept: set[int] = set()
    for number, step in enumerate(steps):
        if step.action == "scaffold":
            column = (step.position.x, step.position.z)
            end = _taken_away(steps, number)
            during = (other for other in steps[number:end] if other.action == "place" and other.position in missing)
            if any(column in ((o.stand.x, o.stand.z), (o.position.x, o.position.z)) for o in during):
                kept.update((number, end))
        elif step.action != "remove" and step.position in missing:
            kept.add(number)
    return (step for number, step in enumerate(steps) if number in kept)


def _taken_away(steps: Sequence[BuildStep], number: int) -> int:
    """The step that takes away what that one puts up."""
    at = steps[number].position
    for later in range(number + 1, len(steps)):
        if steps[later].action == "remove" and steps[later].position == at:
            return later
    return len(steps)
