"""What a player can be told to do, and the one action of MineDojo's space that each call makes, once or for some ticks.

`call_of` goes the other way: from a vector of somebody's recording to the call that makes it.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from mmi_agent.errors import ActionError
from mmi_agent.tool import FunctionTool, element_mark
from mmi_agent.types import Effect, Outcome, ToolCall
from mmi_minecraft.minedojo.action import Action, Craft, Degrees, Gait, Slot
from mmi_minecraft.minedojo.state import State
from mmi_minecraft.minedojo.tables import tables

__all__ = ["MAX_TICKS", "Plan", "Scene", "call_of", "minedojo_tools"]

MAX_TICKS = 200
"""Ten seconds of the game."""

Ticks = Annotated[int, Field(ge=1, le=MAX_TICKS, description="For how long; 20 ticks are a second.")]
Item = Annotated[str, Field(min_length=1, max_length=60, description="As the inventory lists it.")]


class Plan(NamedTuple):
    """An action, and how often it is made."""

    action: Action
    ticks: int = 1


class Scene(NamedTuple):
    """What a call may refer to.

    Attributes:
        state: The last moment that was shown.
        look: For each mark, by how many degrees to tilt and to turn to look at it.
    """

    state: State
    look: dict[int, tuple[int, int]]

    def slot_of(self, item: str) -> int:
        """The first slot that holds an item.

        Raises:
            ActionError: If none does.
        """
        stacks = self.state.inventory.stacks()
        wanted = item.replace("_", " ")
        for stack in stacks:
            if stack.name == wanted:
                return stack.slot
        owned = ", ".join(sorted({stack.name for stack in stacks})) or "nothing"
        raise ActionError(f"there is no {wanted!r} in the inventory, which holds {owned}")


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    def plan(self, scene: Scene) -> Plan:
        """What is done.

        Raises:
            ActionError: If it cannot be done in this scene.
        """
        raise NotImplementedError


class _Move(_Arguments):
    direction: Literal["forward", "back", "left", "right"]
    gait: Gait = Field(default="walk", description="How; whoever jumps climbs a block.")
    ticks: Ticks = 10

    def plan(self, scene: Scene) -> Plan:
        if self.direction == "forward" or self.direction == "back":
            return Plan(Action(walk=self.direction, gait=self.gait), self.ticks)
        return Plan(Action(strafe=self.direction, gait=self.gait), self.ticks)


class _Look(_Arguments):
    turn_deg: Degrees = Field(default=0, description="To the right; less than 0 is to the left. In steps of 15.")
    tilt_deg: Degrees = Field(default=0, description="Down; less than 0 is up. In steps of 15.")

    def plan(self, scene: Scene) -> Plan:
        return Plan(Action(turn_deg=self.turn_deg, tilt_deg=self.tilt_deg))


class _LookAt(_Arguments):
    mark: int = Field(ge=1, json_schema_extra=element_mark(), description="The mark of a block or a creature.")

    def plan(self, scene: Scene) -> Plan:
        if self.mark not in scene.look:
            raise ActionError(f"nothing in sight has the mark {self.mark}: there are {sorted(scene.look) or 'none'}")
        tilt_deg, turn_deg = scene.look[self.mark]
        return Plan(Action(tilt_deg=tilt_deg, turn_deg=turn_deg))


class _Jump(_Arguments):
    ticks: Ticks = 1

    def plan(self, scene: Scene) -> Plan:
        return Plan(Action(gait="jump"), self.ticks)


class _Sneak(_Arguments):
    ticks: Ticks = 10

    def plan(self, scene: Scene) -> Plan:
        return Plan(Action(gait="sneak"), self.ticks)


class _Use(_Arguments):
    ticks: Ticks = 1

    def plan(self, scene: Scene) -> Plan:
        return Plan(Action(deed="use"), self.ticks)


class _Attack(_Arguments):
    ticks: Ticks = 20

    def plan(self, scene: Scene) -> Plan:
        return Plan(Action(deed="attack"), self.ticks)


class _Drop(_Arguments):
    def plan(self, scene: Scene) -> Plan:
        return Plan(Action(deed="drop"))


class _Craft(_Arguments):
    item: Craft

    def plan(self, scene: Scene) -> Plan:
        crafts = tables().crafts
        possible = [name for name, can in zip(crafts, scene.state.masks.craft_smelt, strict=True) if can]
        if self.item not in possible:
            raise ActionError(
                f"{self.item} cannot be made now: materials are missing, or a crafting table or furnace near you; "
                f"can be made: {', '.join(possible) or 'nothing'}"
            )
        return Plan(Action(deed="craft", craft=self.item))


class _Equip(_Arguments):
    item: Item

    def plan(self, scene: Scene) -> Plan:
        return Plan(Action(deed="equip", slot=scene.slot_of(self.item)))


class _Place(_Arguments):
    item: Item

    def plan(self, scene: Scene) -> Plan:
        return Plan(Action(deed="place", slot=scene.slot_of(self.item)))


class _Destroy(_Arguments):
    slot: Slot = Field(description="The slot that is emptied; what it holds is lost.")

    def plan(self, scene: Scene) -> Plan:
        if all(stack.slot != self.slot for stack in scene.state.inventory.stacks()):
            raise ActionError(f"slot {self.slot} of the inventory is empty already")
        return Plan(Action(deed="destroy", slot=self.slot))


class _Wait(_Arguments):
    ticks: Ticks = 10

    def plan(self, scene: Scene) -> Plan:
        return Plan(Action(), self.ticks)


class _Act(_Arguments, Action):
    ticks: Ticks = 1

    def plan(self, scene: Scene) -> Plan:
        return Plan(Action.model_validate(self.model_dump(exclude={"ticks"})), self.ticks)


class _Described(NamedTuple):
    arguments: type[_Arguments]
    description: str
    effect: Effect = "reversible"
    told: str = ""


_TOOLS = {
    "move": _Described(_Move, "Walk, on foot.", told="walked {direction}"),
    "look": _Described(_Look, "Turn the head.", "observe"),
    "look_at": _Described(
        _LookAt, "Turn the head to a block or a creature, as near as 15 degrees allow.", "observe", "looked at {mark}"
    ),
    "jump": _Described(_Jump, "Jump where you stand.", told="jumped"),
    "sneak": _Described(_Sneak, "Crouch where you stand."),
    "attack": _Described(
        _Attack, "Hit what is ahead, or dig at it: hold on until the block breaks.", told="hit what is ahead"
    ),
    "use": _Described(
        _Use, "Use what is in the hand, or what is ahead: open, eat (32 ticks), fill, shear.", told="used what is ahead"
    ),
    "place": _Described(_Place, "Put a block from the inventory on what is ahead."),
    "equip": _Described(_Equip, "Take an item of the inventory into the hand, or put it on."),
    "craft": _Described(_Craft, "Craft or smelt something."),
    "drop": _Described(_Drop, "Throw away one of what is in the hand."),
    "destroy": _Described(_Destroy, "Make away with all that a slot of the inventory holds."),
    "wait": _Described(_Wait, "Do nothing for a while.", "observe"),
    "act": _Described(_Act, "Do several of these things in the same tick, as MineDojo's actions can."),
}


def minedojo_tools(perform: Callable[[Callable[[Scene], Plan]], Outcome]) -> tuple[FunctionTool, ...]:
    """The tools of a player.

    Args:
        perform: Makes the plan that fits the scene, carries it out, and says what came of it.
    """
    return tuple(
        FunctionTool(
            name=name,
            description=described.description,
            args_schema=described.arguments,
            run=lambda arguments: perform(arguments.plan),
            effect=described.effect,
            told=described.told,
        )
        for name, described in _TOOLS.items()
    )


def call_of(vector: Sequence[int], scene: Scene) -> ToolCall:
    """The call whose plan makes a vector of MineDojo's action space, for one tick.

    Args:
        vector: The eight numbers; numbers that mean nothing beside the others may be any.
        scene: Says what the inventory holds.

    Raises:
        ActionError: If the vector is none of the space.
    """
    action = Action.from_vector(vector).meaning()
    said: dict[str, JsonValue] = action.model_dump(exclude_defaults=True)
    return _single(action, frozenset(said), scene) or ToolCall(name="act", arguments=said)


def _single(action: Action, said: frozenset[str], scene: Scene) -> ToolCall | None:
    """The call of the one thing that an action does; None if there is no such tool, or it does several."""
    if not said:
        return ToolCall(name="wait", arguments={"ticks": 1})
    if said <= {"tilt_deg", "turn_deg"}:
        return ToolCall(name="look", arguments={"tilt_deg": action.tilt_deg, "turn_deg": action.turn_deg})
    if said <= {"walk", "gait"} and "walk" in said:
        return ToolCall(name="move", arguments={"direction": action.walk, "gait": action.gait, "ticks": 1})
    if said <= {"strafe", "gait"} and "strafe" in said:
        return ToolCall(name="move", arguments={"direction": action.strafe, "gait": action.gait, "ticks": 1})
    if said <= {"gait"} and action.gait in ("jump", "sneak"):
        return ToolCall(name=action.gait, arguments={"ticks": 1})
    if said <= {"deed", "craft", "slot"}:
        return _deed(action, scene)
    return None


def _deed(action: Action, scene: Scene) -> ToolCall | None:
    match action.deed:
        case "use" | "attack":
            return ToolCall(name=action.deed, arguments={"ticks": 1})
        case "drop":
            return ToolCall(name="drop")
        case "craft":
            return ToolCall(name="craft", arguments={"item": action.craft})
        case "destroy":
            return ToolCall(name="destroy", arguments={"slot": action.slot})
        case _:
            item = scene.state.inventory.name[action.slot]
            first = item != "air" and scene.slot_of(item) == action.slot
            return ToolCall(name=action.deed, arguments={"item": item}) if first else None
