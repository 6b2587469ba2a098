"""Tasks in which blocks are placed by hand."""

from collections.abc import Iterator
from random import Random

from mmi_minecraft.blueprint import Position
from mmi_minecraft.server.player import Player
from mmi_minecraft.tasks.acts import dig, move, place, told, words
from mmi_minecraft.tasks.goals import box, crossed, lit, stands, surfaced
from mmi_minecraft.tasks.problem import FEET, GROUND, PLOT, Act, Problem
from mmi_minecraft.tasks.supplies import COLORS, STONES, WOODS, drawn_spot

__all__ = ["bridge", "color_row", "fill_hole", "light_area", "path", "pillar", "place_block"]

_AWAY = (0, 0, 3)
_LIGHT = 8
_LIT_BY_ONE = 3  # blocks to each side, in an area that is 5 deep
_REACHED = 3
_CORE = "dirt"


def place_block(chance: Random) -> Problem:
    """One block at a place that is named."""
    at = drawn_spot(chance)
    asked, other = (f"{color}_wool" for color in chance.sample(COLORS, 2))
    return Problem(
        instruction=f"Put a block of {words(asked)} at {told(at)}.",
        goal=stands({at: asked}),
        solution=lambda _: iter([place(at, asked)]),
        start=at.plus(_AWAY),
        site=at,
        items={other: 4, asked: 4},
    )


def pillar(chance: Random) -> Problem:
    """Some blocks, one on top of the other."""
    at, block, height = drawn_spot(chance), chance.choice(STONES), chance.randint(3, 4)
    cells = [at.plus((0, up, 0)) for up in range(height)]
    return Problem(
        instruction=f"Build a pillar of {words(block)}, {height} blocks high, that stands on the ground at {told(at)}.",
        goal=stands({**dict.fromkeys(cells, block), cells[-1].plus((0, 1, 0)): "air"}),
        solution=lambda _: (place(cell, block) for cell in cells),
        start=at.plus(_AWAY),
        site=at,
        items={block: 16},
    )


def color_row(chance: Random) -> Problem:
    """Wool in the order of colours that is named."""
    at, colors = drawn_spot(chance), chance.sample(COLORS, 5)
    asked = {at.plus((east, 0, 0)): f"{color}_wool" for east, color in enumerate(colors)}
    items = chance.sample(sorted(asked.values()), len(asked))
    return Problem(
        instruction=f"Put blocks of wool in a row from west to east, the first at {told(at)}, in this order: "
        f"{', '.join(map(words, colors))}.",
        goal=stands(asked),
        solution=lambda _: (place(cell, wool) for cell, wool in asked.items()),
        start=at.plus((2, 0, 3)),
        site=at.plus((2, 0, 0)),
        items=dict.fromkeys(items, 2),
    )


def fill_hole(chance: Random) -> Problem:
    """A hole in the ground, filled up to the brim."""
    at, deep = drawn_spot(chance).plus((0, -1, 0)), chance.randint(1, 2)
    low, high = at.plus((0, 1 - deep, 0)), at.plus((chance.randint(1, 2), 0, 1))
    cells = list(box(low, high))
    above = box(at.plus((0, 1, 0)), high.plus((0, 1, 0)))
    return Problem(
        instruction=f"There is a hole in the ground from {told(low)} to {told(high)}. Fill it with {_CORE}, level with "
        "the ground and no higher.",
        goal=stands({**dict.fromkeys(cells, _CORE), **dict.fromkeys(above, "air")}),
        solution=lambda _: (place(cell, _CORE) for cell in cells),
        start=Position(at.x, FEET, high.z + 2),
        site=at,
        blocks=dict.fromkeys(cells, "air"),
        items={_CORE: 32},
    )


def light_area(chance: Random) -> Problem:
    """Torches, so that no place of an area is dark."""
    at, wide = drawn_spot(chance), chance.randint(10, 13)
    xs, zs = range(at.x, at.x + wide), range(at.z, at.z + 5)
    torches = [Position(x, FEET, at.z + 2) for x in (at.x + _LIT_BY_ONE, xs.stop - 1 - _LIT_BY_ONE)]

    def solution(_: Player) -> Iterator[Act]:
        for torch in torches:
            yield move(torch.plus((0, 0, 2)))
            yield place(torch, "torch", "A torch lights what is up to 6 blocks away.")

    return Problem(
        instruction=f"It gets dark. Light the ground from {told(at)} to {told(Position(xs[-1], FEET, zs[-1]))} with "
        f"torches, so that there is a light of {_LIGHT} or more everywhere. A torch gives 14, and one less with each "
        "block away from it. There are three torches.",
        goal=lit(xs, zs, _LIGHT),
        solution=solution,
        start=at.plus((wide // 2, 0, 7)),
        site=at.plus((wide // 2, 0, 2)),
        items={"torch": 3},
    )


def path(chance: Random) -> Problem:
    """A path that follows uneven ground."""
    at, material = drawn_spot(chance), chance.choice(("gravel", "cobblestone", "sandstone"))
    rises = [0]
    while len(rises) < 7:
        rises.append(min(2, max(0, rises[-1] + chance.choice((-1, 0, 1)))))
    ground = {at.z + 6 - along: GROUND + rise for along, rise in enumerate(rises)}
    blocks = {
        Position(x, y, z): "grass_block" if y == top else _CORE
        for z, top in ground.items()
        for x in range(at.x - 2, at.x + 3)
        for y in range(GROUND, top + 1)
    }
    *planned, beginning = sorted(ground)
    cells = [Position(at.x, ground[z], z) for z in reversed(planned)]

    def solution(_: Player) -> Iterator[Act]:
        stand = Position(at.x, ground[beginning] + 1, beginning)
        for first, second in zip(cells[::2], cells[1::2], strict=True):
            yield move(stand)
            for cell in (first, second):
                yield dig(cell, "grass_block")
                yield place(cell, material)
            stand = second.plus((0, 1, 0))

    return Problem(
        instruction=f"Lay a path of {words(material)}, one block wide, from {told(cells[0])} to {told(cells[-1])}. The "
        "ground is uneven: the path takes the place of its topmost blocks, and goes up and down with it.",
        goal=surfaced({(cell.x, cell.z): cell.y for cell in cells}, material),
        solution=solution,
        start=Position(at.x, FEET, beginning + 2),
        site=cells[0],
        blocks=blocks,
        items={"iron_shovel": 1, material: 16},
    )


def bridge(chance: Random) -> Problem:
    """A bridge over water."""
    at, material = drawn_spot(chance), f"{chance.choice(WOODS)}_planks"
    xs = range(at.x + 1, at.x + 1 + chance.randint(3, 5))
    deck = [Position(x, GROUND, at.z) for x in xs]
    (_, _, north), (_, _, south) = PLOT
    water = box(Position(xs[0], GROUND - 1, north), Position(xs[-1], GROUND, south))

    def solution(_: Player) -> Iterator[Act]:
        yield move(at, why="From the bank three blocks can be reached.")
        for cell in deck[:_REACHED]:
            yield place(cell, material)
        if rest := deck[_REACHED:]:
            yield move(deck[_REACHED - 1].plus((0, 1, 0)))
            yield from (place(cell, material) for cell in rest)

    return Problem(
        instruction=f"Build a bridge of {words(material)} over the water, from {told(deck[0])} to {told(deck[-1])}, "
        "that one can walk over with dry feet.",
        goal=crossed(xs, at.z, material),
        solution=solution,
        start=at.plus((-3, 0, 0)),
        site=deck[0],
        blocks=dict.fromkeys(water, "water"),
        items={material: 16},
    )
