"""One endless stream of samples from several datasets, by weight, in an order that a seed decides.

What comes n-th depends on the seed, the weights and the data alone: not on how many threads read ahead, nor on whether
the stream was interrupted. Broken samples are passed over, counted and named.
"""

import json
from array import array
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
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

    def __str__(self) -> str:
        counted = ", ".join(f"{count} in {name}" for name, count in self.counts.items())
        named = "; ".join(f"{broken.source}: {broken.reason}" for broken in self.first[:3])
        return f"{counted or 'none'}{'; the first: ' if named else ''}{named}"


class _Place(NamedTuple):
    """Where a dataset stands.

    Attributes:
        epoch: How often it was gone through.
        drawn: How many of its samples were drawn in this epoch.
        broken: How many of these were broken; all of them once it is gone through means that there is none to learn.
    """

    epoch: int = 0
    drawn: int = 0
    broken: int = 0


class _Ticket(NamedTuple):
    """What comes next: which dataset, in which of its epochs, and which of its samples."""

    dataset: int
    epoch: int
    sample: int


class Mixture:
    """Draws samples from datasets: a dataset of weight 2 twice as often as one of weight 1, whatever their sizes.

    A dataset is gone through in a new order each time.

    Args:
        datasets: Readers with their weights.
        seed: Decides the order.
        threads: How many read ahead; 0 reads when a sample is asked for.

    Attributes:
        broken: What was passed over since this object was made.

    Raises:
        ConfigError: If a weight is not above 0, or there is no dataset.
        DataError: If a dataset is empty.
    """

    def __init__(self, datasets: Sequence[tuple[Reader, float]], *, seed: int, threads: int = 0) -> None:
        if not datasets:
            raise ConfigError("no dataset was given to train on")
        for reader, weight in datasets:
            if not 0 < weight < float("inf"):
                raise ConfigError(f"the weight of {reader.name} is {weight:g}: expected a number above 0")
            if not len(reader):
                raise DataError(f"{reader.name} holds no sample")
        self.broken = BrokenSamples()
        self._readers = [reader for reader, _ in datasets]
        self._weights = [weight for _, weight in datasets]
        self._seed = seed
        self._threads = threads
        self._draws = 0
        self._places = [_Place() for _ in datasets]
        self._orders: dict[int, tuple[int, array[int]]] = {}

    def state(self) -> dict[str, JsonValue]:
        """Where the stream stands after the latest sample that it gave, for `restore`; goes to JSON."""
        return {
            "seed": self._seed,
            "sizes": [len(reader) for reader in self._readers],
            "weights": list(self._weights),
            "draws": self._draws,
            "places": [list(place) for place in self._places],
        }

    def restore(self, state: dict[str, JsonValue]) -> None:
        """Goes on where another stream stood, with the very sample that would have come next.

        Args:
            state: What `state` gave.

        Raises:
            DataError: If it was a stream of other data, weights or seed.
        """
        for name, now in self.state().items():
            if name not in ("draws", "places") and state.get(name) != now:
                raise DataError(
                    f"the stream was of other data: its {name} were {json.dumps(state.get(name))}, here "
                    f"{json.dumps(now)}; resume with the same data, or begin anew"
                )
        try:
            self._draws = int(str(state["draws"]))
            self._places = [_Place(*map(int, place)) for place in state["places"]]  # pyright: ignore
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"the state of the data is damaged: {error!r}; begin anew") from error

    @property
    def epochs(self) -> tuple[int, ...]:
        """How often each dataset was gone through."""
        return tuple(place.epoch for place in self._places)

    def __iter__(self) -> Iterator[Sample]:
        """Samples without end; leaving the iteration loses none.

        Raises:
            DataError: When a dataset was gone through and had no sample to learn from.
        """
        for ticket, found in self._read_in_order():
            self._pass(ticket, found)
            if isinstance(found, Sample):
                yield found

    def _pass(self, ticket: _Ticket, found: Sample | Broken) -> None:
        """Moves on by one draw."""
        reader = self._readers[ticket.dataset]
        epoch, drawn, broken = self._places[ticket.dataset]
        drawn += 1
        if isinstance(found, Broken):
            broken += 1
            if epoch == 0:
                self.broken.add(reader.name, found)
        self._draws += 1
        if broken == len(reader):
            raise DataError(
                f"{reader.name}: none of its {len(reader)} samples can be learnt from; {_told(found, ticket.sample)}"
            )
        ended = drawn == len(reader)
        self._places[ticket.dataset] = _Place(epoch + 1) if ended else _Place(epoch, drawn, broken)

    def _read_in_order(self) -> Iterator[tuple[_Ticket, Sample | Broken]]:
        tickets = self._tickets()
        if not self._threads:
            for ticket in tickets:
                yield ticket, self._read(ticket)
        with ThreadPoolExecutor(self._threads, thread_name_prefix="samples") as pool:
            ahead: deque[tuple[_Ticket, Future[Sample | Broken]]] = deque()
            try:
                for ticket in tickets:
                    ahead.append((ticket, pool.submit(self._read, ticket)))
                    if len(ahead) > _AHEAD * self._threads:
                        first, future = ahead.popleft()
                        yield first, future.result()
            finally:
                for _, future in ahead:
                    future.cancel()

    def _tickets(self) -> Iterator[_Ticket]:
        """What comes from here on, without moving on."""
        places = [(place.epoch, place.drawn) for place in self._places]
        draws = self._draws
        while True:
            chosen = Random(f"{self._seed}:{draws}").choices(range(len(places)), self._weights)[0]
            epoch, drawn = places[chosen]
            yield _Ticket(chosen, epoch, self._order(chosen, epoch)[drawn])
            draws += 1
            places[chosen] = (epoch, drawn + 1) if drawn + 1 < len(self._readers[chosen]) else (epoch + 1, 0)

    def _read(self, ticket: _Ticket) -> Sample | Broken:
        return self._readers[ticket.dataset][ticket.sample]

    def _order(self, dataset: int, epoch: int) -> "array[int]":
        """The numbers of a dataset's samples in the order of an epoch."""
        known = self._orders.get(dataset)
        if known is None or known[0] != epoch:
            order = array("q", range(len(self._readers[dataset])))
            Random(f"{self._seed}:{dataset}:{epoch}").shuffle(order)
            known = self._orders[dataset] = (epoch, order)
        return known[1]


def _told(found: Sample | Broken, number: int) -> str:
    assert isinstance(found, Broken), number
    return f"the last one was {found.source}: {found.reason}"


def parse_weighted(text: str) -> tuple[Path, float]:
    """Reads "runs/demos=2.5": a path with the weight of its data, which is 1 where none stands.

    Raises:
        ConfigError: If what stands after the last "=" is no number.
    """
    name, equals, weight = text.rpartition("=")
    if not equals or Path(text).exists():
        return Path(text), 1.0
    try:
        return Path(name), float(weight)
    except ValueError:
        raise ConfigError(f"the weight of {name!r} is {weight!r}: expected a number, as in {name}=2.5") from None
