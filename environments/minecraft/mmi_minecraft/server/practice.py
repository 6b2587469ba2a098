"""A server to practise on: flying-squid on this machine, with what the game does and it leaves out."""

from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

from mmi_minecraft.block_state import BlockState
from mmi_minecraft.blueprint import Blueprint, Position
from mmi_minecraft.server.bridge import Bridge
from mmi_minecraft.server.node import Progress
from mmi_minecraft.server.world import Cells, as_blueprint

__all__ = ["FLAT", "Guest", "PracticeServer"]

GameMode = Literal["survival", "creative"]

FLAT: tuple[tuple[str, int], ...] = (("bedrock", 1), ("dirt", 3), ("grass_block", 1))
"""A flat world from the bottom: one stands at a height of 5."""

_START_TIMEOUT_S = 60
_TIMEOUT_S = 60


class Guest(NamedTuple):
    """A player on the server, as the server has it.

    Attributes:
        username: The player's name.
        position: Of the feet.
        inventory: How many there are of each item.
    """

    username: str
    position: tuple[float, float, float]
    inventory: Mapping[str, int]


class PracticeServer:
    """A running server, on the loopback interface only. What it says of blocks and players is the truth of its world.

    Args:
        version: Of the game; 1.16.4 and 1.21.4 are tested.
        port: Where it listens; 0 takes any that is free.
        game_mode: Of players who come in.
        layers: A flat world, each layer and its thickness from the bottom; None for hills.
        seed: Of the hills.
        whitelist: Who is let in; None for everybody.
        online_mode: Whether players need an account. They cannot be let in then; for tests.
        progress: Is told if the packages have to be fetched first.

    Raises:
        MissingDependencyError: If Node.js is missing or too old, or the packages cannot be fetched.
        ConfigError: If the port is taken, or the version is not known.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        *,
        version: str = "1.16.4",
        port: int = 0,
        game_mode: GameMode = "survival",
        layers: Sequence[tuple[str, int]] | None = FLAT,
        seed: int = 0,
        whitelist: Sequence[str] | None = None,
        online_mode: bool = False,
        progress: Progress | None = None,
    ) -> None:
        self.version = version
        self._bridge = Bridge("server.mjs", progress=progress)
        try:
            options: dict[str, Any] = {"version": version, "port": port, "game_mode": game_mode, "seed": seed}
            options |= {"layers": layers, "whitelist": whitelist, "online_mode": online_mode}
            self.port: int = self._bridge.ask("start", timeout_s=_START_TIMEOUT_S, **options)["port"]
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the server; its world is gone."""
        self._bridge.close()

    def read(self, low: tuple[int, int, int], high: tuple[int, int, int]) -> Blueprint:
        """The blocks from one corner to another, both included; its origin is the lower corner."""
        found: Cells = self._ask("read", low=low, high=high)
        return as_blueprint(found, Position(*low), Position(*high))

    def fill(self, low: tuple[int, int, int], high: tuple[int, int, int], block: BlockState | str) -> None:
        """Makes every cell of a box that block."""
        self._ask("fill", low=low, high=high, block=_full(block))

    def set(self, blocks: Iterable[tuple[tuple[int, int, int], BlockState | str]]) -> None:
        """Makes each of these cells that block."""
        self._ask("set", blocks=[(position, _full(block)) for position, block in blocks])

    def surface(self, x: int, z: int) -> int:
        """The height of the topmost block of a column."""
        return self._ask("surface", x=x, z=z)

    def give(self, username: str, item: str, count: int = 1) -> None:
        """Puts items into a player's inventory.

        Raises:
            ConfigError: If there is no such player or item, or no room.
        """
        self._ask("give", username=username, item=item, count=count)

    def clear(self, username: str) -> None:
        """Empties a player's inventory."""
        self._ask("clear", username=username)

    def set_mode(self, username: str, game_mode: GameMode) -> None:
        """Changes what a player may do."""
        self._ask("mode", username=username, game_mode=game_mode)

    def teleport(self, username: str, position: tuple[float, float, float]) -> None:
        """Puts a player's feet somewhere."""
        self._ask("teleport", username=username, position=position)

    def sweep(self) -> None:
        """Takes away every item that lies about, and every creature."""
        self._ask("sweep")

    def kick(self, username: str, reason: str) -> None:
        """Sends a player away."""
        self._ask("kick", username=username, reason=reason)

    def players(self) -> list[Guest]:
        """Who is in the game."""
        return [_guest(player) for player in self._ask("players")]

    def _ask(self, method: str, **params: Any) -> Any:
        return self._bridge.ask(method, timeout_s=_TIMEOUT_S, **params)


def _full(block: BlockState | str) -> str:
    return (BlockState.parse(block) if isinstance(block, str) else block).full


def _guest(player: Mapping[str, Any]) -> Guest:
    inventory: dict[str, int] = {}
    for item in player["inventory"]:
        inventory[item["name"]] = inventory.get(item["name"], 0) + item["count"]
    x, y, z = player["position"]
    return Guest(player["username"], (x, y, z), inventory)
