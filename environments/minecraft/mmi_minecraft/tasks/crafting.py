"""Tasks of the inventory: what is fetched, and what is made of it."""

import time
from collections.abc import Iterator
from math import dist
from random import Random

from mmi_minecraft.blueprint import Position
from mmi_minecraft.server.player import Player, SeenEntity
from mmi_minecraft.tasks.acts import craft, dig, move, place, told, words
from mmi_minecraft.tasks.goals import carries
from mmi_minecraft.tasks.problem import Act, Problem
from mmi_minecraft.tasks.supplies import WOODS, drawn_spot

__all__ = ["craft_set", "fell_and_craft"]

_TRUNK = 4
_TOOLS = ("wooden_pickaxe", "wooden_axe", "wooden_shovel", "wooden_sword")
_GATHER_TIMEOUT_S = 30
_LOOK_AGAIN_S = 0.5


def craft_set(chance: Random) -> Problem:
    """A crafting table, sticks and planks out of logs."""
    at, wood = drawn_spot(chance), chance.choice(WOODS)
    planks, sticks = f"{wood}_planks", 4 * chance.randint(1, 2)

    def solution(_: Player) -> Iterator[Act]:
        yield craft(planks, 12, "A log gives 4 planks.")
        yield craft("stick", sticks, "Two planks give 4 sticks.")
        yield craft("crafting_table", 1, "A table takes 4 planks.")

    return Problem(
        instruction=f"Craft from the {words(wood)} logs that you carry: a crafting table, and {sticks} sticks; keep 4 "
        f"{words(planks)} or more.",
        goal=carries({"crafting_table": 1, "stick": sticks, planks: 4}),
        solution=solution,
        start=at,
        site=at.plus((0, 0, -2)),
        items={f"{wood}_log": 3},
    )


def fell_and_craft(chance: Random) -> Problem:
    """A tool, from nothing but a tree."""
    at, wood, tool = drawn_spot(chance), chance.choice(WOODS), chance.choice(_TOOLS)
    log, planks = f"{wood}_log", f"{wood}_planks"
    trunk = [at.plus((0, up, 0)) for up in range(_TRUNK)]
    crown = [trunk[-1].plus(step) for step in ((1, 0, 0), (-1, 0, 0), (0, 0, 1), (0, 0, -1), (0, 1, 0))]
    table = at.plus((1, 0, 2))

    def solution(player: Player) -> Iterator[Act]:
        yield from (dig(cell, log) for cell in trunk[:3])
        yield from _gathered(player, log, 3)
        yield move(table.plus((-1, 0, 1)))
        yield craft(planks, 12, "Three logs give 12 planks.")
        yield craft("stick", 4)
        yield craft("crafting_table", 1)
        yield place(table, "crafting_table")
        yield craft(tool, 1, "The table is near.")

    return Problem(
        instruction=f"Fell the tree at {told(at)}, pick up the logs, and craft a {words(tool)} from them. You need "
        "planks, sticks, and a crafting table that stands near you.",
        goal=carries({tool: 1}),
        solution=solution,
        start=at.plus((0, 0, 3)),
        site=at,
        blocks={**dict.fromkeys(crown, f"{wood}_leaves"), **dict.fromkeys(trunk, log)},
        items={"iron_axe": 1},
    )


def _gathered(player: Player, item: str, count: int) -> Iterator[Act]:
    """Walks to what lies about, until so many are carried; each place once before it looks again."""
    until_s, been = time.monotonic() + _GATHER_TIMEOUT_S, set[Position]()
    while (state := player.state()).items.get(item, 0) < count and time.monotonic() < until_s:
        lying = [entity for entity in state.entities if entity.kind == "item" and entity.name == item]
        lying = [entity for entity in lying if _below(entity) not in been]
        if lying:
            to = _below(min(lying, key=lambda entity: dist(entity.position, state.position)))
            been.add(to)
            yield move(to, why="There lies one.")
        else:  # it may still fall, or not have been told of
            player.wait(_LOOK_AGAIN_S)
            been.clear()


def _below(entity: SeenEntity) -> Position:
    x, y, z = (int(axis // 1) for axis in entity.position)
    return Position(x, y, z)
