"""The stream of samples: by weight, in an order of its own, to be taken up at the very next sample."""

import json
from collections import Counter
from pathlib import Path

import pytest

from mmi_agent.data.mixing import Mixture, parse_weighted
from mmi_agent.data.readers import Reader, open_data
from mmi_agent.errors import ConfigError, DataError
from tests.data.toy_data import captions


@pytest.fixture
def readers(tmp_path: Path) -> list[Reader]:
    broken = {"parts": [{"text": "nothing of it is learnt"}]}
    some = captions(tmp_path / "some.jsonl", 7)
    some.write_text(f"{json.dumps(broken)}\n{some.read_text()}{json.dumps(broken)}\n")
    return [open_data(some), open_data(captions(tmp_path / "many.jsonl", 40))]


def first(mixture: Mixture, count: int) -> list[str]:
    """Where the samples of the first places come from."""
    return [mixture.read(mixture.ticket(place)).source for place in range(count)]


def test_the_order_depends_on_the_seed_alone(readers: list[Reader]) -> None:
    def mixture(seed: int) -> Mixture:
        return Mixture([(readers[0], 1), (readers[1], 3)], seed=seed)

    order = first(mixture(5), 600)
    assert order == first(mixture(5), 600) != first(mixture(6), 600)
    jumping = mixture(5)
    for place in (599, 0, 300, 301, 17, 511):  # whoever read what before
        assert jumping.read(jumping.ticket(place)).source == order[place]


def test_weights_are_respected_and_each_dataset_is_gone_through_before_it_begins_anew(readers: list[Reader]) -> None:
    drawn = first(Mixture([(readers[0], 1), (readers[1], 3)], seed=0), 2400)
    of_some = [source for source in drawn if source.startswith("some")]
    assert len(of_some) == pytest.approx(600, abs=3)
    epochs = [of_some[begin : begin + 9] for begin in range(0, len(of_some) - 9, 9)]
    assert all(len(set(epoch)) == 9 for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > len(epochs) // 2  # in a new order each time


def test_without_weights_every_sample_comes_equally_often(readers: list[Reader]) -> None:
    counts = Counter(first(Mixture([(reader, None) for reader in readers], seed=0), 49 * 20))
    assert len(counts) == 49
    assert max(counts.values()) - min(counts.values()) <= 2


def test_an_empty_dataset_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    with pytest.raises(DataError, match="holds no sample"):
        Mixture([(open_data(empty, form="parts"), 1)], seed=0)


def test_weights_that_make_no_sense_are_refused(readers: list[Reader]) -> None:
    for weights, told in (
        ((0, 1), "expected a number above 0"),
        ((float("nan"), 1), "expected a number above 0"),
        ((1, None), "give every dataset a weight, or none"),
        ((1e-9, 1), "weigh it higher"),
    ):
        with pytest.raises(ConfigError, match=told):
            Mixture(list(zip(readers, weights, strict=True)), seed=0)
    with pytest.raises(ConfigError, match="no dataset"):
        Mixture([], seed=0)


def test_a_dataset_is_named_with_its_weight(tmp_path: Path) -> None:
    (tmp_path / "a=b").touch()
    assert parse_weighted("runs/demos=2.5") == (Path("runs/demos"), 2.5)
    assert parse_weighted(f"{tmp_path}/a=b") == (tmp_path / "a=b", None)
    assert parse_weighted("runs") == (Path("runs"), None)
    with pytest.raises(ConfigError, match=r"the weight of 'runs' is 'many': expected a number, as in runs=2.5"):
        parse_weighted("runs=many")
