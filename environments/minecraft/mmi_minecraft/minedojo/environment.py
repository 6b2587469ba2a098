"""MineDojo's tasks as environments."""

import math
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from types import TracebackType
from typing import Self

from PIL import Image
from pydantic import BaseModel, ConfigDict, JsonValue

from mmi_agent.errors import ActionError, ConfigError, EnvironmentFailure, UnknownNameError
from mmi_agent.pictures import PictureStore
from mmi_agent.tool import Tool
from mmi_agent.types import Observation, Outcome, Verdict
from mmi_minecraft.minedojo.boundary import Answer, Frame, SimulatorProcess
from mmi_minecraft.minedojo.installation import minedojo_python
from mmi_minecraft.minedojo.java import check_game_can_start
from mmi_minecraft.minedojo.sight import RAYS, Target, describe, targets
from mmi_minecraft.minedojo.state import State
from mmi_minecraft.minedojo.tables import tables
from mmi_minecraft.minedojo.tools import Plan, Scene, minedojo_tools

__all__ = ["MineDojoEnvironment", "minedojo_tasks"]

_OPEN_TIMEOUT_S = 120
_BEGIN_TIMEOUT_S = 1200  # the first episode builds and starts the game
_STEP_TIMEOUT_S = 120
_LOCAL = ("localhost", "127.0.0.1")


def minedojo_tasks() -> list[str]:
    """The ids of all tasks; MineDojo need not be installed."""
    return list(tables().tasks)


class _Begun(BaseModel):
    model_config = ConfigDict(extra="ignore")

    prompt: str
    judged: bool
    observation: State


class _Stepped(BaseModel):
    model_config = ConfigDict(extra="ignore")

    reward: float
    done: bool
    success: bool
    ticks: int
    observation: State


@dataclass
class _Episode:
    """An episode and its last moment.

    Attributes:
        instruction: What is to be done.
        judged: Whether MineDojo says when it is done; it judges no creative task.
        pictures: Where its pictures go.
        state: What MineDojo told last.
        frame: What the player saw then.
        reward: All that was earned.
        done: Whether it is over.
        success: Whether the task is solved.
        seen: The observation of the last moment, once it was asked for.
    """

    instruction: str
    judged: bool
    pictures: PictureStore
    state: State
    frame: Frame
    reward: float = 0.0
    done: bool = False
    success: bool = False
    seen: Observation | None = None

    @property
    def targets(self) -> list[Target]:
        """What is in sight."""
        return targets(self.state, self.frame.width_px / self.frame.height_px)

    def go_on(self, stepped: _Stepped, frame: Frame) -> None:
        """Takes the next moment."""
        self.state, self.frame, self.seen = stepped.observation, frame, None
        self.reward += stepped.reward
        self.done, self.success = stepped.done, stepped.success

    def look(self) -> Observation:
        """The last moment as it is shown."""
        if self.seen is None:
            picture = self.pictures.put(_png(self.frame))
            elements = tuple(target.element for target in self.targets)
            self.seen = Observation(pictures=(picture,), text=describe(self.state), elements=elements)
        return self.seen


