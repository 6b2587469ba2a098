"""What an environment is: a toolkit with eyes.

An adapter imports this file, `types`, `tool`, `pictures` and `errors`, and nothing else of the library.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from mmi_agent.pictures import PictureStore
from mmi_agent.tool import Tool
from mmi_agent.types import Observation, Verdict

__all__ = ["Attachable", "Environment"]


class Environment(Protocol):
    """A world that can be seen and acted on, one episode at a time.

    Attributes:
        name: The registered name with its task, as in "gui/miniwob:click-test".
        tools: Everything that can be called in this world.
        instruction: What is to be done in the episode that `reset` began, in words: the task that was given, or the one
            that the world's own suite asks for. It is trusted; nothing else that the environment shows is.
    """

    name: str

    @property
    def tools(self) -> Sequence[Tool]: ...  # noqa: D102

    @property
    def instruction(self) -> str: ...  # noqa: D102

    def reset(self, task: str | None = None, *, seed: int = 0, pictures: PictureStore) -> Observation:
        """Begins an episode.

        Args:
            task: What is to be done; None where the world's own suite says so.
            seed: The same seed gives the same start, as far as the world allows.
            pictures: Where the pictures of this episode are put, here and in `observe`.

        Raises:
            ConfigError: If a task is needed and none was given.
            EnvironmentFailure: If the world cannot be reached.
        """
        ...

    def observe(self) -> Observation:
        """Looks at the world without changing it.

        Raises:
            EnvironmentFailure: If the world is gone.
        """
        ...

    def verdict(self) -> Verdict | None:
        """Returns the world's own judgement once there is one; None while the episode goes on or nobody judges."""
        ...

    def close(self) -> None:
        """Lets go of everything; a second call does nothing."""
        ...


@runtime_checkable
class Attachable(Protocol):
    """What an environment also has whose world outlives the process: a robot, a desktop, a game server.

    A run that is resumed goes on in such a world; any other is reset with the recorded task and seed.
    """

    def attach(self, task: str | None = None, *, seed: int = 0, pictures: PictureStore) -> Observation:
        """Takes up the episode that a `reset` with these arguments began, without changing the world.

        Raises:
            EnvironmentFailure: If the world cannot be reached, or is not in that episode.
        """
        ...
