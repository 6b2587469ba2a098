"""What a player does in one tick of the game: in words, and as a vector of MineDojo's action space.

The space is MultiDiscrete([3, 3, 4, 25, 25, 8, 244, 36]). Words and vectors are two forms of one thing: each vector is
one `Action`, and each `Action` one vector.
"""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from mmi_agent.errors import ActionError
from mmi_minecraft.minedojo.tables import tables

__all__ = ["DEGREES_PER_STEP", "Action", "Craft", "Deed", "Degrees", "Gait", "Slot", "Strafe", "Vector", "Walk"]

Vector = tuple[int, int, int, int, int, int, int, int]
"""An action as MineDojo takes it."""

Walk = Literal["stay", "forward", "back"]
Strafe = Literal["stay", "left", "right"]
Gait = Literal["walk", "jump", "sneak", "sprint"]
Deed = Literal["nothing", "use", "drop", "attack", "craft", "equip", "place", "destroy"]

DEGREES_PER_STEP = 15
_STEPS = 12  # to either side

Degrees = Annotated[int, Field(ge=-180, le=180, multiple_of=DEGREES_PER_STEP)]
Slot = Annotated[int, Field(ge=0, le=35)]


def _known_craft(name: str) -> str:
    crafts = tables().crafts
    if name not in crafts:
        near = get_close_matches(name, crafts, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"as {crafts[0]!r} or {crafts[1]!r}"
        raise ValueError(f"{name!r} cannot be crafted or smelted: {hint}")
    return name


Craft = Annotated[str, AfterValidator(_known_craft), Field(json_schema_extra={"enum": list(tables().crafts)})]


class Action(BaseModel):
    """One tick, which is 1/20 s of the game.

    Attributes:
        walk: Which way the feet go.
        strafe: Which way they go sideways.
        gait: How.
        tilt_deg: By how much the look goes down (less than 0: up), in steps of 15.
        turn_deg: By how much it turns right (less than 0: left), in steps of 15.
        deed: What the hands do.
        craft: What is made, if something is crafted.
        slot: Which slot of the inventory is meant, if something is equipped, placed or destroyed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    walk: Walk = "stay"
    strafe: Strafe = "stay"
    gait: Gait = "walk"
    tilt_deg: Degrees = 0
    turn_deg: Degrees = 0
    deed: Deed = "nothing"
    craft: Craft = tables().crafts[0]
    slot: Slot = 0

    def meaning(self) -> Self:
        """The same action, with what does not matter to it at its default."""
        unused = set[str]() if self.deed == "craft" else {"craft"}
        unused |= set[str]() if self.deed in ("equip", "place", "destroy") else {"slot"}
        return self.model_validate(self.model_dump(exclude=unused))

    def vector(self) -> Vector:
        """The action as MineDojo takes it."""
        return (
            get_args(Walk).index(self.walk),
            get_args(Strafe).index(self.strafe),
            get_args(Gait).index(self.gait),
            self.tilt_deg // DEGREES_PER_STEP + _STEPS,
            self.turn_deg // DEGREES_PER_STEP + _STEPS,
            get_args(Deed).index(self.deed),
            tables().crafts.index(self.craft),
            self.slot,
        )

    @classmethod
    def from_vector(cls, vector: Sequence[int]) -> Self:
        """The action in words.

        Raises:
            ActionError: If it is none of MineDojo's action space.
        """
        sizes = tables().sizes
        if len(vector) != len(sizes) or not all(0 <= number < size for number, size in zip(vector, sizes, strict=True)):
            raise ActionError(f"{list(vector)} is not in MineDojo's action space, MultiDiscrete({list(sizes)})")
        walk, strafe, gait, tilt, turn, deed, craft, slot = vector
        return cls(
            walk=get_args(Walk)[walk],
            strafe=get_args(Strafe)[strafe],
            gait=get_args(Gait)[gait],
            tilt_deg=(tilt - _STEPS) * DEGREES_PER_STEP,
            turn_deg=(turn - _STEPS) * DEGREES_PER_STEP,
            deed=get_args(Deed)[deed],
            craft=tables().crafts[craft],
            slot=slot,
        )
