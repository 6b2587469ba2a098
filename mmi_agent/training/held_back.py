"""Samples that are never trained on, and how well the model foretells them."""

# B rows, T tokens, N tokens that count

import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmi_agent.data.packing import Batch
from mmi_agent.models.losses import IGNORED
from mmi_agent.models.mm_interleaved import MMInterleavedConfig
from mmi_agent.training.objective import Costs, share
from mmi_agent.training.processes import Processes

__all__ = ["HeldBack", "is_held_back", "judge"]


class HeldBack(NamedTuple):
    """What the model makes of samples that it was not trained on, given what stands before each token."""

    loss: float
    """Mean cross entropy of the tokens that count, in nats."""
    accuracy: float
    """Share of these tokens that are the likeliest."""
    exact: float
    """Share of samples whose last learnt stretch is right in every token."""
    samples: int
    """Samples with a token that counts."""

    def __str__(self) -> str:
        return f"loss {self.loss:.4f}, {self.accuracy:.1%} of tokens, {self.exact:.1%} of {self.samples} answers right"


def is_held_back(source: str, part: float) -> bool:
    """Whether a sample is one of the part that is held back: decided by its name, the same in every run."""
    if not part:
        return False
    digest = hashlib.sha256(source.encode()).digest()
    return int.from_bytes(digest[:8], "big") < part * 2**64


@torch.no_grad()
def judge(
    objective: nn.Module, batches: Sequence[Batch], config: MMInterleavedConfig, processes: Processes
) -> HeldBack:
    """Reads samples that are held back, each process its rows; the picture loss is left out.

    Args:
        objective: The `Objective`, as the processes share it.
        batches: The samples.
        config: Of the model.
        processes: The processes.
    """
    sums = [0.0] * 5
    for batch in batches:
        part, _ = share(batch, None, config, rank=processes.rank, size=processes.size)
        part = part.to(processes.device)
        with processes.precision():
            costs: Costs = objective(part, None)
        found = (costs.text.item(), int(costs.right.sum()), len(costs.right), *_count_exact(part, costs.right))
        sums = [total + each for total, each in zip(sums, found, strict=True)]
    loss, right, tokens, exact, samples = processes.total(sums)
    return HeldBack(loss / max(tokens, 1), right / max(tokens, 1), exact / max(samples, 1), int(samples))


def _count_exact(batch: Batch, right_N: Tensor) -> tuple[int, int]:
    """Samples whose last learnt stretch is right, and samples."""
    right_BT = torch.ones_like(batch.targets, dtype=torch.bool)
    right_BT[batch.targets != IGNORED] = right_N
    exact = [bool(right_T[stretch_S].all()) for right_T, stretch_S in _last_stretches(batch, right_BT)]
    return sum(exact), len(exact)


def _last_stretches(batch: Batch, right_BT: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """The positions of the last learnt stretch of each sample, with its row."""
    for targets_T, document_T, right_T in zip(batch.targets, batch.layout.document, right_BT, strict=True):
        counts_T = targets_T != IGNORED
        for number in document_T[counts_T].unique():
            places_N = (counts_T & (document_T == number)).nonzero().flatten()
            breaks = (places_N.diff() != 1).nonzero().flatten()
            yield right_T, places_N[int(breaks[-1]) + 1 :] if len(breaks) else places_N
