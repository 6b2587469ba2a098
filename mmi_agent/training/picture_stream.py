"""Pictures without end, out of any training data: decoded by worker processes, in an order that a seed decides.

Knows pictures alone: no tokens, and no model.
"""

# N pictures, S side

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from mmi_agent.data.mixing import Mixture, parse_weighted
from mmi_agent.data.readers import Reader, fingerprint, open_data
from mmi_agent.data.sample import Sample
from mmi_agent.errors import ActionError, DataError
from mmi_agent.pictures import as_rgb, open_png
from mmi_agent.training.held_back import is_held_back
from mmi_agent.training.workers import loader
from mmi_agent.types import Picture

__all__ = ["PictureSource", "PictureStream", "Pool", "held_back_pictures", "open_sources"]

_AHEAD = 8  # samples that each worker decodes ahead
_LOOKED_THROUGH = 6000  # samples among which those that are held back are looked for

Pixels = NDArray[np.uint8]
"""RGB, shape (N, 3, S, S)."""


class PictureSource(NamedTuple):
    """Data that has pictures."""

    reader: Reader
    weight: float | None
    """Its part among others."""
    fingerprint: str


def open_sources(data: Sequence[str]) -> list[PictureSource]:
    """Opens files and folders of training data, each maybe with "=weight". Of runs all are taken: a screen is a screen.

    Raises:
        DataError: If one is missing, or of no known form.
    """
    named = [parse_weighted(text) for text in data]
    return [PictureSource(open_data(path, runs="all"), weight, fingerprint(path, runs="all")) for path, weight in named]


class PictureStream:
    """Samples' pictures, sample by sample, without end. What is held back, broken or has no pictures is passed over.

    Args:
        sources: Where samples come from.
        side_px: What pictures are scaled to, as `pixels_of` scales them.
        seed: Of the order.
        workers: Processes that decode; 0 decodes here.
        held_back: Part of the samples that is never yielded.
        place: Where in the order to begin.

    Attributes:
        place: Where in the order it is.

    Raises:
        ConfigError: If weights do not fit together.
        DataError: If a source is empty.
    """

    def __init__(
        self,
        sources: Sequence[PictureSource],
        *,
        side_px: int,
        seed: int,
        workers: int,
        held_back: float = 0.0,
        place: int = 0,
    ) -> None:
        self.place = place
        mixture = _mixture(sources, seed)
        self._size = mixture.size
        samples = _Samples(mixture, side_px, held_back, wanted=False)
        self._loader = loader(samples, count(place), workers=workers, ahead=_AHEAD)

    def __iter__(self) -> Iterator[Tensor]:
        """Yields the pictures of each sample: RGB, shape (N, 3, S, S), uint8.

        Raises:
            DataError: If no sample has a picture.
        """
        passed = 0
        for pixels in self._loader:
            self.place += 1
            passed = 0 if len(pixels) else passed + 1
            if passed > self._size + _AHEAD:
                raise DataError(f"none of {self._size} samples has a picture that can be learnt from")
            if len(pixels):
                yield torch.from_numpy(pixels)


def held_back_pictures(
    sources: Sequence[PictureSource], *, side_px: int, workers: int, held_back: float, most: int
) -> Tensor:
    """Pictures of samples that are held back, the same each time: RGB, shape (N, 3, S, S), uint8, N at most `most`."""
    mixture = _mixture(sources, 0)
    samples = _Samples(mixture, side_px, held_back, wanted=True)
    number = min(_LOOKED_THROUGH, mixture.size) if held_back else 0
    found = [np.zeros((0, 3, side_px, side_px), np.uint8)]
    for pixels in loader(samples, range(number), workers=workers, ahead=_AHEAD):
        found.append(pixels)
        if sum(map(len, found)) >= most:
            break
    return torch.from_numpy(np.concatenate(found)[:most])


class Pool:
    """The latest pictures, kept where they are learnt from, so that each is learnt from more than once.

    Decoding is slower than learning: of a batch a part is new, and the rest are drawn from those before
    (arXiv:1907.05550).

    Args:
        capacity: Pictures that are kept.
        side_px: Their side.
        device: Where.
    """

    def __init__(self, capacity: int, side_px: int, device: torch.device) -> None:
        self._kept = torch.zeros(capacity, 3, side_px, side_px, dtype=torch.uint8, device=device)
        self._added = 0

    def __len__(self) -> int:
        return min(self._added, len(self._kept))

    def add(self, pixels_NCSS: Tensor) -> None:
        """Keeps pictures, in place of the oldest where there is no room."""
        places_N = (torch.arange(len(pixels_NCSS)) + self._added) % len(self._kept)
        self._kept[places_N.to(self._kept.device)] = pixels_NCSS.to(self._kept.device, non_blocking=True)
        self._added += len(pixels_NCSS)

    def batch(self, size: int, *, new: int, generator: torch.Generator) -> Tensor:
        """The latest `new` pictures and others by chance, `size` together; needs at least one picture."""
        new = min(new, size, len(self))
        latest_N = (torch.arange(self._added - new, self._added)) % len(self._kept)
        others_N = torch.randint(len(self), (size - new,), generator=generator)
        return self._kept[torch.cat([latest_N, others_N]).to(self._kept.device)]


class _Samples(Dataset[Pixels]):
    """The pictures of each sample of a mixture, by its place; none where it is not one that is wanted."""

    def __init__(self, mixture: Mixture, side_px: int, held_back: float, *, wanted: bool) -> None:
        self._mixture, self._side_px, self._held_back, self._wanted = mixture, side_px, held_back, wanted

    def __getitem__(self, place: int) -> Pixels:
        ticket = self._mixture.ticket(place)
        source = self._mixture.readers[ticket.dataset].source(ticket.number)
        none = np.zeros((0, 3, self._side_px, self._side_px), np.uint8)
        if is_held_back(source, self._held_back) != self._wanted:
            return none
        sample = self._mixture.read(ticket)
        return np.concatenate([none, *self._pictures(sample)]) if isinstance(sample, Sample) else none

    def _pictures(self, sample: Sample) -> Iterator[Pixels]:
        pictures = [part.content for part in sample.parts if isinstance(part.content, Picture)]
        for digest in dict.fromkeys(picture.digest for picture in pictures):
            with suppress(ActionError, KeyError, OSError):  # `mmi data check` names what is wrong with it
                yield _decoded(sample.pictures.get(digest), self._side_px)


def _mixture(sources: Sequence[PictureSource], seed: int) -> Mixture:
    return Mixture([(source.reader, source.weight) for source in sources], seed=seed)


def _decoded(png: bytes, side_px: int) -> Pixels:
    image = as_rgb(open_png(png)).resize((side_px, side_px), Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.uint8).transpose(2, 0, 1)[None]
