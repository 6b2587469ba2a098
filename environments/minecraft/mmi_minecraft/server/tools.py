"""What a policy can do in the game: each tool, its arguments and their meaning. Positions are those of the world."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from mmi_agent.tool import FunctionTool
from mmi_agent.types import Effect
from mmi_minecraft.generators import AnyStructure
from mmi_minecraft.server.hands import Hands

__all__ = ["MAX_WAIT_S", "file_tool", "game_tools"]

MAX_WAIT_S = 10

Horizontal = Annotated[int, Field(ge=-30_000_000, le=30_000_000)]
Height = Annotated[int, Field(ge=-64, le=319)]
ItemName = Annotated[str, Field(min_length=1, max_length=60, description="As in oak_planks.")]


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _At(_Arguments):
    x: Horizontal = Field(description="East.")
    y: Height = Field(description="Up.")
    z: Horizontal = Field(description="South.")


class _Move(_At):
    near: int = Field(default=0, ge=0, le=16, description="How many blocks away is near enough; 0 is there itself.")


class _Place(_At):
    block: str = Field(min_length=1, max_length=200, description="As in torch, or oak_stairs[facing=east,half=top].")


class _Craft(_Arguments):
    item: ItemName
    count: int = Field(default=1, ge=1, le=64)


class _Equip(_Arguments):
    item: ItemName
    destination: Literal["hand", "off-hand", "head", "torso", "legs", "feet"] = "hand"


class _Chat(_Arguments):
    text: str = Field(min_length=1, max_length=256, description="What everybody reads; /… is a command.")


class _Wait(_Arguments):
    seconds: float = Field(default=1, gt=0, le=MAX_WAIT_S)


class _Build(_At):
    structure: AnyStructure
    turns: int = Field(default=0, ge=0, le=3, description="Quarter turns clockwise.")


class _BuildFile(_At):
    file: str = Field(min_length=1, max_length=100, description="The blueprint's file.")
    turns: int = Field(default=0, ge=0, le=3, description="Quarter turns clockwise.")


def game_tools(hands: Hands, world_effect: Effect) -> tuple[FunctionTool, ...]:
    """The tools of a player.

    Args:
        hands: Carry them out.
        world_effect: What placing, digging and crafting can do: "consequential" on a server that is others' too.
    """
    return (
        FunctionTool(
            name="look_at",
            description="Turn to a block.",
            args_schema=_At,
            run=lambda a: hands.look_at((a.x, a.y, a.z)),
            effect="observe",
            told="looked at {x} {y} {z}",
        ),
        FunctionTool(
            name="move_to",
            description="Walk to a place; in creative mode, fly. Nothing is dug or placed on the way.",
            args_schema=_Move,
            run=lambda a: hands.move_to((a.x, a.y, a.z), a.near),
            effect="reversible",
            told="went to {x} {y} {z}",
        ),
        FunctionTool(
            name="place_block",
            description="Put a block from the inventory into a free cell, against a block beside it.",
            args_schema=_Place,
            run=lambda a: hands.place((a.x, a.y, a.z), a.block),
            effect=world_effect,
            told="placed {block} at {x} {y} {z}",
        ),
        FunctionTool(
            name="dig_block",
            description="Dig a block away.",
            args_schema=_At,
            run=lambda a: hands.dig((a.x, a.y, a.z)),
            effect=world_effect,
            told="dug at {x} {y} {z}",
        ),
        FunctionTool(
            name="craft",
            description="Craft items from the inventory; what needs a crafting table needs one within 4 blocks.",
            args_schema=_Craft,
            run=lambda a: hands.craft(a.item, a.count),
            effect=world_effect,
            told="crafted {count} {item}",
        ),
        FunctionTool(
            name="equip",
            description="Take an item into the hand, or put it on.",
            args_schema=_Equip,
            run=lambda a: hands.equip(a.item, a.destination),
            effect="reversible",
            told="took {item}",
        ),
        FunctionTool(
            name="chat",
            description="Say something that everybody on the server reads.",
            args_schema=_Chat,
            run=lambda a: hands.chat(a.text),
            effect="consequential",
        ),
        FunctionTool(
            name="wait",
            description="Let some seconds pass.",
            args_schema=_Wait,
            run=lambda a: hands.wait(a.seconds),
            effect="observe",
        ),
        FunctionTool(
            name="build",
            description="Build a structure. The position is that of its north-west corner, at the height of the feet. "
            "Called again, it goes on where it stopped, and mends what is not as planned.",
            args_schema=_Build,
            run=lambda a: hands.build(a.structure, (a.x, a.y, a.z), a.turns),
            effect=world_effect,
        ),
    )


def file_tool(hands: Hands, world_effect: Effect) -> FunctionTool:
    """The tool that builds from the folder of blueprints that the user gave."""
    return FunctionTool(
        name="build_file",
        description="Build a blueprint from a file, as build does with a structure.",
        args_schema=_BuildFile,
        run=lambda a: hands.build_file(a.file, (a.x, a.y, a.z), a.turns),
        effect=world_effect,
    )
