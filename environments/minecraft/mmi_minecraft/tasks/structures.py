"""Tasks in which something is built as a whole."""

from collections.abc import Mapping
from random import Random

from mmi_minecraft.blueprint import Position
from mmi_minecraft.generators import Fence, Hut, Stairs, Structure, Tower, Wall
from mmi_minecraft.server.practice import GameMode
from mmi_minecraft.tasks.acts import a, build, told, words
from mmi_minecraft.tasks.goals import box, every, shut_in, stands
from mmi_minecraft.tasks.problem import FEET, Goal, Problem
from mmi_minecraft.tasks.supplies import STONES, WOODS, drawn_spot, supplies
from mmi_minecraft.transforms import rotated

__all__ = ["fence_line", "fence_pen", "hut", "stairs", "tower", "wall"]

_LEDGE = "stone"
_AWAY = (-2, 0, -2)


def fence_line(chance: Random) -> Problem:
    """A straight fence."""
    at, wood, length, turns = drawn_spot(chance), chance.choice(WOODS), chance.randint(4, 8), chance.randint(0, 1)
    cells = [at.plus((0, 0, step) if turns else (step, 0, 0)) for step in range(length)]
    return _built(
        at,
        Fence(material=wood, width=length, depth=1),
        turns,
        instruction=f"Build a straight {words(wood)} fence from {told(cells[0])} to {told(cells[-1])}.",
        goal=stands(dict.fromkeys(cells, f"{wood}_fence")),
    )


def fence_pen(chance: Random) -> Problem:
    """A fence around a piece of ground, with a gate."""
    at, wood = drawn_spot(chance), chance.choice(WOODS)
    width, depth = chance.choice((5, 7)), chance.randint(4, 5)
    far = at.plus((width - 1, 0, depth - 1))
    gate = Position(at.x + width // 2, FEET, far.z)
    inside = set(box(at.plus((1, 0, 1)), far.minus((1, 0, 1))))
    ring = {cell: f"{wood}_fence" for cell in box(at, far) if cell not in inside}
    return _built(
        at,
        Fence(material=wood, width=width, depth=depth, gate="south"),
        instruction=f"Build {a(wood)} fence around the ground from {told(at)} to {told(far)}, with {a(wood)} "
        f"fence gate in the middle of the south side, at {told(gate)}.",
        goal=stands({**ring, gate: f"{wood}_fence_gate", **dict.fromkeys(inside, "air")}),
    )


def wall(chance: Random) -> Problem:
    """A wall of one kind of block."""
    at, stone, turns = drawn_spot(chance), chance.choice(STONES), chance.randint(0, 1)
    length, height = chance.randint(4, 6), chance.randint(2, 3)
    far = at.plus((0, height - 1, length - 1) if turns else (length - 1, height - 1, 0))
    return _built(
        at,
        Wall(material=stone, length=length, height=height),
        turns,
        instruction=f"Build a wall of {words(stone)}, {height} high and one thick, from {told(at)} to {told(far)}.",
        goal=stands(dict.fromkeys(box(at, far), stone)),
    )


def stairs(chance: Random) -> Problem:
    """Stairs up to a ledge."""
    at, height, width = drawn_spot(chance), chance.randint(2, 4), chance.randint(1, 2)
    family = chance.choice(("cobblestone", "sandstone", "oak", "birch"))
    step = f"{family}_stairs[facing=north]"
    lowest, topmost = at.plus((0, 0, height - 1)), at.plus((0, height - 1, 0))
    steps = {at.plus((across, up, height - 1 - up)): step for across in range(width) for up in range(height)}
    ledge = box(at.plus((-1, 0, -3)), at.plus((width, height - 1, -1)))
    return _built(
        at,
        Stairs(material=family, height=height, width=width),
        instruction=f"Build {words(family)} stairs up to the ledge of {_LEDGE}, {width} wide. Their west side has the "
        f"lowest step at {told(lowest)} and the topmost at {told(topmost)}; one climbs them to the north.",
        goal=stands(steps),
        start=at.plus((0, 0, height + 3)),
        blocks=dict.fromkeys(ledge, _LEDGE),
    )


def tower(chance: Random) -> Problem:
    """A hollow tower that can be climbed."""
    at, stone, wood = drawn_spot(chance), chance.choice(STONES), chance.choice(WOODS)
    height = chance.randint(5, 6)
    top = at.plus((4, height - 1, 4))
    inside = list(box(at.plus((1, 0, 1)), top.minus((1, 1, 1))))
    door = at.plus((2, 0, 4))
    ladder = [at.plus((2, up, 1)) for up in range(height)]
    walls = {cell: stone for cell in box(at, top) if cell not in inside}
    asked = walls | {door: f"{wood}_door", door.plus((0, 1, 0)): f"{wood}_door"} | dict.fromkeys(ladder, "ladder")
    return _built(
        at,
        Tower(material=stone, width=5, height=height, wood=wood, windows=False, battlements=False),
        instruction=f"Build a hollow square tower of {words(stone)}, 5 by 5 and {height} high, with its north-west "
        f"corner at {told(at)}. It has {a(wood)} door in the middle of the south side, a ladder on the inside of "
        "the north wall that leads up through the topmost layer, and no windows.",
        goal=stands(asked),
        game_mode="creative",
    )


def hut(chance: Random) -> Problem:
    """A hut that keeps the night out."""
    at, wood, door_wood = drawn_spot(chance), chance.choice(WOODS), chance.choice(WOODS)
    width, depth = chance.randint(5, 6), 5
    far = at.plus((width - 1, 2, depth - 1))
    planks, door = f"{wood}_planks", at.plus(((width - 1) // 2, 0, depth - 1))
    inside = set(box(at.plus((1, 0, 1)), far.plus((-1, 0, -1))))
    low_walls = {cell: planks for cell in box(at, far) if cell.y == FEET and cell not in inside}
    asked = low_walls | {door: f"{door_wood}_door", door.plus((0, 1, 0)): f"{door_wood}_door"}
    return _built(
        at,
        Hut(
            walls=planks,
            corners=planks,
            floor="grass_block",
            roof=wood,
            roof_shape="flat",
            width=width,
            depth=depth,
            door_wood=door_wood,
            light=False,
        ),
        instruction=f"Build a hut from {told(at)} to {told(far)}: its walls of {words(planks)}, 3 high, with windows "
        f"of glass pane if you like, {a(door_wood)} door in the middle of the south side at {told(door)}, grass "
        "as its floor, and a roof. Once the door is shut, nothing may get in.",
        goal=every(stands(asked), shut_in(at.plus((2, 1, 2)))),
        game_mode="creative",
    )


def _built(
    at: Position,
    structure: Structure,
    turns: int = 0,
    *,
    instruction: str,
    goal: Goal,
    start: Position | None = None,
    blocks: Mapping[Position, str] | None = None,
    game_mode: GameMode = "survival",
) -> Problem:
    """A problem that one call solves; in survival mode the player carries what it takes."""
    creative = game_mode == "creative"
    return Problem(
        instruction=instruction,
        goal=goal,
        solution=lambda _: iter([build(structure, at, turns)]),
        start=start or at.plus(_AWAY),
        site=at,
        blocks=blocks or {},
        items={} if creative else supplies(rotated(structure.blueprint(), turns)),
        game_mode=game_mode,
    )
