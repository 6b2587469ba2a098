"""Somebody who builds step by step on level ground and complains of whatever a player could not do.

Written apart from the planner, from the rules of the game: reach from the eyes, no block in the air or in a body,
ladders and scaffolding that are climbed, a jump of one, a fall of three, and a way out after each step.
"""

from collections import deque
from functools import cache

from mmi_minecraft import AIR, VOID, BlockState, Blueprint, Position
from mmi_minecraft.building import BuildOrder

AROUND = ((1, 0, 0), (-1, 0, 0), (0, 0, 1), (0, 0, -1))
FACING = {"north": (0, 0, -1), "south": (0, 0, 1), "east": (1, 0, 0), "west": (-1, 0, 0)}


def moved(at, by, times=1):
    return (at[0] + by[0] * times, at[1] + by[1] * times, at[2] + by[2] * times)


@cache
def shape_of(name: str) -> str:
    if name in ("ground", "scaffolding"):
        return "full" if name == "ground" else "climb"
    state = BlockState.parse(name)
    if state.name == "ladder":
        return "climb"
    if state.name.endswith(("_door", "_gate")):
        return "opens"
    if state.name.endswith(("_fence", "_wall", "_pane")):
        return "high"
    return "open" if state.kind.shape == "none" else "full"


class SimulatedBuilder:
    """Builds a blueprint by an order; `build` returns what stands in the end."""

    def __init__(self, blueprint: Blueprint) -> None:
        self.blueprint = blueprint
        self.world: dict[tuple[int, ...], str] = {}  # air where ground was dug away
        low, high = blueprint.origin, blueprint.origin.plus(blueprint.size)
        self.box = (low.x, high.x - 1, low.z, high.z - 1)
        self.feet = (low.x - 2, 0, low.z - 2)

    def at(self, cell) -> str:
        return self.world.get(tuple(cell), "air" if cell[1] >= 0 else "ground")

    def shape(self, cell) -> str:
        return shape_of(self.at(cell))

    def passes(self, cell) -> bool:
        return self.shape(cell) in ("open", "climb", "opens")

    def stands(self, feet) -> bool:
        body = self.passes(feet) and self.passes(moved(feet, (0, 1, 0)))
        below = moved(feet, (0, -1, 0))
        on_top = self.shape(below) == "full" or self.at(below) == "scaffolding"
        return body and (on_top or self.shape(feet) == "climb")

    def ways(self, feet):
        up, down = moved(feet, (0, 1, 0)), moved(feet, (0, -1, 0))
        if self.shape(feet) == "climb" and self.stands(up):
            yield up
        if self.shape(down) == "climb":
            yield down
        west, east, north, south = self.box
        for way in AROUND:
            there = moved(feet, way)
            if not (west - 4 <= there[0] <= east + 4 and north - 4 <= there[2] <= south + 4):
                continue
            if self.passes(moved(up, (0, 1, 0))) and self.stands(moved(there, (0, 1, 0))):
                yield moved(there, (0, 1, 0))
            if self.passes(there) and self.passes(moved(there, (0, 1, 0))):
                for fall in range(4):
                    landing = moved(there, (0, -1, 0), fall)
                    if not self.passes(landing):
                        break
                    if self.stands(landing):
                        yield landing
                        break

    def reaches(self, start, arrived) -> bool:
        seen, waiting = {start}, deque([start])
        while waiting:
            feet = waiting.popleft()
            if arrived(feet):
                return True
            for after in self.ways(feet):
                if after not in seen:
                    seen.add(after)
                    waiting.append(after)
        return False

    def is_out(self, feet) -> bool:
        west, east, north, south = self.box
        return feet[1] == 0 and not (west <= feet[0] <= east and north <= feet[2] <= south)

    def build(self, order: BuildOrder) -> None:
        for number, step in enumerate(order.steps):
            where = f"step {number}: {step.action} {step.block} at {tuple(step.position)} from {tuple(step.stand)}"
            target, stand = tuple(step.position), tuple(step.stand)
            assert self.reaches(self.feet, lambda feet, stand=stand: feet == stand), f"{where}: cannot be walked to"
            self.feet = stand
            eyes = (stand[0], stand[1] + 1.62, stand[2])
            middle = (target[0], target[1] + 0.5, target[2])
            distance = sum((a - b) ** 2 for a, b in zip(eyes, middle, strict=True)) ** 0.5
            assert distance <= 4.5, f"{where}: out of reach"
            getattr(self, f"_{step.action}")(target, step, where)
            dug_and_refilled = step.action == "dig" and order.steps[number + 1 : number + 2]
            if dug_and_refilled and order.steps[number + 1].position == step.position:
                continue
            assert self.reaches(self.feet, self.is_out), f"{where}: walled in"

    def _place(self, target, step, where) -> None:
        state = step.block
        assert self.at(target) == "air", f"{where}: {self.at(target)} stands there"
        assert self._holds(target, state), f"{where}: floats"
        cells = [(target, str(state))]
        second = (0, 1, 0) if state.get("half") == "lower" else FACING.get(state.get("facing"))
        if state.get("half") == "lower" or state.get("part") == "foot":
            other = moved(target, second)
            cells.append((other, str(self.blueprint[Position(*other).minus(self.blueprint.origin)])))
            assert self.at(other) == "air", f"{where}: no room for its other half"
        if target == self.feet:
            assert state.kind.shape == "full" and self.shape(moved(self.feet, (0, -1, 0))) == "full", (
                f"{where}: no jump"
            )
            self._jump(where)
        for cell, name in cells:
            assert cell not in (self.feet, moved(self.feet, (0, 1, 0))), f"{where}: into a body"
            self.world[cell] = name

    def _scaffold(self, target, step, where) -> None:
        assert self.at(target) == "air", f"{where}: {self.at(target)} stands there"
        assert self.at(moved(target, (0, -1, 0))) != "air", f"{where}: floats"
        if target == self.feet:
            self._jump(where)
        self.world[target] = "scaffolding"

    def _dig(self, target, step, where) -> None:
        assert self.at(target) == "ground", f"{where}: no ground"
        assert target != moved(self.feet, (0, -1, 0)), f"{where}: below the feet"
        self.world[target] = "air"

    def _remove(self, target, step, where) -> None:
        assert self.at(target) == "scaffolding", f"{where}: no scaffolding"
        assert self.at(moved(target, (0, 1, 0))) != "scaffolding", f"{where}: not the top"
        self.world[target] = "air"
        for _ in range(4):
            if self.stands(self.feet):
                return
            self.feet = moved(self.feet, (0, -1, 0))
        raise AssertionError(f"{where}: a deep fall")

    def _jump(self, where) -> None:
        self.feet = moved(self.feet, (0, 1, 0))
        assert self.passes(moved(self.feet, (0, 1, 0))), f"{where}: hits the head"

    def _holds(self, target, state) -> bool:
        if state.name in ("ladder", "wall_torch"):
            way = FACING[state.get("facing")]
            return self.shape(moved(target, way, -1)) == "full"
        if state.name in ("torch", "gravel", "sand") or state.name.endswith("_door"):
            return self.shape(moved(target, (0, -1, 0))) in ("full", "high")
        return any(self.shape(moved(target, way)) != "open" for way in (*AROUND, (0, 1, 0), (0, -1, 0)))

    def check_built(self) -> None:
        """What stands is the blueprint, and nothing else."""
        wanted = {tuple(self.blueprint.origin.plus(at)): str(state) for at, state in self.blueprint.blocks()}
        empty = {tuple(self.blueprint.origin.plus(at)) for at, state in self.blueprint.states() if state == AIR}
        built = {cell: name for cell, name in self.world.items() if name != "air"}
        assert built == wanted
        assert all(self.at(cell) == "air" for cell in empty)
        assert all(self.blueprint[Position(*cell).minus(self.blueprint.origin)] != VOID for cell in built)
