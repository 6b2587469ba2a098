"""A straight wall."""

from typing import Literal

from pydantic import Field

from mmi_minecraft.blueprint import Canvas
from mmi_minecraft.generators.structure import Structure
from mmi_minecraft.generators.supplies import BuildingBlock

__all__ = ["Wall"]


class Wall(Structure):
    """A straight wall from west to east."""

    kind: Literal["wall"] = "wall"
    material: BuildingBlock = Field(default="cobblestone", description="The block that it is made of.")
    length: int = Field(default=10, ge=1, le=100, description="Blocks from west to east.")
    height: int = Field(default=3, ge=1, le=32, description="Blocks from the ground up, battlements not counted.")
    thickness: int = Field(default=1, ge=1, le=5, description="Blocks from north to south.")
    battlements: bool = Field(default=False, description="Whether every second block of the top row is raised by one.")

    @property
    def name(self) -> str:
        """What a person would call it."""
        return f"{self.material.replace('_', ' ')} wall {self.length} long and {self.height} high"

    def _draw(self, canvas: Canvas) -> None:
        canvas.fill(range(self.length), range(self.height), range(self.thickness), self.material)
        if self.battlements:
            canvas.fill(range(0, self.length, 2), [self.height], {0, self.thickness - 1}, self.material)