class MineDojoEnvironment:
    """One task of MineDojo 0.1, of 3,131, in its simulator; time passes only while a tool is used.

    The game stays open over episodes and tasks, and each episode has a world of its own. The first `reset` on a machine
    installs MineDojo, in about a minute.

    Args:
        task_id: The task, as in "harvest_milk" or "creative:0".
        address: A Malmo client of MineDojo that runs on this machine, as in "localhost:9000"; None starts the game,
            which needs Java 8.
        width_px: Of the picture.
        height_px: Of the picture.

    Raises:
        UnknownNameError: If there is no such task; offers the nearest.
        ConfigError: If the address or the size is wrong.
    """

    def __init__(
        self,
        task_id: str = "harvest_milk",
        *,
        address: str | None = None,
        width_px: int = 640,
        height_px: int = 360,
    ) -> None:
        if not (16 <= width_px <= 2048 and 16 <= height_px <= 2048):
            raise ConfigError(f"a picture has 16 to 2048 px a side, not {width_px} x {height_px}")
        self._size_px = width_px, height_px
        self._port = _port_of(address)
        self._tools: tuple[Tool, ...] = minedojo_tools(self._perform)
        self._simulator: SimulatorProcess | None = None
        self._episode: _Episode | None = None
        self.load(task_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def tools(self) -> Sequence[Tool]:
        """What the player can be told to do."""
        return self._tools

    @property
    def instruction(self) -> str:
        """What is to be done in this episode."""
        return self._episode.instruction if self._episode else ""

    def load(self, task_id: str) -> None:
        """Changes the task, from the next `reset` on; the game is kept."""
        if task_id not in tables().tasks:
            raise UnknownNameError.among("MineDojo task", task_id, tables().tasks)
        self._task_id = task_id
        self.name = f"minecraft/minedojo:{task_id}"

    def reset(self, task: str | None = None, *, seed: int = 0, pictures: PictureStore) -> Observation:
        """Begins an episode in the world of that seed.

        Args:
            task: What to tell the agent instead of MineDojo's own words; MineDojo judges by its own task.
            seed: Chooses the world.
            pictures: Where the pictures go.

        Raises:
            MissingDependencyError: If MineDojo cannot be installed, or the game cannot start; says what is missing.
            EnvironmentFailure: If the game does not start, or does not begin the episode.
        """
        self._episode = None
        width_px, height_px = self._size_px
        answer = self._ask(
            "begin",
            timeout_s=_BEGIN_TIMEOUT_S,
            task_id=self._task_id,
            seed=seed,
            width_px=width_px,
            height_px=height_px,
            rays=[list(ray) for ray in RAYS],
        )
        begun = _Begun.model_validate(answer.result)
        self._episode = _Episode(
            task or begun.prompt, begun.judged, pictures, state=begun.observation, frame=answer.frames["rgb"]
        )
        return self.observe()

    def observe(self) -> Observation:
        """What the player sees and has, as of the last tick.

        Raises:
            EnvironmentFailure: If there was no `reset` yet, or the game is gone.
        """
        return self._running().look()

    def verdict(self) -> Verdict | None:
        """MineDojo's own judgement, once it has ended the episode."""
        episode = self._episode
        if episode is None or not episode.done:
            return None
        how = "the task is done" if episode.success else "the game ended the episode, as when the player dies"
        judged = "" if episode.judged else "; it judges no creative task"
        reason = f"MineDojo says that {how}; its rewards come to {episode.reward:g}{judged}"
        return Verdict(success=episode.success, reward=episode.reward, reason=reason)

    def close(self) -> None:
        """Ends the game that was started, and MineDojo's process; a second call does nothing."""
        simulator, self._simulator, self._episode = self._simulator, None, None
        if simulator is not None:
            simulator.close()

    def _running(self) -> _Episode:
        if self._episode is None:
            raise EnvironmentFailure(f"{self.name} has no episode: reset comes first, and nothing comes after close")
        return self._episode

    def _perform(self, plan_of: Callable[[Scene], Plan]) -> Outcome:
        episode = self._running()
        if episode.done:
            raise ActionError("the episode is over")
        before = episode.state
        look = {target.element.mark: (target.tilt_deg, target.turn_deg) for target in episode.targets}
        plan = plan_of(Scene(before, look))
        actions: list[JsonValue] = [list(plan.action.vector())] * plan.ticks
        answer = self._ask("step", timeout_s=_STEP_TIMEOUT_S, actions=actions)
        stepped = _Stepped.model_validate(answer.result)
        episode.go_on(stepped, answer.frames["rgb"])
        return Outcome(text="; ".join(_changes(before, stepped)))

    def _ask(self, method: str, *, timeout_s: float, **params: JsonValue) -> Answer:
        """Asks MineDojo; when the game is gone, all of it is let go, so that the next `reset` begins anew."""
        try:
            if self._simulator is None:
                if self._port is None:
                    check_game_can_start()
                self._simulator = SimulatorProcess(minedojo_python(_tell))
                self._simulator.request("open", timeout_s=_OPEN_TIMEOUT_S, port=self._port)
            return self._simulator.request(method, timeout_s=timeout_s, **params)
        except (ConfigError, EnvironmentFailure):
            self.close()
            raise


def _tell(progress: str) -> None:
    print(progress, file=sys.stderr)


def _port_of(address: str | None) -> int | None:
    if address is None:
        return None
    host, _, port = address.rpartition(":")
    if host not in _LOCAL or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ConfigError(f"{address!r} is no address of a game: MineDojo reaches this machine only, as localhost:9000")
    return int(port)


def _png(frame: Frame) -> bytes:
    buffer = BytesIO()
    image = Image.frombytes("RGB", (frame.width_px, frame.height_px), frame.rgb)
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _changes(before: State, stepped: _Stepped) -> Iterator[str]:
    """What came of an action, in words; MineDojo itself says nothing of it."""
    after = stepped.observation
    yield f"did it for {stepped.ticks} tick{'s' * (stepped.ticks != 1)}"
    away = math.dist(before.location_stats.pos, after.location_stats.pos)
    if away >= 0.05:
        yield f"moved {away:.1f} blocks"
    owned, owned_before = _counted(after), _counted(before)
    if gained := owned - owned_before:
        yield f"gained {_told(gained)}"
    if lost := owned_before - owned:
        yield f"lost {_told(lost)}"
    if health := after.life_stats.life - before.life_stats.life:
        yield f"health {health:+.0f}"
    if stepped.reward:
        yield f"MineDojo's reward: {stepped.reward:g}"
    if stepped.done:
        yield "the episode is over"


def _counted(state: State) -> Counter[str]:
    counts = Counter[str]()
    for stack in state.inventory.stacks():
        counts[stack.name] += stack.quantity
    return counts


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
