"""Moments of the game that are made up, as MineDojo would tell them."""

from collections.abc import Sequence
from typing import Any

from mmi_minecraft.minedojo.state import State
from mmi_minecraft.minedojo.tables import tables
from mmi_minecraft.minedojo.tools import Scene

_SLOT_COLUMNS = ("name", "quantity", "cur_durability", "max_durability")
_RAY_COLUMNS = ("block_name", "entity_name", "entity_distance", "ray_pitch", "ray_yaw")


def state(
    *,
    inventory: Sequence[dict[str, Any]],
    craftable: bool = False,
    yaw: float = 0.0,
    pitch: float = 0.0,
    rays: Sequence[tuple[str, tuple[int, int, int]]] = (),
) -> State:
    """A player whose feet are at 0.5, 64, 0.5.

    Args:
        inventory: 36 slots, as `malmo_server.slot` makes them.
        craftable: Whether everything can be made.
        yaw: In degrees.
        pitch: In degrees.
        rays: What the lidar meets: a block and its cell.
    """
    columns = {name: [item[name] for item in inventory] for name in _SLOT_COLUMNS}
    lidar: dict[str, Any] = {name: [] for name in _RAY_COLUMNS}
    for name, _ in rays:
        for column, value in zip(_RAY_COLUMNS, (name, "null", 1.0, 0.0, 0.0), strict=True):
            lidar[column].append(value)
    for axis, column in enumerate(("traced_block_x", "traced_block_y", "traced_block_z")):
        lidar[column] = [cell[axis] for _, cell in rays]
    place = {"pos": [0.5, 64.0, 0.5], "yaw": [yaw], "pitch": [pitch], "biome_id": 1, "light_level": [15.0]}
    return State.model_validate(
        {
            "inventory": columns,
            "equipment": {name: column[:1] * 6 for name, column in columns.items()},
            "life_stats": {"life": [20.0], "food": [20.0], "oxygen": [300.0]},
            "location_stats": {**place, "is_raining": False},
            "nearby_tools": {"table": False, "furnace": False},
            "voxels": {"block_name": [[["air"] * 3] * 3] * 3},
            "rays": lidar,
            "masks": {"craft_smelt": [craftable] * len(tables().crafts)},
        }
    )


def scene(*, inventory: Sequence[dict[str, Any]], craftable: bool = False) -> Scene:
    """A scene with nothing in sight."""
    return Scene(state(inventory=inventory, craftable=craftable), {})
