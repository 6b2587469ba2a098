"""Samples as one page of HTML: what a model reads, and in it, marked, what it learns.

Everything from the data is escaped: text is shown as it stands, markers as chips, pictures in the sizes in which the
model reads them and draws them.
"""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from random import Random
from typing import Literal, NamedTuple

from PIL import Image

from mmi_agent.data.measuring import Length, Report, Yardstick
from mmi_agent.data.readers.reader import Reader
from mmi_agent.data.sample import Sample
from mmi_agent.inference.document import pixels_of
from mmi_agent.inference.prompts import Part, Special
from mmi_agent.types import Picture
from mmi_agent.viewer.page import render_template

__all__ = ["MOST_EXAMINED", "render_samples"]

MOST_EXAMINED = 2000
"""Of a larger dataset only so many samples are read for the figures at the top of the page."""


class _Piece(NamedTuple):
    """A piece of a sample as the page shows it."""

    kind: Literal["text", "marker", "picture"]
    learnt: bool
    text: str = ""
    images: tuple["_Image", ...] = ()


class _Image(NamedTuple):
    """A picture as the model has it."""

    side_px: int
    purpose: Literal["read", "drawn"]
    uri: str


@dataclass(frozen=True, kw_only=True)
class _Shown:
    """A sample on the page.

    Attributes:
        source: Where it comes from.
        length: What it takes.
        pieces: Its parts, with the markers that a document gets.
    """

    source: str
    length: Length
    pieces: Sequence[_Piece]


def render_samples(
    reader: Reader, yardstick: Yardstick, *, window: int | None = None, limit: int = 20, seed: int | None = None
) -> str:
    """Renders samples of a dataset.

    Args:
        reader: The dataset.
        yardstick: Of the model that is to learn from it.
        window: The tokens after which a sample is cut off; None is what training takes.
        limit: At most so many samples.
        seed: Chooses which samples; None takes the first.
    """
    window = window or yardstick.row_tokens
    report = Report.of(reader)
    shown: list[_Shown] = []
    numbers = _numbers(len(reader), seed)
    for number in numbers:
        found = reader[number]
        measured = report.add(found, yardstick, window)
        if len(shown) < limit and isinstance(found, Sample) and isinstance(measured, Length):
            shown.append(_shown(found, measured, yardstick))
    return render_template(
        "data.html.j2",
        report=report,
        num_samples=len(reader),
        num_examined=len(numbers),
        samples=shown,
        window=window,
        preset=yardstick.name,
    )


def _numbers(size: int, seed: int | None) -> Sequence[int]:
    if seed is None:
        return range(min(size, MOST_EXAMINED))
    return Random(seed).sample(range(size), min(size, MOST_EXAMINED))


def _shown(sample: Sample, length: Length, yardstick: Yardstick) -> _Shown:
    return _Shown(source=sample.source, length=length, pieces=list(_pieces(sample, yardstick)))


def _pieces(sample: Sample, yardstick: Yardstick) -> Iterator[_Piece]:
    is_document = not isinstance(sample.parts[0].content, Special)
    if is_document:
        yield _Piece("marker", learnt=False, text="begin of text")
    for place, part in enumerate(sample.parts):
        yield _piece(part, sample, yardstick, opens=place == 0)
    if is_document:
        yield _Piece("marker", sample.parts[-1].learnt, "end of text")


def _piece(part: Part, sample: Sample, yardstick: Yardstick, *, opens: bool) -> _Piece:
    match part.content:
        case str(text):
            return _Piece("text", part.learnt, text)
        case Special(name):
            return _Piece("marker", part.learnt, name)
        case Picture(digest=digest):
            learnt = part.learnt and not opens
            return _Piece("picture", learnt, images=tuple(_images(sample.pictures.get(digest), yardstick, learnt)))


def _images(data: bytes, yardstick: Yardstick, learnt: bool) -> Iterator[_Image]:
    side_px = yardstick.config.vision.image_size
    yield _Image(side_px, "read", _uri(data, side_px))
    if learnt and (hand := yardstick.config.image_decoder):
        yield _Image(hand.image_size, "drawn", _uri(data, hand.image_size))


def _uri(data: bytes, side_px: int) -> str:
    """The very pixels that the model gets, as a data URI."""
    pixels_HWC = pixels_of(data, side_px)[0].permute(1, 2, 0)
    buffer = BytesIO()
    Image.fromarray((pixels_HWC * 255).round().byte().numpy()).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
