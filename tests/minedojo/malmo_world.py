"""The world behind the tests' Malmo server: a player on a live flying-squid server, seen by a real browser.

Blocks, inventory, position and frames are the running game's. What it has no like of (biomes, light, what is worn out)
is told as on a plain at noon. The game is 1.16.4 and Malmo's is 1.11.2, so a few names are put into its words.
"""

import io
from pathlib import Path
from typing import Any, cast

from malmo_server import Mission, slot, told
from mmi_minecraft.server import Bridge, PracticeServer
from mmi_minecraft.server.eyes import Eyes
from PIL import Image

USERNAME = "agent"
SPAWN = (8.5, 5.0, 8.5)
NORTH_DEG = 180.0
_NAMES = {"oak_log": "log", "oak_planks": "planks", "grass_block": "grass", "oak_sapling": "sapling"}
_HERE = {theirs: ours for ours, theirs in _NAMES.items()}
_KEYS = ("forward", "back", "left", "right", "jump", "sneak", "sprint")
_PLAIN = (0, True, True, True, False, True, False, True)


class LiveWorld:
    """Seen and led through Malmo's protocol; `server` is the game itself, for whoever arranges it or checks."""

    def __init__(self) -> None:
        self.server = PracticeServer(version="1.16.4")
        self._player = Bridge(cast("Any", Path(__file__).with_name("malmo_player.mjs").resolve()))
        self._ask("join", host=self.server.host, port=self.server.port, username=USERNAME, version=None, limit_s=30)
        self._port: int = self._ask("view", port=0, distance=2)["port"]
        self._eyes: dict[tuple[int, int], Eyes] = {}
        self.arrange: list[tuple[tuple[int, int, int], str]] = []
        self.missions: list[Mission] = []

    def close(self) -> None:
        for eyes in self._eyes.values():
            eyes.close()
        self._player.close()
        self.server.close()

    def begin(self, mission: Mission) -> None:
        """Makes the world anew: a meadow, with what the test put into `arrange`."""
        self.missions.append(mission)
        self.server.fill((2, 5, 2), (14, 9, 14), "air")
        self.server.fill((2, 4, 2), (14, 4, 14), "grass_block")
        self.server.set(self.arrange)
        self.server.clear(USERNAME)
        for name, quantity in mission.inventory:
            self.server.give(USERNAME, _HERE.get(name, name), quantity)
        self.server.teleport(USERNAME, SPAWN)
        for _ in range(4):
            self.tick({})
        self._ask("face", yaw=NORTH_DEG, pitch=0)  # after the server has had its say
        self.tick({})

    def tick(self, commands: dict[str, str]) -> None:
        if said := commands.get("chat"):
            self._command(said)
        pitch, yaw = (float(number) for number in commands.get("camera", "0 0").split())
        wanted = {name: _wanted(commands.get(name)) for name in ("place", "equip", "craft")}
        wanted["craft"] = wanted["craft"] or _wanted(commands.get("craftNearby"))
        self._ask(
            "tick",
            controls={key: commands.get(key) == "1" for key in _KEYS},
            camera=[pitch, yaw],
            attack=commands.get("attack") == "1",
            use=commands.get("use") == "1",
            **wanted,
        )

    def frame(self) -> bytes:
        self._ask("flush")
        size = self.missions[-1].width_px, self.missions[-1].height_px
        if size not in self._eyes:
            self._eyes[size] = Eyes(self._port, width_px=size[0], height_px=size[1])
        image = Image.open(io.BytesIO(self._eyes[size].look())).convert("RGB")
        return image.transpose(Image.Transpose.FLIP_TOP_BOTTOM).tobytes()

    @property
    def done(self) -> bool:
        return bool(self._moment()["died"])

    def told(self) -> dict[str, Any]:
        moment = self._moment()
        x, y, z = moment["position"]
        carried = [_slot(index, stack) for index, stack in enumerate(moment["inventory"])]
        names = [_NAMES.get(name, name) for name in moment["around"]]
        return told(
            xpos=x,
            ypos=y,
            zpos=z,
            yaw=moment["yaw"],
            pitch=moment["pitch"],
            life=moment["health"],
            food=moment["food"],
            air=moment["air"],
            is_raining=moment["raining"],
            inventory=carried,
            nearby_crafting_table=moment["table"],
            voxels=[value for name in names for value in (name, *_PLAIN, 0.5)],
            rays=[value for hit in zip(self.missions[-1].rays, moment["rays"], strict=True) for value in _hit(*hit)],
        )

    def _moment(self) -> dict[str, Any]:
        return self._ask("moment", rays=self.missions[-1].rays)

    def _command(self, said: str) -> None:
        """MineDojo empties a slot by saying `/replaceitem entity @p slot.hotbar.1 minecraft:air 1 0`."""
        words = said.split()
        assert words[0] == "/replaceitem" and words[4] == "minecraft:air", said
        group, number = words[3].split(".")[1:]
        index = 0 if group == "weapon" else int(number) + (0 if group == "hotbar" else 9)
        kept = [stack for place, stack in enumerate(self._moment()["inventory"]) if stack and place != index]
        self.server.clear(USERNAME)
        for stack in kept:
            self.server.give(USERNAME, stack["name"], stack["count"])

    def _ask(self, method: str, **params: Any) -> Any:
        return self._player.ask(method, timeout_s=60, **params)


def _wanted(name: str | None) -> str | None:
    if name in (None, "none"):
        return None
    plain = name.partition("#")[0]
    return _HERE.get(plain, plain)


def _slot(index: int, stack: dict[str, Any] | None) -> dict[str, Any]:
    if stack is None:
        return slot(index)
    name: str = stack["name"]
    return slot(index, _NAMES.get(name, name), stack["count"])


def _hit(ray: tuple[float, float, float], hit: dict[str, Any] | None) -> list[Any]:
    pitch, yaw, _ = ray
    if hit is None:
        return ["air", 1.0, 0, 0, True, False, False, False, False, "null", 1.0, pitch, yaw, 0, 0, 0]
    away, name = hit["distance"], _NAMES.get(hit["name"], hit["name"])
    return [name, away, 0, 0, True, True, False, True, False, "null", away, pitch, yaw, *hit["cell"]]
