"""Minecraft: buildings as blueprints, planned from words, pictured, counted, and put in an order to build them."""

from mmi_minecraft.block_state import AIR, VOID, BlockState
from mmi_minecraft.blueprint import Blueprint, Canvas, Position, Size
from mmi_minecraft.connections import connected
from mmi_minecraft.transforms import mirrored, moved_to, overlaid, repeated, rotated, shifted

__all__ = [
    "AIR",
    "VOID",
    "BlockState",
    "Blueprint",
    "Canvas",
    "Position",
    "Size",
    "connected",
    "mirrored",
    "moved_to",
    "overlaid",
    "repeated",
    "rotated",
    "shifted",
]
