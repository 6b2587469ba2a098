"""Tasks to practise: a server of its own that poses them, and judges them by its blocks and the player's inventory."""

import time
from collections.abc import Iterator, Sequence
from random import Random
from types import TracebackType
from typing import Self

from mmi_agent.errors import EnvironmentFailure, UnknownNameError
from mmi_agent.pictures import PictureStore
from mmi_agent.tool import Tool
from mmi_agent.types import Observation, Verdict
from mmi_minecraft.block_state import AIR, BlockState
from mmi_minecraft.blueprint import Blueprint
from mmi_minecraft.server.environment import MinecraftEnvironment
from mmi_minecraft.server.player import Player, PlayerState
from mmi_minecraft.server.practice import FLAT, Guest, PracticeServer
from mmi_minecraft.tasks.catalogue import HELD_OUT, TASKS
from mmi_minecraft.tasks.goals import box
from mmi_minecraft.tasks.policy import ExpertPolicy
from mmi_minecraft.tasks.problem import PLOT, Act, Problem, World

__all__ = ["PracticeEnvironment", "practice_tasks"]

_SETTLE_TIMEOUT_S = 10
_POSES = 3
_LOOK_AGAIN_S = 0.05
_FAULTS_TOLD = 3


def practice_tasks() -> list[str]:
    """The names of all tasks."""
    return sorted(TASKS)


