"""What is kept of each episode: one JSON line, appended whole and synced, so that a study survives any death."""

import fcntl
import json
import os
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from mmi_agent.agent.trajectory import Status, Trajectory
from mmi_agent.errors import ConfigError, TrajectoryError
from mmi_agent.evaluation.plan import Episode, EvaluationConfig
from mmi_agent.types import CleanText
from mmi_agent.whole_file import write_whole

__all__ = ["EpisodeResult", "ResultLog", "result_of"]

_FORMAT: Literal[1] = 1
_ADDED_SINCE: dict[str, JsonValue] = {"suites": [], "memory": None}  # what the config of an older study does not say


class EpisodeResult(BaseModel):
    """How one episode went.

    Attributes:
        status: How the run ended; "error" also where the worker died.
        success: Whether the world judged the task as solved; without a verdict it is not.
        observe_ms: Milliseconds of each step; the first includes the reset of the world.
        turned_down: Steps whose call was not carried out: refused, denied or failed.
        run: The run's folder, below the study's; None where nothing was recorded.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    policy: str
    environment: str
    seed: int
    status: Status
    success: bool = False
    reward: float | None = None
    reason: CleanText = ""
    steps: int = 0
    turned_down: int = 0
    observe_ms: tuple[float, ...] = ()
    decide_ms: tuple[float, ...] = ()
    act_ms: tuple[float, ...] = ()
    usage: dict[str, int] = Field(default_factory=dict)
    run: str | None = None

    @property
    def episode(self) -> Episode:
        """Which episode it is the result of."""
        return Episode(policy=self.policy, environment=self.environment, seed=self.seed)


def result_of(episode: Episode, run: Trajectory, root: Path) -> EpisodeResult:
    """Sums up a run that has ended."""
    intents = [step.intent for step in run.steps]
    results = [step.result for step in run.steps if step.result]
    kinds = sorted({kind for intent in intents for kind in intent.usage})
    verdict = run.verdict
    return EpisodeResult(
        policy=episode.policy,
        environment=episode.environment,
        seed=episode.seed,
        status=run.status or "error",
        success=verdict is not None and verdict.success,
        reward=verdict.reward if verdict else None,
        reason=run.end.reason if run.end else "the run did not end",
        steps=len(run.steps),
        turned_down=sum(result.outcome.status != "done" for result in results),
        observe_ms=tuple(intent.observe_ms for intent in intents),
        decide_ms=tuple(intent.decide_ms for intent in intents),
        act_ms=tuple(result.act_ms for result in results),
        usage={kind: sum(intent.usage.get(kind, 0) for intent in intents) for kind in kinds},
        run=run.folder.relative_to(root).as_posix(),
    )


class ResultLog:
    """`results.jsonl` of a study, which one process at a time writes.

    Attributes:
        results: What it holds, in the order in which it was written.
    """

    def __init__(self, file: int, results: list[EpisodeResult], size: int) -> None:
        self.results = results
        self._file = file
        self._size = size

    @classmethod
    def open(cls, root: Path, config: EvaluationConfig) -> Self:
        """Begins the results of a study, or takes them up again.

        Raises:
            ConfigError: If the folder holds a study of another config, or another process is writing it.
            TrajectoryError: If it cannot be read or written.
        """
        path = root / "results.jsonl"
        try:
            root.mkdir(parents=True, exist_ok=True)
            file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise TrajectoryError(f"cannot write an evaluation to {root}: {error.strerror}") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _settle_config(root, config)
            results, size = _read(path)
            os.ftruncate(file, size)  # a line that is not whole was never a result
        except BlockingIOError:
            os.close(file)
            raise ConfigError(f"another process is running the evaluation in {root}") from None
        except OSError as error:
            os.close(file)
            raise TrajectoryError(f"cannot write an evaluation to {root}: {error.strerror}") from error
        except BaseException:
            os.close(file)
            raise
        return cls(file, results, size)

    def append(self, result: EpisodeResult) -> None:
        """Puts a result on the disk, whole or not at all.

        Raises:
            TrajectoryError: If it cannot be written.
        """
        data = result.model_dump_json().encode() + b"\n"
        try:
            if os.write(self._file, data) < len(data):
                raise OSError(28, "No space left on device")
            os.fsync(self._file)
        except OSError as error:
            os.ftruncate(self._file, self._size)
            raise TrajectoryError(f"cannot write results.jsonl: {error.strerror}") from error
        self._size += len(data)
        self.results.append(result)

    def close(self) -> None:
        """Lets go of the file and its lock."""
        os.close(self._file)


def _settle_config(root: Path, config: EvaluationConfig) -> None:
    """Records the config of a new study; that of an older one must be the same."""
    path = root / "evaluation.json"
    given: dict[str, JsonValue] = {"format": _FORMAT, **config.to_json()}
    adapters = config.adapters()
    if not path.exists():
        write_whole(path, (json.dumps({**given, "adapters": adapters}, indent=2) + "\n").encode())
        return
    try:
        recorded = json.loads(path.read_bytes())
    except ValueError as error:
        raise ConfigError(f"{path} is damaged: name another folder with --out") from error
    had: dict[str, str] = recorded.get("adapters", adapters)  # an older study does not say
    recorded = {**_ADDED_SINCE, **recorded}
    if differing := [name for name in given if recorded.get(name) != given[name]]:
        raise ConfigError(
            f"{root} holds an evaluation with other {' and '.join(differing)}: "
            "give what it was begun with, or name another folder with --out"
        )
    if others := [policy for policy in config.policies if had.get(policy) != adapters.get(policy)]:
        raise ConfigError(
            f"{root} holds results of {' and '.join(others)} with other weights than are there now: "
            "put back what it was begun with, or name another folder with --out"
        )


def _read(path: Path) -> tuple[list[EpisodeResult], int]:
    """Reads every whole line, and how many bytes they take."""
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    try:
        return [EpisodeResult.model_validate_json(line) for line in whole.splitlines()], len(whole)
    except ValidationError as error:
        raise TrajectoryError(f"{path} is damaged: {str(error).splitlines()[0]}; name another folder") from error
