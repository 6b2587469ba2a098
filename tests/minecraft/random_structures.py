"""Buildings with parameters by chance, as large as can be built in a blink."""

import random
from typing import Any, get_args

from mmi_minecraft.generators import BUILDING_BLOCKS, GENERATORS, Family, Structure, Wood, as_structure

from mmi_agent.errors import ConfigError

SIDES = ("north", "east", "south", "west")
WOODS = get_args(Wood)
FAMILIES = [family for group in get_args(Family) for family in get_args(group)]
YES = (True, False)


def parameters(kind: str, chance: random.Random) -> dict[str, Any]:
    pick, number = chance.choice, chance.randint
    ranges: dict[str, dict[str, Any]] = {
        "fence": {
            "material": pick([*WOODS, "nether_brick"]),
            "width": number(2, 12),
            "depth": number(1, 12),
            "height": number(1, 4),
            "gate": pick(["none", *SIDES]),
            "gate_width": number(1, 3),
        },
        "wall": {
            "material": pick(BUILDING_BLOCKS),
            "length": number(1, 14),
            "height": number(1, 14),
            "thickness": number(1, 5),
            "battlements": pick(YES),
        },
        "path": {
            "material": pick(["dirt_path", "gravel", "sand", "cobblestone"]),
            "length": number(1, 15),
            "width": number(1, 5),
            "border": pick([None, "stone_bricks", "oak_log"]),
            "turn": pick(["none", "left", "right"]),
            "lights": pick(YES),
        },
        "stairs": {
            "material": pick(FAMILIES),
            "height": number(1, 12),
            "width": number(1, 5),
            "facing": pick(SIDES),
            "filled": pick(YES),
            "railing": pick(YES),
        },
        "bridge": {
            "material": pick(FAMILIES),
            "length": number(2, 20),
            "width": number(1, 6),
            "height": number(1, 9),
            "railing": pick(YES),
            "pillars": pick(YES),
            "lights": pick(YES),
        },
        "tower": {
            "material": pick(BUILDING_BLOCKS),
            "shape": pick(["square", "round"]),
            "width": number(5, 10),
            "height": number(5, 18),
            "door": pick(SIDES),
            "wood": pick(WOODS),
            "windows": pick(YES),
            "battlements": pick(YES),
        },
        "hut": {
            "walls": pick(BUILDING_BLOCKS),
            "roof": pick(FAMILIES),
            "roof_shape": pick(["gable", "pyramid", "flat"]),
            "width": number(5, 12),
            "depth": number(5, 12),
            "height": number(3, 6),
            "door": pick(SIDES),
            "windows": number(0, 3),
            "light": pick(YES),
        },
    }
    return {"kind": kind, **ranges[kind]}


def any_structure(kind: str, seed: int) -> Structure:
    """One that can be built; parameters that contradict one another are drawn again."""
    assert kind in GENERATORS
    chance = random.Random(f"{kind} {seed}")
    while True:
        try:
            return as_structure(parameters(kind, chance))
        except ConfigError:
            continue
