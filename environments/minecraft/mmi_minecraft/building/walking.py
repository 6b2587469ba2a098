"""Builds in survival mode: on foot, in the planned order, from scaffolding where nobody could reach.

The plan takes the ground for level and empty, and climbs ladders and the scaffolding that it leaves standing, which
mineflayer does not hold on to. So where the plan stands on scaffolding, or there is no way to where it stands, the
player finds a place of its own: on the ground if there is one, else on a pillar of scaffolding, which it digs away
below its feet afterwards.
"""

from collections.abc import Iterable, Sequence

from mmi_agent.errors import ActionError, ConfigError
from mmi_minecraft.block_state import AIR
from mmi_minecraft.blueprint import Blueprint, Position
from mmi_minecraft.building.crew import AROUND, Crew
from mmi_minecraft.building.ground import Ground
from mmi_minecraft.building.order import BuildStep, build_order
from mmi_minecraft.building.site import Site
from mmi_minecraft.building.verifying import Difference
from mmi_minecraft.server.player import Player

__all__ = ["Walking"]

_UP, _DOWN = (0, 1, 0), (0, -1, 0)
_SCAFFOLDING = "scaffolding"
_HIGHEST_CLIMB = 24
_PLACES_TRIED = 8
_FORESIGHT = 40
_WALK_TIMEOUT_S = 20
_FALL_LOOKS, _TICK_S = 40, 0.05
_RISES_TRIED = 2
_SHUTS = ("_door", "_fence_gate")


