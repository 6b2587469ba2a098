"""What MineDojo tells of the game besides the picture, typed: the part of its observation that is put into words."""

from typing import Annotated, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict

__all__ = ["Hit", "Slots", "Stack", "State"]


def _alone(value: object) -> object:
    """MineDojo puts most numbers into lists of one."""
    return value[0] if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType]


Number = Annotated[float, BeforeValidator(_alone)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Stack(NamedTuple):
    """What one slot of the inventory holds."""

    slot: int
    name: str
    quantity: int
    durability: tuple[int, int] | None


class Slots(_Record):
    """Slots in their order, column by column; names have spaces, and an empty slot holds "air"."""

    name: tuple[str, ...]
    quantity: tuple[float, ...]
    cur_durability: tuple[float, ...]
    max_durability: tuple[float, ...]

    def stacks(self) -> list[Stack]:
        """What is in the slots that are not empty."""
        rows = enumerate(zip(self.name, self.quantity, self.cur_durability, self.max_durability, strict=True))
        return [
            Stack(slot, name, int(count), (int(left), int(most)) if most > 0 else None)
            for slot, (name, count, left, most) in rows
            if name != "air"
        ]


class _Life(_Record):
    life: Number
    food: Number
    oxygen: Number


class _Location(_Record):
    pos: tuple[float, float, float]
    yaw: Number
    pitch: Number
    biome_id: int
    light_level: Number
    is_raining: bool


class _Tools(_Record):
    table: bool
    furnace: bool


class _Voxels(_Record):
    block_name: tuple[tuple[tuple[str, ...], ...], ...]


class Hit(NamedTuple):
    """What a ray of the lidar meets.

    Attributes:
        pitch_rad: How the ray leaves the eyes, as it was asked for.
        yaw_rad: Likewise.
        block: The block's name; "air" if there is none within reach.
        cell: The block's cell: x, y, z of its lowest corner.
        entity: What stands before the block; "null" if nothing does.
        entity_distance: From the eyes, in blocks.
    """

    pitch_rad: float
    yaw_rad: float
    block: str
    cell: tuple[float, float, float]
    entity: str
    entity_distance: float


class _Rays(_Record):
    block_name: tuple[str, ...]
    entity_name: tuple[str, ...]
    entity_distance: tuple[float, ...]
    ray_pitch: tuple[float, ...]
    ray_yaw: tuple[float, ...]
    traced_block_x: tuple[float, ...]
    traced_block_y: tuple[float, ...]
    traced_block_z: tuple[float, ...]

    def hits(self) -> list[Hit]:
        cells = zip(self.traced_block_x, self.traced_block_y, self.traced_block_z, strict=True)
        rows = zip(
            self.ray_pitch,
            self.ray_yaw,
            self.block_name,
            cells,
            self.entity_name,
            self.entity_distance,
            strict=True,
        )
        return [Hit(*row) for row in rows]


class _Masks(_Record):
    craft_smelt: tuple[bool, ...]


class State(_Record):
    """A moment of the game.

    Attributes:
        inventory: 36 slots; the first is what the hand holds.
        equipment: Hand, feet, legs, chest, head, other hand.
        life_stats: Health, food and air.
        location_stats: Where the player is and looks: degrees, yaw 0 is south and 90 west, pitch 90 is down.
        nearby_tools: Whether a crafting table or a furnace can be used from here.
        voxels: The blocks around the feet, [x][y][z] from -1 to 1.
        rays: What the lidar meets.
        masks: What can be made now, in the order of MineDojo's actions.
    """

    inventory: Slots
    equipment: Slots
    life_stats: _Life
    location_stats: _Location
    nearby_tools: _Tools
    voxels: _Voxels
    rays: _Rays
    masks: _Masks
