"""The steps of which solutions are made: a call of an ordinary tool, with the thought that goes before it."""

from pydantic import JsonValue

from mmi_agent.types import ToolCall
from mmi_minecraft.blueprint import Position
from mmi_minecraft.generators import Structure
from mmi_minecraft.tasks.problem import Act

__all__ = ["a", "build", "craft", "dig", "move", "place", "told", "words"]


def told(at: Position) -> str:
    """A place as people and tools write it."""
    return f"{at.x} {at.y} {at.z}"


def words(name: str) -> str:
    """A block or an item as people call it."""
    return name.replace("_", " ")


def a(name: str) -> str:
    """One such block or item, as in "an oak door"."""
    return f"{'an' if name[0] in 'aeiou' else 'a'} {words(name)}"


def place(at: Position, block: str, why: str = "") -> Act:
    """Puts a block down."""
    return _act(f"Put {words(block)} at {told(at)}.", why, "place_block", **at._asdict(), block=block)


def dig(at: Position, block: str, why: str = "") -> Act:
    """Digs a block away.

    Args:
        at: Where.
        block: What stands there.
        why: What is thought before.
    """
    return _act(f"Dig the {words(block)} at {told(at)}.", why, "dig_block", **at._asdict())


def move(at: Position, *, near: int = 0, why: str = "") -> Act:
    """Goes to a place, or near it."""
    return _act(f"Go {'near' if near else 'to'} {told(at)}.", why, "move_to", **at._asdict(), near=near)


def craft(item: str, count: int, why: str = "") -> Act:
    """Crafts items."""
    return _act(f"Craft {count} {words(item)}.", why, "craft", item=item, count=count)


def build(structure: Structure, corner: Position, turns: int = 0) -> Act:
    """Builds a structure whose north-west corner is there."""
    asked: dict[str, JsonValue] = {
        "kind": structure.model_dump()["kind"],
        **structure.model_dump(exclude_defaults=True),
    }
    thought = f"Build the {asked['kind']} at {told(corner)}."
    return _act(thought, "", "build", structure=asked, **corner._asdict(), turns=turns)


def _act(thought: str, why: str, tool: str, **arguments: JsonValue) -> Act:
    return Act(f"{why} {thought}".strip(), ToolCall(name=tool, arguments=arguments))
