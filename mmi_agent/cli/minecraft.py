"""`mmi minecraft`: from a sentence or a picture to a building plan in files and pictures, and how far it was built."""

import json as json_format
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmi_agent.cli.asking import Flat, Height, Palette, Pictured, PictureFile, Width, asked
from mmi_agent.cli.opening import open_page
from mmi_agent.cli.options import Json
from mmi_agent.cli.text import printable
from mmi_agent.errors import ConfigError, MissingDependencyError

if TYPE_CHECKING:
    from mmi_minecraft import Blueprint, Position
    from mmi_minecraft.progress import Progress

__all__ = ["convert_blueprint", "corner_of", "need_extra", "plan_building", "show_progress"]

_FORMS = ".schem, .litematic, .nbt, .mcfunction or .json"
_Preview = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write a page that shows how to build it, layer by layer.", show_default="none"),
]
_Version = Annotated[str, typer.Option("--for", metavar="VERSION", help="The version of Minecraft it is built in.")]
_Open = Annotated[bool, typer.Option("--open", help="Open the page in your browser.")]
_Cells = Annotated[int, typer.Option(metavar="N", min=1, help="Refuse a blueprint of more cells, air included.")]


def plan_building(
    request: Annotated[
        str | None,
        typer.Argument(metavar="REQUEST", help="What is to be built, in a few words.", show_default="a picture"),
    ] = None,
    picture: PictureFile = None,
    width: Width = None,
    height: Height = None,
    flat: Flat = False,
    palette: Palette = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help=f"Write the blueprint: {_FORMS}.", show_default="none")
    ] = None,
    preview: _Preview = None,
    version: _Version = "1.21.4",
    open_it: _Open = False,
    json: Json = False,
) -> None:
    """Plan a fence, wall, path, stairs, bridge, tower or hut from a sentence, or a mural from a picture.

    What the sentence does not say is chosen and told. What cannot be built is asked back, and exits with 1.

    Examples:
      mmi minecraft plan "oak fence 9 by 7 with a gate" --out fence.schem --preview fence.html
      mmi minecraft plan "round stone brick tower 15 high, door to the east" --preview tower.html --open
      mmi minecraft plan --picture logo.png --width 32 --out logo.schem --preview logo.html
    """
    need_extra()
    _check_open(open_it, preview, "--preview")
    plan = asked(request, Pictured(picture, width, height, flat, palette))
    _write(plan.blueprint, out, preview, version, plan.assumed)
    if json:
        told = {"parameters": plan.parameters, "assumed": plan.assumed, **_described(plan.blueprint)}
        print(json_format.dumps(told))
    else:
        _tell(plan.blueprint, [*(path for path in (out, preview) if path)])
        if plan.assumed:
            print(f"not said, so chosen: {', '.join(plan.assumed)}")
    if open_it and preview:
        open_page(preview)


def convert_blueprint(
    source: Annotated[Path, typer.Argument(metavar="FILE", help=f"A blueprint: {_FORMS}.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help=f"Write it in another form: {_FORMS}.", show_default="none")
    ] = None,
    preview: _Preview = None,
    turns: Annotated[int, typer.Option(metavar="N", help="Quarter turns clockwise, seen from above.")] = 0,
    mirror: Annotated[
        str, typer.Option(metavar="x|z", help="Exchange east and west (x) or north and south (z).", show_default="no")
    ] = "",
    version: _Version = "1.21.4",
    max_cells: _Cells = 1_000_000,
    open_it: _Open = False,
    json: Json = False,
) -> None:
    """Show what a blueprint takes, write it in another form, turn it, or make the page that shows how to build it.

    Examples:
      mmi minecraft convert house.litematic --preview house.html --open
      mmi minecraft convert house.schem --turns 1 --out house.nbt
    """
    need_extra()
    from mmi_minecraft import mirrored, rotated
    from mmi_minecraft.blueprint import TooManyCells
    from mmi_minecraft.formats import read_blueprint

    _check_open(open_it, preview, "--preview")
    try:
        blueprint = read_blueprint(source, max_cells=max_cells)
    except TooManyCells as error:
        raise ConfigError(f"{error}; --max-cells lets it have more") from error
    if mirror not in ("", "x", "z"):
        raise ConfigError(f"--mirror {mirror!r}: expected x or z")
    if mirror:
        blueprint = mirrored(blueprint, "x" if mirror == "x" else "z")
    blueprint = rotated(blueprint, turns)
    _write(blueprint, out, preview, version, ())
    if json:
        print(json_format.dumps(_described(blueprint)))
    else:
        _tell(blueprint, [*(path for path in (out, preview) if path)])
    if open_it and preview:
        open_page(preview)


def show_progress(
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help=f"A blueprint: {_FORMS}.")],
    server: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where it is built.")],
    at: Annotated[
        str, typer.Option(metavar="'X Y Z'", help="Its north-west corner, at the height of the builder's feet.")
    ],
    turns: Annotated[int, typer.Option(metavar="N", help="Quarter turns clockwise, seen from above.")] = 0,
    page: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the page that shows how to go on.", show_default="none"),
    ] = None,
    username: Annotated[str, typer.Option(metavar="NAME", help="The name under which to look.")] = "mmi",
    open_it: _Open = False,
    json: Json = False,
) -> None:
    """Say how far a building is, from the blocks on a server: the layer that is being built, and what it lacks.

    Somebody joins for it, looks, and leaves; nothing is changed. A server tells a player of what is near only, so the
    place has to be within a few chunks of where players come in.

    Examples:
      mmi minecraft progress fence.schem --server localhost:25565 --at "8 64 -3"
      mmi minecraft progress hut.nbt --server localhost --at "8 64 -3" --page hut.html --open
    """
    need_extra()
    from mmi_minecraft import rotated
    from mmi_minecraft.formats import read_blueprint
    from mmi_minecraft.howto import render_howto

    from mmi_agent.whole_file import check_writable, write_whole

    _check_open(open_it, page, "--page")
    if page:
        check_writable(page)
    blueprint = rotated(read_blueprint(plan), turns)
    progress = _looked(blueprint, server, corner_of(at), username)
    if page:
        write_whole(page, render_howto(blueprint, progress=progress).encode())
    if json:
        print(json_format.dumps(_progress_described(progress)))
    else:
        print(progress)
        if page:
            print(page)
    if open_it and page:
        open_page(page)


