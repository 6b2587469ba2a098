"""A player in a game: what can be asked of one, typed. Knows nothing of agents, pictures or blueprints."""

from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from math import floor
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from mmi_minecraft.block_state import BlockState
from mmi_minecraft.blueprint import Blueprint, Position
from mmi_minecraft.server.bridge import Bridge, BridgeEvent
from mmi_minecraft.server.node import Progress
from mmi_minecraft.server.world import Cells, as_blueprint, state_of

__all__ = ["Player", "PlayerState", "SeenBlock", "SeenEntity"]

_GRACE_S = 10
_DEED_TIMEOUT_S = 30
_LONGEST_DIG_S = 300


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Stack(_Record):
    name: str
    count: int
    slot: int


class SeenEntity(_Record):
    """A player, an animal, a monster or an item that lies about.

    Attributes:
        id: The server's number for it.
        kind: "player", "mob" or "item".
        name: A player's name, an item's, or the kind of creature.
        position: Of its feet.
        width: Of its body, in blocks.
        height: Of its body, in blocks.
    """

    id: int
    kind: Literal["player", "mob", "item"]
    name: str
    position: tuple[float, float, float]
    width: float
    height: float


class SeenBlock(_Record):
    """A block that is in sight.

    Attributes:
        position: Its cell.
        state: The block, as in `oak_stairs[facing=north,...]`.
        box: What it fills: west, bottom, north, east, top, south.
        distance: From the eyes, in blocks.
        rays: How many of the rays that were cast met it.
    """

    position: tuple[int, int, int]
    state: str
    box: tuple[float, float, float, float, float, float]
    distance: float
    rays: int


class PlayerState(_Record):
    """What a player knows of itself.

    Attributes:
        version: Of the game.
        username: The player's name.
        game_mode: "survival", "creative", "adventure" or "spectator".
        position: Of the feet.
        yaw: Degrees, 0 is south, 90 west, 180 north.
        pitch: Degrees, 90 is straight down.
        health: 0 to 20.
        food: 0 to 20.
        held: The item in the hand.
        inventory: What is carried, slot by slot.
        entities: Within 32 blocks, nearest first.
        lowest: The lowest height that the world has.
        highest: The highest.
    """

    version: str
    username: str
    game_mode: str
    position: tuple[float, float, float]
    yaw: float
    pitch: float
    on_ground: bool
    health: float
    food: float
    held: str | None
    inventory: tuple[_Stack, ...]
    entities: tuple[SeenEntity, ...]
    lowest: int
    highest: int

    @property
    def cell(self) -> Position:
        """The cell of the feet."""
        x, y, z = (floor(axis + 1e-3) for axis in self.position)
        return Position(x, y, z)

    @cached_property
    def items(self) -> Mapping[str, int]:
        """How many there are of each item, most of it first."""
        counted: Counter[str] = Counter()
        for stack in self.inventory:
            counted[stack.name] += stack.count
        return dict(counted.most_common())


