"""A picture as a wall or a floor of blocks: copied cell by cell, each in the block that looks most like it.

What the picture shows is not understood: that of a fence becomes a picture of a fence.
"""

import struct
import warnings
from collections.abc import Iterable, Sequence
from contextlib import suppress
from math import dist
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from mmi_agent.errors import ConfigError, UnknownNameError
from mmi_agent.pictures import as_rgb
from mmi_minecraft.block_state import BlockState
from mmi_minecraft.block_table import NEWEST, block_kind, data_versions
from mmi_minecraft.blueprint import Blueprint, Canvas
from mmi_minecraft.colors import RGB, color_of, oklab
from mmi_minecraft.generators import BUILDING_BLOCKS
from mmi_minecraft.transforms import moved_to

__all__ = ["DEFAULT_WIDTH", "FAMILIES", "MAX_SIDE", "mural", "open_picture"]

MAX_SIDE = 128
"""Cells from one end of a mural to the other, at most."""

DEFAULT_WIDTH = 32

_STONES = (
    *("stone", "cobblestone", "stone_bricks", "andesite", "diorite", "granite", "bricks", "sandstone"),
    *("red_sandstone", "blackstone", "nether_bricks", "end_stone_bricks", "prismarine", "quartz_block"),
)


def _named(end: str) -> tuple[str, ...]:
    """The building blocks of that name that all versions have."""
    every = (next(iter(data_versions())), NEWEST)
    return tuple(block for block in BUILDING_BLOCKS if block.endswith(end) and block_kind(block).versions == every)


FAMILIES: dict[str, tuple[str, ...]] = {
    "wool": _named("_wool"),
    "concrete": _named("_concrete"),
    "terracotta": (*_named("_terracotta"), "terracotta"),
    "planks": _named("_planks"),
    "stone": _STONES,
}
"""What a mural can be made of: whole blocks that do not fall, of all versions that are known."""

_FORMS = ("PNG", "JPEG", "GIF", "WEBP", "BMP")
_OPAQUE = 128  # of 255; what lets more light through is left empty


def open_picture(path: Path) -> Image.Image:
    """Reads a picture, upright, with what is transparent in it; of one that moves the first frame.

    Raises:
        ConfigError: If it is no picture that is known here, is damaged, or has more pixels than Pillow holds safe.
        OSError: If the file cannot be opened.
    """
    with path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            image = Image.open(file, formats=_FORMS)
            image.load()
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise ConfigError(f"{path}: more than {Image.MAX_IMAGE_PIXELS:,} pixels; make it smaller first") from error
        except UnidentifiedImageError as error:
            raise ConfigError(f"{path}: not a picture that can be read; expected {', '.join(_FORMS)}") from error
        except (OSError, SyntaxError, ValueError, struct.error) as error:
            raise ConfigError(f"{path}: a damaged picture: {error}") from error
    if not image.has_transparency_data or image.mode.startswith("I"):
        return as_rgb(image).convert("RGBA")
    with suppress(OSError, SyntaxError, ValueError, KeyError, struct.error):  # what damaged EXIF data raises
        image = ImageOps.exif_transpose(image)
    return image.convert("RGBA")


def mural(
    picture: Image.Image,
    *,
    width: int | None = None,
    height: int | None = None,
    flat: bool = False,
    families: Sequence[str] = tuple(FAMILIES),
    name: str = "mural",
) -> Blueprint:
    """Makes a wall of a picture, one block thick, to be looked at from the south; or a floor, let into the ground.

    A cell is as its pixels are on average; more than half transparent, and nothing is said about it. Edges of which
    nothing is said fall away.

    Args:
        picture: As `open_picture` gives it.
        width: Cells from west to east, 1 to 128. Where only one of both is given, the picture keeps its proportions;
            where neither is, it is 32 wide.
        height: Cells from bottom to top, or of a floor from north to south, 1 to 128.
        flat: Whether it is a floor; the picture's top is in the north.
        families: Names in `FAMILIES`, of whose blocks it is made.
        name: What it is called.

    Raises:
        ConfigError: If the picture is empty, fully transparent, or a side has less than 1 or more than 128 cells.
        UnknownNameError: If there is no such family.
    """
    cells = _cells(picture, width, height)
    shrunk = picture.convert("RGBA").resize(cells, Image.Resampling.BOX)
    pixels: list[tuple[RGB, bool]] = [
        ((red, green, blue), alpha >= _OPAQUE) for red, green, blue, alpha in struct.iter_unpack("4B", shrunk.tobytes())
    ]
    if not any(opaque for _, opaque in pixels):
        raise ConfigError("the picture is transparent everywhere, so there is nothing to build")
    blocks = _nearest({color for color, opaque in pixels if opaque}, _palette(families))
    canvas = Canvas()
    for place, (color, opaque) in enumerate(pixels):
        row, column = divmod(place, cells[0])
        if opaque:
            canvas[(column, 0, row) if flat else (column, cells[1] - 1 - row, 0)] = blocks[color]
    return moved_to(canvas.blueprint(name=name), (0, -1 if flat else 0, 0))


def _cells(picture: Image.Image, width: int | None, height: int | None) -> tuple[int, int]:
    """How many cells it is wide and high."""
    if not picture.width or not picture.height:
        raise ConfigError(f"a picture of {picture.width} x {picture.height} px has nothing to copy")
    if width is None:
        width = DEFAULT_WIDTH if height is None else max(1, round(height * picture.width / picture.height))
    if height is None:
        height = max(1, round(width * picture.height / picture.width))
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise ConfigError(
            f"a mural {width} wide and {height} high, of a picture of {picture.width} x {picture.height} px: "
            f"expected a width and a height of 1 to {MAX_SIDE} cells"
        )
    return width, height


def _palette(families: Iterable[str]) -> list[BlockState]:
    unknown = [family for family in families if family not in FAMILIES]
    if unknown:
        raise UnknownNameError.among("family of blocks", unknown[0], FAMILIES)
    return [BlockState.of(block) for family in families for block in FAMILIES[family]]


def _nearest(colors: Iterable[RGB], palette: Iterable[BlockState]) -> dict[RGB, BlockState]:
    """The block that looks most like each colour."""
    seen = {state: _seen(color_of(state)) for state in palette}

    def nearest(wanted: tuple[float, float, float]) -> BlockState:
        return min(seen, key=lambda state: dist(seen[state], wanted))

    return {color: nearest(_seen(color)) for color in colors}


def _seen(color: RGB) -> tuple[float, float, float]:
    """Oklab, where a wrong hue weighs twice as much as a wrong lightness: light blue is not to become white."""
    lightness, red, yellow = oklab(color)
    return (lightness, 2 * red, 2 * yellow)
