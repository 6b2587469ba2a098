"""The stream of samples: by weight, in an order of its own, to be taken up at the very next sample."""

import json
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from mmi_agent.data.mixing import Mixture, parse_weighted
from mmi_agent.data.readers import Reader, open_data
from mmi_agent.errors import ConfigError, DataError
from tests.data.toy_data import captions, lines


@pytest.fixture
def readers(tmp_path: Path) -> list[Reader]:
    broken = {"parts": [{"text": "nothing of it is learnt"}]}
    some = captions(tmp_path / "some.jsonl", 7)
    some.write_text(f"{json.dumps(broken)}\n{some.read_text()}{json.dumps(broken)}\n")
    return [open_data(some), open_data(captions(tmp_path / "many.jsonl", 40))]


def first(mixture: Mixture, count: int) -> list[str]:
    return [sample.source for sample in islice(mixture, count)]


def test_the_order_depends_on_the_seed_alone(readers: list[Reader]) -> None:
    def order(seed: int, threads: int = 0) -> list[str]:
        return first(Mixture([(readers[0], 1), (readers[1], 3)], seed=seed, threads=threads), 600)

    assert order(5) == order(5) == order(5, threads=3)
    assert order(5) != order(6)


def test_weights_are_respected_and_each_dataset_is_gone_through_before_it_begins_anew(readers: list[Reader]) -> None:
    mixture = Mixture([(readers[0], 1), (readers[1], 3)], seed=0)
    drawn = first(mixture, 2400)
    of_some = [source for source in drawn if source.startswith("some")]
    assert len(of_some) / len(drawn) == pytest.approx(7 / 9 / (7 / 9 + 3), abs=0.01)  # 2 of 9 are broken
    epochs = [of_some[begin : begin + 7] for begin in range(0, len(of_some) - 7, 7)]
    assert all(len(set(epoch)) == 7 for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > len(epochs) // 2  # in a new order each time
    assert mixture.broken.counts == {readers[0].name: 2}
    assert {broken.source for broken in mixture.broken.first} == {"some.jsonl: line 1", "some.jsonl: line 9"}


def test_without_weights_every_sample_comes_equally_often(readers: list[Reader]) -> None:
    counts = Counter(first(Mixture([(reader, None) for reader in readers], seed=0), 47 * 20))
    assert len(counts) == 47
    assert max(counts.values()) - min(counts.values()) <= 2


@pytest.mark.parametrize("threads", [0, 3])
def test_a_stream_goes_on_in_the_middle_of_an_epoch_with_the_next_sample(readers: list[Reader], threads: int) -> None:
    def mixture() -> Mixture:
        return Mixture([(reader, 1) for reader in readers], seed=3, threads=threads)

    whole = first(mixture(), 500)
    for place in (1, 11, 299):
        begun, taken_up = mixture(), mixture()
        assert first(begun, place) == whole[:place]
        taken_up.restore(json.loads(json.dumps(begun.state())))
        assert first(taken_up, 100) == whole[place : place + 100]
        assert first(begun, 100) == whole[place : place + 100]  # what was read ahead is not lost


def test_a_place_in_other_data_is_refused(readers: list[Reader]) -> None:
    state = Mixture([(readers[0], None)], seed=3).state()
    for other in (
        Mixture([(readers[1], None)], seed=3),
        Mixture([(readers[0], 2)], seed=3),
        Mixture([(readers[0], None)], seed=4),
    ):
        with pytest.raises(DataError, match="the stream was of other data: its"):
            other.restore(state)
    with pytest.raises(DataError, match="expected a number; begin anew"):
        Mixture([(readers[0], None)], seed=3).restore({**state, "place": "7"})


def test_a_dataset_of_which_nothing_can_be_used_is_an_error_that_names_it(
    readers: list[Reader], tmp_path: Path
) -> None:
    hopeless = lines(tmp_path / "hopeless.jsonl", *['{"parts": []}'] * 5)
    mixture = Mixture([(readers[1], 1), (open_data(hopeless), 1)], seed=0)
    with pytest.raises(DataError, match=r"hopeless.jsonl: none of its 5 samples can be used; hopeless.jsonl: line \d"):
        first(mixture, 100)
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
