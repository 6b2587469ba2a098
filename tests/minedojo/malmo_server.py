"""The game's side of the connection that MineDojo 0.1 opens to Malmo, over a world of our choice.

    python tests/minedojo/malmo_server.py PORT      a world in which nothing happens, for measuring

A message is its length in four bytes, then its bytes. What is asked, and what is answered:

    <MalmoEnv0.37.0/>  <StepServer>  <Disconnect/>     nothing
    <Quit/>                                            1
    the mission in XML, and a token                    1, once for both
    <Peek/>                                            frame, JSON, done
    <StepClient0>commands</StepClient0 >               frame, (reward, done, sent), JSON
    <Exit>                                             1, and the game ends
"""

import json
import os
import re
import socket
import struct
import sys
from threading import Lock, Thread
from typing import Any, NamedTuple, Protocol
from xml.etree import ElementTree

_XML = {"m": "http://ProjectMalmo.microsoft.com"}
_LIDAR_VALUES = ("air", 1.0, 0, 0, False, False, False, False, False, "null", 1.0)


class Mission(NamedTuple):
    """What an episode starts with."""

    width_px: int
    height_px: int
    seed: str
    rays: list[tuple[float, float, float]]
    inventory: list[tuple[str, int]]
    made_anew: bool

    @classmethod
    def parse(cls, xml: bytes) -> "Mission":
        root = ElementTree.fromstring(xml)
        video = root.find(".//m:VideoProducer", _XML)
        world = root.find(".//m:DefaultWorldGenerator", _XML)
        world = root.find(".//m:BiomeGenerator", _XML) if world is None else world
        assert video is not None and world is not None
        rays = [_ray(ray) for ray in _all(root, "RayOffset")]
        carried = [(item.attrib["type"], int(item.attrib["quantity"])) for item in _all(root, "InventoryObject")]
        width_px, height_px = (int(video.findtext(f"m:{side}", "", _XML)) for side in ("Width", "Height"))
        return cls(width_px, height_px, world.attrib["seed"], rays, carried, world.attrib["forceReset"] == "true")


class World(Protocol):
    def begin(self, mission: Mission) -> None: ...

    def tick(self, commands: dict[str, str]) -> None: ...

    def frame(self) -> bytes:
        """Rows from the bottom, as OpenGL reads them."""
        ...

    def told(self) -> dict[str, Any]: ...

    @property
    def done(self) -> bool: ...


class StillWorld:
    """Nothing happens, but for what a test puts into it."""

    def __init__(self) -> None:
        self.missions: list[Mission] = []
        self.commands: list[dict[str, str]] = []
        self.changes: dict[str, Any] = {}
        self.done = False

    def begin(self, mission: Mission) -> None:
        self.missions.append(mission)
        self._frame = bytes(3 * mission.width_px * mission.height_px)
        self.done = False

    def tick(self, commands: dict[str, str]) -> None:
        self.commands.append(commands)

    def frame(self) -> bytes:
        return self._frame

    def told(self) -> dict[str, Any]:
        rays = self.missions[-1].rays
        lidar = [value for pitch, yaw, _ in rays for value in (*_LIDAR_VALUES, pitch, yaw, 0, 0, 0)]
        return told(rays=lidar) | self.changes


class MalmoServer:
    """Listens on this machine until it is closed; connections share one world."""

    def __init__(self, world: World, port: int = 0) -> None:
        self.world = world
        self._lock = Lock()
        self._listening = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listening.getsockname()[1]
        self._connections: list[socket.socket] = []
        Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        return f"localhost:{self.port}"

    def close(self) -> None:
        self._listening.close()
        self.break_off()

    def break_off(self) -> None:
        """Breaks every connection, as a game does that crashes."""
        while self._connections:
            connection = self._connections.pop()
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections.append(connection)
            Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            while True:
                message = _receive(connection)
                with self._lock:
                    self._answer(connection, message)
        except OSError:
            pass

    def _answer(self, connection: socket.socket, message: bytes) -> None:
        one = struct.pack("!I", 1)
        if message.startswith((b"<MalmoEnv", b"<StepServer", b"<Disconnect")):
            return
        if message.startswith(b"<Peek"):
            return self._send(connection, self.world.frame(), self._told(), struct.pack("!b", self.world.done))
        if message.startswith(b"<StepClient"):
            self.world.tick(_commands(message))
            ended = struct.pack("!dbb", 0.0, self.world.done, 1)
            return self._send(connection, self.world.frame(), ended, self._told())
        if not message.startswith((b"<Quit", b"<Exit")):
            _receive(connection)  # the token
            self.world.begin(Mission.parse(message))
        self._send(connection, one)
        if message.startswith(b"<Exit"):
            os._exit(0)

    def _told(self) -> bytes:
        return json.dumps(self.world.told()).encode()

    def _send(self, connection: socket.socket, *messages: bytes) -> None:
        connection.sendall(b"".join(struct.pack("!I", len(message)) + message for message in messages))


def told(**known: Any) -> dict[str, Any]:
    """What Malmo tells of a healthy player with empty pockets on an empty plain, but for what is known."""
    return {
        "inventory": [slot(index) for index in range(41)],
        "voxels": ["air", 0, False, True, False, False, False, False, False, 1.0] * 27,
        "life": 20.0,
        "food": 20,
        "saturation": 5.0,
        "air": 300,
        "xp": 0,
        "armor": 0,
        "is_sleeping": False,
        **dict.fromkeys(("xpos", "zpos"), 0.5),
        "ypos": 64.0,
        "yaw": 0.0,
        "pitch": 0.0,
        "biome_id": 1,
        "biome_rainfall": 0.4,
        "biome_temperature": 0.8,
        "is_raining": False,
        "can_see_sky": True,
        "sky_light_level": 1.0,
        "light_level": 15,
        "sun_brightness": 1.0,
        "sea_level": 63,
        "stat": {
            "time_since_death": 0,
            "kill_entity": {"shulker": 0},
            "use_item": {"minecraft": {"wooden_sword": 0}},
        },
        "nearby_crafting_table": False,
        "nearby_furnace": False,
        **dict.fromkeys(("damage_amount", "damage_distance", "damage_pitch", "damage_yaw", "hunger_damage"), 0.0),
        **known,
    }


def slot(index: int, name: str = "air", quantity: int = 0) -> dict[str, Any]:
    """A slot of the inventory: 0 to 8 are at hand, 36 to 40 are worn."""
    return {
        "inventory": "inventory",
        "index": index,
        "name": name,
        "quantity": quantity,
        "variant": 0,
        "max_durability": 0,
        "cur_durability": 0,
    }


def _ray(ray: ElementTree.Element) -> tuple[float, float, float]:
    return float(ray.attrib["pitch"]), float(ray.attrib["yaw"]), float(ray.attrib["distance"])


def _all(root: ElementTree.Element, tag: str) -> list[ElementTree.Element]:
    return root.findall(f".//m:{tag}", _XML)


def _commands(message: bytes) -> dict[str, str]:
    inner = re.sub(r"</?StepClient\d ?>", "", message.decode())
    return dict(line.split(" ", 1) for line in inner.splitlines() if " " in line)


def _receive(connection: socket.socket) -> bytes:
    (length,) = struct.unpack("!I", _exactly(connection, 4))
    return _exactly(connection, length)


def _exactly(connection: socket.socket, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        part = connection.recv(count - len(parts))
        if not part:
            raise ConnectionError("closed")
        parts += part
    return bytes(parts)


if __name__ == "__main__":
    server = MalmoServer(StillWorld(), int(sys.argv[1]))
    print(server.port, flush=True)
    sys.stdin.read()