class PracticeEnvironment:
    """One task on a Minecraft server of its own; the same seed poses the same problem.

    The server runs on this machine, for this environment alone, and stays over episodes and tasks. Before each episode
    the plot is put back, and the player with it; what was done elsewhere in the world stays until the server ends.

    Args:
        task_id: The task, as in "fence-pen".
        server: Where it is posed; None starts a server of its own. A server that is given is not closed, and has one
            plot for all.
        username: The player's name there.
        version: Of the game, where none is given; 1.16.4, 1.18.1, 1.21.1 and 1.21.4 are tested.
        width_px: Of the pictures.
        height_px: Of the pictures.
        with_pictures: Whether there are pictures; without, no browser is needed.

    Raises:
        UnknownNameError: If there is no such task; offers the nearest.
    """

    demonstrated = frozenset(TASKS)
    held_out = HELD_OUT

    def __init__(
        self,
        task_id: str = "place-block",
        *,
        server: PracticeServer | None = None,
        username: str = "mmi",
        version: str = "1.16.4",
        width_px: int = 640,
        height_px: int = 360,
        with_pictures: bool = True,
    ) -> None:
        self._given, self._server = server is not None, server
        self._username = username
        self._version, self._size, self._with_pictures = version, (width_px, height_px), with_pictures
        self._game: MinecraftEnvironment | None = None
        self._problem: Problem | None = None
        self.load(task_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def tools(self) -> Sequence[Tool]:
        """What a player can do."""
        return self._playing().tools

    @property
    def instruction(self) -> str:
        """What is to be done in this episode."""
        return self._playing().instruction

    @property
    def problem(self) -> Problem:
        """What the latest `reset` posed.

        Raises:
            EnvironmentFailure: If there was none.
        """
        if self._problem is None:
            raise EnvironmentFailure(f"{self.name}: reset comes first")
        return self._problem

    @property
    def player(self) -> Player:
        """Who plays.

        Raises:
            EnvironmentFailure: If nobody does.
        """
        return self._playing().player

    def load(self, task_id: str) -> None:
        """Changes the task, from the next `reset` on; server and player are kept."""
        if task_id not in TASKS:
            raise UnknownNameError.among("Minecraft task", task_id, TASKS)
        self._task = task_id
        self.name = f"minecraft/practice:{task_id}"

    def reset(self, task: str | None = None, *, seed: int = 0, pictures: PictureStore) -> Observation:
        """Poses the problem of that seed.

        Args:
            task: What to tell the agent instead of the task's own instruction; judged is the task's own.
            seed: Chooses the problem.
            pictures: Where the pictures go.

        Raises:
            EnvironmentFailure: If the server or the player cannot be started, or is gone.
            MissingDependencyError: If Node.js, the bridge's packages or a browser are missing.
        """
        problem = self._problem = TASKS[self._task](Random(f"{self._task} {seed}"))
        server = self._serving()
        game = self._game = self._game or self._joining(server)
        if not self._is_in(server):
            game.reset(task or problem.instruction, pictures=pictures)
        self._pose(server, problem)
        return game.reset(task or problem.instruction, pictures=pictures)

    def observe(self) -> Observation:
        """Looks at the world.

        Raises:
            EnvironmentFailure: If the game or the browser is gone.
        """
        return self._playing().observe()

    def judge(self) -> Verdict:
        """What the server says of the problem as things stand now, solved or not."""
        server = self._serving()
        guest = self._guest(server)
        world = World(server.read(*PLOT), guest.inventory if guest else {})
        faults = list(self.problem.goal(world))
        told = f"not as asked: {'; '.join(faults[:_FAULTS_TOLD])}"
        more = f"; and {len(faults) - _FAULTS_TOLD} more" if len(faults) > _FAULTS_TOLD else ""
        reason = told + more if faults else "the server has everything as it was asked for"
        return Verdict(success=not faults, reward=0.0 if faults else 1.0, reason=reason)

    def verdict(self) -> Verdict | None:
        """The server's judgement, once the problem is solved; until then there is time to go on."""
        verdict = self.judge()
        return verdict if verdict.success else None

    def expert(self) -> ExpertPolicy:
        """What solves the task that is loaded."""
        return ExpertPolicy(self._solution)

    def close(self) -> None:
        """Leaves the game, and ends a server of its own; a second call does nothing."""
        game, self._game = self._game, None
        if game is not None:
            game.close()
        if self._server is not None and not self._given:
            self._server.close()
            self._server = None

    def _solution(self) -> Iterator[Act]:
        return self.problem.solution(self.player)

    # ---- server and player

    def _serving(self) -> PracticeServer:
        if self._server is None:
            self._server = PracticeServer(version=self._version)
        return self._server

    def _joining(self, server: PracticeServer) -> MinecraftEnvironment:
        width_px, height_px = self._size
        return MinecraftEnvironment(
            host=server.host,
            port=server.port,
            username=self._username,
            width_px=width_px,
            height_px=height_px,
            with_pictures=self._with_pictures,
        )

    def _playing(self) -> MinecraftEnvironment:
        if self._game is None:
            raise EnvironmentFailure(f"{self.name}: reset comes first")
        return self._game

    def _is_in(self, server: PracticeServer) -> bool:
        """Whether the player is in the game, for all that server and player know."""
        try:
            return bool(self.player.state()) and self._guest(server) is not None
        except EnvironmentFailure:
            return False

    def _guest(self, server: PracticeServer) -> Guest | None:
        return next((guest for guest in server.players() if guest.username == self._username), None)

    # ---- posing a problem

    def _pose(self, server: PracticeServer, problem: Problem) -> None:
        """Puts the plot and the player as the problem has them; again where the player missed a part of it."""
        for _ in range(_POSES):
            self._put(server, problem)
            if self._settles(server.read(*PLOT), problem):
                return self._face(problem)
        raise EnvironmentFailure(
            f"{self.name}: the player did not hear of its new task, posed {_POSES} times, {_SETTLE_TIMEOUT_S} s each"
        )

    def _put(self, server: PracticeServer, problem: Problem) -> None:
        found = server.read(*PLOT)
        asked = {at: BlockState.parse(block) for at, block in problem.blocks.items()}
        wanted = {at: asked.get(at, _flat(at.y)) for at in box(*PLOT)}
        server.set((at, state) for at, state in wanted.items() if found[at.minus(found.origin)] != state)
        server.sweep()
        server.clear(self._username)
        server.set_mode(self._username, problem.game_mode)
        for item, count in problem.items.items():
            server.give(self._username, item, count)
        x, y, z = problem.start
        server.teleport(self._username, (x + 0.5, y, z + 0.5))

    def _settles(self, blocks: Blueprint, problem: Problem) -> bool:
        """Waits until the player knows of all that."""
        until_s = time.monotonic() + _SETTLE_TIMEOUT_S
        while not _knows(self.player.state(), problem) or self.player.read(*PLOT) != blocks:
            if time.monotonic() > until_s:
                return False
            time.sleep(_LOOK_AGAIN_S)
        return True

    def _face(self, problem: Problem) -> None:
        """Has the player stand, ready, and look at the site."""
        player = self.player
        player.walk(problem.start)  # it may still fly, or fall
        if problem.items:
            player.equip(next(iter(problem.items)), "hand")
        x, y, z = problem.site
        player.look_at((x + 0.5, y + 0.5, z + 0.5))


def _knows(state: PlayerState, problem: Problem) -> bool:
    here = (state.cell, state.game_mode, dict(state.items))
    return here == (problem.start, problem.game_mode, dict(problem.items))


def _flat(y: int) -> BlockState:
    """What stands at a height of the flat world."""
    layers = [name for name, thickness in FLAT for _ in range(thickness)]
    return BlockState.parse(layers[y]) if y < len(layers) else AIR
