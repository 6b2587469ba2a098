"""Runs an evaluation: hands episodes to worker processes, and keeps every result the moment it is there."""

import multiprocessing
import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from itertools import takewhile
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Self

from mmi_agent.child_process import deaf_to_ctrl_c
from mmi_agent.errors import AgentError, ConfigError
from mmi_agent.evaluation.plan import Episode, EvaluationConfig
from mmi_agent.evaluation.results import EpisodeResult, ResultLog
from mmi_agent.evaluation.worker import Began, Finished, Message, Refused, Said, work

__all__ = ["Study"]

_PATIENCE = 2.0  # times `max_seconds`: a run looks at its own clock only between the things it waits for
_SLACK_S = 30.0
_FALSE_STARTS = 3
_FAREWELL_S = 10.0


class Study:
    """An evaluation in a folder; use it as a context manager.

    Args:
        root: The folder; one that holds a study of the same config is taken up where that one ended.
        config: What is evaluated.

    Raises:
        ConfigError: If the folder holds a study of another config.
        TrajectoryError: If the folder cannot be written.
    """

    def __init__(self, root: Path, config: EvaluationConfig) -> None:
        self.root = root
        self.config = config
        self._log = ResultLog.open(root, config)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._log.close()

    @property
    def results(self) -> list[EpisodeResult]:
        """Every result so far, those of earlier processes included, in the order of the config."""
        order = {episode: number for number, episode in enumerate(self.config.episodes())}
        return sorted(self._log.results, key=lambda result: order[result.episode])

    def remaining(self) -> list[Episode]:
        """The episodes that have no result yet."""
        done = {result.episode for result in self._log.results}
        return [episode for episode in self.config.episodes() if episode not in done]

    def run(self, *, workers: int = 2) -> Iterator[EpisodeResult | str]:
        """Runs what remains; leaving the iteration ends the workers and loses only the episodes under way.

        An episode that fails, and one whose worker dies, has a result like any other.

        Args:
            workers: How many processes run episodes side by side.

        Yields:
            Each result once it is on the disk, and lines that say what takes long.

        Raises:
            ConfigError: If `workers` is not positive, or an environment or a policy cannot be made as configured.
            CheckpointError: If weights are missing or damaged.
            TrajectoryError: If nothing can be written any more.
            AgentError: If workers die before they begin.
        """
        if workers < 1:
            raise ConfigError(f"an evaluation needs at least one worker, not {workers}")
        queue = deque(self.remaining())
        with _pool(min(workers, len(queue)), self.config, self.root) as pool:
            yield from self._drive(pool, queue)

    def _drive(self, pool: "list[_Worker]", queue: deque[Episode]) -> Iterator[EpisodeResult | str]:
        false_starts = 0
        while queue or any(worker.episode for worker in pool):
            for worker in pool:
                if queue and worker.episode is None:
                    worker.give(_next_for(worker, pool, queue))
            for worker in _stirring(pool):
                message = worker.receive()
                if isinstance(message, Said):
                    yield message.text
                elif isinstance(message, Refused):
                    raise message.error
                elif isinstance(message, Finished):
                    false_starts = 0
                    yield self._kept(message.result)
                elif message is None:
                    unbegun, result = worker.replace()
                    if result:
                        yield self._kept(result)
                    elif unbegun:
                        queue.appendleft(unbegun)
                        false_starts += 1
                    if false_starts >= _FALSE_STARTS:
                        raise AgentError(f"{false_starts} workers in a row died while they loaded {unbegun}")

    def _kept(self, result: EpisodeResult) -> EpisodeResult:
        self._log.append(result)
        return result


