"""A bridge with a ramp at each end."""

from typing import Literal

from pydantic import Field

from mmi_minecraft.blueprint import Canvas
from mmi_minecraft.generators.structure import Structure
from mmi_minecraft.generators.supplies import Family, parts

__all__ = ["Bridge"]


class Bridge(Structure):
    """A bridge from west to east: a level deck, and a flight of stairs at each end."""

    kind: Literal["bridge"] = "bridge"
    material: Family = Field(default="oak", description="What it is made of.")
    length: int = Field(default=12, ge=2, le=100, description="Blocks of the level deck, from west to east.")
    width: int = Field(default=3, ge=1, le=9, description="Blocks across, railings included.")
    height: int = Field(default=2, ge=1, le=16, description="Blocks from the ground to where one walks.")
    railing: bool = Field(
        default=True, description="Whether railings stand on both edges; only if it is 3 wide or more."
    )
    pillars: bool = Field(default=True, description="Whether pillars stand below the deck, every fifth block.")
    lights: bool = Field(default=False, description="Whether torches stand on the ends of the railings.")

    @property
    def name(self) -> str:
        """What a person would call it."""
        return f"{self.material.replace('_', ' ')} bridge {self.length} long and {self.width} wide"

    def _draw(self, canvas: Canvas) -> None:
        made, deck = parts(self.material), self.height - 1
        across, last = range(self.width), self.length - 1
        canvas.fill(range(self.length), [deck], across, made.block)
        for step in range(self.height):
            for x, facing in ((step - self.height, "east"), (last + self.height - step, "west")):
                canvas.fill([x], range(step), across, made.block)
                canvas.fill([x], [step], across, f"{made.stairs}[facing={facing}]")
        if self.pillars:
            for x in {*range(0, self.length, 5), last}:
                canvas.fill([x], range(deck), {0, self.width - 1}, made.block)
        if self.railing and self.width >= 3:
            canvas.fill(range(self.length), [deck + 1], [0, self.width - 1], made.rail)
            if self.lights:
                canvas.fill([0, last], [deck + 2], [0, self.width - 1], "torch")
