"""A document pays only for what is new, and what it keeps changes nothing."""

import io

import pytest
import torch
from PIL import Image

from mmi_agent.errors import ShapeError
from mmi_agent.inference.document import Continuation, Document, PictureUnit, Unit
from mmi_agent.inference.loading import MMInterleaved
from mmi_agent.inference.sampling import Sampling
from mmi_agent.pictures import MemoryPictures


@pytest.fixture(scope="module")
def tiny() -> MMInterleaved:
    loaded = MMInterleaved.from_pretrained("tiny")
    for name, parameter in loaded.model.named_parameters():
        if name.endswith("look.gate"):  # open the gates: pictures must matter
            torch.nn.init.constant_(parameter, 1.0)
    return loaded


@pytest.fixture(scope="module")
def pictures() -> MemoryPictures:
    return MemoryPictures()


def _picture(pictures: MemoryPictures, colour: str) -> PictureUnit:
    buffer = io.BytesIO()
    Image.new("RGB", (60, 40), colour).save(buffer, "PNG")
    return PictureUnit(pictures.put(buffer.getvalue()).digest)


@torch.inference_mode()
def _next(document: Document) -> torch.Tensor:
    return document.next_scores()


def test_what_is_shared_is_kept_and_gives_the_same_numbers(tiny: MMInterleaved, pictures: MemoryPictures) -> None:
    red, blue = _picture(pictures, "red"), _picture(pictures, "blue")
    visual = 1 + tiny.model.config.resampler.num_queries
    first: list[Unit] = [1, 10, 11, red, 12, 13]
    second: list[Unit] = [1, 10, 11, red, 12, 14, blue, 15]
    grown = tiny.open(pictures)
    assert grown.become(first) == (0, 5 + visual, 0)
    assert grown.become(second) == (4 + visual, 2 + visual, 0)
    fresh = tiny.open(pictures)
    fresh.become(second)
    torch.testing.assert_close(_next(grown), _next(fresh), atol=1e-5, rtol=1e-4)
    other = tiny.open(pictures)
    other.become([1, 10, 11, blue, 12, 14, blue, 15])
    assert (_next(other) - _next(fresh)).abs().max() > 1e-3, "another picture must change what comes next"


def test_scores_are_those_of_reading_one_after_the_other(tiny: MMInterleaved, pictures: MemoryPictures) -> None:
    document = tiny.open(pictures)
    document.become([1, _picture(pictures, "green"), 20])
    rows = [Continuation([30, 31], [40, 41, 42]), Continuation([33], [50]), *[Continuation([7], [8, 9])] * 20]
    scores = document.score(rows)
    for (given, scored), score in zip(rows[:3], scores, strict=False):
        alone = document.fork()
        alone.append(given)
        expected = 0.0
        for token in scored:
            expected += float(_next(alone).log_softmax(-1)[token])
            alone.append([token])
        assert score == pytest.approx(expected, abs=1e-4)
    assert document.length == 3 + tiny.model.config.resampler.num_queries, "scoring must not change the document"


def test_a_fork_goes_its_own_way_and_a_rewind_forgets(tiny: MMInterleaved, pictures: MemoryPictures) -> None:
    document = tiny.open(pictures)
    document.become([1, 2, 3])
    before = _next(document).clone()
    fork = document.fork()
    fork.append([_picture(pictures, "red"), 9])
    assert document.length == 3
    torch.testing.assert_close(_next(document), before)
    fork.rewind(2)
    fork.append([3])
    torch.testing.assert_close(_next(fork), before, atol=1e-5, rtol=1e-4)


def test_writing_repeats_with_its_seed_and_never_writes_a_picture(
    tiny: MMInterleaved, pictures: MemoryPictures
) -> None:
    def written(seed: int) -> list[int]:
        document = tiny.open(pictures)
        document.become([1, 60, 61])
        pieces = document.write(max_tokens=64, sampling=Sampling(temperature=5.0), seed=seed, pictures=0)
        return [token for piece in pieces for token in piece.ids]

    config = tiny.model.config
    assert written(3) == written(3) != written(4)
    assert not {config.begin_of_image, config.image} & {*written(5)}


def test_a_document_longer_than_the_window_says_so(tiny: MMInterleaved, pictures: MemoryPictures) -> None:
    window = tiny.model.config.decoder.max_positions
    with pytest.raises(ShapeError, match=str(window)):
        tiny.open(pictures).become([1] * (window + 1))