def _check_open(open_it: bool, page: Path | None, option: str) -> None:
    if open_it and not page:
        raise ConfigError(f"--open shows a page: expected {option} FILE too")


def _looked(blueprint: "Blueprint", server: str, corner: "Position", username: str) -> "Progress":
    """Joins the server and reads the building back."""
    from mmi_minecraft.building.live import stand_for, verify
    from mmi_minecraft.progress import progress_of
    from mmi_minecraft.server.environment import MinecraftEnvironment

    from mmi_agent.pictures import MemoryPictures

    with MinecraftEnvironment(server, username=username, with_pictures=False) as world:
        world.reset("look at a building", pictures=MemoryPictures())
        return progress_of(verify(world.player, blueprint, stand_for(blueprint, corner)))


def corner_of(text: str) -> "Position":
    """Reads "X Y Z".

    Raises:
        ConfigError: If it is anything else.
    """
    from mmi_minecraft import Position

    try:
        x, y, z = map(int, text.replace(",", " ").split())
    except ValueError:
        raise ConfigError(f"--at {text!r}: expected three whole numbers, as in '8 64 -3'") from None
    return Position(x, y, z)


def _progress_described(progress: "Progress") -> dict[str, object]:
    return {
        "told": str(progress),
        "complete": progress.current is None,
        "layer": progress.current.number if progress.current else None,
        "layers": [
            {
                "number": layer.number,
                "missing": [[*each.position, str(each.wanted)] for each in layer.missing],
                "in_the_way": [[*each.position, str(each.found)] for each in layer.in_the_way],
            }
            for layer in progress.layers
        ],
    }


def need_extra() -> None:
    """Checks that what all commands of Minecraft need is installed.

    Raises:
        MissingDependencyError: If it is not.
    """
    try:
        import_module("mmi_minecraft.formats")
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"mmi minecraft needs the package {error.name!r}: pip install 'mmi-agent[minecraft]'"
        ) from error


def _write(
    blueprint: "Blueprint", out: Path | None, preview: Path | None, version: str, assumed: tuple[str, ...]
) -> None:
    from mmi_minecraft.formats import check_version, write_blueprint
    from mmi_minecraft.howto import render_howto
    from rich.console import Console

    from mmi_agent.whole_file import check_writable, write_whole

    check_version(blueprint, version)
    for path in filter(None, (out, preview)):
        check_writable(path)
    if out:
        write_blueprint(blueprint, out, version=version)
    if preview:
        with Console(stderr=True).status(f"looking for an order for {blueprint.num_blocks:,} blocks"):
            page = render_howto(blueprint, assumed=assumed)
        write_whole(preview, page.encode())


def _described(blueprint: "Blueprint") -> dict[str, object]:
    from mmi_minecraft.materials import materials

    return {
        "name": blueprint.name,
        "size": list(blueprint.size),
        "origin": list(blueprint.origin),
        "blocks": blueprint.num_blocks,
        "materials": {material.item: material.count for material in materials(blueprint)},
    }


def _tell(blueprint: "Blueprint", written: list[Path]) -> None:
    from mmi_minecraft.materials import materials, unobtainable

    print(printable(f"{blueprint.name}: {blueprint.size} cells (east, up, south), {blueprint.num_blocks:,} blocks"))
    for material in materials(blueprint):
        print(f"  {material}")
    if missing := unobtainable(blueprint):
        print(f"  nobody can fetch in survival: {', '.join(missing)}")
    for path in written:
        print(path)
