"""Where a run's batches come from: a place in the data gives a step's batches and the place after them."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from math import ceil
from typing import NamedTuple, Protocol, cast

from pydantic import JsonValue

from mmi_agent.data.encoding import Encoded, encode_sample
from mmi_agent.data.mixing import Mixture
from mmi_agent.data.packing import Batch, collate, pack
from mmi_agent.data.readers import Reader
from mmi_agent.data.sample import Sample
from mmi_agent.errors import ConfigError, DataError
from mmi_agent.inference.tokenizer import Tokenizer
from mmi_agent.models.mm_interleaved import MMInterleavedConfig
from mmi_agent.training.held_back import is_held_back

__all__ = ["MixedSupply", "Packing", "Place", "Portion", "Supply"]

Place = Mapping[str, JsonValue]
"""Where data goes on, as it goes into a checkpoint."""

_MEASURED = 200  # samples that stand for all when their lengths are asked for


class Portion(NamedTuple):
    """What an optimiser step learns from."""

    batches: tuple[Batch, ...]
    """Read one after the other; their losses are one mean."""
    following: Place
    """The place after it."""
    broken: tuple[str, ...] = ()
    """What could not be learnt from on the way, and why."""

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

    def portion(self, place: Place | None) -> Portion:
        """What a step learns from, from a place on: None for the beginning, or where another portion ended.

        Raises:
            DataError: If there is nothing that could be used.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Packing:
    """How samples become the batches of a step.

    Attributes:
        step_tokens: Tokens of a step's samples, before what they share is taken out.
        row_tokens: Room of a row; a longer sample is cut off.
        rows: Rows that are read at a time: as many as memory allows, and at least one for each process.
        held_back: Part of the samples that is never trained on.
    """

    step_tokens: int = 8192
    row_tokens: int = 2048
    rows: int = 1
    held_back: float = 0.0

    def __post_init__(self) -> None:
        if min(self.step_tokens, self.row_tokens, self.rows) < 1 or not 0 <= self.held_back < 1:
            raise ConfigError(f"step_tokens, row_tokens and rows must be at least 1, and held_back below 1: {self}")


class MixedSupply:
    """The supply that a mixture of datasets is.

    Args:
        mixture: Samples without end.
        data: Fingerprints of the datasets.
        tokenizer: Of the model.
        config: Of the model.
        packing: How samples become batches.
        draws: Whether the model shall learn to draw.
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
    ) -> None:
        self._mixture, self._tokenizer, self._config = mixture, tokenizer, config
        self._packing, self._draws = packing, draws
        self._begin = mixture.state()
        self._data = tuple(data)
        self._size = sum(cast("list[int]", self._begin["sizes"]))
        self._stream: Iterator[Sample] | None = None

    @property
    def fingerprint(self) -> str:
        """Tells other data, or another order, from this."""
        kept = {name: self._begin[name] for name in ("seed", "sizes", "weights")}
        return hashlib.sha256(repr((self._data, kept, self._packing)).encode()).hexdigest()

    def portion(self, place: Place | None) -> Portion:
        """What a step learns from, from a place on."""
        wanted = dict(self._begin if place is None else place)
        if self._stream is None or wanted != self._mixture.state():
            self._mixture.restore(wanted)
            self._stream = iter(self._mixture)
        known = len(self._mixture.broken.first)
        samples, broken = self._take(self._stream)
        broken += [f"{each.source}: {each.reason}" for each in self._mixture.broken.first[known:]]
        return Portion(self.batches(samples), self._mixture.state(), tuple(broken))

    def _take(self, stream: Iterator[Sample]) -> tuple[list[Encoded], list[str]]:
        """Samples of a step, and what is wrong with those that were passed over."""
        samples: list[Encoded] = []
        broken: list[str] = []
        passed = tokens = 0
        for passed, sample in enumerate(stream, start=1):
            if not is_held_back(sample.source, self._packing.held_back):
                try:
                    samples.append(self.encode(sample))
                    tokens += len(samples[-1].tokens)
                except DataError as error:
                    broken.append(str(error))
            if tokens >= self._packing.step_tokens:
                break
            if not samples and passed > self._size:
                reason = broken[-1] if broken else "all are held back"
                raise DataError(f"none of {passed} samples can be learnt from: {reason}")
        return samples, broken

    def encode(self, sample: Sample) -> Encoded:
        """Encodes a sample, cut off at a row's end.

        Raises:
            DataError: If nothing of it can be learnt.
        """
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
            kept = (sample for sample in _samples(reader) if is_held_back(sample.source, self._packing.held_back))
            found += islice(self._encoded(kept), ceil(most / len(readers)))
        return self.batches(found)

    def tokens_of(self, readers: Sequence[Reader]) -> float:
        """About how many tokens all samples have, from the lengths of some of each reader."""
        total = 0.0
        for reader in readers:
            numbers = range(0, len(reader), ceil(len(reader) / _MEASURED))
            some = [reader[number] for number in numbers]
            lengths = [len(each.tokens) for each in self._encoded(each for each in some if isinstance(each, Sample))]
            total += len(reader) * sum(lengths) / len(numbers)
        return total * (1 - self._packing.held_back)

    def _encoded(self, samples: Iterable[Sample]) -> Iterator[Encoded]:
        for sample in samples:
            with suppress(DataError):  # counted and named when it comes up in training
                yield self.encode(sample)


def _samples(reader: Reader) -> Iterator[Sample]:
    return (each for each in reader if isinstance(each, Sample))
