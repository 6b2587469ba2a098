"""What the results say: rates with their uncertainty, medians of times, and what reuse saved."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import mean, median

from pydantic import JsonValue

from mmi_agent.evaluation.plan import EvaluationConfig
from mmi_agent.evaluation.results import EpisodeResult

__all__ = ["Cell", "PolicySummary", "Summary", "summarise", "wilson_interval"]

_Z_95 = 1.959964


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One policy on one task.

    Attributes:
        successes: Episodes that the world judged as solved.
        episodes: Episodes that were run.
        errors: Those that ended as an error; they count as failed.
        mean_steps: Mean number of steps.
    """

    successes: int
    episodes: int
    errors: int
    mean_steps: float


@dataclass(frozen=True, kw_only=True)
class PolicySummary:
    """One policy over all tasks.

    Attributes:
        cells: By environment; one without a finished episode is missing.
        mean_success: Mean over the tasks of each task's rate.
        interval: 95 % Wilson score interval of the pooled rate.
        median_ms: Median milliseconds of a step, by phase.
        reuse_ratio: Part of the read tokens that an earlier step had read; None where the policy does not tell.
    """

    cells: dict[str, Cell]
    successes: int
    episodes: int
    errors: int
    mean_success: float
    interval: tuple[float, float]
    mean_steps: float
    median_ms: dict[str, float]
    reuse_ratio: float | None


@dataclass(frozen=True, kw_only=True)
class Summary:
    """An evaluation in figures.

    Attributes:
        environments: The tasks, in the order of the config.
        policies: By name, in the order of the config.
        planned: How many episodes there are to run.
    """

    environments: tuple[str, ...]
    policies: dict[str, PolicySummary]
    planned: int

    @property
    def done(self) -> int:
        """How many episodes were run."""
        return sum(policy.episodes for policy in self.policies.values())

    def to_json(self) -> dict[str, JsonValue]:
        """The figures as `results.json` holds them."""
        return asdict(self)


def summarise(config: EvaluationConfig, results: Iterable[EpisodeResult]) -> Summary:
    """Sums up the results of an evaluation, finished or not."""
    by_policy: dict[str, list[EpisodeResult]] = {name: [] for name in config.policies}
    for result in results:
        by_policy[result.policy].append(result)
    return Summary(
        environments=config.environments,
        policies={name: _summary_of(config.environments, found) for name, found in by_policy.items()},
        planned=len(config.episodes()),
    )


def wilson_interval(successes: int, episodes: int) -> tuple[float, float]:
    """The 95 % score interval of a rate: honest also for few episodes and for rates of 0 and 1.

    Source: Wilson, Probable inference, the law of succession, and statistical inference (1927).
    """
    if not episodes:
        return 0.0, 1.0
    rate, z2 = successes / episodes, _Z_95**2
    center = (rate + z2 / (2 * episodes)) / (1 + z2 / episodes)
    half = _Z_95 / (1 + z2 / episodes) * math.sqrt(rate * (1 - rate) / episodes + z2 / (4 * episodes**2))
    return max(0.0, center - half), min(1.0, center + half)


def _summary_of(environments: Sequence[str], results: Sequence[EpisodeResult]) -> PolicySummary:
    cells = {
        environment: _cell(found)
        for environment in environments
        if (found := [result for result in results if result.environment == environment])
    }
    successes = sum(cell.successes for cell in cells.values())
    return PolicySummary(
        cells=cells,
        successes=successes,
        episodes=len(results),
        errors=sum(cell.errors for cell in cells.values()),
        mean_success=mean([cell.successes / cell.episodes for cell in cells.values()] or [0.0]),
        interval=wilson_interval(successes, len(results)),
        mean_steps=mean([result.steps for result in results] or [0]),
        median_ms={
            "observe": _median(spent for result in results for spent in result.observe_ms),
            "decide": _median(spent for result in results for spent in result.decide_ms),
            "act": _median(spent for result in results for spent in result.act_ms),
        },
        reuse_ratio=_reuse_ratio(results),
    )


def _cell(results: Sequence[EpisodeResult]) -> Cell:
    return Cell(
        successes=sum(result.success for result in results),
        episodes=len(results),
        errors=sum(result.status == "error" for result in results),
        mean_steps=mean(result.steps for result in results),
    )


def _median(values: Iterable[float]) -> float:
    return round(median([*values] or [0.0]), 3)


def _reuse_ratio(results: Sequence[EpisodeResult]) -> float | None:
    reused = sum(result.usage.get("reused", 0) for result in results)
    read = sum(result.usage.get("read", 0) for result in results)
    return reused / (reused + read) if reused + read else None
