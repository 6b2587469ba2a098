"""Where a run's batches come from: a step's number says what it learns from, so that any process can make it ready."""

import hashlib
import resource
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import count, islice
from math import ceil
from typing import NamedTuple, Protocol, cast

import torch
from torch.utils.data import Dataset

from mmi_agent.data.encoding import Encoded, encode_sample
from mmi_agent.data.mixing import Mixture, Ticket
from mmi_agent.data.packing import ROW_TOKENS, Batch, collate, pack
from mmi_agent.data.readers import Reader
from mmi_agent.data.sample import Broken, Sample
from mmi_agent.errors import ConfigError, DataError, MMIError
from mmi_agent.inference.tokenizer import Tokenizer
from mmi_agent.models.mm_interleaved import MMInterleavedConfig
from mmi_agent.training.held_back import is_held_back
from mmi_agent.training.workers import loader

__all__ = ["MixedSupply", "Packing", "Portion", "Supply"]

_AHEAD = 2  # steps that each process reads ahead


class Portion(NamedTuple):
    """What an optimiser step learns from."""

    batches: tuple[Batch, ...]
    """Read one after the other; their losses are one mean."""
    broken: tuple[str, ...] = ()
    """What turned out on the way that cannot be learnt from, and why."""
    lost: tuple[int, ...] = ()
    """Of each sample that is longer than a row, the tokens that were cut off at its end."""

    @property
    def num_samples(self) -> int:
        """Samples in it."""
        return sum(len(batch.sources) for batch in self.batches)


