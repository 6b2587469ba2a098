"""All tasks, and those of them that are never learnt from."""

from collections.abc import Mapping

from mmi_minecraft.tasks import crafting, digging, placing, structures
from mmi_minecraft.tasks.problem import Task

__all__ = ["HELD_OUT", "TASKS"]

TASKS: Mapping[str, Task] = {
    "place-block": placing.place_block,
    "pillar": placing.pillar,
    "color-row": placing.color_row,
    "fill-hole": placing.fill_hole,
    "light-area": placing.light_area,
    "path": placing.path,
    "bridge": placing.bridge,
    "dig-block": digging.dig_block,
    "dig-trench": digging.dig_trench,
    "doorway": digging.doorway,
    "repair-wall": digging.repair_wall,
    "replace-blocks": digging.replace_blocks,
    "fence-line": structures.fence_line,
    "fence-pen": structures.fence_pen,
    "wall": structures.wall,
    "stairs": structures.stairs,
    "tower": structures.tower,
    "hut": structures.hut,
    "craft-set": crafting.craft_set,
    "fell-and-craft": crafting.fell_and_craft,
}
"""What there is to do, by name."""

HELD_OUT = frozenset({"dig-block", "dig-trench", "hut", "pillar", "repair-wall"})
"""Five tasks that were drawn by chance."""
