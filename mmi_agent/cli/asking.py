"""What is to be built: a sentence, a blueprint file, or a picture; for the commands that plan and build."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from mmi_agent.errors import ConfigError

if TYPE_CHECKING:
    from mmi_minecraft import Blueprint

__all__ = ["Asked", "Flat", "Height", "Palette", "PictureFile", "Pictured", "Width", "asked"]

PictureFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Copy a picture cell by cell, as a wall that is looked at from the south. What it shows is not "
        "understood: that of a fence becomes a picture of a fence.",
        show_default="none",
    ),
]
Width = Annotated[
    int | None,
    typer.Option(metavar="N", help="Blocks across, with --picture, at most 128.", show_default="32, or as --height is"),
]
Height = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="Blocks from bottom to top, with --picture, at most 128.", show_default="as --width is"
    ),
]
Flat = Annotated[
    bool, typer.Option("--flat", help="With --picture, a floor, let into the ground; its top is in the north.")
]
Palette = Annotated[
    str | None,
    typer.Option(
        metavar="NAME,NAME",
        help="With --picture, of what it is made: wool, concrete, terracotta, planks, stone.",
        show_default="all",
    ),
]


class Pictured(NamedTuple):
    """A picture that is to be copied, and how; None where nothing was said."""

    picture: Path | None = None
    width: int | None = None
    height: int | None = None
    flat: bool = False
    palette: str | None = None


class Asked(NamedTuple):
    """What is to be built.

    Attributes:
        blueprint: The plan.
        request: How it was asked for.
        assumed: What was not said and was chosen.
        parameters: From which the plan was made; none for a file.
    """

    blueprint: "Blueprint"
    request: str
    assumed: tuple[str, ...] = ()
    parameters: dict[str, object] | None = None


def asked(request: str | None, pictured: Pictured, *, files: bool = False) -> Asked:
    """Makes the plan.

    Args:
        request: What is to be built, in words.
        pictured: The picture instead.
        files: Whether `request` may name a blueprint file.

    Raises:
        ConfigError: If there is neither or both, a file cannot be read, or the request cannot be built.
        UnknownNameError: If a block, or a family of blocks, does not exist.
        OSError: If a file cannot be opened.
    """
    if pictured.picture is not None:
        if request is not None:
            raise ConfigError(f"{request!r} and --picture {pictured.picture}: expected one of them")
        return _of_picture(pictured.picture, pictured)
    if pictured != Pictured():
        raise ConfigError("--width, --height, --flat and --palette are for a picture: expected --picture FILE too")
    if request is None:
        raise ConfigError("What shall I build? Expected a few words, or --picture FILE")
    if not _names_file(request) and not (files and Path(request).is_file()):
        return _of_words(request)
    if not files:
        raise ConfigError(f"{request!r} is a file: expected a few words; mmi minecraft convert shows a blueprint")
    return _of_file(Path(request))


def _names_file(request: str) -> bool:
    """Whether it ends as blueprint files do: a mistyped one must not be read as words."""
    from mmi_minecraft.formats import FORMATS

    return Path(request).suffix.lower() in FORMATS


def _of_picture(path: Path, pictured: Pictured) -> Asked:
    from mmi_minecraft.mural import DEFAULT_WIDTH, FAMILIES, mural, open_picture

    width, families = pictured.width, [*FAMILIES]
    assumed: list[str] = []
    if width is None and pictured.height is None:
        width = DEFAULT_WIDTH
        assumed.append(f"width: {width}")
    if pictured.palette is None:
        assumed.append(f"palette: {' '.join(families)}")
    else:
        families = [family.strip() for family in pictured.palette.split(",")]
    how = {"width": width, "height": pictured.height, "flat": pictured.flat, "families": families}
    blueprint = mural(
        open_picture(path),
        width=width,
        height=pictured.height,
        flat=pictured.flat,
        families=families,
        name=f"mural of {path.name}",
    )
    return Asked(blueprint, blueprint.name, tuple(assumed), {"picture": path.name, **how})


def _of_file(path: Path) -> Asked:
    from mmi_minecraft.formats import read_blueprint

    return Asked(read_blueprint(path), path.name)


def _of_words(request: str) -> Asked:
    from mmi_minecraft.requests import KeywordReader

    reading = KeywordReader().read(request)
    if reading.structure is None:
        raise ConfigError(reading.question)
    return Asked(reading.structure.blueprint(), request, tuple(reading.assumed), reading.structure.model_dump())
