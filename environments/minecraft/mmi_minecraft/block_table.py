"""Which blocks there are: their states, their shapes, and in which versions. The facts stand in `blocks.json`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from mmi_agent.errors import UnknownNameError

__all__ = ["NEWEST", "BlockKind", "block_kind", "block_names", "data_versions"]

NEWEST = "1.21.4"
"""The newest version whose blocks are known."""


@dataclass(frozen=True, kw_only=True)
class BlockKind:
    """A block without its state.

    Attributes:
        name: Without the namespace.
        properties: The values that each property may have, properties in order of the alphabet.
        defaults: The value that each property has if nothing is said.
        shape: What a player bumps into: a full cube, a part of one, or nothing.
        stack: How many of its item go into one slot; 0 where no item has its name.
        versions: The first and the last version that has it, of those that are known.
    """

    name: str
    properties: Mapping[str, tuple[str, ...]]
    defaults: Mapping[str, str]
    shape: Literal["full", "part", "none"]
    stack: int
    versions: tuple[str, str]


@cache
def _table() -> dict[str, Any]:
    return json.loads((files("mmi_minecraft") / "blocks.json").read_text())


def data_versions() -> dict[str, int]:
    """The versions whose blocks are known, oldest first, with the number by which files name them."""
    return dict(_table()["versions"])


def block_names(version: str | None = None) -> list[str]:
    """The blocks of a version, or of any version that is known.

    Raises:
        UnknownNameError: If the blocks of that version are not known.
    """
    blocks = _table()["blocks"]
    if version is None:
        return list(blocks)
    known = list(_table()["versions"])
    if version not in known:
        raise UnknownNameError.among("version of Minecraft", version, known)
    index = known.index(version)
    return [name for name, block in blocks.items() if block["versions"][0] <= index <= block["versions"][1]]


@cache
def block_kind(name: str) -> BlockKind:
    """The block of that name.

    Raises:
        UnknownNameError: If there is none; offers the nearest.
    """
    table = _table()
    entry = table["blocks"].get(name)
    if entry is None:
        raise UnknownNameError.among("block", name, table["blocks"])
    properties = table["properties"][entry["properties"]]
    chosen = zip(properties.items(), entry["defaults"], strict=True)
    defaults = {key: values[index] for (key, values), index in chosen}
    versions = list(table["versions"])
    first, last = entry["versions"]
    return BlockKind(
        name=name,
        properties={key: tuple(properties[key]) for key in sorted(properties)},
        defaults=dict(sorted(defaults.items())),
        shape=entry["shape"],
        stack=entry["stack"],
        versions=(versions[first], versions[last]),
    )
