"""Whether what stands is what was planned: compared block by block, counted, listed, and drawn.

Some properties nobody places: the server works them out from what stands beside a block, and some servers don't. So
everything is counted twice, with them and without.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from PIL import Image

from mmi_minecraft.block_state import AIR, VOID, BlockState
from mmi_minecraft.blueprint import Blueprint, Canvas, Position
from mmi_minecraft.drawing import draw_whole

__all__ = ["Difference", "Verification", "alike", "compare", "computed_properties"]

_SIDES = ("north", "east", "south", "west")
_COMPUTED: Mapping[str, tuple[str, ...]] = {
    "_fence": _SIDES,
    "_pane": _SIDES,
    "iron_bars": _SIDES,
    "_wall": (*_SIDES, "up"),
    "_fence_gate": ("in_wall", "powered", "open"),
    "_door": ("powered", "open"),
    "_trapdoor": ("powered", "open"),
    "_stairs": ("shape",),
    "_leaves": ("distance", "persistent"),
    "grass_block": ("snowy",),
    "_bed": ("occupied",),
    "redstone_wire": (*_SIDES, "power"),
    "chest": ("type",),
}
_LISTED = 20
_MISSING, _WRONG, _EXTRA = BlockState("blue_wool"), BlockState("red_wool"), BlockState("orange_wool")
_FAINT = BlockState("white_stained_glass")


def computed_properties(name: str) -> tuple[str, ...]:
    """The properties of a block that the server works out, or that change in use (a door that stands open)."""
    return next((keys for end, keys in _COMPUTED.items() if name.endswith(end)), ())


def alike(wanted: BlockState, found: BlockState) -> bool:
    """Whether two blocks are the same in everything that whoever places them decides."""
    if wanted.name != found.name:
        return False
    left_out = computed_properties(wanted.name)
    return all(found.get(key, value) == value for key, value in wanted.properties if key not in left_out)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A cell that is not as planned.

    Attributes:
        position: In the world.
        wanted: The block that was planned; air where nothing should be.
        found: What stands there.
    """

    position: Position
    wanted: BlockState
    found: BlockState

    @property
    def only_computed(self) -> bool:
        """Whether nothing differs but what the server works out."""
        return alike(self.wanted, self.found)

    @property
    def is_missing(self) -> bool:
        """Whether nothing stands where a block should."""
        return self.found == AIR

    def __str__(self) -> str:
        """As in "12 64 -3: oak_fence, found air"."""
        at = f"{self.position.x} {self.position.y} {self.position.z}"
        if self.only_computed:
            odd = [key for key, value in self.wanted.properties if self.found.get(key) != value]
            return f"{at}: {self.wanted.name} differs in {', '.join(odd)}"
        return f"{at}: {self.wanted}, found {self.found}"


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What came of reading every cell back.

    Attributes:
        blueprint: What was planned, with its place in the world as origin.
        num_cells: Of which something was planned, be it that nothing stands there.
        differences: The cells that differ in anything.
    """

    blueprint: Blueprint
    num_cells: int
    differences: tuple[Difference, ...]

    @cached_property
    def wrong(self) -> tuple[Difference, ...]:
        """The cells that differ in more than what the server works out."""
        return tuple(each for each in self.differences if not each.only_computed)

    @property
    def complete(self) -> bool:
        """Whether everything stands as planned, but for what the server works out."""
        return not self.wrong

    @property
    def match_percent(self) -> float:
        """The share of cells that are as planned, what the server works out left aside; 0 to 100."""
        return 100 * (1 - len(self.wrong) / self.num_cells)

    @property
    def exact_percent(self) -> float:
        """The share of cells that are as planned in every property; 0 to 100."""
        return 100 * (1 - len(self.differences) / self.num_cells)

    def __str__(self) -> str:
        """Both shares, and what differs; at most 20 cells."""
        matching = self.num_cells - len(self.wrong)
        lines = [f"{matching} of {self.num_cells} cells match ({_percent(self.match_percent)})"]
        unjoined = len(self.differences) - len(self.wrong)
        if unjoined:
            lines.append(
                f"counting how blocks join their neighbours, which the server works out, "
                f"{self.num_cells - len(self.differences)} do ({_percent(self.exact_percent)})"
            )
        lines += map(str, self.wrong[:_LISTED])
        if len(self.wrong) > _LISTED:
            lines.append(f"and {len(self.wrong) - _LISTED} more")
        return "\n".join(lines)

    def draw(self) -> Image.Image:
        """What differs: missing blocks in blue, wrong ones in red, superfluous ones in orange, the rest like glass."""
        canvas = Canvas()
        for position, _ in self.blueprint.blocks():
            canvas[position] = _FAINT
        for difference in self.wrong:
            color = _MISSING if difference.is_missing else _EXTRA if difference.wanted == AIR else _WRONG
            canvas[difference.position.minus(self.blueprint.origin)] = color
        return draw_whole(canvas.blueprint())


def compare(blueprint: Blueprint, found: Blueprint) -> Verification:
    """Compares a plan with what was read.

    Args:
        blueprint: What was planned; its origin is its place in the world.
        found: The world, at least where something is planned; its origin is its place in the world.
    """
    differences: list[Difference] = []
    num_cells = 0
    for cell, wanted in blueprint.states():
        if wanted == VOID:
            continue
        num_cells += 1
        position = blueprint.origin.plus(cell)
        stands = found[position.minus(found.origin)]
        if stands != wanted:
            differences.append(Difference(position=position, wanted=wanted, found=stands))
    return Verification(blueprint=blueprint, num_cells=num_cells, differences=tuple(differences))


def _percent(share: float) -> str:
    return "100 %" if share == 100 else f"{min(share, 99.9):.1f} %"
