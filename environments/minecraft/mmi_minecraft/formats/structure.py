"""Vanilla structures (`.nbt`): what structure blocks load and save. Cells that are not listed stay as they are."""

from typing import Any

from nbtlib import Compound, Int, List

from mmi_agent.errors import ConfigError
from mmi_minecraft.block_state import VOID
from mmi_minecraft.blueprint import Blueprint, Size, check_volume
from mmi_minecraft.formats.nbt import MAX_TAGS, expect, pack, unpack
from mmi_minecraft.formats.palette import from_compound, to_compound

__all__ = ["read_structure", "write_structure"]

_TAGS_PER_CELL = 6
_MOST = MAX_TAGS // _TAGS_PER_CELL - 10_000  # room for the palette


def read_structure(data: bytes, max_cells: int) -> Blueprint:
    """Reads a structure; of one with several palettes, as shipwrecks have them, the first."""
    root = unpack(data)
    size = Size(*_three(expect(root, "size", list), "size"))
    check_volume(size, max_cells)
    several = "palettes" in root
    listed = expect(expect(root, "palettes", list), 0, list) if several else expect(root, "palette", list)
    palette = [VOID, *map(from_compound, listed)]
    cells = [0] * size.volume
    for block in expect(root, "blocks", list):
        x, y, z = _three(expect(block, "pos", list), "pos")
        state = int(expect(block, "state", int))
        if not (0 <= x < size.x and 0 <= y < size.y and 0 <= z < size.z):
            raise ConfigError(f"damaged: a block stands at {(x, y, z)}, outside of {size}")
        if not 0 <= state < len(palette) - 1:
            raise ConfigError(f"damaged: a cell names block {state}, which the palette does not have")
        cells[(y * size.z + z) * size.x + x] = state + 1
    return Blueprint.of(size, palette, cells)


def write_structure(blueprint: Blueprint, data_version: int) -> bytes:
    """Writes a structure. It has no place for an origin.

    Raises:
        ConfigError: If it has more cells than such a file is read with here.
    """
    said = [(position, index) for position, index in zip(blueprint.positions(), blueprint.cells, strict=True)]
    nothing = blueprint.palette.index(VOID) if VOID in blueprint.palette else -1
    said = [(position, index) for position, index in said if index != nothing]
    if len(said) > _MOST:
        raise ConfigError(f"{len(said):,} cells are too many for a structure (at most {_MOST:,}): write a .schem")
    blocks = [Compound({"pos": List[Int](map(Int, position)), "state": Int(index)}) for position, index in said]
    return pack(
        Compound(
            {
                "DataVersion": Int(data_version),
                "size": List[Int](map(Int, blueprint.size)),
                "palette": List[Compound](map(to_compound, blueprint.palette)),
                "blocks": List[Compound](blocks),
                "entities": List[Compound](),
            }
        )
    )


def _three(numbers: Any, name: str) -> tuple[int, int, int]:
    if len(numbers) != 3:
        raise ConfigError(f"damaged: {name!r} has {len(numbers)} numbers, not 3")
    x, y, z = (int(expect(numbers, index, int)) for index in range(3))
    return x, y, z
