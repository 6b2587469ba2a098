"""Blueprints by chance, of all the blocks there are."""

import random

from mmi_minecraft import AIR, VOID, BlockState, Blueprint, connected
from mmi_minecraft.block_table import block_kind, block_names

JOINING = (
    *(
        "oak_fence",
        "nether_brick_fence",
        "birch_fence",
        "cobblestone_wall",
        "mud_brick_wall",
        "glass_pane",
        "iron_bars",
    ),
    *("oak_fence_gate[facing=east]", "oak_fence_gate[facing=south]", "stone", "oak_slab[type=double]", "torch"),
    *(
        f"oak_stairs[facing={way},half={half}]"
        for way in ("north", "east", "south", "west")
        for half in ("top", "bottom")
    ),
    *("stone_brick_stairs[facing=west]", "pumpkin", "oak_leaves", "air", "structure_void"),
)


def any_state(chance: random.Random) -> BlockState:
    kind = block_kind(chance.choice(block_names()))
    return BlockState.of(kind.name, {key: chance.choice(values) for key, values in kind.properties.items()})


def any_blueprint(seed: int, *, longest: int = 7, num_blocks: int = 40) -> Blueprint:
    chance = random.Random(seed)
    size = (chance.randint(1, longest), chance.randint(1, longest), chance.randint(1, longest))
    palette = [AIR, VOID, *(any_state(chance) for _ in range(chance.randint(1, num_blocks)))]
    cells = [chance.randrange(len(palette)) for _ in range(size[0] * size[1] * size[2])]
    origin = (chance.randint(-9, 9), chance.randint(-9, 9), chance.randint(-9, 9))
    return Blueprint.of(size, palette, cells, origin=origin)


def joining_blueprint(seed: int) -> Blueprint:
    """Crowded with blocks that join their neighbours, joined."""
    chance = random.Random(seed)
    size = (chance.randint(2, 6), chance.randint(2, 6), chance.randint(2, 6))
    palette = [BlockState.parse(text) for text in JOINING]
    cells = [chance.randrange(len(palette)) for _ in range(size[0] * size[1] * size[2])]
    return connected(Blueprint.of(size, palette, cells))
