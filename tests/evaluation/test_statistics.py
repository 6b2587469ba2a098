from typing import Any

import pytest

from mmi_agent.errors import UnknownNameError
from mmi_agent.evaluation import EpisodeResult, EvaluationConfig, suite_environments, summarise
from mmi_agent.evaluation.failures import failure_of
from mmi_agent.evaluation.statistics import compare, wilson_interval
from mmi_agent.evaluation.suites import SUITES
from mmi_agent.evaluation.tables import table_of


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
    assert {name for name in SUITES if name.startswith("miniwob")} == {
        *("miniwob-demo", "miniwob-seen", "miniwob-unseen", "miniwob-all")
    }


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"success": True, "reward": 1.0, "status": "finished"}, None),
        ({"reward": -1.0, "status": "finished"}, "ended wrong"),
        ({"status": "finished"}, "gave up"),
        ({"status": "needs_user"}, "asked"),
        ({"status": "max_steps", "steps": 10, "turned_down": 5}, "out of steps"),
        ({"status": "max_steps", "steps": 10, "turned_down": 6}, "turned down"),
        ({"status": "stuck", "steps": 6, "turned_down": 4}, "in circles"),
        ({"status": "error", "reason": "3 decisions in a row could not be carried out; the last: no"}, "turned down"),
        ({"status": "error", "reason": "the worker died (exit code -9)"}, "broke"),
        ({"status": "stopped"}, "broke"),
    ],
)
def test_failures_are_told_apart(changes: dict[str, Any], kind: str | None) -> None:
    assert failure_of(EpisodeResult(policy="p", environment="a", seed=0, **changes)) == kind


def test_policies_are_compared_on_the_same_episodes() -> None:
    mine = [result("p", "a", seed, success=seed < 9) for seed in range(12)]
    theirs = [result("q", "a", seed, success=seed == 0 or seed > 10) for seed in range(2, 20)]
    found = compare(mine, theirs)
    assert found
    assert (found.pairs, found.won, found.lost) == (10, 7, 1)  # seeds 2 to 11: p alone 2 to 8, q alone 11
    assert found.difference == pytest.approx(0.6)
    assert found.p_value == pytest.approx(2 * (1 + 8) / 2**8)
    half = 1.959964 * (7 / 144) ** 0.5  # of 12 with one more won and one more lost: 8/12 - 2/12
    assert found.interval == pytest.approx((0.5 - half, 0.5 + half), abs=1e-6)
    assert compare(mine, [result("q", "b", 0, success=True)]) is None
    even = compare(mine, [result("q", "a", seed, success=seed < 9) for seed in range(12)])
    assert even
    assert even.p_value == 1


def test_the_table_says_how_the_others_differ_from_the_first_and_how_they_failed() -> None:
    config = EvaluationConfig(environments=("a",), policies=("p", "q"), seeds=tuple(range(20)))
    results = [result("p", "a", seed, success=True) for seed in range(20)]
    results += [result("q", "a", seed, success=seed < 5) for seed in range(20)]
    table = table_of(summarise(config, results))
    assert next(row for row in table.totals if row[0].startswith("less p"))[1] == "-"
    assert next(row for row in table.totals if row[0].startswith("less p"))[2].startswith("-75.0 (")
    assert table.failures == [["gave up", "0", "15"]]
