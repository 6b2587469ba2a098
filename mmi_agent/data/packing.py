"""Rows of tokens: several samples in one, each reading only itself, and what begins them all standing once.

Runs recorded with the same tools begin with the same rules and list of tools. In a row they share it: every sample
attends to it as if it stood right before, so the numbers are those of reading each by itself, at a part of the price.
"""

# B rows, T tokens, P pictures of all rows

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import NamedTuple

import torch
from torch import Tensor

from mmi_agent.data.encoding import Encoded, EncodedPicture, Token
from mmi_agent.inference.document import pixels_of
from mmi_agent.models.losses import IGNORED
from mmi_agent.models.mm_interleaved import MMInterleavedConfig, RowLayout

__all__ = ["ROW_TOKENS", "Batch", "Row", "collate", "pack"]

ROW_TOKENS = 2048
"""Room of a row where nothing else is asked for and the model's window is not smaller: what two cores can bear."""

_SHARED = _PADDING = 0  # numbers of documents; samples count from 1
_LEAST_SHARED = 32  # tokens; below, a beginning of its own is cheaper than a row of its own


class Batch(NamedTuple):
    """Rows, ready to be read and judged."""

    ids: Tensor
    """(B, T)."""
    targets: Tensor
    """(B, T), the token after each, or -100 where it does not count."""
    layout: RowLayout
    """Which tokens belong together."""
    pixels: Tensor | None
    """(P, 3, H, W) as the model reads them, RGB in 0..1."""
    drawn_pixels: Tensor | None
    """(P, 3, H, W) as it is to draw them; None where nothing is to be drawn."""
    draws: Tensor
    """(P,), true where a picture counts in the loss of the next picture."""
    begins: Tensor
    """(P,), where in its row the picture's document begins."""
    sources: tuple[str, ...]
    """Where the samples come from."""

    @property
    def num_targets(self) -> int:
        """Tokens that count."""
        return int((self.targets != IGNORED).sum())

    def to(self, device: torch.device | str) -> "Batch":
        """Moves all tensors; those in pinned memory while the device goes on with what it does."""
        layout = RowLayout(*(tensor.to(device, non_blocking=True) for tensor in self.layout))
        moved = {k: v.to(device, non_blocking=True) for k, v in self._asdict().items() if isinstance(v, Tensor)}
        return self._replace(layout=layout, **moved)


@dataclass(kw_only=True)
class Row:
    """Samples that stand in one row.

    Attributes:
        shared: Tokens that begin all of them.
        samples: The samples, whole.
    """

    shared: int
    samples: list[Encoded] = field(default_factory=list[Encoded])

    @property
    def length(self) -> int:
        """Positions that it takes."""
        return self.shared + sum(len(sample.tokens) - self.shared for sample in self.samples)


def pack(samples: Sequence[Encoded], *, max_positions: int) -> list[Row]:
    """Puts samples into rows, the longest first, each into the first row that has room.

    Args:
        samples: None longer than a row.
        max_positions: Room of a row.
    """
    return [
        row
        for shared, together in _by_beginning(samples)
        for row in _first_fit(sorted(together, key=lambda sample: -len(sample.tokens)), shared, max_positions)
    ]


def collate(rows: Sequence[Row], config: MMInterleavedConfig, *, draws: bool) -> Batch:
    """Makes tensors of rows, filled up on the right.

    Args:
        rows: At least one.
        config: Of the model.
        draws: Whether the model can draw, and shall learn to.
    """
    width = max(row.length for row in rows)
    made = [_Tensors.of(row, config, width) for row in rows]
    samples = [sample for row in rows for sample in row.samples]
    pictures = [picture for sample in samples for picture in sample.pictures]
    drawn = torch.tensor([picture.drawn for picture in pictures], dtype=torch.bool)
    hand = config.image_decoder if draws and bool(drawn.any()) else None
    layout = RowLayout(*(torch.stack(each) for each in zip(*((t.positions, t.document) for t in made), strict=True)))
    return Batch(
        ids=torch.stack([tensors.ids for tensors in made]),
        targets=torch.stack([tensors.targets for tensors in made]),
        layout=layout,
        pixels=_pixels(pictures, config.vision.image_size),
        drawn_pixels=_pixels(pictures, hand.image_size) if hand else None,
        draws=drawn,
        begins=torch.tensor([begin for row in rows for begin in _begins(row)], dtype=torch.long),
        sources=tuple(sample.source for sample in samples),
    )


def _by_beginning(samples: Sequence[Encoded]) -> Iterator[tuple[int, list[Encoded]]]:
    """Groups samples that begin alike; those that do not come last, as one group that shares nothing."""
    groups: dict[tuple[Token, ...], list[Encoded]] = defaultdict(list)
    for sample in samples:
        groups[sample.tokens[: _sharable(sample)][:_LEAST_SHARED]].append(sample)
    alone: list[Encoded] = []
    for beginning, together in groups.items():
        if len(beginning) < _LEAST_SHARED or len(together) == 1:
            alone += together
        else:
            yield _common(together), together
    if alone:
        yield 0, alone


def _sharable(sample: Encoded) -> int:
    """Tokens that others may share: none that is learnt or of a picture, nor the one before, which foretells it."""
    if any(picture.drawn for picture in sample.pictures):  # what a picture is drawn from has to stand in one piece
        return 0
    first = next((place for place, token in enumerate(sample.tokens) if token.learnt), len(sample.tokens))
    if sample.pictures:
        first = min(first, sample.pictures[0].start)
    return max(first - 1, 0)


def _common(samples: Sequence[Encoded]) -> int:
    limit = min(map(_sharable, samples))
    columns = zip(*(sample.tokens[:limit] for sample in samples), strict=True)
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))


def _first_fit(samples: Sequence[Encoded], shared: int, max_positions: int) -> list[Row]:
    rows: list[Row] = []
    for sample in samples:
        fitting = (row for row in rows if row.length + len(sample.tokens) - shared <= max_positions)
        row = next(fitting, None)
        if row is None:
            rows.append(row := Row(shared=shared))
        row.samples.append(sample)
    return rows


def _begins(row: Row) -> Iterator[int]:
    """Where the document of each picture of a row begins."""
    begin = row.shared
    for sample in row.samples:
        yield from [begin] * len(sample.pictures)
        begin += len(sample.tokens) - row.shared


class _Tensors(NamedTuple):
    ids: Tensor
    targets: Tensor
    positions: Tensor
    document: Tensor

    @classmethod
    def of(cls, row: Row, config: MMInterleavedConfig, width: int) -> "_Tensors":
        shared = row.samples[0].tokens[: row.shared]
        stretches = [(_SHARED, 0, shared)]
        stretches += [
            (number, row.shared, sample.tokens[row.shared :]) for number, sample in enumerate(row.samples, start=1)
        ]
        padding = width - row.length
        ids, targets, positions, document = (list[int]() for _ in range(4))
        for number, begin, tokens in stretches:
            ids += [token.id for token in tokens]
            targets += [token.id if token.learnt else IGNORED for token in tokens[1:]] + [IGNORED] * bool(tokens)
            positions += range(begin, begin + len(tokens))
            document += [number] * len(tokens)
        return cls(
            torch.tensor(ids + [config.padding] * padding),
            torch.tensor(targets + [IGNORED] * padding),
            torch.tensor(positions + [0] * padding),
            torch.tensor(document + [_PADDING] * padding),
        )


def _pixels(pictures: Sequence[EncodedPicture], side_px: int) -> Tensor | None:
    return torch.cat([pixels_of(picture.png, side_px) for picture in pictures]) if pictures else None
