"""One worker process: holds a policy and an environment, and runs the episodes that come down its pipe."""

import fcntl
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from mmi_agent.agent.approval import AllowListed
from mmi_agent.agent.limits import Limits
from mmi_agent.agent.runtime import Agent
from mmi_agent.agent.trajectory import read_trajectory
from mmi_agent.child_process import die_with_parent
from mmi_agent.environment import Environment
from mmi_agent.errors import AgentError, ConfigError, MemoryStoreError, MMIError
from mmi_agent.evaluation.plan import WITH_MEMORY, Episode, EvaluationConfig
from mmi_agent.evaluation.results import EpisodeResult, result_of
from mmi_agent.policies import make_policy
from mmi_agent.policy import Policy
from mmi_agent.registry import environment_class, make_environment

if TYPE_CHECKING:
    from mmi_agent.memory.recollection import Recollector

__all__ = ["Began", "Finished", "Message", "Refused", "Said", "work"]


@dataclass(frozen=True)
class Began:
    """Policy and environment are there; from now on the episode's time counts."""


@dataclass(frozen=True)
class Said:
    """A line for whoever waits: what takes long just now."""

    text: str


@dataclass(frozen=True)
class Finished:
    """The episode is over."""

    result: EpisodeResult


@dataclass(frozen=True)
class Refused:
    """The study cannot be run like this: the person has to mend something first."""

    error: MMIError


Message = Began | Said | Finished | Refused


@runtime_checkable
class _Loadable(Protocol):
    """An environment that can change its task and keep what is costly to start."""

    def load(self, task_id: str) -> None: ...


def work(connection: Connection, config: EvaluationConfig, root: Path, threads: int) -> None:
    """Runs episodes until the pipe is closed; dies with the process at its other end.

    Args:
        connection: Episodes come in, messages go out.
        config: The study's.
        root: The study's folder.
        threads: How many this process may compute with.
    """
    os.environ["OMP_NUM_THREADS"] = str(threads)  # read when torch is loaded, which is not yet
    die_with_parent()
    hands = _Hands(config, root, lambda text: connection.send(Said(text)))
    try:
        while True:
            episode: Episode = connection.recv()
            connection.send(_attempt(hands, episode, connection))
    except (EOFError, BrokenPipeError):
        pass  # the study is over
    finally:
        hands.drop_environment()


def _attempt(hands: "_Hands", episode: Episode, connection: Connection) -> Message:
    """Runs one episode; whatever breaks in it is its result, unless it would break every other one too."""
    try:
        hands.take(episode)
        connection.send(Began())
        return Finished(hands.run(episode))
    except AgentError as error:
        return Finished(_failed(episode, error))
    except MMIError as error:
        return Refused(error)
    except Exception as error:
        return Finished(_failed(episode, error))


def _failed(episode: Episode, error: Exception) -> EpisodeResult:
    reason = f"{type(error).__name__}: {error}"
    return EpisodeResult(
        policy=episode.policy, environment=episode.environment, seed=episode.seed, status="error", reason=reason
    )


class _Hands:
    """The policy and the environment of the latest episode, kept for the next."""

    def __init__(self, config: EvaluationConfig, root: Path, say: Callable[[str], None]) -> None:
        self._config = config
        self._root = root
        self._say = say
        self._policy: tuple[str, Policy] | None = None
        self._environment: tuple[str, Environment] | None = None
        self._recollector: Recollector | None = None

    def take(self, episode: Episode) -> None:
        """Sees to it that the policy and the environment of the episode are there."""
        if self._policy is None or self._policy[0] != episode.policy:
            self._policy = None  # two models need not fit into memory
            with _one_at_a_time(self._root):
                name = episode.policy.removesuffix(WITH_MEMORY)
                policy = make_policy(name, weights=self._config.weights, progress=self._say)
            self._policy = episode.policy, policy
        if self._environment is None or self._environment[0] != episode.environment:
            self._environment = episode.environment, self._switched(episode.environment)

    def _switched(self, name: str) -> Environment:
        if self._environment is not None:
            held_name, held = self._environment
            build, task = environment_class(name)
            if isinstance(held, _Loadable) and task and environment_class(held_name)[0] is build:
                held.load(task)
                return held
        self.drop_environment()
        return make_environment(name)

    def _recalling(self, episode: Episode) -> "Recollector | None":
        """The study's memory, for a policy that recalls.

        Every process compares with every vector, so that all of them recall alike.
        """
        if not episode.policy.endswith(WITH_MEMORY):
            return None
        if self._recollector is None:
            from mmi_agent.memory import Memory
            from mmi_agent.memory.recollection import Recollector

            try:
                memory = Memory.open(Path(self._config.memory or ""), index="exact")
            except MemoryStoreError as error:
                raise ConfigError(str(error)) from error
            self._recollector = Recollector(memory=memory, learns=False)
        return self._recollector

    def run(self, episode: Episode) -> EpisodeResult:
        """Runs the episode for which all was taken."""
        assert self._policy
        assert self._environment
        folder = episode.folder(self._root)
        _set_aside(folder)
        agent = Agent(
            self._policy[1],
            self._environment[1],
            approver=AllowListed(self._config.approve),
            limits=Limits(max_steps=self._config.max_steps, max_seconds=self._config.max_seconds),
            memory=self._recalling(episode),
            options={"name": episode.environment},
        )
        run = agent.run(seed=episode.seed, folder=folder)
        if run.status == "error":
            self.drop_environment()  # it may be what broke
        return result_of(episode, read_trajectory(folder), self._root)

    def drop_environment(self) -> None:
        """Lets go of the environment."""
        if self._environment is not None:
            (_, environment), self._environment = self._environment, None
            environment.close()


def _set_aside(folder: Path) -> None:
    """Moves what an earlier process left of this episode: it has no result, so it is run again from its start."""
    number = 1
    while folder.exists():
        aside = folder.with_name(f"{folder.name}.unfinished-{number}")
        if not aside.exists():
            folder.rename(aside)
        number += 1


@contextmanager
def _one_at_a_time(root: Path) -> Generator[None]:
    """Lets one worker load at a time: what the first one fetches, the others find."""
    with (root / ".loading").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
