"""Boxes of blocks, as the bridge tells of them."""

from collections.abc import Iterable
from typing import TypedDict

from mmi_agent.errors import MMIError
from mmi_minecraft.block_state import BlockState
from mmi_minecraft.blueprint import Blueprint, Position

__all__ = ["Cells", "as_blueprint", "state_of"]


class Cells(TypedDict):
    """Blocks of a box, layer by layer from the bottom, row by row from the north, from the west."""

    palette: list[str]
    cells: list[int]


def state_of(text: str) -> BlockState:
    """The block that the bridge names; one that no version known here has is taken as it is."""
    try:
        return BlockState.parse(text)
    except MMIError:
        name, _, inner = text.rstrip("]").partition("[")
        return BlockState(name, tuple(_pairs(inner.split(","))))


def _pairs(parts: Iterable[str]) -> Iterable[tuple[str, str]]:
    for part in parts:
        key, equals, value = part.partition("=")
        if equals:
            yield key, value


def as_blueprint(found: Cells, low: Position, high: Position) -> Blueprint:
    """A box of the world as a blueprint whose origin is its place in the world."""
    size = high.minus(low).plus((1, 1, 1))
    return Blueprint.of(size, [state_of(text) for text in found["palette"]], found["cells"], origin=low)
