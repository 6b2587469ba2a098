"""`mmi minecraft build`: from words, a file or a picture to a building on a real server, and a page that proves it."""

import json as json_format
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmi_agent.cli.asking import Asked, Flat, Height, Palette, Pictured, PictureFile, Width, asked
from mmi_agent.cli.minecraft import corner_of, need_extra
from mmi_agent.cli.opening import open_page
from mmi_agent.cli.options import Json
from mmi_agent.errors import ConfigError

if TYPE_CHECKING:
    from mmi_minecraft import Blueprint, Position
    from mmi_minecraft.building.proof import Proof
    from mmi_minecraft.materials import Material
    from mmi_minecraft.server.player import Player
    from mmi_minecraft.server.practice import PracticeServer
    from rich.status import Status

__all__ = ["build_building"]

_PRACTICE_CORNER = (16, 5, 16)  # on level ground, a few steps from where players come in
_VERSION = "1.21.4"
_SPARE = 8  # scaffolding beside what the plan asks for
_SUPPLY_TIMEOUT_S = 20
_SLOTS = 36  # of a player's inventory


def build_building(
    request: Annotated[
        str | None,
        typer.Argument(
            metavar="REQUEST|FILE",
            help="What is to be built, in a few words, or a blueprint.",
            show_default="a picture",
        ),
    ] = None,
    picture: PictureFile = None,
    width: Width = None,
    height: Height = None,
    flat: Flat = False,
    palette: Palette = None,
    server: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Where; it has to let a player in without an account.",
            show_default="a server of its own",
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="'X Y Z'",
            help="Its north-west corner, at the height of the builder's feet. Needed with --server.",
            show_default="level ground",
        ),
    ] = None,
    creative: Annotated[
        bool, typer.Option("--creative", help="On the server of its own, fly and take any block, as in creative mode.")
    ] = False,
    version: Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="VERSION",
            help="The version of Minecraft of the server of its own.",
            show_default=_VERSION,
        ),
    ] = None,
    page: Annotated[Path, typer.Option(metavar="FILE", help="The page that proves it.")] = Path("building.html"),
    username: Annotated[str, typer.Option(metavar="NAME", help="The builder's name.")] = "mmi",
    open_it: Annotated[bool, typer.Option("--open", help="Open the page in your browser.")] = False,
    json: Json = False,
) -> None:
    """Build from a sentence, a file or a picture on a real server, read every block back, and prove it by a page.

    In survival the builder walks, takes blocks from its inventory (on a server of its own it is given what the plan
    needs), puts up scaffolding and takes it away. What stands already is left, so the same command goes on where it was
    interrupted. Exits with 1 if not everything stands in the end.

    Examples:
      mmi minecraft build "oak fence 9 by 7 with a gate" --open
      mmi minecraft build house.schem --server localhost:25565 --at "100 64 -20"
      mmi minecraft build --picture logo.png --width 24 --palette wool,concrete --creative
    """
    need_extra()
    from mmi_minecraft.formats import check_version
    from mmi_minecraft.materials import materials
    from rich.console import Console

    from mmi_agent.whole_file import check_writable, write_whole

    plan = asked(request, Pictured(picture, width, height, flat, palette), files=True)
    if server is not None and at is None:
        raise ConfigError("--server needs --at: where is it to stand?")
    if server is not None and (creative or version):
        raise ConfigError("--creative and --for are for a server of its own: expected no --server beside them")
    version = version or _VERSION
    if server is None:
        check_version(plan.blueprint, version)
    if server is None and not creative:
        _check_room(materials(plan.blueprint))
    corner = corner_of(at) if at else corner_of(" ".join(map(str, _PRACTICE_CORNER)))
    check_writable(page)
    with Console(stderr=True).status("starting") as status:
        if server is not None:
            proof = _build(plan, server, corner, username, f"the server at {server}", None, status)
        else:
            with _practice(version, status, creative=creative) as own:
                proof = _build(plan, f"{own.host}:{own.port}", corner, username, _told(own), own, status)
    from mmi_minecraft.building.proof import render_proof

    write_whole(page, render_proof(proof, request=plan.request, assumed=plan.assumed).encode())
    print(json_format.dumps(_described(proof)) if json else f"{proof.report}\n{page}")
    if open_it:
        open_page(page)
    if not proof.complete:
        raise typer.Exit(1)


@contextmanager
def _practice(version: str, status: "Status", *, creative: bool) -> "Generator[PracticeServer]":
    from mmi_minecraft.server.practice import PracticeServer

    mode = "creative" if creative else "survival"
    with PracticeServer(version=version, game_mode=mode, progress=status.update) as own:
        yield own


def _build(
    plan: Asked,
    server: str,
    corner: "Position",
    username: str,
    where: str,
    own: "PracticeServer | None",
    status: "Status",
) -> "Proof":
    from mmi_minecraft.building.live import stand_for
    from mmi_minecraft.building.proof import build_and_prove
    from mmi_minecraft.server.environment import MinecraftEnvironment

    from mmi_agent.pictures import MemoryPictures

    pictures, blueprint = MemoryPictures(), plan.blueprint
    with MinecraftEnvironment(server, username=username) as world:
        status.update("joining the server")
        world.reset(plan.request, pictures=pictures)
        if own is not None and world.player.state().game_mode == "survival":
            _supply(own, world.player, blueprint)
        status.update(f"building {blueprint.num_blocks:,} blocks")
        stand = stand_for(blueprint, corner)
        return build_and_prove(world, pictures, blueprint, stand, where=where, read=own.read if own else None)


def _supply(own: "PracticeServer", player: "Player", blueprint: "Blueprint") -> None:
    """Gives the builder what the plan needs, and waits until it has it."""
    from mmi_minecraft.building import build_order
    from mmi_minecraft.materials import materials

    needed = materials(blueprint, scaffolding=build_order(blueprint).scaffolding + _SPARE)
    _check_room(needed)
    username = player.state().username
    for material in needed:
        own.give(username, material.item, material.count)
    until = time.monotonic() + _SUPPLY_TIMEOUT_S
    while time.monotonic() < until:
        items = player.state().items
        if all(items.get(material.item, 0) >= material.count for material in needed):
            return
        player.wait(0.1)


def _check_room(needed: "Iterable[Material]") -> None:
    """Refuses what one builder cannot carry."""
    slots = sum(material.stacks + bool(material.rest) for material in needed)
    if slots > _SLOTS:
        raise ConfigError(
            f"it takes {slots} stacks, and a builder in survival carries {_SLOTS}: "
            "make it smaller or of fewer kinds of blocks, or build it with --creative"
        )


def _told(own: "PracticeServer") -> str:
    return f"a Minecraft {own.version} server on this machine"


def _described(proof: "Proof") -> dict[str, object]:
    report, witness = proof.report, proof.witness
    return {
        "complete": proof.complete,
        "placed": report.placed,
        "dug": report.dug,
        "seconds": round(report.seconds, 1),
        "match_percent": report.verification.match_percent,
        "exact_percent": report.verification.exact_percent,
        "server_match_percent": witness.match_percent if witness else None,
        "at": list(proof.planned.origin),
    }
