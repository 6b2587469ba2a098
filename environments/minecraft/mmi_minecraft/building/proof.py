"""Builds, and shows that it stands: a page with the plan, a photograph from the game, and every cell counted."""

import base64
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from mmi_agent.errors import ActionError
from mmi_agent.pictures import PictureStore
from mmi_minecraft.blueprint import Blueprint, Position
from mmi_minecraft.building.live import BuildReport, build, corners
from mmi_minecraft.building.verifying import Verification, compare
from mmi_minecraft.drawing import data_uri, draw_whole
from mmi_minecraft.server.environment import MinecraftEnvironment

__all__ = ["Proof", "build_and_prove", "render_proof"]

_STEPS_BACK = 5  # blocks between the building and who photographs it
_FLIGHT_ROOM = 2  # blocks above everything, on the way there


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What was built, and what shows it.

    Attributes:
        where: The server, in words.
        report: What the builder did and read back.
        witness: What the server itself says of every cell, where it can be asked.
        photo: What the builder sees from the south of it, as PNG.
    """

    where: str
    report: BuildReport
    witness: Verification | None
    photo: bytes

    @property
    def planned(self) -> Blueprint:
        """The blueprint, with its place in the world as origin."""
        return self.report.verification.blueprint

    @property
    def complete(self) -> bool:
        """Whether everything stands, by everybody's reading."""
        return self.report.complete and (self.witness is None or self.witness.complete)


def build_and_prove(
    world: MinecraftEnvironment,
    pictures: PictureStore,
    blueprint: Blueprint,
    at: Position,
    *,
    where: str,
    read: Callable[[tuple[int, int, int], tuple[int, int, int]], Blueprint] | None = None,
) -> Proof:
    """Builds a blueprint, reads it back, and photographs it.

    Args:
        world: Where somebody plays already.
        pictures: What `world` keeps its pictures in.
        blueprint: What.
        at: Where the builder stands that the blueprint's origin is seen from.
        where: The server, in words.
        read: Gives the server's own blocks from one corner to another, as `PracticeServer.read`; None if nobody can.

    Raises:
        ActionError: If building cannot begin; nothing has been done then.
        EnvironmentFailure: If the game is gone.
    """
    report = build(world.player, blueprint, at)
    planned = report.verification.blueprint
    low, high = corners(planned)
    witness = compare(planned, read(low, high)) if read else None
    photo = _photograph(world, pictures, low, high, at.y)
    return Proof(where=where, report=report, witness=witness, photo=photo)


def render_proof(proof: Proof, *, request: str, assumed: Sequence[str] = ()) -> str:
    """Makes the page.

    Args:
        proof: What was built.
        request: What was asked for.
        assumed: What was not asked for and was chosen.
    """
    environment = Environment(loader=PackageLoader("mmi_minecraft"), autoescape=True, undefined=StrictUndefined)
    readings = [("the builder", proof.report.verification)]
    readings += [("the server itself", proof.witness)] if proof.witness else []
    return environment.get_template("proof.html.j2").render(
        proof=proof,
        request=request,
        assumed=assumed,
        readings=readings,
        plan=data_uri(draw_whole(proof.planned)),
        photo=f"data:image/png;base64,{base64.b64encode(proof.photo).decode()}",
        differences="" if proof.complete else data_uri(proof.report.verification.draw()),
    )


def _photograph(
    world: MinecraftEnvironment, pictures: PictureStore, low: Position, high: Position, ground: int
) -> bytes:
    """What is seen from the south, where that place can be reached; else from where the builder is."""
    middle = ((low.x + high.x + 1) / 2, (low.y + high.y + 1) / 2, (low.z + high.z + 1) / 2)
    back = max(_STEPS_BACK, (high.x - low.x) // 2, high.y - low.y)
    feet, player = Position(int(middle[0]), ground, high.z + back), world.player
    state = player.state()
    with suppress(ActionError):
        if state.game_mode == "creative":  # who hangs in the air beside the top walks nowhere
            player.fly(feet, over=max(high.y, state.cell.y) + _FLIGHT_ROOM)
        else:
            player.walk(feet, within_blocks=2)
    player.look_at(middle)
    (picture,) = world.observe().pictures
    return pictures.get(picture.digest)
