"""One endless stream of samples from several datasets, by weight, in an order that a seed decides.

A place in the stream is a number, and what stands there depends on the seed, the weights and the data alone: not on
what was read before, nor on who reads. So any process can read any place, and a stream that was interrupted goes on
with the very sample that would have come next. Broken samples have places too.
"""

from array import array
from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate, pairwise
from math import ceil
from pathlib import Path
from random import Random
from typing import NamedTuple

from mmi_agent.data.readers.reader import Reader
from mmi_agent.data.sample import Broken, Sample
from mmi_agent.errors import ConfigError, DataError

__all__ = ["Mixture", "Ticket", "parse_weighted"]

_LEAST_BLOCK = 256  # places in which each dataset has its exact share
_LEAST_SHARE = 1e-6


class Ticket(NamedTuple):
    """A sample by number."""

    dataset: int
    """Which of the datasets."""
    number: int
    """Which of its samples."""


class Mixture:
    """Samples of several datasets, each of which is gone through in a new order each time.

    Args:
        datasets: Readers with their weights: one of weight 2 is drawn from twice as often as one of weight 1, whatever
            their sizes. None everywhere draws every sample equally often.
        seed: Decides the order.

    Attributes:
        readers: The datasets.

    Raises:
        ConfigError: If there is no dataset, a weight is not above 0 or far below the others, or only
            some have one.
        DataError: If a dataset is empty.
    """

    def __init__(self, datasets: Sequence[tuple[Reader, float | None]], *, seed: int) -> None:
        self.readers = [reader for reader, _ in datasets]
        self._weights = [weight for _, weight in datasets]
        self._shares = _shares(datasets)
        smallest = min(after - before for before, after in pairwise(self._shares))
        if smallest < _LEAST_SHARE:
            raise ConfigError(f"one dataset would be less than {_LEAST_SHARE} of what is drawn: weigh it higher")
        self._block_size = max(_LEAST_BLOCK, ceil(2 / smallest))  # so that no share of a block is negative
        self._seed = seed
        self._blocks: dict[int, _Block] = {}
        self._orders: dict[int, tuple[int, array[int]]] = {}

    @property
    def identity(self) -> tuple[int, list[int], list[float | None]]:
        """What decides the order: the seed, the sizes of the datasets, their weights."""
        return self._seed, [len(reader) for reader in self.readers], self._weights

    @property
    def size(self) -> int:
        """Samples of all datasets."""
        return sum(map(len, self.readers))

    def read(self, ticket: Ticket) -> Sample | Broken:
        """Reads a sample."""
        return self.readers[ticket.dataset][ticket.number]

    def ticket(self, place: int) -> Ticket:
        """Which sample stands at a place, counted from 0."""
        number, within = divmod(place, self._block_size)
        dataset, drawn = self._block(number).at(within)
        epoch, rank = divmod(drawn, len(self.readers[dataset]))
        return Ticket(dataset, self._order(dataset, epoch)[rank])

    def _block(self, number: int) -> "_Block":
        if number not in self._blocks:
            before, after = (self._drawn_by(edge * self._block_size) for edge in (number, number + 1))
            chosen = [index for index, (a, b) in enumerate(zip(before, after, strict=True)) for _ in range(b - a)]
            Random(f"{self._seed}:{number}").shuffle(chosen)
            self._blocks = {number: _Block(before, chosen)}
        return self._blocks[number]

    def _drawn_by(self, place: int) -> list[int]:
        """How many samples of each dataset stand before the first place of a block."""
        edges = [int(share * place) for share in self._shares]
        return [after - before for before, after in pairwise(edges)]

    def _order(self, dataset: int, epoch: int) -> "array[int]":
        """The numbers of a dataset's samples in the order of an epoch."""
        known = self._orders.get(dataset)
        if known is None or known[0] != epoch:
            order = array("q", range(len(self.readers[dataset])))
            Random(f"{self._seed}:{dataset}:{epoch}").shuffle(order)
            known = self._orders[dataset] = (epoch, order)
        return known[1]


class _Block:
    """Places in which each dataset has its share: which dataset stands where, as how manyeth of its draws."""

    def __init__(self, drawn_before: Sequence[int], chosen: Sequence[int]) -> None:
        self._chosen = array("l", chosen)
        self._drawn = array("q")
        drawn = list(drawn_before)
        for dataset in chosen:
            self._drawn.append(drawn[dataset])
            drawn[dataset] += 1

    def at(self, place: int) -> tuple[int, int]:
        """The dataset at a place, and how many of its samples were drawn before."""
        return self._chosen[place], self._drawn[place]


def _shares(datasets: Sequence[tuple[Reader, float | None]]) -> list[Fraction]:
    """Where the share of each dataset ends, from 0 to 1."""
    if not datasets:
        raise ConfigError("no dataset was given")
    if len({weight is None for _, weight in datasets}) > 1:
        raise ConfigError("give every dataset a weight, or none")
    weights = [Fraction(_checked(reader, weight)) for reader, weight in datasets]
    return [Fraction(0), *accumulate(weight / sum(weights) for weight in weights)]


def _checked(reader: Reader, weight: float | None) -> float:
    if not len(reader):
        raise DataError(f"{reader.name} holds no sample" + (f"; {reader.left_out}" if reader.left_out else ""))
    if weight is None:
        return len(reader)
    if not 0 < weight < float("inf"):
        raise ConfigError(f"the weight of {reader.name} is {weight:g}: expected a number above 0")
    return weight


def parse_weighted(text: str) -> tuple[Path, float | None]:
    """Reads "runs/demos=2.5": a path with the weight of its data, if it has one.

    Raises:
        ConfigError: If what stands after the last "=" is no number.
    """
    name, equals, weight = text.rpartition("=")
    if not equals or Path(text).exists():
        return Path(text), None
    try:
        return Path(name), float(weight)
    except ValueError:
        raise ConfigError(f"the weight of {name!r} is {weight!r}: expected a number, as in {name}=2.5") from None
