"""Builds on a live server, and proves it: what is missing is placed, what is wrong replaced, everything read back.

What stands is always read first. So building goes on where it stopped, for whatever reason it did, and places nothing
twice; and building what stands already is nothing but a proof.
"""

import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from math import inf

from mmi_agent.errors import ActionError, MMIError
from mmi_minecraft.block_state import AIR, VOID
from mmi_minecraft.block_table import data_versions
from mmi_minecraft.blueprint import Blueprint, Position
from mmi_minecraft.building.crew import Crew, OutOfTime
from mmi_minecraft.building.flying import Flying
from mmi_minecraft.building.ground import Ground
from mmi_minecraft.building.verifying import Difference, Verification, compare
from mmi_minecraft.building.walking import Walking
from mmi_minecraft.formats import check_version
from mmi_minecraft.materials import items
from mmi_minecraft.server.player import Player, PlayerState
from mmi_minecraft.transforms import shifted

__all__ = ["BuildReport", "build", "corners", "missing_materials", "stand_for", "verify"]

_MARGIN = 4
_BESIDE = 2  # blocks between the site and who has come to it
_APPROACH_S = 60
_BELOW, _ABOVE = 3, 6
_ROUNDS = 4
_REASONS_TOLD = 5


@dataclass(frozen=True, kw_only=True)
class BuildReport:
    """What came of building.

    Attributes:
        placed: How many blocks were placed.
        dug: How many were dug away.
        seconds: How long it took.
        verification: Of every cell, read back in the end.
        in_time: Whether it came to its end; otherwise call `build` again to go on.
        reasons: Why blocks could not be placed or dug, for those that are still wrong.
    """

    placed: int
    dug: int
    seconds: float
    verification: Verification
    in_time: bool
    reasons: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether everything stands as planned, but for what the server works out."""
        return self.verification.complete

    def __str__(self) -> str:
        """What was done, what stands, and what does not."""
        lines = [f"placed {self.placed}, dug {self.dug} in {self.seconds:.0f} s", str(self.verification)]
        if not self.in_time:
            lines.append("the time for one call is over: build again to go on")
        return "\n".join([*lines, *self.reasons])


def stand_for(blueprint: Blueprint, corner: Position) -> Position:
    """Where the builder stands so that the north-west corner comes there, with the feet at the corner's height."""
    return corner.minus((blueprint.origin.x, 0, blueprint.origin.z))


def verify(player: Player, blueprint: Blueprint, at: Position) -> Verification:
    """Reads every cell back.

    Args:
        player: Who looks.
        blueprint: What was planned.
        at: Where the builder stands that the blueprint's origin is seen from.

    Raises:
        ActionError: If a part of it is too far away to be known.
    """
    planned = shifted(blueprint, at)
    low, high = corners(planned)
    return compare(planned, player.read(low, high))


def build(player: Player, blueprint: Blueprint, at: Position, *, timeout_s: float = inf) -> BuildReport:
    """Builds, or goes on building, until everything stands as planned or cannot.

    In creative mode the player flies; otherwise it walks, takes blocks from the inventory, and puts up scaffolding.

    Args:
        player: Who builds.
        blueprint: What.
        at: Where the builder stands that the blueprint's origin is seen from.
        timeout_s: After so long it stops, between two blocks.

    Raises:
        ActionError: If it cannot begin: the plan says nothing, a part is too far away to be known, the game's version
            lacks a block, or materials are missing; says which. Nothing has been done then.
        EnvironmentFailure: If the game is gone.
    """
    began = time.monotonic()
    state = player.state()
    _check(blueprint, state)
    planned = shifted(blueprint, at)
    ground, verification = _survey(player, planned, state)
    crew: Flying | Walking
    if state.game_mode == "creative":
        crew = Flying(player, ground, creative=True, until_s=began + timeout_s)
    else:
        _approach(player, planned, state)
        crew = Walking(player, ground, creative=False, until_s=began + timeout_s)
        crew.plan(blueprint, at, verification.wrong)
        if lacking := missing_materials(verification.wrong, state, crew.scaffolding):
            told = ", ".join(f"{count} {item}" for item, count in lacking.items())
            raise ActionError(f"materials are missing, so nothing was begun: {told}")
    in_time = True
    for _ in range(_ROUNDS):
        if verification.complete:
            break
        crew.failed.clear()
        try:
            crew.work(verification.wrong)
        except OutOfTime:
            in_time = False
        before = verification
        crew.ground, verification = _survey(player, planned, state)
        if not in_time or verification.wrong == before.wrong:
            break
    return BuildReport(
        placed=crew.placed,
        dug=crew.dug,
        seconds=time.monotonic() - began,
        verification=verification,
        in_time=in_time or verification.complete,
        reasons=_reasons(crew, verification.wrong),
    )


def missing_materials(wrong: Iterable[Difference], state: PlayerState, scaffolding: int) -> dict[str, int]:
    """How many of which items are not in the inventory, for what has still to be placed."""
    needed: Counter[str] = Counter({"scaffolding": scaffolding} if scaffolding else {})
    for difference in wrong:
        if difference.wanted != AIR:
            for item, count in items(difference.wanted):
                needed[item] += count
    needed.subtract({item: count for item, count in state.items.items() if item in needed})
    return {item: count for item, count in sorted(needed.items()) if count > 0}


def _check(blueprint: Blueprint, state: PlayerState) -> None:
    if blueprint.palette == (VOID,):
        raise ActionError("the plan says nothing of any cell, so there is nothing to build")
    if state.version in data_versions():
        try:
            check_version(blueprint, state.version)
        except MMIError as error:
            raise ActionError(str(error)) from error


def _approach(player: Player, planned: Blueprint, state: PlayerState) -> None:
    """Walks to the site: ways are planned on ground that was read, which is the site's. Who cannot is told so later."""
    (low, high), cell = corners(planned), state.cell
    x = min(max(cell.x, low.x - _BESIDE), high.x + _BESIDE)
    z = min(max(cell.z, low.z - _BESIDE), high.z + _BESIDE)
    if (x, z) != (cell.x, cell.z):
        with suppress(ActionError):
            player.walk(Position(x, cell.y, z), within_blocks=_BESIDE, timeout_s=_APPROACH_S)


def _survey(player: Player, planned: Blueprint, state: PlayerState) -> tuple[Ground, Verification]:
    """Reads the place and what is around it."""
    low, high = corners(planned)
    if low.y < state.lowest or high.y > state.highest:
        raise ActionError(
            f"it would reach from {low.y} to {high.y} in height: the world has {state.lowest} to {state.highest}"
        )
    wide_low = Position(low.x - _MARGIN, max(state.lowest, low.y - _BELOW), low.z - _MARGIN)
    wide_high = Position(high.x + _MARGIN, min(state.highest, high.y + _ABOVE), high.z + _MARGIN)
    found = player.read(wide_low, wide_high)
    return Ground(found), compare(planned, found)


def corners(planned: Blueprint) -> tuple[Position, Position]:
    """The lowest and the highest cell of a blueprint in the world, both included."""
    return planned.origin, planned.origin.plus(planned.size).minus((1, 1, 1))


def _reasons(crew: Crew, wrong: Iterable[Difference]) -> tuple[str, ...]:
    still = {each.position for each in wrong}
    reasons = [failed.reason for failed in crew.failed if failed.position in still]
    return tuple(dict.fromkeys(reasons))[:_REASONS_TOLD]