class _Worker:
    """A worker process, as the study sees it.

    Attributes:
        episode: What it is at; None while it has nothing to do.
        held: What it was given last: policy and environment of that are at hand.
    """

    def __init__(self, config: EvaluationConfig, root: Path, threads: int) -> None:
        self.episode: Episode | None = None
        self.held: Episode | None = None
        self._arguments = (config, root, threads)
        self._patience_s = _PATIENCE * config.max_seconds + _SLACK_S
        self._deadline: float | None = None
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process: SpawnProcess = context.Process(target=work, args=(theirs, *self._arguments), daemon=True)
        with deaf_to_ctrl_c():  # it is for the study, which ends its workers
            self._process.start()
        theirs.close()

    @property
    def left_s(self) -> float | None:
        """How long it may still be silent; None while it loads."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def give(self, episode: Episode) -> None:
        """Hands it an episode."""
        self.episode = self.held = episode
        try:
            self.connection.send(episode)
        except BrokenPipeError:
            pass  # it died idle; `receive` finds out

    def receive(self) -> Message | None:
        """Takes a message; None if it died or was silent for too long."""
        if self.left_s == 0.0 and not self.connection.poll():
            return None
        try:
            message: Message = self.connection.recv()
        except (EOFError, ConnectionResetError):
            return None
        if isinstance(message, Began):
            self._deadline = time.monotonic() + self._patience_s
        elif isinstance(message, Finished):
            self._deadline = self.episode = None
        return message

    def replace(self) -> tuple[Episode | None, EpisodeResult | None]:
        """Puts a new process in the place of one that died or hangs.

        Returns:
            Its episode, and the result of that, if it had begun.
        """
        episode, began = self.episode, self._deadline is not None
        hung = self.left_s == 0.0
        self.kill()
        code = self._process.exitcode
        self.episode = self._deadline = None
        self._start()
        if episode is None or not began:
            return episode, None
        reason = f"the worker was silent for {self._patience_s:g} s" if hung else f"the worker died (exit code {code})"
        return episode, EpisodeResult(
            policy=episode.policy, environment=episode.environment, seed=episode.seed, status="error", reason=reason
        )

    def kill(self) -> None:
        """Ends the process at once."""
        self._process.kill()
        self._process.join()
        self.connection.close()

    def dismiss(self) -> None:
        """Lets the process end by itself, closing what it holds."""
        self.connection.close()

    def join(self) -> None:
        """Waits for the end of the process, but not for ever."""
        self._process.join(_FAREWELL_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _next_for(worker: _Worker, pool: list[_Worker], queue: deque[Episode]) -> Episode:
    """Takes the next episode that suits a worker: with what it holds already, else with what no other one holds.

    To change the task costs five times what it costs to begin another episode of it.
    """
    held = _setting(worker.held)
    others = [_setting(other.held) for other in pool if other is not worker]

    def ahead(fits: Callable[[tuple[str, str]], bool]) -> Episode | None:
        of_policy = takewhile(lambda episode: episode.policy == queue[0].policy, queue)
        return next((episode for episode in of_policy if fits((episode.policy, episode.environment))), None)

    chosen = ahead(lambda setting: setting == held) or ahead(lambda setting: setting not in others) or queue[0]
    queue.remove(chosen)
    return chosen


def _setting(episode: Episode | None) -> tuple[str, str] | None:
    return (episode.policy, episode.environment) if episode else None


def _stirring(pool: list[_Worker]) -> list[_Worker]:
    """Waits until a worker has something to say, has died, or has been silent for too long."""
    busy = [worker for worker in pool if worker.episode]
    patience_s = min((left for worker in busy if (left := worker.left_s) is not None), default=None)
    ready = wait([worker.connection for worker in busy], patience_s)
    return [worker for worker in busy if worker.connection in ready or worker.left_s == 0.0]


@contextmanager
def _pool(workers: int, config: EvaluationConfig, root: Path) -> Generator[list[_Worker]]:
    """Starts the workers; ends them gently if all went well, at once otherwise."""
    threads = max(1, (os.cpu_count() or 1) // max(1, workers))
    pool: list[_Worker] = []
    try:
        pool += (_Worker(config, root, threads) for _ in range(workers))
        yield pool
    except BaseException:
        for worker in pool:
            worker.kill()
        raise
    for worker in pool:
        worker.dismiss()
    for worker in pool:
        worker.join()
