"""One endless stream of samples from several datasets, by weight, in an order that a seed decides.

A place in the stream is a number, and what stands there depends on the seed, the weights and the data alone: not on
what was read before, nor on how many threads read ahead. So a stream that was interrupted goes on from its place with
the very sample that would have come next. Broken samples have places too; they are passed over, counted and named.
"""

import json
from array import array
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import accumulate, count, pairwise
from math import ceil
from pathlib import Path
from random import Random
from typing import NamedTuple

from pydantic import JsonValue

from mmi_agent.data.readers.reader import Reader
from mmi_agent.data.sample import Broken, Sample
from mmi_agent.errors import ConfigError, DataError

__all__ = ["BrokenSamples", "Mixture", "parse_weighted"]

_NAMED = 20  # broken samples that are remembered by name
_AHEAD = 4  # samples that each thread may be ahead
_LEAST_BLOCK = 256  # places in which each dataset has its exact share
_LEAST_SHARE = 1e-6


@dataclass
class BrokenSamples:
    """What could not be learnt from, so far.

    Attributes:
        counts: How many in each dataset, each sample once.
        first: The first of them.
    """

    counts: Counter[str] = field(default_factory=Counter[str])
    first: list[Broken] = field(default_factory=list[Broken])

    def add(self, dataset: str, broken: Broken) -> None:
        """Counts one more."""
        self.counts[dataset] += 1
        if len(self.first) < _NAMED:
            self.first.append(broken)


class Mixture:
    """Samples of several datasets, each of which is gone through in a new order each time.

    Args:
        datasets: Readers with their weights: one of weight 2 is drawn from twice as often as one of weight 1, whatever
            their sizes. None everywhere draws every sample equally often.
        seed: Decides the order.
        threads: How many read ahead; 0 reads when a sample is asked for.

    Attributes:
        broken: What was passed over since this object was made.

    Raises:
        ConfigError: If there is no dataset, a weight is not above 0 or far below the others, or only
            some have one.
        DataError: If a dataset is empty.
    """

    def __init__(self, datasets: Sequence[tuple[Reader, float | None]], *, seed: int, threads: int = 0) -> None:
        self._readers = [reader for reader, _ in datasets]
        self._weights = [weight for _, weight in datasets]
        self._shares = _shares(datasets)
        smallest = min(after - before for before, after in pairwise(self._shares))
        if smallest < _LEAST_SHARE:
            raise ConfigError(f"one dataset would be less than {_LEAST_SHARE} of what is drawn: weigh it higher")
        self._block_size = max(_LEAST_BLOCK, ceil(2 / smallest))  # so that no share of a block is negative
        self._seed = seed
        self._threads = threads
        self._place = 0
        self._blocks: dict[int, _Block] = {}
        self._orders: dict[int, tuple[int, array[int]]] = {}
        self._known_broken: list[set[int]] = [set() for _ in datasets]
        self.broken = BrokenSamples()

    def state(self) -> dict[str, JsonValue]:
        """Where the stream stands after the latest sample that it gave, for `restore`; goes to JSON."""
        return {
            "seed": self._seed,
            "sizes": [len(reader) for reader in self._readers],
            "weights": [*self._weights],
            "place": self._place,
        }

    def restore(self, state: Mapping[str, JsonValue]) -> None:
        """Goes on where another stream stood; an iteration that has begun is not touched.

        Args:
            state: What `state` gave.

        Raises:
            DataError: If it was a stream of other data, weights or seed, or is damaged.
        """
        for name, now in self.state().items():
            if name != "place" and state.get(name) != now:
                raise DataError(
                    f"the stream was of other data: its {name} were {json.dumps(state.get(name))}, here "
                    f"{json.dumps(now)}; resume with the same data, or begin anew"
                )
        place = state.get("place")
        if not isinstance(place, int) or place < 0:
            raise DataError(f"the place in the data is {place!r}: expected a number; begin anew")
        self._place = place

    def __iter__(self) -> Iterator[Sample]:
        """Samples without end, from the place on; leaving the iteration loses none.

        Raises:
            DataError: When every sample of a dataset has turned out to be broken.
        """
        for place, ticket, found in self._read_in_order(self._place):
            self._place = place + 1
            if isinstance(found, Sample):
                yield found
            else:
                self._note(ticket, found)

    def _note(self, ticket: "_Ticket", broken: Broken) -> None:
        known, reader = self._known_broken[ticket.dataset], self._readers[ticket.dataset]
        if ticket.number in known:
            return
        known.add(ticket.number)
        self.broken.add(reader.name, broken)
        if len(known) == len(reader):
            raise DataError(
                f"{reader.name}: none of its {len(reader)} samples can be used; {broken.source}: {broken.reason}"
            )

    def _read_in_order(self, place: int) -> "Iterator[tuple[int, _Ticket, Sample | Broken]]":
        if self._threads:
            yield from self._read_ahead(place)
        for at in count(place):
            ticket = self._ticket(at)
            yield at, ticket, self._read(ticket)

    def _read_ahead(self, place: int) -> "Iterator[tuple[int, _Ticket, Sample | Broken]]":
        ahead: deque[tuple[int, _Ticket, Future[Sample | Broken]]] = deque()
        with ThreadPoolExecutor(self._threads, thread_name_prefix="samples") as pool:
            try:
                for at in count(place):
                    ticket = self._ticket(at)
                    ahead.append((at, ticket, pool.submit(self._read, ticket)))
                    if len(ahead) > _AHEAD * self._threads:
                        first, its_ticket, future = ahead.popleft()
                        yield first, its_ticket, future.result()
            finally:
                for _, _, future in ahead:
                    future.cancel()

    def _read(self, ticket: "_Ticket") -> Sample | Broken:
        return self._readers[ticket.dataset][ticket.number]

    def _ticket(self, place: int) -> "_Ticket":
        number, within = divmod(place, self._block_size)
        dataset, drawn = self._block(number).at(within)
        epoch, rank = divmod(drawn, len(self._readers[dataset]))
        return _Ticket(dataset, self._order(dataset, epoch)[rank])

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
            order = array("q", range(len(self._readers[dataset])))
            Random(f"{self._seed}:{dataset}:{epoch}").shuffle(order)
            known = self._orders[dataset] = (epoch, order)
        return known[1]


class _Ticket(NamedTuple):
    """A sample by number: which dataset, and which of its samples."""

    dataset: int
    number: int


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
        raise DataError(f"{reader.name} holds no sample")
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
