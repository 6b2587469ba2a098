"""What has to be fetched before a blueprint can be built: items, in stacks."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from mmi_agent.errors import UnknownNameError
from mmi_minecraft.block_state import BlockState
from mmi_minecraft.block_table import block_kind
from mmi_minecraft.blueprint import Blueprint

__all__ = ["Material", "items", "materials", "unobtainable"]

_ITEMS = {
    "redstone_wire": "redstone",
    "tripwire": "string",
    "wheat": "wheat_seeds",
    "carrots": "carrot",
    "potatoes": "potato",
    "beetroots": "beetroot_seeds",
    "cocoa": "cocoa_beans",
    "sweet_berry_bush": "sweet_berries",
    "cave_vines": "glow_berries",
    "cave_vines_plant": "glow_berries",
    "pumpkin_stem": "pumpkin_seeds",
    "attached_pumpkin_stem": "pumpkin_seeds",
    "melon_stem": "melon_seeds",
    "attached_melon_stem": "melon_seeds",
    "torchflower_crop": "torchflower_seeds",
    "pitcher_crop": "pitcher_pod",
    "kelp_plant": "kelp",
    "bamboo_sapling": "bamboo",
    "weeping_vines_plant": "weeping_vines",
    "twisting_vines_plant": "twisting_vines",
    "tall_seagrass": "seagrass",
    "big_dripleaf_stem": "big_dripleaf",
    "water": "water_bucket",
    "bubble_column": "water_bucket",
    "lava": "lava_bucket",
    "powder_snow": "powder_snow_bucket",
    "fire": "flint_and_steel",
    "soul_fire": "flint_and_steel",
    "farmland": "dirt",
    "dirt_path": "dirt",
    "grass_path": "dirt",
    "frosted_ice": "ice",
}
"""What is put down where a block has no item of its name, or cannot be picked up."""

_COUNTED_BY = ("candles", "pickles", "eggs", "layers", "flower_amount")
_PART_OF_ANOTHER = {"piston_head", "moving_piston"}
_REUSED = {"water_bucket", "lava_bucket", "flint_and_steel"}
_SINGLE = {*_REUSED, "powder_snow_bucket"}
_NOT_IN_SURVIVAL = {
    *("bedrock", "barrier", "light", "structure_block", "jigsaw", "command_block", "chain_command_block"),
    *("repeating_command_block", "end_portal_frame", "end_portal", "end_gateway", "nether_portal", "spawner"),
    *("trial_spawner", "vault", "budding_amethyst", "reinforced_deepslate", "petrified_oak_slab", "frosted_ice"),
}


@dataclass(frozen=True, kw_only=True)
class Material:
    """An item, and how many of it.

    Attributes:
        item: Its name, without the namespace.
        count: How many are needed.
        stack: How many fit into one slot.
    """

    item: str
    count: int
    stack: int

    @property
    def stacks(self) -> int:
        """How many full stacks that is."""
        return self.count // self.stack

    @property
    def rest(self) -> int:
        """How many are left beside full stacks."""
        return self.count % self.stack

    @property
    def title(self) -> str:
        """The item's name for people."""
        return self.item.replace("_", " ")

    def __str__(self) -> str:
        """As in "100 oak planks: 1 stack of 64 and 36"."""
        stacks = f"{self.stacks} stack{'s' * (self.stacks != 1)} of {self.stack}"
        if self.stack == 1 or not self.stacks:
            return f"{self.count} {self.title}"
        return f"{self.count} {self.title}: {stacks}" + (f" and {self.rest}" if self.rest else "")


def materials(blueprint: Blueprint, *, scaffolding: int = 0) -> list[Material]:
    """What has to be fetched, most of it first.

    Args:
        blueprint: What is built.
        scaffolding: How much of it is up at a time while it is built.
    """
    counted: Counter[str] = Counter({"scaffolding": scaffolding} if scaffolding else {})
    for state, count in blueprint.counts.items():
        for item, each in items(state):
            counted[item] += each * count
    for item in _REUSED & counted.keys():
        counted[item] = 1
    found = [Material(item=item, count=count, stack=_stack(item)) for item, count in counted.items()]
    return sorted(found, key=lambda material: (-material.count, material.item))


def items(state: BlockState) -> Iterator[tuple[str, int]]:
    """The items that one block takes, with their number; none where it comes with its other half."""
    if state.get("half") == "upper" or state.get("part") == "head" or state.name in _PART_OF_ANOTHER:
        return
    if state.get("waterlogged") == "true":
        yield "water_bucket", 1
    counts = [int(state.get(key)) for key in _COUNTED_BY if key in state.values]
    number = counts[0] if counts else 2 if state.get("type") == "double" and state.name.endswith("_slab") else 1
    for item in _named(state.name):
        yield item, number


def unobtainable(blueprint: Blueprint) -> list[str]:
    """The blocks that nobody can fetch in survival."""
    found = {state.name for state in blueprint.counts}
    return sorted(name for name in found if name in _NOT_IN_SURVIVAL or name.startswith("infested_"))


def _named(block: str) -> list[str]:
    if block in _ITEMS:
        return [_ITEMS[block]]
    if block_kind(block).stack:
        return [block]
    if block.startswith("potted_"):
        return ["flower_pot", block.removeprefix("potted_").replace("azalea_bush", "azalea")]
    if block.endswith("candle_cake"):
        return ["cake", block.removesuffix("_cake")]
    if block.endswith("_cauldron"):
        return ["cauldron", block.replace("cauldron", "bucket")]
    return [block.replace("wall_", "", 1)]


def _stack(item: str) -> int:
    if item in _SINGLE:
        return 1
    try:
        return block_kind(item).stack or 64
    except UnknownNameError:
        return 64
