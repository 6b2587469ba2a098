"""Where a run's batches come from: a place in the data gives a step's batches and the place after them."""

from typing import NamedTuple, Protocol

from mmi_agent.data.packing import Batch

__all__ = ["Portion", "Supply"]


class Portion(NamedTuple):
    """What an optimiser step learns from."""

    batches: tuple[Batch, ...]
    """Read one after the other; their losses are one mean."""
    following: int
    """The place after it."""
    broken: tuple[str, ...] = ()
    """What could not be read on the way, and why."""

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

    def portion(self, place: int) -> Portion:
        """What a step learns from, from a place on: 0, or where another portion ended.

        Raises:
            DataError: If there is nothing that could be used.
        """
        ...
