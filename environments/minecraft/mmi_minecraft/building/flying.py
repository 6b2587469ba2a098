"""Builds in creative mode: flies to wherever the next block is within reach, from the bottom up."""

from collections.abc import Iterable
from itertools import product
from math import dist, floor

from mmi_agent.errors import ActionError
from mmi_minecraft.blueprint import Position
from mmi_minecraft.building.crew import AROUND, Crew
from mmi_minecraft.building.site import Site
from mmi_minecraft.building.verifying import Difference

__all__ = ["Flying"]

_UP = (0, 1, 0)
_SAMPLES_A_BLOCK = 3


class Flying(Crew):
    """A player in creative mode."""

    def work(self, wrong: Iterable[Difference]) -> None:
        """Takes away what is wrong, from the top down, then places what is missing, from the bottom up."""
        todo = list(wrong)
        for each in sorted(todo, key=lambda each: _along(each.position), reverse=True):
            self.attempt(lambda at=each.position: self.dig(at), each.position)
        for ready in self.supportable(sorted(todo, key=lambda each: _along(each.position))):
            for each in ready:
                self.attempt(lambda each=each: self.put(each.position, each.wanted), each.position)

    def reach(self, at: Position, stand: Position | None = None) -> None:
        """Flies to the nearest place from which a cell is reached."""
        x, y, z = self.player.state().position
        here = Position(floor(x), floor(y + 1e-3), floor(z))
        if self._serves(here, at) and dist((x, z), (here.x + 0.5, here.z + 0.5)) < 0.01 and y == floor(y):
            return
        places = [place for step in AROUND if self._serves(place := at.plus(step), at)]
        if not places:
            raise ActionError(f"there is no place to be from which {at.x} {at.y} {at.z} is reached")
        to = min(places, key=lambda place: dist(place, here))
        straight = self._is_free(here, to)
        self.player.fly(to, over=to.y if straight else max(self.ground.top + 1, here.y, to.y))

    def _serves(self, feet: Position, at: Position) -> bool:
        return at not in (feet, feet.plus(_UP)) and self.ground.has_room(feet) and Site.in_reach(feet, at)

    def _is_free(self, start: Position, end: Position) -> bool:
        """Whether a body gets from one cell to another in a straight line."""
        samples = max(1, round(dist(start, end) * _SAMPLES_A_BLOCK))
        for number in range(samples + 1):
            share = number / samples
            x, y, z = (a + (b - a) * share for a, b in zip(start, end, strict=True))
            across, along = (floor(x + 0.2), floor(x + 0.8)), (floor(z + 0.2), floor(z + 0.8))
            cells = product(across, (floor(y), floor(y + 0.9)), along)
            if not all(self.ground.has_room(Position(*cell)) for cell in cells):
                return False
        return True


def _along(at: Position) -> tuple[int, int, int]:
    """A way through all cells on which the next one is near: layer by layer, to and fro."""
    return at.y, at.z, at.x if at.z % 2 else -at.x
