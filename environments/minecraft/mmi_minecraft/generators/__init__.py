"""Buildings by parameters: what people ask for most."""

from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from mmi_agent.errors import ConfigError, UnknownNameError
from mmi_minecraft.generators.bridge import Bridge
from mmi_minecraft.generators.fence import Fence
from mmi_minecraft.generators.hut import Hut
from mmi_minecraft.generators.path import Path
from mmi_minecraft.generators.stairs import Stairs
from mmi_minecraft.generators.structure import Structure
from mmi_minecraft.generators.supplies import (
    BUILDING_BLOCKS,
    BuildingBlock,
    Family,
    GroundBlock,
    Wood,
    log,
    parts,
    whole_blocks,
)
from mmi_minecraft.generators.tower import Tower
from mmi_minecraft.generators.wall import Wall

__all__ = [
    "BUILDING_BLOCKS",
    "GENERATORS",
    "AnyStructure",
    "Bridge",
    "BuildingBlock",
    "Family",
    "Fence",
    "GroundBlock",
    "Hut",
    "Path",
    "Stairs",
    "Structure",
    "Tower",
    "Wall",
    "Wood",
    "as_structure",
    "log",
    "parts",
    "whole_blocks",
]

GENERATORS: dict[str, type[Structure]] = {
    "fence": Fence,
    "wall": Wall,
    "path": Path,
    "stairs": Stairs,
    "bridge": Bridge,
    "tower": Tower,
    "hut": Hut,
}
"""What can be generated, by kind."""

AnyStructure = Annotated[Fence | Wall | Path | Stairs | Bridge | Tower | Hut, Field(discriminator="kind")]
"""Any of them, told apart by `kind`."""

_ADAPTER: TypeAdapter[Structure] = TypeAdapter(AnyStructure)


def as_structure(parameters: dict[str, Any]) -> Structure:
    """Checks parameters that somebody gave.

    Raises:
        UnknownNameError: If there is no such kind.
        ConfigError: If a parameter is unknown, out of range, or cannot be built; in one line.
    """
    kind = parameters.get("kind")
    if kind not in GENERATORS:
        raise UnknownNameError.among("kind of building", str(kind), GENERATORS)
    try:
        return _ADAPTER.validate_python(parameters)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][1:])
        reason = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"a {kind} cannot be built: {f'{place}: ' if place else ''}{reason}") from error
