"""Sponge schematics (`.schem`), versions 2 and 3: what WorldEdit reads and writes.

Specification: https://github.com/SpongePowered/Schematic-Specification. What chests hold and signs say, entities and
biomes are not read.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from nbtlib import ByteArray, Compound, Int, IntArray, List, Short, String

from mmi_agent.errors import ConfigError
from mmi_minecraft.block_state import BlockState
from mmi_minecraft.blueprint import Blueprint, Size, check_volume
from mmi_minecraft.formats.nbt import expect, pack, unpack

__all__ = ["read_sponge", "write_sponge", "write_sponge_2"]

_LONGEST = 0xFFFF  # lengths are shorts without a sign
_VARINT_BYTES = 5
_WORLDEDIT_OFFSET = ("WEOffsetX", "WEOffsetY", "WEOffsetZ")


def read_sponge(data: bytes, max_cells: int) -> Blueprint:
    """Reads either version."""
    root = unpack(data)
    schematic = root["Schematic"] if "Schematic" in root else root
    version = expect(schematic, "Version", int)
    if version not in (2, 3):
        raise ConfigError(f"a Sponge schematic of version {int(version)}: expected 2 or 3; save it anew with WorldEdit")
    size = Size(*(expect(schematic, key, int) & _LONGEST for key in ("Width", "Height", "Length")))
    check_volume(size, max_cells)
    blocks = expect(schematic, "Blocks", dict) if version == 3 else schematic
    ids, palette = _palette(expect(blocks, "Palette", dict))
    packed = expect(blocks, "Data" if version == 3 else "BlockData", ByteArray)
    cells = _from_varints(packed.tobytes(), size.volume, ids)
    return Blueprint.of(size, palette, cells, origin=_offset(schematic), name=_name(schematic))


def write_sponge(blueprint: Blueprint, data_version: int) -> bytes:
    """Writes version 3."""
    blocks = Compound(
        {"Palette": _ids(blueprint), "Data": _varints(blueprint.cells), "BlockEntities": List[Compound]()}
    )
    schematic = Compound({"Version": Int(3), **_head(blueprint, data_version), "Blocks": blocks})
    return pack(Compound({"Schematic": schematic}))


def write_sponge_2(blueprint: Blueprint, data_version: int) -> bytes:
    """Writes version 2, for older programs."""
    schematic = Compound({"Version": Int(2), **_head(blueprint, data_version)})
    schematic["PaletteMax"] = Int(len(blueprint.palette))
    schematic["Palette"] = _ids(blueprint)
    schematic["BlockData"] = _varints(blueprint.cells)
    schematic["BlockEntities"] = List[Compound]()
    return pack(schematic, "Schematic")


def _head(blueprint: Blueprint, data_version: int) -> Mapping[str, Any]:
    if max(blueprint.size) > _LONGEST:
        raise ConfigError(f"a Sponge schematic is at most {_LONGEST:,} long, not {blueprint.size}")
    sides = zip(("Width", "Height", "Length"), blueprint.size, strict=True)
    return {
        "DataVersion": Int(data_version),
        **{key: Short(length - 0x10000 if length > 0x7FFF else length) for key, length in sides},
        "Offset": IntArray(list(blueprint.origin)),
        "Metadata": Compound({"Name": String(blueprint.name), **_worldedit_offset(blueprint)}),
    }


def _worldedit_offset(blueprint: Blueprint) -> Mapping[str, Any]:
    """Where WorldEdit reads from version 2 how to paste; `Offset` is to it where the blocks were copied."""
    return {key: Int(value) for key, value in zip(_WORLDEDIT_OFFSET, blueprint.origin, strict=True)}


def _ids(blueprint: Blueprint) -> Compound:
    return Compound({state.full: Int(index) for index, state in enumerate(blueprint.palette)})


def _palette(tag: Mapping[str, Any]) -> tuple[dict[int, int], list[BlockState]]:
    """Which id stands for which place in the list of blocks."""
    ids: dict[int, int] = {}
    states: list[BlockState] = []
    for name in tag:
        ids[int(expect(tag, name, int))] = len(states)
        states.append(BlockState.parse(name))
    return ids, states


def _offset(schematic: Mapping[str, Any]) -> tuple[int, int, int]:
    metadata = schematic.get("Metadata")
    if isinstance(metadata, dict) and all(key in metadata for key in _WORLDEDIT_OFFSET):
        x, y, z = (int(expect(metadata, key, int)) for key in _WORLDEDIT_OFFSET)
        return (x, y, z)
    if "Offset" not in schematic:
        return (0, 0, 0)
    offset = expect(schematic, "Offset", IntArray).tolist()
    if len(offset) != 3:
        raise ConfigError(f"damaged: 'Offset' has {len(offset)} numbers, not 3")
    return (offset[0], offset[1], offset[2])


def _name(schematic: Mapping[str, Any]) -> str:
    metadata = schematic.get("Metadata")
    name = metadata.get("Name", "") if isinstance(metadata, dict) else ""
    return str(name) if isinstance(name, str) else ""


def _from_varints(data: bytes, count: int, ids: Mapping[int, int]) -> Iterator[int]:
    """The cells: seven bits to a byte, the lowest first, the eighth says that more follow."""
    value = shift = read = 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        if byte & 0x80:
            shift += 7
            if shift >= 7 * _VARINT_BYTES:
                raise ConfigError("damaged: a block's number has more than five bytes")
            continue
        if value not in ids:
            raise ConfigError(f"damaged: a cell names block {value}, which the palette does not have")
        if read == count:  # a packed file of a few KiB has room for millions
            raise ConfigError(f"damaged: more than the {count:,} cells are given that are needed")
        yield ids[value]
        value, shift, read = 0, 0, read + 1
    if read != count or shift:
        raise ConfigError(f"damaged: {read:,} cells are given, {count:,} are needed")


def _varints(cells: Iterable[int]) -> ByteArray:
    data = bytearray()
    for value in cells:
        while value > 0x7F:
            data.append(value & 0x7F | 0x80)
            value >>= 7
        data.append(value)
    return ByteArray(np.frombuffer(bytes(data), dtype=np.int8))
