"""A block with its state, as in `oak_stairs[facing=east,half=top]`: parsed, checked, and complete."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

from mmi_agent.errors import ConfigError
from mmi_minecraft.block_table import BlockKind, block_kind

__all__ = ["AIR", "VOID", "BlockState"]

_FORM = re.compile(r"(?:minecraft:)?(?P<name>[a-z0-9_]+)(?:\[(?P<properties>[^\[\]]*)\])?")
_PAIR = re.compile(r"([a-z0-9_]+)=([a-z0-9_]+)")
_LONGEST = 1000
_OTHER_AIR = ("cave_air", "void_air")  # which the game keeps apart, and nobody else


@dataclass(frozen=True)
class BlockState:
    """A block in one of its states. Every property has a value, so that equal states are equal objects.

    Attributes:
        name: Without the namespace.
        properties: Names and values, in order of the alphabet.
    """

    name: str
    properties: tuple[tuple[str, str], ...] = ()

    @staticmethod
    def parse(text: str) -> "BlockState":
        """Reads a block as commands and schematics write it; what is not said has its default.

        Raises:
            UnknownNameError: If there is no such block; offers the nearest.
            ConfigError: If it has no such property or value, or cannot be read at all.
        """
        return _parse(text[:_LONGEST].strip())

    @staticmethod
    def of(name: str, properties: Mapping[str, str] | None = None) -> "BlockState":
        """The block with these properties; the others have their defaults. All air is `AIR`.

        Raises:
            UnknownNameError: If there is no such block; offers the nearest.
            ConfigError: If it has no such property or value.
        """
        kind = block_kind("air" if name in _OTHER_AIR else name)
        chosen = dict(properties or {})
        for key, value in chosen.items():
            _check(kind, key, value)
        return BlockState(kind.name, tuple({**kind.defaults, **chosen}.items()))

    @cached_property
    def kind(self) -> BlockKind:
        """What is known about the block."""
        return block_kind(self.name)

    @cached_property
    def values(self) -> Mapping[str, str]:
        """The properties by name."""
        return dict(self.properties)

    def get(self, key: str, default: str = "") -> str:
        """The value of a property, or the default where the block has none of that name."""
        return self.values.get(key, default)

    def matches(self, text: str) -> bool:
        """Whether it is the block of a text, with the properties that this names, whatever the others are.

        Raises:
            ConfigError: If the text cannot be read.
        """
        name, properties = _taken_apart(text)
        return self.name == name and all(self.get(key) == value for key, value in properties.items())

    def with_(self, **properties: str) -> "BlockState":
        """The same block with other properties."""
        return BlockState.of(self.name, {**self.values, **properties})

    @cached_property
    def full(self) -> str:
        """The name with its namespace and every property, as schematics write it."""
        return f"minecraft:{self.name}" + _bracketed(self.values)

    def __str__(self) -> str:
        """The name, and the properties that differ from their defaults."""
        defaults = self.kind.defaults
        return self.name + _bracketed({key: value for key, value in self.properties if defaults[key] != value})


def _bracketed(properties: Mapping[str, str]) -> str:
    return f"[{','.join(f'{key}={value}' for key, value in properties.items())}]" if properties else ""


@lru_cache(maxsize=4096)
def _parse(text: str) -> BlockState:
    return BlockState.of(*_taken_apart(text))


def _taken_apart(text: str) -> tuple[str, Mapping[str, str]]:
    """The name, and the properties that are named."""
    match = _FORM.fullmatch(text)
    if not match:
        raise ConfigError(f"not a block: {text[:80]!r}; expected a form such as oak_stairs[facing=east,half=top]")
    pairs = [part.strip() for part in (match["properties"] or "").split(",") if part.strip()]
    properties: dict[str, str] = {}
    for part in pairs:
        pair = _PAIR.fullmatch(part)
        if not pair or pair[1] in properties:
            raise ConfigError(
                f"not a state: {part[:80]!r} in {text[:80]!r}; expected each property once, as facing=east"
            )
        properties[pair[1]] = pair[2]
    return match["name"], properties


def _check(kind: BlockKind, key: str, value: str) -> None:
    if key not in kind.properties:
        has = ", ".join(kind.properties) or "none"
        raise ConfigError(f"{kind.name} has no property {key!r}; it has: {has}")
    if value not in kind.properties[key]:
        raise ConfigError(
            f"{kind.name} cannot have {key}={value!r}; expected one of: {', '.join(kind.properties[key])}"
        )


AIR = BlockState("air")
"""Nothing: what stands there is to be taken away."""

VOID = BlockState("structure_void")
"""Not of the blueprint: what stands there stays."""
