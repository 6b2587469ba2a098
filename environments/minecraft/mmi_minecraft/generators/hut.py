"""A hut with a floor, a door, windows and a roof."""

from typing import Literal

from pydantic import Field

from mmi_minecraft.blueprint import Canvas
from mmi_minecraft.connections import WAYS
from mmi_minecraft.generators.structure import Structure, door, doorway, middle
from mmi_minecraft.generators.supplies import BuildingBlock, Family, Wood, parts
from mmi_minecraft.turning import Direction, opposite

__all__ = ["Hut"]


class Hut(Structure):
    """A hut of one room. Its floor is let into the ground."""

    kind: Literal["hut"] = "hut"
    walls: BuildingBlock = Field(default="oak_planks", description="The block of its walls.")
    corners: BuildingBlock = Field(default="oak_log", description="The block of its corner posts.")
    floor: BuildingBlock = Field(default="oak_planks", description="The block of its floor.")
    roof: Family = Field(default="spruce", description="What the roof is made of.")
    roof_shape: Literal["gable", "pyramid", "flat"] = Field(default="gable", description="The form of the roof.")
    width: int = Field(default=7, ge=5, le=25, description="Blocks from west to east, walls included.")
    depth: int = Field(default=6, ge=5, le=25, description="Blocks from north to south, walls included.")
    height: int = Field(default=3, ge=3, le=8, description="Blocks from the floor to the roof.")
    door: Direction = Field(default="south", description="The side that has the door in its middle.")
    door_wood: Wood = Field(default="oak", description="What the door is made of.")
    windows: int = Field(
        default=1, ge=0, le=3, description="Windows in each wall; beside the door only from 7 blocks on."
    )
    light: bool = Field(default=True, description="Whether torches hang on the wall across from the door.")

    @property
    def name(self) -> str:
        """What a person would call it."""
        return f"{self.walls.replace('_', ' ')} hut {self.width} by {self.depth}"

    def _draw(self, canvas: Canvas) -> None:
        xs, zs = range(self.width), range(self.depth)
        canvas.fill(xs, [-1], zs, self.floor)
        canvas.fill(xs, range(self.height), zs, self.walls)
        canvas.fill({0, self.width - 1}, range(self.height), {0, self.depth - 1}, self.corners)
        canvas.fill(xs[1:-1], range(self.height), zs[1:-1], "air")
        {"gable": self._gable, "pyramid": self._pyramid, "flat": self._flat}[self.roof_shape](canvas)
        for side in WAYS:
            self._put_windows(canvas, side)
        at = doorway(self.door, self.width, self.depth)
        door(canvas, *at, self.door, self.door_wood)
        if self.light:
            self._put_light(canvas)

    def _put_windows(self, canvas: Canvas, side: Direction) -> None:
        x, z = doorway(side, self.width, self.depth)
        along_x = side in ("north", "south")
        length = self.width if along_x else self.depth
        at = middle(length)[0]
        taken = {at - 1, at, at + 1} if side == self.door else set[int]()
        free = [place for place in range(1, length - 1) if place not in taken]
        if side == self.door and length < 7:
            return
        number = min(self.windows, (len(free) + 1) // 2)
        for index in range(number):
            place = free[(2 * index + 1) * len(free) // (2 * number)]
            canvas[(place, 1, z) if along_x else (x, 1, place)] = "glass_pane"

    def _put_light(self, canvas: Canvas) -> None:
        back = opposite(self.door)
        x, z = doorway(back, self.width, self.depth)
        step_x, _, step_z = WAYS[self.door]
        canvas[x + step_x, 2, z + step_z] = f"wall_torch[facing={self.door}]"

    def _flat(self, canvas: Canvas) -> None:
        canvas.fill(range(self.width), [self.height], range(self.depth), parts(self.roof).block)

    def _gable(self, canvas: Canvas) -> None:
        """Two slopes that meet above the middle; the eaves stand out by one block."""
        made = parts(self.roof)
        along_x = self.width >= self.depth
        across, along = (self.depth, self.width) if along_x else (self.width, self.depth)
        low, high = ("south", "north") if along_x else ("east", "west")

        def row(place: int, y: int, block: str, cells: range | set[int]) -> None:
            canvas.fill(cells if along_x else [place], [y], [place] if along_x else cells, block)

        for step in range(-1, across // 2):
            y = self.height + step
            row(step, y, f"{made.stairs}[facing={low}]", range(along))
            row(across - 1 - step, y, f"{made.stairs}[facing={high}]", range(along))
            for place in range(step + 1, across - 1 - step) if step >= 0 else ():
                row(place, y, self.walls, {0, along - 1})
                row(place, y, "air", range(1, along - 1))
        if across % 2:
            row(across // 2, self.height + across // 2, made.slab, range(along))
            row(across // 2, self.height + across // 2 - 1, made.block, range(along))

    def _pyramid(self, canvas: Canvas) -> None:
        """Steps from all four sides; the ring on which the next step rests lies inside of each."""
        made = parts(self.roof)
        step = 0
        while min(self.width, self.depth) - 2 * step > 0:
            y, xs, zs = self.height + step, range(step, self.width - step), range(step, self.depth - step)
            if min(len(xs), len(zs)) <= 2:
                canvas.fill(xs, [y], zs, made.slab)
                return
            inner_x, inner_z = xs[1:-1], zs[1:-1]
            canvas.fill(inner_x, [y], inner_z, made.block)
            canvas.fill(inner_x[1:-1], [y], inner_z[1:-1], "air")
            sides: dict[Direction, tuple[range, range]] = {
                "south": (xs, zs[:1]),
                "north": (xs, zs[-1:]),
                "east": (xs[:1], inner_z),
                "west": (xs[-1:], inner_z),
            }
            for facing, (across, along) in sides.items():
                canvas.fill(across, [y], along, f"{made.stairs}[facing={facing}]")
            step += 1