class Walking(Crew):
    """A player on foot."""

    scaffolding = 0
    """How much scaffolding the plan takes at a time."""

    def __init__(self, player: Player, ground: Ground, *, creative: bool, until_s: float) -> None:
        super().__init__(player, ground, creative=creative, until_s=until_s)
        self._steps: Sequence[BuildStep] = ()
        self._planned: frozenset[Position] = frozenset()
        self._pillars: frozenset[Position] = frozenset()
        self._risen: set[Position] = set()  # where it has put something below its feet, to be taken away again
        self._ahead: Sequence[Position] = ()  # what comes next

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
        missing = {each.position for each in wrong}
        needed = [step for step in steps if step.action in ("place", "dig") and step.position in missing]
        self._steps = tuple(sorted(needed, key=lambda step: step.block.name.endswith(_SHUTS)))
        self._pillars = frozenset(step.position.plus(_UP) for step in steps if step.action == "scaffold")
        climbs = any(state.name == "ladder" for state in blueprint.palette)
        heights = [step.stand.y - at.y for step in needed if climbs or step.stand in self._pillars]
        self.scaffolding = max(heights, default=0)

    def work(self, wrong: Iterable[Difference]) -> None:
        """Follows the plan the first time, and mends what is wrong the next times."""
        todo = list(wrong)
        steps, self._steps = self._steps, ()
        self._risen |= {at for at in self.ground.named(_SCAFFOLDING) if at not in self._planned}
        dug_later = {step.position for step in steps if step.action == "dig"}
        for each in sorted(todo, key=lambda each: -each.position.y):
            if each.position not in dug_later:
                self.attempt(lambda at=each.position: self.dig(at), each.position)
        for number, step in enumerate(steps):
            self._ahead = [later.position for later in steps[number : number + _FORESIGHT]]
            self.attempt(lambda step=step: self._do(step), step.position)
        if not steps:
            self._mend(todo)
        self._clear_away()

    def reach(self, at: Position, stand: Position | None = None) -> None:
        """Goes to the planned place, or to any from which a cell is reached."""
        if stand is not None and stand not in self._pillars and self._gone(stand):
            return
        if not self._serves(self._feet(), at):
            self._come_near(at)

    # what is done

    def _do(self, step: BuildStep) -> None:
        if step.action == "dig":
            self.dig(step.position, step.stand)
        elif step.stand != step.position:
            self.put(step.position, step.block, step.stand)
        elif self._gone(step.stand):
            self.ground[step.position] = self.player.pillar(step.block.full, self._item(step.block))
            self.placed += 1

    def _mend(self, todo: Iterable[Difference]) -> None:
        """Places what is missing, from the bottom up."""
        for ready in self.supportable(sorted(todo, key=lambda each: (each.position.y, each.position))):
            for number, each in enumerate(ready):
                self._ahead = [later.position for later in ready[number : number + _FORESIGHT]]
                self.attempt(lambda each=each: self.put(each.position, each.wanted), each.position)

    def _clear_away(self) -> None:
        """Takes away what is no part of the building: what is left over, from an earlier time too."""
        for at in sorted(self._risen, key=lambda at: -at.y):
            self.attempt(lambda at=at: self._take_away(at), at)

    def _take_away(self, at: Position) -> None:
        if self._feet() == at.plus(_UP):
            self._sink()
        else:
            self.dig(at)
        self._risen.discard(at)

    # getting about

    def _feet(self) -> Position:
        return self.player.state().cell

    def _serves(self, feet: Position, at: Position) -> bool:
        return at not in (feet, feet.plus(_UP)) and Site.in_reach(feet, at)

    def _gone(self, stand: Position) -> bool:
        """Gets to a cell, down from scaffolding if need be; whether there is a way."""
        if self._walked(stand):
            return True
        base = feet = self._feet()
        while base.plus(_DOWN) in self._risen:
            base = base.plus(_DOWN)
        if base == feet or stand not in self.ground.reachable(base):
            return False
        self._come_down()
        return self._walked(stand)

    def _walked(self, stand: Position) -> bool:
        feet = self._feet()
        if self.ground[stand].name == "ladder" or stand not in self.ground.reachable(feet):
            return False
        if stand != feet:
            try:
                self.player.walk(stand, timeout_s=_WALK_TIMEOUT_S)
            except ActionError:
                return False
        return True

    def _come_down(self) -> None:
        while self._feet().plus(_DOWN) in self._risen:
            self._sink()

    def _come_near(self, at: Position) -> None:
        """Goes to where a cell is reached from; up on scaffolding where there is no such place.

        Raises:
            ActionError: If there is none of both.
        """
        feet = self._feet()
        places = [place for step in AROUND if self._serves(place := at.plus(step), at)]
        above = [place for place in places if (place.x, place.z) == (feet.x, feet.z) and place.y > feet.y]
        if above and all(self.ground.has_room(feet.plus((0, up, 0))) for up in range(above[0].y - feet.y + 1)):
            return self._rise(min(place.y for place in above) - feet.y)
        self._come_down()
        steps = self.ground.reachable(self._feet())
        for place in sorted((place for place in places if place in steps), key=steps.__getitem__)[:_PLACES_TRIED]:
            if self._walked(place):
                return None
        bases = [(place, base) for place in places if (base := self._base(place)) is not None and base in steps]
        bases.sort(
            key=lambda pair: (-sum(self._serves(pair[0], each) for each in self._ahead), pair[0].y, steps[pair[1]])
        )
        for place, base in bases[:_PLACES_TRIED]:
            if self._walked(base):
                return self._rise(place.y - base.y)
        raise ActionError(f"there is no place to stand from which {at.x} {at.y} {at.z} is reached")

    def _base(self, place: Position) -> Position | None:
        """Where scaffolding would begin that carries a place; None where something is planned or stands in its way."""
        for _ in range(_HIGHEST_CLIMB):
            if place in self._planned or not self.ground.has_room(place):
                return None
            if self.ground.carries(place.plus(_DOWN)):
                return place
            place = place.plus(_DOWN)
        return None

    def _rise(self, blocks: int) -> None:
        """Puts a pillar below the feet. How far it got is asked each time: a server that answers late confuses both.

        Raises:
            ActionError: If it does not come up.
        """
        base = self._feet()
        for _ in range(_RISES_TRIED * blocks):
            item = self.helper()
            state = self.player.pillar(item, item)
            feet = self._feet()
            for y in range(base.y, feet.y):
                self.ground[Position(base.x, y, base.z)] = state
                self._risen.add(Position(base.x, y, base.z))
            if feet.y >= base.y + blocks:
                return
        raise ActionError(f"no pillar of {blocks} could be put up at {base.x} {base.y} {base.z}")

    def _sink(self) -> None:
        """Digs the block below the feet, and falls."""
        below = self._feet().plus(_DOWN)
        self.player.dig(below)
        self.ground[below] = AIR
        self._risen.discard(below)
        for _ in range(_FALL_LOOKS):
            self.player.wait(_TICK_S)
            if self.player.state().on_ground:
                return
