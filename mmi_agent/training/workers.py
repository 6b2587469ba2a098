"""Processes that make data ready ahead of training, in order, each by the number of its place."""

import signal
from collections.abc import Iterable
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

__all__ = ["loader"]


def loader(dataset: "Dataset[Any]", places: Iterable[int], *, workers: int, ahead: int, pinned: bool = False) -> Any:
    """Gives what a dataset holds at each of some places, as it is and in their order.

    Args:
        dataset: By place.
        places: Maybe without end.
        workers: Processes; 0 reads here.
        ahead: Places that each of them reads ahead.
        pinned: Whether tensors come in pinned memory.
    """
    several: dict[str, Any] = {"prefetch_factor": ahead, "multiprocessing_context": "fork"} if workers else {}
    return DataLoader(
        dataset,
        batch_size=None,
        sampler=places,
        num_workers=workers,
        collate_fn=_as_it_is,
        worker_init_fn=_begin,
        pin_memory=pinned,
        **several,
    )


def _as_it_is(made: Any) -> Any:
    return made


def _begin(_worker: int) -> None:
    """Leaves signals to the process that trains, and the other cores to the other workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)
