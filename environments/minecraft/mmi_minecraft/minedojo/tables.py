"""The names that MineDojo 0.1 has, so that they can be told without it: `make_minedojo_tables.py` wrote them down."""

from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

__all__ = ["Tables", "tables"]


class Tables(BaseModel):
    """What there is to choose from.

    Attributes:
        tasks: The ids of all tasks, in MineDojo's order: programmatic, creative, and one more.
        crafts: What can be crafted or smelted, in the order in which actions count it.
        biomes: Their names, by the game's number.
        sizes: How many values each number of an action has.
        idle: The action that does nothing.
    """

    model_config = ConfigDict(frozen=True)

    tasks: tuple[str, ...]
    crafts: tuple[str, ...]
    biomes: dict[int, str]
    sizes: tuple[int, ...]
    idle: tuple[int, ...]


@cache
def tables() -> Tables:
    """Reads them, once."""
    return Tables.model_validate_json(Path(__file__).with_name("tables.json").read_bytes())
