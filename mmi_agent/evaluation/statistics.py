"""What the results say: rates with their uncertainty, medians of times, and what reuse saved."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import mean, median

from pydantic import JsonValue

from mmi_agent.evaluation.failures import FAILURES, Failure, failure_of
from mmi_agent.evaluation.plan import Episode, EvaluationConfig
from mmi_agent.evaluation.results import EpisodeResult
from mmi_agent.evaluation.suites import suite_environments

__all__ = [
    "Cell",
    "Comparison",
    "PolicySummary",
    "Rate",
    "Summary",
    "compare",
    "summarise",
    "wilson_interval",
]

_Z_95 = 1.959964


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One policy on one task.

    Attributes:
        successes: Episodes that the world judged as solved.
        episodes: Episodes that were run.
        errors: Those that ended as an error; they count as failed.
        mean_steps: Mean number of steps.
        failures: How many failed in each way.
    """

    successes: int
    episodes: int
    errors: int
    mean_steps: float
    failures: dict[Failure, int]


@dataclass(frozen=True, kw_only=True)
class Rate:
    """How often something was solved.

    Attributes:
        successes: Episodes that the world judged as solved.
        episodes: Episodes that were run.
        mean_success: Mean over the tasks of each task's rate.
        interval: 95 % Wilson score interval of the pooled rate.
    """

    successes: int
    episodes: int
    mean_success: float
    interval: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two policies on the same episodes.

    Attributes:
        policy: The one.
        against: The other.
        pairs: Episodes that both have been through.
        won: Those that only `policy` solved.
        lost: Those that only `against` solved.
        difference: Of the rates on these episodes: `policy` minus `against`.
        interval: Its 95 % interval.
        p_value: How likely so uneven a split is if both are alike: McNemar's exact test.
    """

    policy: str
    against: str
    pairs: int
    won: int
    lost: int
    difference: float
    interval: tuple[float, float]
    p_value: float


@dataclass(frozen=True, kw_only=True)
class PolicySummary:
    """One policy over all tasks.

    Attributes:
        cells: By environment; one without a finished episode is missing.
        mean_success: Mean over the tasks of each task's rate.
        interval: 95 % Wilson score interval of the pooled rate.
        median_ms: Median milliseconds of a step, by phase.
        reuse_ratio: Part of the read tokens that an earlier step had read; None where the policy does not tell.
        failures: How many failed in each way.
        suites: The rate on each suite of the config.
        comparison: With the first policy of the config; None for that one, and where no episode is shared.
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
    failures: dict[Failure, int]
    suites: dict[str, Rate]
    comparison: Comparison | None


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
    suites = {name: set(suite_environments(name)) & set(config.environments) for name in config.suites}
    first = config.policies[0] if config.policies else ""
    return Summary(
        environments=config.environments,
        policies={
            name: _summary_of(config.environments, suites, found, None if name == first else by_policy[first])
            for name, found in by_policy.items()
        },
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


def compare(policy: Sequence[EpisodeResult], against: Sequence[EpisodeResult]) -> Comparison | None:
    """Compares two policies on the episodes that both have been through, task and seed alike; None if there is none.

    Source: McNemar, Note on the sampling error of the difference between correlated proportions (1947); the interval
    is the adjusted one of Bonett and Price, Adjusted Wald interval for a difference of binomial proportions based on
    paired data (2012).
    """
    theirs = {_problem(result.episode): result.success for result in against}
    mine = {_problem(result.episode): result.success for result in policy}
    shared = mine.keys() & theirs.keys()
    if not shared:
        return None
    won = sum(mine[each] and not theirs[each] for each in shared)
    lost = sum(theirs[each] and not mine[each] for each in shared)
    return Comparison(
        policy=policy[0].policy,
        against=against[0].policy,
        pairs=len(shared),
        won=won,
        lost=lost,
        difference=(won - lost) / len(shared),
        interval=_paired_interval(won, lost, len(shared)),
        p_value=_sign_test(won, lost),
    )


def _problem(episode: Episode) -> tuple[str, int]:
    return episode.environment, episode.seed


def _paired_interval(won: int, lost: int, pairs: int) -> tuple[float, float]:
    more, less = (won + 1) / (pairs + 2), (lost + 1) / (pairs + 2)
    half = _Z_95 * math.sqrt((more + less - (more - less) ** 2) / (pairs + 2))
    return max(-1.0, more - less - half), min(1.0, more - less + half)


def _sign_test(won: int, lost: int) -> float:
    """Two-sided, exact: of the episodes that only one of both solved, each is a fair coin."""
    tosses = won + lost
    tail = sum(math.comb(tosses, heads) for heads in range(min(won, lost) + 1))
    return min(1.0, float(2 * tail / 2**tosses))


def _summary_of(
    environments: Sequence[str],
    suites: Mapping[str, Collection[str]],
    results: Sequence[EpisodeResult],
    first: Sequence[EpisodeResult] | None,
) -> PolicySummary:
    cells = {
        environment: _cell(found)
        for environment in environments
        if (found := [result for result in results if result.environment == environment])
    }
    everything = _rate(cells, environments)
    return PolicySummary(
        cells=cells,
        successes=everything.successes,
        episodes=everything.episodes,
        errors=sum(cell.errors for cell in cells.values()),
        mean_success=everything.mean_success,
        interval=everything.interval,
        mean_steps=mean([result.steps for result in results] or [0]),
        median_ms={
            "observe": _median(spent for result in results for spent in result.observe_ms),
            "decide": _median(spent for result in results for spent in result.decide_ms),
            "act": _median(spent for result in results for spent in result.act_ms),
        },
        reuse_ratio=_reuse_ratio(results),
        failures=_failures(results),
        suites={name: _rate(cells, members) for name, members in suites.items()},
        comparison=compare(results, first) if first else None,
    )


def _rate(cells: Mapping[str, Cell], environments: Iterable[str]) -> Rate:
    counted = [cells[environment] for environment in environments if environment in cells]
    successes, episodes = sum(cell.successes for cell in counted), sum(cell.episodes for cell in counted)
    return Rate(
        successes=successes,
        episodes=episodes,
        mean_success=mean([cell.successes / cell.episodes for cell in counted] or [0.0]),
        interval=wilson_interval(successes, episodes),
    )


def _failures(results: Iterable[EpisodeResult]) -> dict[Failure, int]:
    """The kinds that occur, in their usual order."""
    counts = Counter(kind for result in results if (kind := failure_of(result)))
    return {kind: counts[kind] for kind in FAILURES if counts[kind]}


def _cell(results: Sequence[EpisodeResult]) -> Cell:
    return Cell(
        successes=sum(result.success for result in results),
        episodes=len(results),
        errors=sum(result.status == "error" for result in results),
        mean_steps=mean(result.steps for result in results),
        failures=_failures(results),
    )


def _median(values: Iterable[float]) -> float:
    return round(median([*values] or [0.0]), 3)


def _reuse_ratio(results: Sequence[EpisodeResult]) -> float | None:
    reused = sum(result.usage.get("reused", 0) for result in results)
    read = sum(result.usage.get("read", 0) for result in results)
    return reused / (reused + read) if reused + read else None
