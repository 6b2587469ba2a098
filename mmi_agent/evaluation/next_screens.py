"""How well a model draws the screen that follows a call: beside the real one, and what is had for nothing.

Two figures say what a drawing's are worth. The screen before, taken for the next one, is what a model has to beat that
has learnt nothing of calls; the autoencoder's own reconstruction of the real screen is the best that it could draw. Few
pixels change from screen to screen, so all is said of these by themselves, too.
"""

# S side of a picture as it is drawn

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import NamedTuple

import torch
from torch import Tensor

from mmi_agent.data.readers import Reader
from mmi_agent.data.sample import Broken, Sample
from mmi_agent.errors import DataError, ShapeError
from mmi_agent.inference.document import pixels_of
from mmi_agent.inference.drawing import DrawSettings
from mmi_agent.inference.loading import MMInterleaved
from mmi_agent.inference.prompts import Part, encode_content
from mmi_agent.picture_page import PictureRow, write_picture_page
from mmi_agent.training.autoencoder_runs import as_png
from mmi_agent.training.held_back import is_held_back
from mmi_agent.training.reconstruction import psnr, reconstruct
from mmi_agent.types import Picture

__all__ = [
    "DrawnScreen",
    "Likeness",
    "NextScreen",
    "Summary",
    "draw_next_screens",
    "expect_screens",
    "likeness",
    "next_screens",
    "write_page",
]

_CHANGED = 8 / 255  # in any channel
_SAID = 300  # characters of what stands between two screens that the page shows


class NextScreen(NamedTuple):
    """A screen that is to be drawn, and what is given."""

    given: tuple[Part, ...]
    """The run up to it, the call that led to it included."""
    before: bytes
    """The screen before it, a PNG file."""
    real: bytes
    """The screen itself."""
    sample: Sample


class Likeness(NamedTuple):
    """How like the real screen a picture is."""

    error: float
    """Mean absolute error, of 0..255."""
    psnr: float
    """In decibels, at most 100."""
    changed_error: float
    """Mean absolute error of the pixels that changed."""
    changed_psnr: float
    """Of these alone."""


@dataclass(frozen=True, kw_only=True)
class DrawnScreen:
    """A screen that was drawn.

    Attributes:
        source: The run.
        said: What stands between it and the screen before: the call.
        pictures: The screen before, the drawn, the real, and the real one as the autoencoder gives it back: RGB in
            0..1, shape (3, S, S).
        changed: Share of the pixels that changed from the screen before.
        drawn: How like the real one the drawn one is.
        before: How like it the screen before is.
        ceiling: How like it the autoencoder gives it back.
    """

    source: str
    said: str
    pictures: tuple[Tensor, Tensor, Tensor, Tensor]
    changed: float
    drawn: Likeness
    before: Likeness
    ceiling: Likeness


class Summary(NamedTuple):
    """Means over screens."""

    screens: int
    changed: float
    drawn: Likeness
    before: Likeness
    ceiling: Likeness

    @classmethod
    def of(cls, screens: Sequence[DrawnScreen]) -> "Summary":
        """Sums up at least one screen."""

        def mean(each: Sequence[Likeness]) -> Likeness:
            return Likeness(*(sum(values) / len(each) for values in zip(*each, strict=True)))

        return cls(
            len(screens),
            sum(screen.changed for screen in screens) / len(screens),
            *(mean([getattr(screen, name) for screen in screens]) for name in ("drawn", "before", "ceiling")),
        )

    def lines(self) -> list[str]:
        """A line for each kind of picture."""
        kinds = {"drawn": self.drawn, "the screen before": self.before, "the best it could be": self.ceiling}
        return [
            f"{kind}: error {each.error:.2f} of 255, PSNR {each.psnr:.2f} dB; where something changed "
            f"({self.changed:.1%} of the pixels) {each.changed_error:.1f}, {each.changed_psnr:.2f} dB"
            for kind, each in kinds.items()
        ]


def next_screens(reader: Reader, *, held_back: float, seed: int = 0) -> Iterator[NextScreen]:
    """Finds screens to be drawn in runs, in an order by chance: of each run one that differs from the one before it.

    Args:
        reader: Runs, with their pictures.
        held_back: The part of them that training holds back, so that they are those; 1 takes all.
        seed: Of the order, and of which screen of a run.
    """
    chance = Random(f"next screens {seed}")
    for number in chance.sample(range(len(reader)), len(reader)):
        if not is_held_back(reader.source(number), held_back):
            continue
        sample = reader[number]
        if isinstance(sample, Sample) and (places := _places(sample)):
            before, place = chance.choice(places)
            pictures = [part.content for part in (sample.parts[before], sample.parts[place])]
            files = [sample.pictures.get(each.digest) for each in pictures if isinstance(each, Picture)]
            yield NextScreen(sample.parts[:place], files[0], files[1], sample)


