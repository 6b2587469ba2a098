"""A practice server with a player on it whose view can be opened in a browser: something to begin with."""

from types import TracebackType
from typing import Self

from mmi_minecraft.server.node import Progress
from mmi_minecraft.server.player import Player
from mmi_minecraft.server.practice import FLAT, GameMode, PracticeServer

__all__ = ["ShownServer"]

_GUIDE = "guide"
_JOIN_TIMEOUT_S = 60
_VIEW_CHUNKS = 4


class ShownServer:
    """Server, player and viewer; all of them on this machine only.

    Args:
        version: Of the game.
        port: Of the server; 0 takes any that is free.
        game_mode: Of players who come in.
        hills: Whether the ground is hilly.
        seed: Of the hills.
        progress: Is told what is being started.

    Raises:
        MissingDependencyError: If Node.js is missing or too old, or the packages cannot be fetched.
        ConfigError: If the port is taken, or the version is not known.
    """

    def __init__(
        self, *, version: str, port: int, game_mode: GameMode, hills: bool, seed: int, progress: Progress
    ) -> None:
        progress("starting the server")
        layers = None if hills else FLAT
        self.server = PracticeServer(
            version=version, port=port, game_mode=game_mode, layers=layers, seed=seed, progress=progress
        )
        try:
            progress("a player joins")
            self._player = Player()
            self._player.join(self.server.host, self.server.port, _GUIDE, version=None, timeout_s=_JOIN_TIMEOUT_S)
            self._view_port = self._player.view(port=0, distance=_VIEW_CHUNKS)
        except BaseException:
            self.server.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._player.close()
        self.server.close()

    @property
    def address(self) -> str:
        """Of the server."""
        return f"{self.server.host}:{self.server.port}"

    @property
    def view(self) -> str:
        """The page that shows what the player sees."""
        return f"http://127.0.0.1:{self._view_port}/"

    def check(self) -> None:
        """Does nothing as long as all of it runs.

        Raises:
            EnvironmentFailure: If the server or the player is gone.
        """
        self.server.players()
        self._player.state()
