import pytest

from mmi_agent.errors import UnknownNameError
from mmi_agent.evaluation import EpisodeResult, EvaluationConfig, suite_environments, summarise
from mmi_agent.evaluation.statistics import wilson_interval
from mmi_agent.evaluation.suites import SUITES


@pytest.mark.parametrize(
    ("successes", "episodes", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (5, 10, 0.2366, 0.7634), (81, 263, 0.2553, 0.3662), (0, 0, 0.0, 1.0)],
)
def test_wilson_interval_matches_published_values(successes: int, episodes: int, low: float, high: float) -> None:
    assert wilson_interval(successes, episodes) == pytest.approx((low, high), abs=1e-4)


def result(
    policy: str, environment: str, seed: int, *, success: bool, steps: int = 2, error: bool = False
) -> EpisodeResult:
    return EpisodeResult(
        policy=policy,
        environment=environment,
        seed=seed,
        status="error" if error else "finished",
        success=success,
        steps=steps,
        observe_ms=(100, 10, 12),
        decide_ms=(5, 6, 7),
        act_ms=(1,),
    )


def test_tasks_count_alike_in_the_mean_and_episodes_in_the_interval() -> None:
    config = EvaluationConfig(environments=("a", "b", "c"), policies=("p", "q"), seeds=(0, 1, 2))
    results = [
        result("p", "a", 0, success=True),
        result("p", "b", 0, success=False, steps=4, error=True),
        result("p", "b", 1, success=False),
        result("p", "b", 2, success=True),
    ]
    summary = summarise(config, results)
    found = summary.policies["p"]
    assert (summary.done, summary.planned) == (4, 18)
    assert (found.successes, found.episodes, found.errors) == (2, 4, 1)
    assert found.mean_success == pytest.approx((1 + 1 / 3) / 2)
    assert found.interval == wilson_interval(2, 4)
    assert found.median_ms == {"observe": 12, "decide": 6, "act": 1}
    assert found.reuse_ratio is None
    assert list(found.cells) == ["a", "b"]
    assert summary.policies["q"].episodes == 0


def test_the_demo_suite_has_at_least_eight_tasks() -> None:
    assert len(suite_environments("miniwob-demo")) >= 8


def test_an_unknown_suite_is_told_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="miniwob-demo"):
        suite_environments("miniwob-dem")
    assert set(SUITES) == {"miniwob-demo", "miniwob-all"}
