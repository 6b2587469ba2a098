"""A Minecraft server as an environment: what a player sees there, and what it can do."""

import re
import sys
from collections import deque
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Self

from mmi_agent.errors import ConfigError, EnvironmentFailure
from mmi_agent.pictures import PictureStore
from mmi_agent.tool import Tool
from mmi_agent.types import Effect, Element, Observation, Verdict
from mmi_minecraft.server.bridge import BridgeEvent
from mmi_minecraft.server.eyes import FIELD_OF_VIEW_DEG, Eyes
from mmi_minecraft.server.hands import Hands
from mmi_minecraft.server.player import Player, PlayerState
from mmi_minecraft.server.seeing import Camera, describe, elements
from mmi_minecraft.server.tools import file_tool, game_tools

__all__ = ["MinecraftEnvironment"]

_PORT = 25565
_JOIN_TIMEOUT_S = 30
_RAY_COLUMNS, _RAY_ROWS, _RAY_BLOCKS = 32, 18, 20
_NEWS_KEPT = 6
_ADDRESS = re.compile(r"(?:(?P<host>[^:]*):)?(?P<port>[0-9]{1,5})|(?P<alone>[^:]*[^:0-9][^:]*)")
_USERNAME = re.compile(r"[A-Za-z0-9_]{3,16}")


