"""Tasks in which blocks are dug away, and some put in their place."""

from collections.abc import Iterator, Mapping
from random import Random

from mmi_minecraft.blueprint import Position
from mmi_minecraft.server.player import Player
from mmi_minecraft.tasks.acts import a, dig, place, told, words
from mmi_minecraft.tasks.goals import box, stands
from mmi_minecraft.tasks.problem import Act, Goal, Problem, Solution
from mmi_minecraft.tasks.supplies import STONES, WOODS, drawn_spot

__all__ = ["dig_block", "dig_trench", "doorway", "repair_wall", "replace_blocks"]

_UP = (0, 1, 0)
_LENGTH, _HEIGHT = 5, 3
_PICK = {"iron_pickaxe": 1}


def dig_block(chance: Random) -> Problem:
    """The one block of a row that is of another kind."""
    at, length = drawn_spot(chance), chance.randint(4, 5)
    odd = chance.choice(("gold_block", "iron_block", "lapis_block", "hay_block"))
    common = chance.choice(STONES)
    row = [at.plus((east, 0, 0)) for east in range(length)]
    target = chance.choice(row)
    blocks = {**dict.fromkeys(row, common), target: odd}
    return Problem(
        instruction=f"In the row of {words(common)} from {told(row[0])} to {told(row[-1])} there is a "
        f"{words(odd)}. Dig it away, and leave the others.",
        goal=stands({**blocks, target: "air"}),
        solution=lambda _: iter([dig(target, odd)]),
        start=at.plus((2, 0, 3)),
        site=target,
        blocks=blocks,
        items=_PICK,
    )


def dig_trench(chance: Random) -> Problem:
    """A trench, and nothing beside it."""
    at, length = drawn_spot(chance).plus((0, -1, 0)), chance.randint(3, 5)
    cells = [at.plus((east, 0, 0)) for east in range(length)]
    around = box(at.plus((-1, 0, -1)), cells[-1].plus((1, 0, 1)))
    below = dict.fromkeys((cell.plus((0, -1, 0)) for cell in cells), "dirt")
    return Problem(
        instruction=f"Dig a trench from {told(cells[0])} to {told(cells[-1])}: one block deep, one wide, and leave the "
        "ground around it as it is.",
        goal=stands({**dict.fromkeys(around, "grass_block"), **below, **dict.fromkeys(cells, "air")}),
        solution=lambda _: (dig(cell, "grass_block") for cell in cells),
        start=at.plus((length // 2, 1, 3)),
        site=at.plus((length // 2, 0, 0)),
        items={"iron_shovel": 1},
    )


def doorway(chance: Random) -> Problem:
    """A door, let into a wall."""
    at, stone, wood = drawn_spot(chance), chance.choice(STONES), chance.choice(WOODS)
    wall = _wall(at, stone)
    lower = at.plus((chance.randint(1, _LENGTH - 2), 0, 0))
    upper, door = lower.plus(_UP), f"{wood}_door"

    def solution(_: Player) -> Iterator[Act]:
        yield dig(upper, stone, "A door is two blocks high.")
        yield dig(lower, stone)
        yield place(lower, door)

    return _before_a_wall(
        at,
        instruction=f"A wall of {words(stone)} stands from {told(at)} to {told(_end(at))}. Put {a(door)} "
        f"into it, with its lower half at {told(lower)}, and leave the rest of the wall.",
        goal=stands({**wall, lower: f"{door}[half=lower]", upper: f"{door}[half=upper]"}),
        solution=solution,
        blocks=wall,
        items={**_PICK, door: 1},
    )


def repair_wall(chance: Random) -> Problem:
    """A wall with holes, and with blocks that do not belong there."""
    at, stone = drawn_spot(chance), chance.choice(STONES)
    wall = _wall(at, stone)
    *missing, wrong = sorted(chance.sample(sorted(wall), 4))
    broken = {at: block for at, block in wall.items() if at not in missing} | {wrong: "dirt"}

    def solution(_: Player) -> Iterator[Act]:
        yield dig(wrong, "dirt", f"It is of {words(stone)}.")
        yield from (place(cell, stone) for cell in sorted([*missing, wrong], key=lambda cell: (cell.y, cell)))

    return _before_a_wall(
        at,
        instruction=f"The wall of {words(stone)} from {told(at)} to {told(_end(at))} was damaged: blocks are missing, "
        f"and one is of something else. Mend it, so that it is of {words(stone)} throughout.",
        goal=stands(wall),
        solution=solution,
        blocks=broken,
        items={**_PICK, stone: 16},
    )


def replace_blocks(chance: Random) -> Problem:
    """Every block of one kind in a wall, exchanged for another kind."""
    at = drawn_spot(chance)
    common, old, new = chance.sample(STONES, 3)
    wall = _wall(at, common)
    cells = sorted(chance.sample(sorted(wall), 3))

    def solution(_: Player) -> Iterator[Act]:
        for cell in cells:
            yield dig(cell, old)
            yield place(cell, new)

    return _before_a_wall(
        at,
        instruction=f"In the wall from {told(at)} to {told(_end(at))}, replace each block of {words(old)} by "
        f"{words(new)}, and leave the {words(common)}.",
        goal=stands(wall | dict.fromkeys(cells, new)),
        solution=solution,
        blocks=wall | dict.fromkeys(cells, old),
        items={**_PICK, new: 8},
    )


def _end(at: Position) -> Position:
    return at.plus((_LENGTH - 1, _HEIGHT - 1, 0))


def _wall(at: Position, block: str) -> dict[Position, str]:
    return dict.fromkeys(box(at, _end(at)), block)


def _before_a_wall(
    at: Position,
    *,
    instruction: str,
    goal: Goal,
    solution: Solution,
    blocks: Mapping[Position, str],
    items: Mapping[str, int],
) -> Problem:
    """A problem whose player stands where every block of the wall is within reach."""
    middle = at.plus((_LENGTH // 2, 0, 0))
    return Problem(
        instruction=instruction,
        goal=goal,
        solution=solution,
        start=middle.plus((0, 0, 3)),
        site=middle.plus(_UP),
        blocks=blocks,
        items=items,
    )
