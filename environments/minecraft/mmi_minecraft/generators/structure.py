"""What all generators have in common: typed parameters that make a blueprint."""

from abc import ABC, abstractmethod

from pydantic import BaseModel, ConfigDict

from mmi_minecraft.block_state import AIR
from mmi_minecraft.blueprint import Blueprint, Canvas
from mmi_minecraft.connections import WAYS, connected
from mmi_minecraft.turning import Direction, opposite

__all__ = ["Structure", "door", "doorway", "middle"]


class Structure(BaseModel, ABC):
    """Parameters of a building, told apart by `kind`. What is not said has a default, what cannot be built is refused.

    Positions are counted from the north-west corner at the height of the builder's feet; y -1 is the ground.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    @abstractmethod
    def name(self) -> str:
        """What a person would call it."""

    def blueprint(self) -> Blueprint:
        """The building, its blocks joined to their neighbours."""
        canvas = Canvas()
        self._draw(canvas)
        return connected(canvas.blueprint(name=self.name))

    @abstractmethod
    def _draw(self, canvas: Canvas) -> None:
        """Puts the blocks, joined or not."""


def middle(length: int, opening: int = 1) -> range:
    """The places of an opening in the middle of a side."""
    start = (length - opening) // 2
    return range(start, start + opening)


def doorway(side: Direction, width: int, depth: int) -> tuple[int, int]:
    """Where on the ground the middle of that side is."""
    (across,), (along,) = middle(width), middle(depth)
    return {"north": (across, 0), "south": (across, depth - 1), "west": (0, along), "east": (width - 1, along)}[side]


def door(canvas: Canvas, x: int, z: int, side: Direction, wood: str) -> None:
    """Puts a door that opens to that side, and takes away what is right before and behind it."""
    step_x, _, step_z = WAYS[side]
    for y, half in enumerate(("lower", "upper")):
        canvas[x, y, z] = f"{wood}_door[facing={opposite(side)},half={half}]"
        for way in (-1, 1):
            canvas[x + way * step_x, y, z + way * step_z] = AIR
