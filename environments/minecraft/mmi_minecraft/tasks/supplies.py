"""What problems are drawn from: places, blocks, and how many of them a building takes."""

from collections.abc import Mapping
from random import Random

from mmi_minecraft.blueprint import Blueprint, Position
from mmi_minecraft.building import build_order
from mmi_minecraft.materials import materials
from mmi_minecraft.tasks.problem import FEET

__all__ = ["COLORS", "STONES", "WOODS", "drawn_spot", "supplies"]

WOODS = ("oak", "spruce", "birch", "jungle", "acacia", "dark_oak")
"""The woods that every tested version of the game has."""

STONES = ("cobblestone", "stone_bricks", "sandstone", "andesite", "polished_granite", "bricks")
"""Whole blocks of stone."""

COLORS = ("white", "orange", "yellow", "lime", "cyan", "light_blue", "blue", "purple", "pink", "red", "brown", "black")
"""Colours of wool."""


def drawn_spot(chance: Random) -> Position:
    """A place on the ground in the middle of the plot, with room for 16 blocks to the east, and to the south."""
    return Position(chance.randint(8, 14), FEET, chance.randint(8, 14))


def supplies(blueprint: Blueprint) -> Mapping[str, int]:
    """The items that building it in survival mode takes, scaffolding included."""
    order = build_order(blueprint)
    return {each.item: each.count for each in materials(blueprint, scaffolding=order.scaffolding)}