class Player:
    """Somebody who joins a server and does things there, one after the other.

    Every method raises `ActionError` if the world refuses, saying why, and `EnvironmentFailure` if the game is gone.

    Args:
        progress: Is told if the packages of the bridge have to be fetched first.
    """

    def __init__(self, *, progress: Progress | None = None) -> None:
        self._bridge = Bridge(progress=progress)

    @property
    def ended(self) -> bool:
        """Whether the process behind the player is gone."""
        return self._bridge.ended

    def close(self) -> None:
        """Leaves the game; a second call does nothing."""
        self._bridge.close()

    def join(self, host: str, port: int, username: str, *, version: str | None, timeout_s: float) -> str:
        """Joins a server, without an account.

        Args:
            host: The server.
            port: Its port.
            username: The player's name there.
            version: What the server has to be; None takes what it is.
            timeout_s: For each of asking the server and being let in.

        Returns:
            The version.

        Raises:
            ConfigError: If the version is another one, or none that can be spoken.
            EnvironmentFailure: If no server answers, or it lets nobody of that name in; says why.
        """
        return self._bridge.ask(
            "join",
            timeout_s=2 * timeout_s + 3 * _GRACE_S,
            host=host,
            port=port,
            username=username,
            version=version,
            limit_s=timeout_s,
        )["version"]

    def take_events(self) -> list[BridgeEvent]:
        """What happened unasked since the last time: chat (from, text), died, gone (why)."""
        return self._bridge.take_events()

    # seeing

    def state(self) -> PlayerState:
        """Where the player is and what it has."""
        return PlayerState.model_validate(self._ask("state"))

    def sight(self, *, aspect: float, columns: int, rows: int, blocks: float) -> list[SeenBlock]:
        """The blocks in sight, nearest first: those that a grid of rays through the picture meets.

        Args:
            aspect: Width of the picture over its height.
            columns: Of the grid.
            rows: Of the grid.
            blocks: How far the rays go.
        """
        seen = self._ask("sight", aspect=aspect, columns=columns, rows=rows, range=blocks)
        return [SeenBlock.model_validate(block) for block in seen]

    def read(self, low: Position, high: Position) -> Blueprint:
        """The blocks from one corner to another, both included; refuses what is not loaded.

        Returns:
            A blueprint whose origin is the lower corner.
        """
        found: Cells = self._ask("read", low=low, high=high)
        return as_blueprint(found, low, high)

    def block(self, at: Position) -> BlockState:
        """The block of a cell."""
        return self.read(at, at)[0, 0, 0]

    def view(self, *, port: int, distance: int) -> int:
        """Shows what the player sees on a page of this machine.

        Args:
            port: Where; 0 takes any that is free.
            distance: How many chunks it shows in each direction.

        Returns:
            The port.
        """
        return self._ask("view", port=port, distance=distance)["port"]

    def flush_view(self) -> None:
        """Waits until the page has all that it was sent."""
        self._ask("flush")

    # getting about

    def look_at(self, position: tuple[float, float, float]) -> None:
        """Turns the eyes to a point."""
        self._ask("look", position=position)

    def walk(self, to: Position, *, within_blocks: int = 0, timeout_s: float = _DEED_TIMEOUT_S) -> None:
        """Walks into a cell, or near it, without digging or placing anything."""
        self._bridge.ask(
            "walk", timeout_s=timeout_s + _GRACE_S, position=to, within_blocks=within_blocks, limit_s=timeout_s
        )

    def fly(self, to: tuple[float, float, float], *, over: float, timeout_s: float = _DEED_TIMEOUT_S) -> None:
        """Flies up to a height, across, and down into a cell; creative mode."""
        self._bridge.ask("fly", timeout_s=timeout_s + _GRACE_S, position=to, over=over, limit_s=timeout_s)

    def pillar(self, block: str, item: str) -> BlockState:
        """Jumps and puts a block under the feet."""
        return state_of(self._ask("pillar", block=block, item=item))

    # doing

    def place(self, at: Position, block: BlockState | str, item: str) -> BlockState:
        """Puts a block down by hand.

        Args:
            at: The cell.
            block: What it is to be. What no click decides (how fences join) is the server's, and so is what a text
                leaves out.
            item: What is put down for it.

        Returns:
            What stands there now.
        """
        wanted = block if isinstance(block, str) else block.full
        return state_of(self._ask("place", position=at, block=wanted, item=item))

    def dig(self, at: Position) -> str:
        """Digs a block away, with the tool that is quickest; returns its name."""
        return self._bridge.ask("dig", timeout_s=_LONGEST_DIG_S, position=at)["dug"]

    def craft(self, item: str, count: int) -> int:
        """Crafts at least so many, at a crafting table within 4 blocks where one is needed; returns how many."""
        return self._bridge.ask("craft", timeout_s=_DEED_TIMEOUT_S + 4 * count, item=item, count=count)["made"]

    def equip(self, item: str, destination: str) -> None:
        """Takes an item into "hand" or "off-hand", or puts it on "head", "torso", "legs" or "feet"."""
        self._ask("equip", item=item, destination=destination)

    def chat(self, text: str) -> None:
        """Says something to everybody."""
        self._ask("chat", text=text)

    def wait(self, seconds: float) -> None:
        """Lets time pass."""
        self._bridge.ask("wait", timeout_s=seconds + _GRACE_S, seconds=seconds)

    def _ask(self, method: str, **params: Any) -> Any:
        return self._bridge.ask(method, timeout_s=_DEED_TIMEOUT_S, **params)
