"""A flight of stairs."""

from typing import Literal

from pydantic import Field

from mmi_minecraft.blueprint import Blueprint, Canvas
from mmi_minecraft.generators.structure import Structure
from mmi_minecraft.generators.supplies import Family, parts
from mmi_minecraft.transforms import moved_to, rotated
from mmi_minecraft.turning import Direction

__all__ = ["Stairs"]

_TURNS: dict[Direction, int] = {"north": 0, "east": 1, "south": 2, "west": 3}


class Stairs(Structure):
    """A straight flight of stairs that stands on the ground."""

    kind: Literal["stairs"] = "stairs"
    material: Family = Field(default="cobblestone", description="What they are made of.")
    height: int = Field(default=5, ge=1, le=32, description="Steps.")
    width: int = Field(default=2, ge=1, le=9, description="Blocks across.")
    facing: Direction = Field(default="north", description="Where one gets to who climbs them.")
    filled: bool = Field(
        default=True, description="Whether they are solid down to the ground; if not, each step has one block below."
    )
    railing: bool = Field(default=False, description="Whether there is a railing on both sides.")

    @property
    def name(self) -> str:
        """What a person would call it."""
        return f"{self.material.replace('_', ' ')} stairs {self.height} high and {self.width} wide"

    def blueprint(self) -> Blueprint:
        """The building, its first cell at the north-west corner of the ground."""
        turned = rotated(super().blueprint(), _TURNS[self.facing])
        return moved_to(turned, (0, 0, 0))

    def _draw(self, canvas: Canvas) -> None:
        made = parts(self.material)
        sides = [-1, self.width] if self.railing else []
        for step in range(self.height):
            z = self.height - 1 - step
            canvas.fill(range(self.width), [step], [z], f"{made.stairs}[facing=north]")
            below = range(0 if self.filled else max(step - 1, 0), step)
            canvas.fill(range(self.width), below, [z], made.block)
            canvas.fill(sides, range(below.start, step + 1), [z], made.block)
            canvas.fill(sides, [step + 1], [z], made.rail)
