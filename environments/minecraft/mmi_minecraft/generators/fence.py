"""A fence: a closed rectangle, or a straight line, with or without a gate."""

from typing import Literal, Self

from pydantic import Field, model_validator

from mmi_minecraft.blueprint import Canvas
from mmi_minecraft.generators.structure import Structure, middle
from mmi_minecraft.generators.supplies import Wood
from mmi_minecraft.turning import Direction

__all__ = ["Fence"]


class Fence(Structure):
    """A fence around a piece of ground, or in a line."""

    kind: Literal["fence"] = "fence"
    material: Wood | Literal["nether_brick"] = Field(default="oak", description="What the fence is made of.")
    width: int = Field(default=9, ge=2, le=100, description="Blocks from west to east, corners included.")
    depth: int = Field(default=7, ge=1, le=100, description="Blocks from north to south; 1 makes a straight line.")
    height: int = Field(default=1, ge=1, le=4, description="Blocks one above the other.")
    gate: Literal["none"] | Direction = Field(default="none", description="The side that has a gate in its middle.")
    gate_width: int = Field(default=1, ge=1, le=3, description="Gates side by side, if there is a gate.")

    @model_validator(mode="after")
    def _can_be_built(self) -> Self:
        if self.depth == 2 or (self.width == 2 and self.depth > 1):
            raise ValueError(
                f"a fence of {self.width} by {self.depth} has no room inside: at least 3 by 3, or a line of 1"
            )
        if self.gate == "none":
            return self
        if self.material == "nether_brick":
            raise ValueError("there are no gates of nether brick: name a wood, or leave out the gate")
        side = self.width if self.gate in ("north", "south") or self.depth == 1 else self.depth
        if side < self.gate_width + 2:
            raise ValueError(
                f"a side of {side} is too short for a gate of {self.gate_width}: at least {self.gate_width + 2}"
            )
        return self

    @property
    def name(self) -> str:
        """What a person would call it."""
        gate = "" if self.gate == "none" else " with a gate"
        return f"{self.material.replace('_', ' ')} fence {self.width} by {self.depth}{gate}"

    def _draw(self, canvas: Canvas) -> None:
        east, south = self.width - 1, self.depth - 1
        for y in range(self.height):
            for z in {0, south}:
                canvas.fill(range(self.width), [y], [z], f"{self.material}_fence")
            for x in {0, east} if self.depth > 1 else ():
                canvas.fill([x], [y], range(self.depth), f"{self.material}_fence")
        for x, z in self._gates():
            canvas[x, 0, z] = f"{self.material}_fence_gate[facing={self.gate}]"
            for y in range(1, self.height):
                canvas[x, y, z] = "air"

    def _gates(self) -> list[tuple[int, int]]:
        if self.gate == "none":
            return []
        if self.gate in ("north", "south"):
            z = 0 if self.gate == "north" else self.depth - 1
            return [(x, z) for x in middle(self.width, self.gate_width)]
        x = 0 if self.gate == "west" else self.width - 1
        return [(x, z) for z in middle(self.depth, self.gate_width)]
