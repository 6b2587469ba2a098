"""Tokens are chosen as asked, and what stops a text is never shown."""

import math
import subprocess
import sys
from collections import Counter

import pytest
import torch

from mmi_agent.errors import ConfigError
from mmi_agent.inference.sampling import Sampler, Sampling, check_seed
from mmi_agent.inference.stopping import StopStrings

SCORES = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()


def drawn(sampling: Sampling, scores: torch.Tensor = SCORES, written: tuple[int, ...] = ()) -> Counter[int]:
    sampler = Sampler(sampling, seed=1)
    return Counter(sampler.choose(scores, written) for _ in range(2000))


def test_draws_follow_the_probabilities() -> None:
    counts = drawn(Sampling(temperature=1.0))
    assert [counts[i] / 2000 for i in range(4)] == pytest.approx([0.5, 0.3, 0.15, 0.05], abs=0.04)
    assert drawn(Sampling()) == {0: 2000}
    bolder = drawn(Sampling(temperature=3.0))
    assert bolder[3] > 2 * counts[3]


@pytest.mark.parametrize(
    ("sampling", "kept"),
    [
        (Sampling(temperature=1.0, top_k=2), {0, 1}),
        (Sampling(temperature=1.0, top_p=0.7), {0, 1}),
        (Sampling(temperature=1.0, min_p=0.2), {0, 1, 2}),
        (Sampling(temperature=1.0, top_k=3, min_p=0.4), {0, 1}),
        (Sampling(temperature=1, top_p=1, repetition_penalty=2), {0, 1, 2, 3}),
    ],
)
def test_the_tail_is_cut_off(sampling: Sampling, kept: set[int]) -> None:
    assert drawn(sampling).keys() == kept


def test_what_was_written_is_penalised_and_what_is_forbidden_never_comes() -> None:
    assert drawn(Sampling(repetition_penalty=2.0), written=(0,)) == {1: 2000}
    silent = SCORES.clone()
    silent[0] = -torch.inf
    assert 0 not in drawn(Sampling(temperature=5.0, top_k=3, repetition_penalty=1.5), silent, (1,))


def test_a_seed_repeats_its_draws_whatever_else_draws() -> None:
    def run(seed: int) -> list[int]:
        sampler = Sampler(Sampling(temperature=1.0, top_p=0.9), seed=seed)
        torch.rand(3)
        return [sampler.choose(SCORES, ()) for _ in range(50)]

    assert run(3) == run(3) != run(4)


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": -1},
        {"temperature": math.inf},
        {"temperature": 1e-40},
        {"top_k": 0},
        {"top_p": 0},
        {"top_p": 1.5},
        {"min_p": -0.1},
        {"repetition_penalty": 0},
        {"repetition_penalty": math.inf},
        {"length_penalty": math.nan},
        {"num_beams": 0},
        {"num_beams": 3, "temperature": 1.0},
    ],
)
def test_values_that_make_no_sense_are_named(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(options))} is"):
        Sampling(**options)  # pyright: ignore[reportArgumentType]


def test_beams_name_what_they_cannot_go_with() -> None:
    with pytest.raises(ConfigError, match="not drawn; leave out top_k and top_p"):
        Sampling(num_beams=2, top_k=3, top_p=0.9)


@pytest.mark.parametrize("seed", [-1, 2**63, 10**30])
def test_a_seed_that_cannot_be_one_is_refused(seed: int) -> None:
    check_seed(2**63 - 1)
    with pytest.raises(ConfigError, match=f"seed is {seed}: expected 0 to 9223372036854775807"):
        check_seed(seed)


def test_plain_sampling_loads_no_library() -> None:
    code = (
        "import sys, torch\n"
        "from mmi_agent.inference.document import Document\n"
        "from mmi_agent.inference.sampling import Sampler, Sampling\n"
        "Sampler(Sampling(temperature=0.7), seed=0).choose(torch.zeros(3), [])\n"
        "print(sorted({'transformers', 'diffusers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def shown(stops: list[str], tokens: list[str]) -> tuple[list[int], str, int | None]:
    """Ids and text that pass, and how many tokens have to be taken back."""
    gate = StopStrings(stops)
    ids: list[int] = []
    text = ""
    for index, token in enumerate(tokens):
        passed = gate.push([(index, token)])
        ids, text = ids + passed.ids, text + passed.text
        assert not any(stop in text for stop in stops)
        if passed.cut is not None:
            return ids, text, passed.cut
    passed = gate.flush()
    return ids + passed.ids, text + passed.text, None


@pytest.mark.parametrize(
    ("stops", "tokens", "expected"),
    [
        ([], ["a", "", "b"], ([0, 1, 2], "ab", None)),
        (["END"], ["so E", "N", "D", "x"], ([], "so ", 3)),
        (["END"], ["so", " E", "N", "ough"], ([0, 1, 2, 3], "so ENough", None)),
        (["\n\n"], ["a", "\n", "b", "\n", "\n"], ([0, 1, 2], "a\nb", 2)),
        (["\n"], ["a b\nc"], ([], "a b", 1)),
        (["xyz", "y"], ["ax", "y"], ([0], "ax", 1)),
        (["é"], ["a", "", "é"], ([0], "a", 2)),
        (["aab"], ["a", "a", "a", "b"], ([0], "a", 3)),
    ],
)
def test_a_stop_string_is_never_shown_not_even_its_beginning(
    stops: list[str], tokens: list[str], expected: tuple[list[int], str, int | None]
) -> None:
    assert shown(stops, tokens) == expected


def test_an_empty_stop_string_is_refused() -> None:
    with pytest.raises(ConfigError, match="empty"):
        StopStrings(["a", ""])
