"""What tests on a real server share: flying-squid on this machine, players on it, and plots of land."""

import time
from collections.abc import Callable, Iterator

import pytest
from mmi_minecraft import BlockState, Blueprint, Position
from mmi_minecraft.server import Player, PracticeServer
from mmi_minecraft.server.node import bridge_packages, find_node
from mmi_minecraft.server.practice import Guest

from mmi_agent.errors import MissingDependencyError

GROUND = 5  # the height of the feet on level ground


def eventually(happens: Callable[[], object], within_s: float = 30) -> None:
    """Waits for what takes a busy machine a while."""
    until_s = time.monotonic() + within_s
    while not happens():
        assert time.monotonic() < until_s, f"it did not happen within {within_s:g} s"
        time.sleep(0.05)


@pytest.fixture(scope="session")
def node() -> str:
    try:
        return find_node()
    except MissingDependencyError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def serve(node: str) -> Iterator[Callable[..., PracticeServer]]:
    """Starts servers, each form of them once."""
    bridge_packages()
    running: dict[str, PracticeServer] = {}

    def start(version: str = "1.21.4", **options: object) -> PracticeServer:
        key = f"{version} {options}"
        if key not in running:
            running[key] = PracticeServer(version=version, **options)  # type: ignore[arg-type]
        return running[key]

    yield start
    for server in running.values():
        server.close()


@pytest.fixture(scope="session")
def play(serve: Callable[..., PracticeServer]) -> Iterator[Callable[..., Player]]:
    """A player on each server, who stays."""
    playing: dict[int, Player] = {}

    def join(server: PracticeServer, username: str = "tester") -> Player:
        if server.port not in playing:
            playing[server.port] = joined(server.port, username)
        return playing[server.port]

    yield join
    for player in playing.values():
        player.close()


def joined(port: int, username: str) -> Player:
    player = Player()
    player.join("127.0.0.1", port, username, version=None, timeout_s=60)
    return player


class Plot:
    """Level ground, 24 by 24, with a player beside its north-west corner, and nothing in the inventory."""

    def __init__(self, server: PracticeServer, player: Player, mode: str = "survival") -> None:
        self.server, self.player = server, player
        self.name = player.state().username
        self.at = Position(16, GROUND, 16)
        server.fill((10, GROUND, 10), (40, 20, 40), "air")
        server.fill((10, GROUND - 1, 10), (40, GROUND - 1, 40), "grass_block")
        server.fill((10, GROUND - 2, 10), (40, GROUND - 2, 40), "dirt")
        server.clear(self.name)
        server.set_mode(self.name, "creative" if mode == "creative" else "survival")
        self.put((14.5, GROUND, 14.5))

    def put(self, feet: tuple[float, float, float]) -> None:
        """Puts the player's feet somewhere, and waits until both sides have them there, and all that is carried."""
        to = Position(*(int(axis // 1) for axis in feet))
        self.server.teleport(self.name, feet)
        eventually(lambda: self.player.state().cell == self.where() == to)
        self.settle()

    def settle(self) -> None:
        """Waits until the player has what the server gave it."""
        eventually(lambda: dict(self.player.state().items) == self.carried())

    def give(self, **counts: int) -> None:
        for item, count in counts.items():
            self.server.give(self.name, item, count)
        self.settle()

    def set(self, blocks: dict[tuple[int, int, int], str]) -> None:
        """Changes blocks, counted from the corner, and waits until the player knows."""
        self.server.set([(self.at.plus(at), block) for at, block in blocks.items()])
        at, block = list(blocks.items())[-1]
        eventually(lambda: self.player.block(self.at.plus(at)) == BlockState.parse(block))

    def carried(self) -> dict[str, int]:
        """What the player has, as the server counts it."""
        return dict(self._guest().inventory)

    def where(self) -> Position:
        """Where the player's feet are, as the server has it."""
        x, y, z = (int(axis // 1) for axis in self._guest().position)
        return Position(x, y, z)

    def _guest(self) -> Guest:
        return next(guest for guest in self.server.players() if guest.username == self.name)

    def read(self, low: tuple[int, int, int], high: tuple[int, int, int]) -> Blueprint:
        """A part of the plot, from its corner, as the server has it."""
        return self.server.read(self.at.plus(low), self.at.plus(high))

    def block(self, *at: int) -> str:
        x, y, z = at
        return str(self.read((x, y, z), (x, y, z))[0, 0, 0])


@pytest.fixture
def plot(serve: Callable[..., PracticeServer], play: Callable[..., Player]) -> Callable[..., Plot]:
    """Makes a plot on a server of a version, for a player in a mode."""

    def make(mode: str = "survival", version: str = "1.21.4") -> Plot:
        server = serve(version)
        return Plot(server, play(server), mode)

    return make
