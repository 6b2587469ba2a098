"""Litematica's schematics (`.litematic`): one or several regions, the cells packed into bits."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from nbtlib import Compound, Int, List, Long, LongArray, String

from mmi_agent.errors import ConfigError
from mmi_minecraft.block_state import AIR, VOID, BlockState
from mmi_minecraft.blueprint import Blueprint, Position, Size, check_volume
from mmi_minecraft.formats.nbt import expect, pack, unpack
from mmi_minecraft.formats.palette import from_compound, to_compound

__all__ = ["read_litematic", "write_litematic"]

_VERSION, _SUBVERSION = 6, 1
_LONG_BITS = 64


class _Region(NamedTuple):
    """A box of cells; `corner` is its lowest, wherever the file began to count."""

    corner: Position
    size: Size
    palette: list[BlockState]
    packed: Sequence[int]


def read_litematic(data: bytes, max_cells: int) -> Blueprint:
    """Reads all regions into one blueprint; where they overlap, the later one counts."""
    root = unpack(data)
    tags = expect(root, "Regions", dict)
    boxes = [_box(tag) for tag in tags.values()]
    if not boxes:
        raise ConfigError("damaged: there are no regions")
    for _, size in boxes:
        check_volume(size, max_cells)
    check_volume(Size(sum(size.volume for _, size in boxes), 1, 1), max_cells)
    low = Position(*map(min, *(corner for corner, _ in boxes), boxes[0][0]))
    beyond = Position(*map(max, *(corner.plus(size) for corner, size in boxes), boxes[0][0]))
    whole = Size(*beyond.minus(low))
    check_volume(whole, max_cells)
    palette, cells = [VOID], [0] * whole.volume
    for (corner, size), tag in zip(boxes, tags.values(), strict=True):
        region = _Region(corner.minus(low), size, *_content(tag))
        _lay(region, whole, cells, len(palette))
        palette += region.palette
    metadata = root.get("Metadata")
    name = metadata.get("Name", "") if isinstance(metadata, dict) else ""
    return Blueprint.of(whole, palette, cells, origin=low, name=str(name))


def write_litematic(blueprint: Blueprint, data_version: int) -> bytes:
    """Writes one region."""
    palette = [AIR, *(state for state in blueprint.palette if state != AIR)]  # Litematica takes the first for air
    places = {state: index for index, state in enumerate(palette)}
    moved = [places[state] for state in blueprint.palette]
    bits = _bits(len(palette))
    name = blueprint.name or "blueprint"
    region = Compound(
        {
            "Position": _vector(blueprint.origin),
            "Size": _vector(blueprint.size),
            "BlockStatePalette": List[Compound](map(to_compound, palette)),
            "BlockStates": LongArray(_packed((moved[index] for index in blueprint.cells), bits)),
            "Entities": List[Compound](),
            "TileEntities": List[Compound](),
            "PendingBlockTicks": List[Compound](),
            "PendingFluidTicks": List[Compound](),
        }
    )
    metadata = Compound(
        {
            "Name": String(name),
            "Author": String(""),
            "Description": String(""),
            "EnclosingSize": _vector(blueprint.size),
            "RegionCount": Int(1),
            "TotalBlocks": Int(blueprint.num_blocks),
            "TotalVolume": Int(blueprint.size.volume),
            "TimeCreated": Long(0),
            "TimeModified": Long(0),
        }
    )
    versions = {"MinecraftDataVersion": data_version, "Version": _VERSION, "SubVersion": _SUBVERSION}
    head = {key: Int(value) for key, value in versions.items()}
    return pack(Compound({**head, "Metadata": metadata, "Regions": Compound({name: region})}))


def _box(tag: Any) -> tuple[Position, Size]:
    """A side that is counted backwards has a negative length, and its position is the last cell."""
    position, lengths = _position(expect(tag, "Position", dict)), _position(expect(tag, "Size", dict))
    back = zip(position, lengths, strict=True)
    corner = Position(*(at + length + 1 if length < 0 else at for at, length in back))
    return corner, Size(*map(abs, lengths))


def _content(tag: Any) -> tuple[list[BlockState], Sequence[int]]:
    palette = [from_compound(entry) for entry in expect(tag, "BlockStatePalette", list)]
    return palette, expect(tag, "BlockStates", LongArray).tolist()


def _lay(region: _Region, whole: Size, cells: list[int], first: int) -> None:
    """Puts a region's cells in their place; its palette begins at `first`."""
    values = _unpacked(region.packed, region.size.volume, _bits(len(region.palette)))
    for y in range(region.size.y):
        for z in range(region.size.z):
            start = ((region.corner.y + y) * whole.z + region.corner.z + z) * whole.x + region.corner.x
            for x in range(region.size.x):
                value = next(values)
                if value >= len(region.palette):
                    raise ConfigError(f"damaged: a cell names block {value} of a palette of {len(region.palette)}")
                cells[start + x] = first + value


def _bits(count: int) -> int:
    return max(2, (count - 1).bit_length())


def _unpacked(longs: Sequence[int], count: int, bits: int) -> Iterator[int]:
    """The cells one after the other, the lowest bits first; one may begin in a long and end in the next."""
    needed = -(-count * bits // _LONG_BITS)
    if len(longs) < needed:
        raise ConfigError(f"damaged: the cells take {needed:,} numbers, the file has {len(longs):,}")
    waiting = held = at = 0
    for _ in range(count):
        if held < bits:
            waiting |= (longs[at] & (1 << _LONG_BITS) - 1) << held
            held, at = held + _LONG_BITS, at + 1
        yield waiting & (1 << bits) - 1
        waiting, held = waiting >> bits, held - bits


def _packed(values: Iterator[int], bits: int) -> list[int]:
    longs: list[int] = []
    waiting = held = 0
    for value in values:
        waiting |= value << held
        held += bits
        if held >= _LONG_BITS:
            longs.append(waiting & (1 << _LONG_BITS) - 1)
            waiting, held = waiting >> _LONG_BITS, held - _LONG_BITS
    if held:
        longs.append(waiting)
    return [value - (1 << _LONG_BITS) if value >> _LONG_BITS - 1 else value for value in longs]


def _position(tag: Any) -> Position:
    return Position(*(int(expect(tag, axis, int)) for axis in "xyz"))


def _vector(values: tuple[int, int, int]) -> Compound:
    return Compound({axis: Int(value) for axis, value in zip("xyz", values, strict=True)})
