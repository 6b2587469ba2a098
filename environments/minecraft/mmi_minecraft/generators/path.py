"""A path, let into the ground."""

from typing import Literal

from pydantic import Field

from mmi_minecraft.blueprint import Canvas
from mmi_minecraft.generators.structure import Structure
from mmi_minecraft.generators.supplies import BuildingBlock, GroundBlock

__all__ = ["Path"]

_LIGHT_EVERY = 6


class Path(Structure):
    """A path in the ground that leads south, and after that east or west if it turns."""

    kind: Literal["path"] = "path"
    material: GroundBlock = Field(default="gravel", description="The block that is walked on.")
    length: int = Field(
        default=10, ge=1, le=100, description="Blocks from its beginning to its end, or to where it turns."
    )
    width: int = Field(default=2, ge=1, le=9, description="Blocks across, borders not counted.")
    border: BuildingBlock | None = Field(default=None, description="The block on both sides, if there is to be one.")
    turn: Literal["none", "left", "right"] = Field(
        default="none", description="Where it goes after its length, as far again."
    )
    lights: bool = Field(default=False, description="Whether torches on posts stand beside it, every sixth block.")

    @property
    def name(self) -> str:
        """What a person would call it."""
        return f"{self.material.replace('_', ' ')} path {self.length} long and {self.width} wide"

    def _draw(self, canvas: Canvas) -> None:
        legs = [(range(self.width), range(self.length))]
        if self.turn != "none":  # who walks south has the east to the left
            across = range(self.length + self.width) if self.turn == "left" else range(-self.length, self.width)
            legs.append((across, range(self.length, self.length + self.width)))
        if self.border:
            for xs, zs in legs:
                canvas.fill(range(xs[0] - 1, xs[-1] + 2), [-1], range(zs[0] - 1, zs[-1] + 2), self.border)
        for xs, zs in legs:
            canvas.fill(xs, [-1], zs, self.material)
            canvas.fill(xs, [0, 1], zs, "air")
        if self.lights:
            side = -1 if self.turn != "right" else self.width
            side += (-1 if side < 0 else 1) if self.border else 0
            for z in range(0, self.length, _LIGHT_EVERY):
                canvas[side, 0, z], canvas[side, 1, z] = "oak_fence", "torch"
