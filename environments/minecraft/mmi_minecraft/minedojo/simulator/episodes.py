"""One MineDojo task after the other, in one game.

What MineDojo 0.1 gets wrong on the way is put right here; each place says what it was.
"""

from __future__ import annotations

import copy
import platform
from typing import Any

import numpy as np
import yaml
from game import Fault, use_own_game, use_running_game
from omegaconf import OmegaConf

Answer = tuple[dict[str, Any], dict[str, Any]]
"""A result that goes into JSON, and frames by name."""


class Simulator:
    """Answers the requests that `__main__` reads, each by the method of its name."""

    def __init__(self) -> None:
        self._tasks = _import_minedojo()
        self._games: list[Any] = []  # every environment gets this same list, so that one game serves them all
        self._environment: Any = None
        self._score: _Score | None = None

    def describe(self) -> Answer:
        """What there is to choose from."""
        from minedojo.sim.mc_meta import mc

        space = self._make("harvest_milk", seed=0, image_size=(16, 16)).action_space
        return {
            "tasks": list(self._tasks.ALL_TASK_IDS),
            "crafts": list(mc.ALL_CRAFT_SMELT_ITEMS),
            "biomes": {number: name for name, number in mc.BIOMES_MAP.items()},
            "sizes": [int(size) for size in space.nvec],
            "idle": [int(number) for number in space.no_op()],
            "python": platform.python_version(),
        }, {}

    def open(self, port: int | None) -> Answer:
        """Says which game is played in; a game that is to be started starts with the first episode."""
        if port is None:
            use_own_game()
        else:
            use_running_game(port)
        return {}, {}

    def begin(self, task_id: str, seed: int, width_px: int, height_px: int, rays: list[list[float]]) -> Answer:
        """Begins an episode."""
        lidar = [tuple(ray) for ray in rays]
        self._environment = self._make(
            task_id, seed=seed, image_size=(height_px, width_px), use_lidar=True, lidar_rays=lidar
        )
        task = self._environment.env.env.env.env  # below the wrappers of actions, masks and inventories
        self._score = _Score(task)
        _tell_lost_connections(task.unwrapped._bridge_env)
        task.unwrapped._bridge_env._instances = self._games
        try:
            observation = self._environment.reset()
        except EOFError as error:
            raise Fault("world", f"Minecraft did not start: {_reason(str(error))}") from error
        except (OSError, RuntimeError, TypeError) as error:  # TypeError: the connection closed between two messages
            raise Fault("world", f"the game did not begin the episode: {type(error).__name__}: {error}") from error
        judged = not task_id.startswith("creative:")
        texts = {"prompt": task.get_prompt(), "guidance": task.task_guidance, "judged": judged}
        return _shown(observation, texts)

    def step(self, actions: list[list[int]]) -> Answer:
        """Makes one action after the other, until the episode is over."""
        if self._score is None or not actions:
            raise Fault("config", "a step needs an episode and at least one action")
        score, before, ticks_before = self._score, self._score.reward, self._score.ticks
        if score.done:
            raise Fault("action", "the episode is over")
        observation: dict[str, Any] = {}
        for action in actions:
            try:
                observation, _, done, _ = self._environment.step(np.array(action))
            except (AssertionError, ValueError) as error:
                raise Fault("action", f"MineDojo refuses {action}: {error}") from error
            if done:
                break
        told = {
            "reward": score.reward - before,
            "done": score.done,
            "success": bool(score.task.is_successful),
            "ticks": score.ticks - ticks_before,
        }
        return _shown(observation, told)

    def close(self) -> Answer:
        """Ends the game, if it was started here."""
        if self._environment is not None:
            self._environment.close()
        self._environment, self._games = None, []
        return {}, {}

    def _make(self, task_id: str, *, seed: int, **options: Any) -> Any:
        """MineDojo's environment of a task, whose world is made anew by each reset."""
        specs: dict[str, Any] = self._tasks.ALL_TASKS_SPECS
        kept = specs.get(task_id)
        if kept is not None:  # making a task empties its description, and what is in it cannot be chosen otherwise
            specs[task_id] = {name: value for name, value in copy.deepcopy(kept).items() if name not in options}
        try:
            made = self._tasks.make(
                task_id, seed=seed, world_seed=str(seed + 1), fast_reset=False, **options
            )  # 0 is no seed: Malmo takes it as the wish for any world
        finally:
            if kept is not None:
                specs[task_id] = kept
        for generator in made.unwrapped._sim_spec._world_generator_handlers:
            generator.force_reset = True  # else Malmo goes on in the world that it has, whatever the seed
        return made


class _Score:
    """Stands before a task's `step`, and counts.

    MineDojo lets two idle ticks follow when something is crafted or placed: it drops the reward of the tick before
    them, and goes on ticking when the episode is over.
    """

    def __init__(self, task: Any) -> None:
        self.task, self.reward, self.ticks = task, 0.0, 0
        self._step, self._last = task.step, None
        task.step = self

    @property
    def done(self) -> bool:
        return self._last is not None and bool(self._last[2])

    def __call__(self, action: Any) -> Any:
        if not self.done:
            self._last = self._step(action)
            self.reward += float(self._last[1])
            self.ticks += 1
        return self._last


def _import_minedojo() -> Any:
    """Imports MineDojo with its 1.2 MB of YAML read as plain data, which takes a fifth of the time."""

    def load(path: str) -> Any:
        with open(path, encoding="utf-8") as file:
            return yaml.load(file, getattr(yaml, "CSafeLoader", yaml.SafeLoader))

    def is_dict(value: object) -> bool:
        return isinstance(value, dict)

    OmegaConf.load, OmegaConf.is_dict = load, is_dict
    import minedojo.tasks

    del minedojo.tasks.Playthrough.step, minedojo.tasks.Playthrough.reset  # they fail, and would judge nothing
    return minedojo.tasks


def _tell_lost_connections(bridge: Any) -> None:
    """MineDojo calls an episode done when the connection breaks, and shows the frame before once more."""
    step = bridge.step

    def checked(commands: list[str]) -> Any:
        taken = step(commands)
        if not taken.step_success:
            raise Fault("world", "the game is gone: the connection to it broke, or it did not answer")
        return taken

    bridge.step = checked


def _reason(log: str) -> str:
    """The lines of a log that most likely say why."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    telling = [line for line in lines if "rror" in line or "xception" in line or "wrong" in line]
    return " | ".join((telling or lines)[:3])[:600]


def _shown(observation: dict[str, Any], told: dict[str, Any]) -> Answer:
    frame = np.ascontiguousarray(observation["rgb"].transpose(1, 2, 0))
    seen = {name: _plain(value) for name, value in observation.items() if name != "rgb"}
    return {"observation": seen, **told}, {"rgb": frame}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    return value
