"""A score with its uncertainty."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import JsonValue

from mmi_agent.evaluation.statistics import wilson_interval

__all__ = ["Score", "bootstrap_interval", "mean_score", "rate_score"]

_RESAMPLES = 2000
_CHUNK = 2_000_000  # indices that are drawn at once


@dataclass(frozen=True, kw_only=True)
class Score:
    """What a metric says.

    Attributes:
        metric: Its name.
        value: As papers print it.
        items: How many things were scored.
        interval: In which the value lies with 95 % probability, the items taken as independent; None where there is
            no honest one.
        interval_kind: How the interval was made.
        counts: What else was counted, as in answers that could not be read.
    """

    metric: str
    value: float
    items: int
    interval: tuple[float, float] | None = None
    interval_kind: str = ""
    counts: Mapping[str, int] = field(default_factory=dict[str, int])

    def to_json(self) -> dict[str, JsonValue]:
        """The score for a machine."""
        return {
            "metric": self.metric,
            "value": self.value,
            "items": self.items,
            "interval_95": list(self.interval) if self.interval else None,
            "interval_kind": self.interval_kind or None,
            **self.counts,
        }


def mean_score(metric: str, values: Sequence[float], *, times: float = 1, counts: Mapping[str, int] = {}) -> Score:
    """The mean of what each item scored, with a bootstrap interval."""
    low, high = bootstrap_interval(values)
    return Score(
        metric=metric,
        value=times * sum(values) / len(values),
        items=len(values),
        interval=(times * low, times * high),
        interval_kind="bootstrap over items",
        counts=counts,
    )


def rate_score(metric: str, right: int, items: int, *, counts: Mapping[str, int] = {}) -> Score:
    """How many of all items are right, in percent, with Wilson's interval."""
    low, high = wilson_interval(right, items)
    return Score(
        metric=metric,
        value=100 * right / items,
        items=items,
        interval=(100 * low, 100 * high),
        interval_kind="Wilson",
        counts=counts,
    )


def bootstrap_interval(values: Sequence[float], *, seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile interval of a mean, from resampling the values with replacement.

    Args:
        values: At least one.
        seed: The same one gives the same interval.

    Source: Efron, Bootstrap methods: another look at the jackknife (1979).
    """
    import numpy as np

    chance = np.random.default_rng(seed)
    given = np.asarray(values, dtype=np.float64)
    at_once = max(1, _CHUNK // len(given))
    means = np.concatenate(
        [
            given[chance.integers(len(given), size=(min(at_once, _RESAMPLES - done), len(given)))].mean(axis=1)
            for done in range(0, _RESAMPLES, at_once)
        ]
    )
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)