class MinecraftEnvironment:
    """A player on any Minecraft server that lets it in without an account.

    The world is the server's: an episode begins with what is there, and leaves it as it is. Nobody judges: `verdict` is
    always None. 1.16.4 and 1.21.4 are tested.

    Args:
        task_id: "HOST:PORT", "HOST" or "PORT" of the server, instead of `host` and `port`.
        host: The server; by default this machine.
        port: Its port.
        version: What the server has to be; None takes any that can be spoken.
        username: The player's name, 3 to 16 letters, digits and underscores.
        width_px: Of the pictures.
        height_px: Of the pictures.
        view_chunks: How far the pictures show, in chunks of 16 blocks, 1 to 8.
        with_pictures: Whether there are pictures; without, no browser is needed.
        blueprints: A folder of files that the agent may build; None for none.
        world_effect: What placing, digging, crafting and building can do. "consequential" has the guard ask about each,
            "reversible" lets the agent work by itself. None is "reversible" on this machine, and "consequential" on
            everybody else's server, where a block that is dug may be somebody's house. Chat always asks.

    Raises:
        ConfigError: If one of these is out of range.
    """

    def __init__(
        self,
        task_id: str | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = _PORT,
        version: str | None = None,
        username: str = "mmi",
        width_px: int = 640,
        height_px: int = 360,
        view_chunks: int = 4,
        with_pictures: bool = True,
        blueprints: str | Path | None = None,
        world_effect: Effect | None = None,
    ) -> None:
        self._host, self._port = _address(task_id, host, port)
        self.name = f"minecraft/server:{self._host}:{self._port}"
        if not _USERNAME.fullmatch(username):
            raise ConfigError(f"username {username!r}: expected 3 to 16 letters, digits and underscores")
        if not (64 <= width_px <= 2048 and 64 <= height_px <= 2048):
            raise ConfigError(f"a picture has 64 to 2048 px a side, not {width_px} x {height_px}")
        if not 1 <= view_chunks <= 8:
            raise ConfigError(f"view_chunks is 1 to 8, not {view_chunks}")
        folder = Path(blueprints) if blueprints is not None else None
        if folder and not folder.is_dir():
            raise ConfigError(f"blueprints: {folder} is no folder")
        self._version, self._username, self._view_chunks = version, username, view_chunks
        self._size = (width_px, height_px) if with_pictures else None
        self._instruction = ""
        self._player: Player | None = None
        self._eyes: Eyes | None = None
        self._pictures: PictureStore | None = None
        self._news: deque[str] = deque(maxlen=_NEWS_KEPT)
        effect = world_effect or ("reversible" if _is_local(self._host) else "consequential")
        hands = Hands(self._playing, self._store, folder)
        self._tools = (*game_tools(hands, effect), *([file_tool(hands, effect)] if folder else []))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def tools(self) -> Sequence[Tool]:
        """What a player can do."""
        return self._tools

    @property
    def instruction(self) -> str:
        """What is to be done in this episode."""
        return self._instruction

    @property
    def player(self) -> Player:
        """Who plays; for what judges a task, and for experts.

        Raises:
            EnvironmentFailure: If nobody does yet.
        """
        return self._playing()

    def reset(self, task: str | None = None, *, seed: int = 0, pictures: PictureStore) -> Observation:
        """Joins the server, or stays; the world is left as it is, whatever the seed.

        Raises:
            ConfigError: If no task is given, or the server is of a version that was not asked for or cannot be spoken.
            EnvironmentFailure: If no server answers, or it lets the player not in.
            MissingDependencyError: If Node.js, the bridge's packages or a browser are missing.
        """
        if not task:
            raise ConfigError("a Minecraft server needs a task: say what is to be done")
        self._instruction = task
        self._pictures = pictures
        self._news.clear()
        if not self._is_playing():
            self.close()
            self._join()
        return self.observe()

    def attach(self, task: str | None = None, *, seed: int = 0, pictures: PictureStore) -> Observation:
        """Takes up an episode: the world is where it was left."""
        return self.reset(task, seed=seed, pictures=pictures)

    def observe(self) -> Observation:
        """Looks at the world.

        Raises:
            EnvironmentFailure: If the game or the browser is gone.
        """
        player = self._playing()
        state = player.state()
        self._news.extend(filter(None, map(_told, player.take_events())))
        text = "\n".join([*describe(state), *self._news])
        if self._size is None or self._eyes is None:
            return Observation(text=text)
        player.flush_view()
        picture = self._store().put(self._eyes.look())
        return Observation(pictures=(picture,), text=text, elements=self._elements(player, state, *self._size))

    def _elements(self, player: Player, state: PlayerState, width_px: int, height_px: int) -> tuple[Element, ...]:
        aspect = width_px / height_px
        blocks = player.sight(aspect=aspect, columns=_RAY_COLUMNS, rows=_RAY_ROWS, blocks=_RAY_BLOCKS)
        return elements(state, blocks, Camera(state, aspect=aspect, field_of_view_deg=FIELD_OF_VIEW_DEG))

    def verdict(self) -> Verdict | None:
        """Nobody judges what is done on a server."""
        return None

    def close(self) -> None:
        """Leaves the game and ends the browser; a second call does nothing."""
        player, self._player = self._player, None
        eyes, self._eyes = self._eyes, None
        if eyes is not None:
            eyes.close()
        if player is not None:
            player.close()

    def _join(self) -> None:
        self._player = Player(progress=lambda text: print(text, file=sys.stderr))
        try:
            self._player.join(self._host, self._port, self._username, version=self._version, timeout_s=_JOIN_TIMEOUT_S)
            if self._size is not None:
                port = self._player.view(port=0, distance=self._view_chunks)
                self._eyes = Eyes(port, width_px=self._size[0], height_px=self._size[1])
        except BaseException:
            self.close()
            raise

    def _is_playing(self) -> bool:
        try:
            return self._player is not None and bool(self._player.state())
        except EnvironmentFailure:
            return False

    def _playing(self) -> Player:
        if self._player is None:
            raise EnvironmentFailure(f"{self.name}: nobody plays: reset comes first, and nothing comes after close")
        return self._player

    def _store(self) -> PictureStore:
        assert self._pictures is not None
        return self._pictures


def _address(task_id: str | None, host: str, port: int) -> tuple[str, int]:
    if task_id is not None:
        named = _ADDRESS.fullmatch(task_id)
        host = (named["alone"] or named["host"] or "127.0.0.1") if named else ""
        port = int(named["port"] or _PORT) if named else 0
    if not host or not 1 <= port <= 65535:
        given = f"{host}:{port}" if task_id is None else task_id[:80]
        raise ConfigError(f"a server is named by HOST:PORT with a port of 1 to 65535, not {given!r}")
    return host, port


def _is_local(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _told(event: BridgeEvent) -> str:
    """An event in words; what players write is quoted."""
    if event.name == "chat":
        return f"Chat: {event.data['from']} wrote {event.data['text']!r}"
    return "You died and came back." if event.name == "died" else ""
