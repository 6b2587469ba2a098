from mmi_gui.experts import EXPERTS, HELD_OUT

from mmi_agent.evaluation import EvaluationConfig, default_seeds, suite_environments, summarise
from mmi_agent.evaluation.suites import SUITES

TWELVE = {
    "choose-date",
    "click-button-sequence",
    "click-collapsible-2",
    "click-tab",
    "click-test-2",
    "email-inbox-important",
    "email-inbox-star-reply",
    "enter-password",
    "enter-text-dynamic",
    "form-sequence-2",
    "sign-agreement",
    "simple-algebra",
}


def tasks(suite: str) -> set[str]:
    return {name.removeprefix("gui/miniwob:") for name in suite_environments(suite)}


def test_nothing_that_is_learnt_is_among_the_unseen() -> None:
    assert tasks("miniwob-unseen") == TWELVE
    assert not tasks("miniwob-seen") & HELD_OUT
    assert tasks("miniwob-seen") == set(EXPERTS) - HELD_OUT
    assert len(tasks("miniwob-seen")) >= 40


def test_every_suite_names_tasks_that_exist() -> None:
    every = {name for suite in ("miniwob-all", "minecraft") for name in suite_environments(suite)}
    assert all(set(suite_environments(name)) <= every for name in SUITES)


def test_what_is_seen_and_unseen_of_minecraft_is_all_of_it() -> None:
    seen, unseen = (set(suite_environments(f"minecraft-{half}")) for half in ("seen", "unseen"))
    assert not seen & unseen
    assert len(unseen) == 5
    assert seen | unseen == set(suite_environments("minecraft"))


def test_a_suite_says_how_many_seeds_it_is_meant_for() -> None:
    assert default_seeds(["miniwob-unseen"]) == tuple(range(50))
    assert default_seeds(["miniwob-demo", "miniwob-seen"]) == tuple(range(50))
    assert default_seeds([]) == default_seeds(["miniwob-demo"]) == tuple(range(10))


def test_each_suite_has_figures_of_its_own() -> None:
    from test_statistics import result

    suites = ("miniwob-seen", "miniwob-unseen")
    environments = tuple(name for suite in suites for name in suite_environments(suite))
    given = EvaluationConfig(environments=environments, policies=("p",), seeds=(0, 1), suites=suites)
    results = [
        result("p", "gui/miniwob:click-tab", 0, success=True),
        result("p", "gui/miniwob:click-link", 0, success=False),
        result("p", "gui/miniwob:click-link", 1, success=True),
    ]
    found = summarise(given, results).policies["p"].suites
    assert (found["miniwob-unseen"].successes, found["miniwob-unseen"].episodes) == (1, 1)
    assert (found["miniwob-seen"].successes, found["miniwob-seen"].episodes) == (1, 2)
    assert found["miniwob-seen"].mean_success == 0.5
