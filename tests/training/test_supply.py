"""What a step learns from depends on its number alone, whoever makes it ready."""

import json
from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest
import torch

from mmi_agent.data.mixing import Mixture
from mmi_agent.data.readers import Reader, open_data
from mmi_agent.errors import DataError
from mmi_agent.inference.tokenizer import Tokenizer
from mmi_agent.models.configs import tiny
from mmi_agent.training.held_back import is_held_back
from mmi_agent.training.supply import MixedSupply, Packing, Portion
from tests.data.toy_data import captions, lines


def supply(*readers: Reader, workers: int = 0, held_back: float = 0.0) -> MixedSupply:
    return MixedSupply(
        Mixture([(reader, 1) for reader in readers], seed=0),
        data=[reader.name for reader in readers],
        tokenizer=Tokenizer.byte_level(),
        config=tiny(),
        packing=Packing(step_samples=3, row_tokens=256, rows=2, held_back=held_back),
        draws=True,
        workers=workers,
    )


def steps(made: MixedSupply, first: int, count: int) -> list[Portion]:
    with closing(made.portions(first)) as portions:
        return list(islice(portions, count))


@pytest.fixture
def some(tmp_path: Path) -> Path:
    path = captions(tmp_path / "some.jsonl", 7)
    path.write_text(f"{path.read_text()}{json.dumps({'parts': [{'text': 'nothing of it is learnt'}]})}\n")
    return path


def test_processes_and_threads_read_the_same_and_a_run_goes_on_anywhere(some: Path) -> None:
    reader = open_data(some, form="parts")
    whole = steps(supply(reader), 0, 12)
    for portion, other in zip(whole[3:], steps(supply(reader, workers=2), 3, 9), strict=True):
        assert [batch.sources for batch in portion.batches] == [batch.sources for batch in other.batches]
        for batch, its_other in zip(portion.batches, other.batches, strict=True):
            assert torch.equal(batch.ids, its_other.ids)
    assert sum(portion.num_samples for portion in whole[:8]) == 8 * 3 - 3  # one of eight is broken, three times over
    told = [each for portion in whole for each in portion.broken]
    assert len(told) == 1 and told[0].startswith("some.jsonl: line 8: nothing of it is learnt")


def test_what_is_held_back_is_never_learnt_from(some: Path) -> None:
    reader = open_data(some)
    made = supply(reader, held_back=0.4)
    judged = {source for batch in made.held_back([reader], most=100) for source in batch.sources}
    learnt = {source for portion in steps(made, 0, 30) for batch in portion.batches for source in batch.sources}
    assert judged and learnt and not judged & learnt


def test_what_is_longer_than_a_row_is_counted(tmp_path: Path) -> None:
    texts = ["short", "x" * 300]  # with a begin and an end of text, in rows of 256
    path = lines(tmp_path / "long.jsonl", *({"parts": [{"text": text, "learnt": True}]} for text in texts))
    (portion,) = steps(supply(open_data(path)), 0, 1)
    assert portion.num_samples == 3 and set(portion.lost) == {300 + 2 - 256}


@pytest.mark.parametrize("workers", [0, 2])
def test_a_dataset_of_which_nothing_can_be_used_is_an_error_that_names_it(
    some: Path, tmp_path: Path, workers: int
) -> None:
    hopeless = open_data(lines(tmp_path / "hopeless.jsonl", *['{"parts": []}'] * 5))
    with pytest.raises(DataError, match=r"hopeless.jsonl: none of its 5 samples can be used; hopeless.jsonl: line \d"):
        steps(supply(open_data(some), hopeless, workers=workers), 0, 20)
    unknown = {"parts": [{"marker": "<|nothing|>"}, {"text": "a", "learnt": True}]}
    partly = open_data(lines(tmp_path / "partly.jsonl", *[unknown] * 20))
    left = sum(not is_held_back(partly.source(number), 0.3) for number in range(20))
    assert 0 < left < 20
    with pytest.raises(DataError, match=rf"none of its {left} samples can be used; .* unknown special token"):
        steps(supply(open_data(some), partly, workers=workers, held_back=0.3), 0, 60)
    with pytest.raises(DataError, match=r"none of \d samples can be learnt from: all are held back"):
        steps(supply(open_data(captions(tmp_path / "all.jsonl", 5)), workers=workers, held_back=0.99999), 0, 1)
