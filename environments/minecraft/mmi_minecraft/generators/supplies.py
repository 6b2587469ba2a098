"""What can be built from: woods, families of stone with their stairs and walls, and whole blocks."""

from functools import cache
from typing import Annotated, Literal, NamedTuple, get_args

from pydantic import AfterValidator, WithJsonSchema

from mmi_agent.errors import UnknownNameError
from mmi_minecraft.block_table import block_kind, block_names

__all__ = ["BUILDING_BLOCKS", "BuildingBlock", "Family", "GroundBlock", "Parts", "Wood", "log", "parts", "whole_blocks"]

Wood = Literal[
    "oak", "spruce", "birch", "jungle", "acacia", "dark_oak", "mangrove", "cherry", "bamboo", "crimson", "warped"
]
"""Of which there are planks, fences, gates and doors."""

Stone = Literal[
    "cobblestone",
    "mossy_cobblestone",
    "stone_brick",
    "mossy_stone_brick",
    "brick",
    "mud_brick",
    "sandstone",
    "red_sandstone",
    "andesite",
    "diorite",
    "granite",
    "cobbled_deepslate",
    "deepslate_brick",
    "blackstone",
    "polished_blackstone_brick",
    "end_stone_brick",
    "prismarine",
]
"""Of which there are blocks, stairs, slabs and walls."""

Family = Wood | Stone
"""What stairs, roofs and bridges are made of."""

_COLORS = (
    *("white", "light_gray", "gray", "black", "brown", "red", "orange", "yellow", "lime", "green", "cyan"),
    *("light_blue", "blue", "purple", "magenta", "pink"),
)
_PLURAL = "_brick"


class Parts(NamedTuple):
    """The blocks of a family.

    Attributes:
        block: A whole one.
        stairs: A step.
        slab: Half a block.
        rail: What keeps one from falling: a fence or a wall.
    """

    block: str
    stairs: str
    slab: str
    rail: str


def parts(family: str) -> Parts:
    """The blocks of a wood or stone."""
    if family in get_args(Wood):
        return Parts(f"{family}_planks", f"{family}_stairs", f"{family}_slab", f"{family}_fence")
    block = f"{family}s" if family.endswith(_PLURAL) or family == "brick" else family
    return Parts(block, f"{family}_stairs", f"{family}_slab", f"{family}_wall")


def log(wood: str) -> str:
    """The trunk of a wood."""
    return {"crimson": "crimson_stem", "warped": "warped_stem", "bamboo": "bamboo_block"}.get(wood, f"{wood}_log")


BUILDING_BLOCKS: tuple[str, ...] = (
    *(parts(family).block for family in (*get_args(Wood), *get_args(Stone))),
    *(log(wood) for wood in get_args(Wood)),
    *(
        "stone",
        "smooth_stone",
        "polished_andesite",
        "polished_diorite",
        "polished_granite",
        "deepslate",
        "nether_bricks",
    ),
    *("smooth_sandstone", "quartz_block", "glass", "dirt", "hay_block", "iron_block", "gold_block", "snow_block"),
    *(f"{color}_{kind}" for kind in ("wool", "concrete", "terracotta") for color in _COLORS),
)
"""What is offered first where a whole block is to be named; any other whole block will do."""

_GROUND = ("dirt_path", "gravel", "coarse_dirt", "sand")


@cache
def whole_blocks() -> tuple[str, ...]:
    """Every block that fills its cell and can be carried."""
    return tuple(each for each in block_names() if block_kind(each).shape == "full" and block_kind(each).stack)


def _building_block(name: str) -> str:
    if name not in whole_blocks():
        raise ValueError(str(UnknownNameError.among("whole block", name, whole_blocks())))
    return name


def _ground_block(name: str) -> str:
    return name if name == "dirt_path" else _building_block(name)


BuildingBlock = Annotated[str, AfterValidator(_building_block), WithJsonSchema({"enum": list(BUILDING_BLOCKS)})]
"""A block that fills its cell."""

GroundBlock = Annotated[str, AfterValidator(_ground_block), WithJsonSchema({"enum": [*_GROUND, *BUILDING_BLOCKS]})]
"""A block to walk on."""
