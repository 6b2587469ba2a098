"""A tower with a ladder inside."""

from typing import Literal

from pydantic import Field

from mmi_minecraft.blueprint import Canvas
from mmi_minecraft.connections import WAYS
from mmi_minecraft.generators.structure import Structure, door, doorway
from mmi_minecraft.generators.supplies import BuildingBlock, Wood
from mmi_minecraft.turning import Direction, opposite

__all__ = ["Tower"]

_WINDOW_EVERY = 4
_Cells = set[tuple[int, int]]


class Tower(Structure):
    """A tower with a door, a ladder, and a platform on top."""

    kind: Literal["tower"] = "tower"
    material: BuildingBlock = Field(default="stone_bricks", description="The block of its walls.")
    shape: Literal["square", "round"] = Field(default="square", description="Seen from above.")
    width: int = Field(default=7, ge=5, le=15, description="Blocks across, walls included.")
    height: int = Field(
        default=10, ge=5, le=48, description="Blocks from the ground to the platform, which is walked on."
    )
    door: Direction = Field(default="south", description="The side that has the door.")
    wood: Wood = Field(default="oak", description="What the door is made of.")
    windows: bool = Field(default=True, description="Whether there are windows, one above the other.")
    battlements: bool = Field(default=True, description="Whether the platform has battlements.")

    @property
    def name(self) -> str:
        """What a person would call it."""
        return f"{self.shape} {self.material.replace('_', ' ')} tower {self.height} high"

    def _draw(self, canvas: Canvas) -> None:
        inside, walls = self._ground()
        platform = self.height - 1
        for x, z in walls:
            canvas.fill([x], range(self.height), [z], self.material)
        for x, z in inside:
            canvas.fill([x], range(platform), [z], "air")
            canvas[x, platform, z] = self.material
        if self.battlements:
            for x, z in walls:
                canvas[x, self.height, z] = self.material
                if (x + z) % 2 == 0:
                    canvas[x, self.height + 1, z] = self.material
        if self.windows:
            self._put_windows(canvas)
        self._put_ladder(canvas)
        at = doorway(self.door, self.width, self.width)
        door(canvas, *at, self.door, self.wood)

    def _ground(self) -> tuple[_Cells, _Cells]:
        """The cells inside, and those of the walls."""
        side = range(self.width)
        center, radius = (self.width - 1) / 2, self.width / 2 - 0.1
        round_ = self.shape == "round"
        all_ = {(x, z) for x in side for z in side if not round_ or (x - center) ** 2 + (z - center) ** 2 <= radius**2}
        walls = {(x, z) for x, z in all_ if any((x + dx, z + dz) not in all_ for dx in (-1, 0, 1) for dz in (-1, 0, 1))}
        return all_ - walls, walls

    def _put_windows(self, canvas: Canvas) -> None:
        for side in WAYS:
            x, z = doorway(side, self.width, self.width)
            if side != opposite(self.door):  # there the ladder is
                canvas.fill([x], range(_WINDOW_EVERY, self.height - 2, _WINDOW_EVERY), [z], "glass_pane")

    def _put_ladder(self, canvas: Canvas) -> None:
        back = opposite(self.door)
        x, z = doorway(back, self.width, self.width)
        step_x, _, step_z = WAYS[self.door]
        canvas.fill([x + step_x], range(self.height), [z + step_z], f"ladder[facing={self.door}]")
        for y in range(2, self.height - 1, _WINDOW_EVERY + 1):
            canvas[self._beside(x + step_x, z + step_z, y)] = f"wall_torch[facing={self.door}]"

    def _beside(self, x: int, z: int, y: int) -> tuple[int, int, int]:
        """Next to the ladder, on the same wall."""
        return (x + 1, y, z) if self.door in ("north", "south") else (x, y, z + 1)
