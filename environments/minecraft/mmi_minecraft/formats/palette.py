"""Block states as compounds of a name and properties, which structures and Litematica share."""

from typing import Any

from nbtlib import Compound, String

from mmi_agent.errors import ConfigError
from mmi_minecraft.block_state import BlockState
from mmi_minecraft.formats.nbt import expect

__all__ = ["from_compound", "to_compound"]


def from_compound(tag: Any) -> BlockState:
    """Reads `{Name: "minecraft:oak_log", Properties: {axis: "x"}}`.

    Raises:
        ConfigError: If it has another form, or the block has no such property.
        UnknownNameError: If there is no such block.
    """
    name = str(expect(tag, "Name", str))
    properties = tag.get("Properties", {})
    if not isinstance(properties, dict):
        raise ConfigError(f"damaged: the properties of {name[:80]!r} are not a compound")
    pairs = ",".join(f"{key}={value}" for key, value in properties.items())
    return BlockState.parse(f"{name}[{pairs}]" if pairs else name)


def to_compound(state: BlockState) -> Compound:
    """Writes a block state; a block without properties has a name alone."""
    tag = Compound({"Name": String(f"minecraft:{state.name}")})
    if state.properties:
        tag["Properties"] = Compound({key: String(value) for key, value in state.properties})
    return tag