def draw_next_screens(
    loaded: MMInterleaved, screens: Sequence[NextScreen], settings: DrawSettings, *, seed: int = 0
) -> Iterator[DrawnScreen | Broken]:
    """Draws each screen and compares it with the real one; a run that does not fit the model's window is broken.

    Args:
        loaded: A model that draws.
        screens: What is to be drawn.
        settings: How.
        seed: Of the noise that each drawing begins with.

    Raises:
        ConfigError: If the model has no image decoder.
    """
    side_px = loaded.model.drawing.config.image_size
    for screen in screens:
        document = loaded.open()
        for part in screen.given:
            if isinstance(part.content, Picture):
                document.pictures.put(screen.sample.pictures.get(part.content.digest))
        try:
            document.become(encode_content((part.content for part in screen.given), loaded.tokenizer))
            picture = document.draw(settings, seed=seed)
        except ShapeError as error:
            yield Broken(source=screen.sample.source, reason=str(error))
            continue
        before, drawn, real = (
            pixels_of(png, side_px)[0] for png in (screen.before, document.pictures.get(picture.digest), screen.real)
        )
        yield _compared(screen, before, drawn, real, _given_back(loaded, real))


def write_page(path: Path, screens: Sequence[DrawnScreen], *, title: str) -> None:
    """Writes the screens beside each other, with the figures, into a page that needs nothing else.

    Raises:
        OSError: If it cannot be written.
    """
    rows = [PictureRow(_caption(screen), tuple(map(as_png, screen.pictures))) for screen in screens]
    heads = ("before", "drawn", "real", "the best it could be: the real one through the autoencoder")
    write_picture_page(path, title=title, said=Summary.of(screens).lines(), heads=heads, rows=rows)


def expect_screens(screens: Sequence[NextScreen], data: Path, held_back: float) -> None:
    """Refuses to go on without any.

    Raises:
        DataError: If there is none.
    """
    if not screens:
        raise DataError(
            f"{data}: no run of the {held_back:.0%} that are held back has a second screen unlike its first; "
            "--held-back 1 takes all runs"
        )


def likeness(made_3SS: Tensor, real_3SS: Tensor, changed_SS: Tensor) -> Likeness:
    """Compares a picture with the real one: RGB in 0..1.

    Args:
        made_3SS: The picture.
        real_3SS: The real one.
        changed_SS: The pixels that changed, at least one.
    """
    parts = [(made_3SS, real_3SS), (made_3SS[:, changed_SS], real_3SS[:, changed_SS])]
    figures = [
        (255 * (made - real).abs().mean().item(), psnr(made.flatten()[None], real.flatten()[None]).item())
        for made, real in parts
    ]
    return Likeness(*figures[0], *figures[1])


def _compared(screen: NextScreen, before: Tensor, drawn: Tensor, real: Tensor, given_back: Tensor) -> DrawnScreen:
    changed_SS = (real - before).abs().amax(0) > _CHANGED
    if not changed_SS.any():  # by less than can be seen
        changed_SS = torch.ones_like(changed_SS)
    return DrawnScreen(
        source=screen.sample.source,
        said=_said(screen.given),
        pictures=(before, drawn, real, given_back),
        changed=changed_SS.float().mean().item(),
        drawn=likeness(drawn, real, changed_SS),
        before=likeness(before, real, changed_SS),
        ceiling=likeness(given_back, real, changed_SS),
    )


def _given_back(loaded: MMInterleaved, real_3SS: Tensor) -> Tensor:
    return reconstruct(loaded.model.drawing.autoencoder, real_3SS[None])[0].cpu()


def _places(sample: Sample) -> list[tuple[int, int]]:
    """Where pictures stand that differ from the picture before, each after where that one stands."""
    places = [(place, part.content) for place, part in enumerate(sample.parts) if isinstance(part.content, Picture)]
    return [(before, place) for (before, old), (place, new) in pairwise(places) if old.digest != new.digest]


def _said(given: Sequence[Part]) -> str:
    """What stands between the last picture and the end."""
    last = max(place for place, part in enumerate(given) if isinstance(part.content, Picture))
    said = "".join(part.content for part in given[last + 1 :] if isinstance(part.content, str) and part.learnt)
    return said[-_SAID:].strip()


def _caption(screen: DrawnScreen) -> str:
    return (
        f"{screen.source}\n{screen.said}\nerror {screen.drawn.error:.2f}, before {screen.before.error:.2f}, best "
        f"{screen.ceiling.error:.2f}; where something changed ({screen.changed:.1%}) {screen.drawn.changed_error:.1f}, "
        f"{screen.before.changed_error:.1f}, {screen.ceiling.changed_error:.1f}"
    )