class Supply(Protocol):
    """The data of a run, in an order that is the same each time."""

    @property
    def fingerprint(self) -> str:
        """Tells other data, or another order, from this."""
        ...

    def portions(self, step: int) -> Generator[Portion]:
        """What the steps learn from, without end, from a step on; the first of a run is 0.

        Raises:
            DataError: If there is nothing that could be used.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Packing:
    """How samples become the batches of a step.

    Attributes:
        step_samples: Samples that a step learns from; it has fewer where some are held back or broken.
        row_tokens: Room of a row; a longer sample is cut off.
        rows: Rows that are read at a time: as many as memory allows, and at least one for each process.
        held_back: Part of the samples that is never trained on.
    """

    step_samples: int = 16
    row_tokens: int = ROW_TOKENS
    rows: int = 1
    held_back: float = 0.0

    def __post_init__(self) -> None:
        if min(self.step_samples, self.row_tokens, self.rows) < 1 or not 0 <= self.held_back < 1:
            raise ConfigError(f"step_samples, row_tokens and rows must be at least 1, and held_back below 1: {self}")


class MixedSupply:
    """The supply that a mixture of datasets is.

    Args:
        mixture: Samples without end.
        data: Fingerprints of the datasets.
        tokenizer: Of the model.
        config: Of the model.
        packing: How samples become batches.
        draws: Whether the model shall learn to draw.
        workers: Processes that read ahead; 0 reads one step ahead in a thread.
    """

    def __init__(
        self,
        mixture: Mixture,
        *,
        data: Sequence[str],
        tokenizer: Tokenizer,
        config: MMInterleavedConfig,
        packing: Packing,
        draws: bool,
        workers: int = 0,
    ) -> None:
        self._mixture, self._tokenizer, self._config = mixture, tokenizer, config
        self._packing, self._draws, self._workers = packing, draws, workers
        self._data = tuple(data)
        self._learnable: dict[int, int] = {}

    @property
    def fingerprint(self) -> str:
        """Tells other data, or another order, from this."""
        return hashlib.sha256(repr((self._data, self._mixture.identity, self._packing)).encode()).hexdigest()

    def portions(self, step: int) -> Generator[Portion]:
        """What the steps learn from, from a step on.

        Raises:
            DataError: If every sample of a dataset turned out to be broken, or all samples are held back.
        """
        known: list[set[str]] = [set() for _ in self._mixture.readers]
        for made in self._in_processes(step) if self._workers else self._in_a_thread(step):
            if isinstance(made, DataError):
                raise made
            yield Portion(made.batches, tuple(self._noted(made.broken, known)), made.lost)

    def make(self, step: int) -> "_Made | DataError":
        """What one step learns from; an error is a value, to come from another process as it is."""
        samples: list[Encoded] = []
        broken: list[tuple[int, Broken]] = []
        first = step * self._packing.step_samples
        for place in count(first):
            if place >= first + self._packing.step_samples and samples:
                break
            if place > first + self._packing.step_samples + self._mixture.size:
                reason = broken[-1][1].reason if broken else "all are held back"
                return DataError(f"none of {place - first} samples can be learnt from: {reason}")
            ticket = self._mixture.ticket(place)
            match self._encoded(ticket):
                case Encoded() as encoded:
                    samples.append(encoded)
                case Broken() as found:
                    broken.append((ticket.dataset, found))
                case None:
                    pass
        lost = tuple(each.lost for each in samples if each.lost)
        return _Made(self.batches(samples), tuple(broken), lost)

    def _encoded(self, ticket: Ticket) -> Encoded | Broken | None:
        """A sample, ready to be packed; what is wrong with it; None of one that is held back."""
        if is_held_back(self._mixture.readers[ticket.dataset].source(ticket.number), self._packing.held_back):
            return None
        sample = self._mixture.read(ticket)
        if isinstance(sample, Broken):
            return sample
        try:
            return self._encode(sample)
        except MMIError as error:
            return Broken(source=sample.source, reason=str(error).removeprefix(f"{sample.source}: "))

    def _encode(self, sample: Sample) -> Encoded:
        return encode_sample(sample, self._tokenizer, self._config, max_positions=self._packing.row_tokens)

    def batches(self, samples: Sequence[Encoded]) -> tuple[Batch, ...]:
        """Packs samples into rows, and rows of like length into batches."""
        rows = sorted(pack(samples, max_positions=self._packing.row_tokens), key=lambda row: -row.length)
        at_once = self._packing.rows
        return tuple(
            collate(rows[begin : begin + at_once], self._config, draws=self._draws)
            for begin in range(0, len(rows), at_once)
        )

    def held_back(self, readers: Sequence[Reader], *, most: int) -> tuple[Batch, ...]:
        """Batches of the samples that are held back, the same each time: at most so many, of all readers alike."""
        if not self._packing.held_back:
            return ()
        found: list[Encoded] = []
        for reader in readers:
            found += islice(self._held_back_of(reader), ceil(most / len(readers)))
        return self.batches(found)

    def _held_back_of(self, reader: Reader) -> Iterator[Encoded]:
        for number in range(len(reader)):
            if is_held_back(reader.source(number), self._packing.held_back):
                sample = reader[number]
                with suppress(MMIError):  # counted and named when it comes up in training
                    if isinstance(sample, Sample):
                        yield self._encode(sample)

    def _in_a_thread(self, step: int) -> "Iterator[_Made | DataError]":
        with ThreadPoolExecutor(1, thread_name_prefix="samples") as reading:
            coming = reading.submit(self.make, step)
            for following in count(step + 1):
                made = coming.result()
                coming = reading.submit(self.make, following)
                yield made

    def _in_processes(self, step: int) -> "Iterator[_Made | DataError]":
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each tensor that comes over is a file
        steps = cast("Dataset[_Made | DataError]", _Steps(self))
        pinned = torch.cuda.is_available()
        yield from loader(steps, count(step), workers=self._workers, ahead=_AHEAD, pinned=pinned)

    def _noted(self, broken: Iterable[tuple[int, Broken]], known: list[set[str]]) -> Iterator[str]:
        """What was not known to be broken yet."""
        for dataset, found in broken:
            if found.source in known[dataset]:
                continue
            known[dataset].add(found.source)
            if len(known[dataset]) == self._num_learnable(dataset):
                name, reason = self._mixture.readers[dataset].name, f"{found.source}: {found.reason}"
                raise DataError(f"{name}: none of its {len(known[dataset])} samples can be used; {reason}")
            yield f"{found.source}: {found.reason}"

    def _num_learnable(self, dataset: int) -> int:
        """Samples of a dataset that are not held back; counted once."""
        if dataset not in self._learnable:
            reader, part = self._mixture.readers[dataset], self._packing.held_back
            held_back = sum(is_held_back(reader.source(number), part) for number in range(len(reader))) if part else 0
            self._learnable[dataset] = len(reader) - held_back
        return self._learnable[dataset]


class _Made(NamedTuple):
    batches: tuple[Batch, ...]
    broken: tuple[tuple[int, Broken], ...]
    """With the number of the dataset."""
    lost: tuple[int, ...]
    """See `Portion`."""


class _Steps:
    """The steps of a supply by their numbers, as torch's loader wants them."""

    def __init__(self, supply: MixedSupply) -> None:
        self._supply = supply

    def __getitem__(self, step: int) -> _Made | DataError:
        return self._supply.make(step)
