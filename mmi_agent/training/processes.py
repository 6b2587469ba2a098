"""Several processes that train one model: who they are, how they add up, how weights are shared out.

`torchrun` or `accelerate launch` starts them. Each reads all data and takes its rows, so what comes out does not depend
on how many there are.
"""

import os
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from mmi_agent.errors import MissingDependencyError
from mmi_agent.models.language_decoder import DecoderLayer
from mmi_agent.training.objective import Objective

__all__ = ["Processes", "copy_into", "join", "whole"]


@dataclass(frozen=True, kw_only=True)
class Processes:
    """The processes of a run, seen from one of them.

    Attributes:
        rank: Its number.
        size: How many there are.
        device: What it computes on.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def leads(self) -> bool:
        """Whether this one writes files and speaks."""
        return self.rank == 0

    def total(self, values: Sequence[float]) -> list[float]:
        """Adds up each value over all processes."""
        if self.size == 1:
            return list(values)
        sums = torch.tensor(values, dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(sums)
        return sums.tolist()

    def wait(self) -> None:
        """Waits for the others."""
        if self.size > 1:
            torch.distributed.barrier()

    def spread(self, objective: Objective, *, shard: bool) -> nn.Module:
        """Makes a module of which every process has a copy, or a part, and whose gradients are means over all.

        Args:
            objective: The model with its losses, the same in each process.
            shard: Whether a process keeps a part of the weights alone (FSDP2).
        """
        if self.size == 1:
            return objective
        objective.touches_all = True
        if not shard:
            with warnings.catch_warnings(action="ignore", category=FutureWarning):  # of a name that is to be another
                return nn.parallel.DistributedDataParallel(objective, broadcast_buffers=False)
        from torch.distributed.fsdp import fully_shard

        for layer in objective.model.decoder.layers:  # what looks at pictures is asked for outside of its layer too
            assert isinstance(layer, DecoderLayer)
            fully_shard(layer.attention)
            fully_shard(layer.feed_forward)
        fully_shard(objective)  # in place
        return objective

    def precision(self) -> AbstractContextManager[Any]:
        """What is computed in: bfloat16 on a GPU, float32 on a CPU, where bfloat16 is ten times slower."""
        return torch.autocast("cuda", torch.bfloat16) if self.device.type == "cuda" else nullcontext()

    def alone(self, module: nn.Module) -> AbstractContextManager[None]:
        """Keeps gradients in each process, as until the last batch of a step."""
        return module.no_sync() if isinstance(module, nn.parallel.DistributedDataParallel) else nullcontext()


def join() -> Processes:
    """Joins the processes that were started together; a process by itself is one.

    Raises:
        MissingDependencyError: If there are several and accelerate is not installed.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Processes(device=device)
    try:
        accelerate: Any = import_module("accelerate")
    except ImportError as error:
        raise MissingDependencyError(
            f"several processes need accelerate ({error}): python -m pip install 'mmi-agent[train]'"
        ) from error
    state = accelerate.PartialState(cpu=device.type == "cpu")
    return Processes(rank=state.process_index, size=state.num_processes, device=state.device)


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor, wherever its parts are, on the CPU; asked for by all processes at once."""
    tensor = tensor.detach()
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).cpu().contiguous()


def copy_into(target: Tensor, values: Tensor) -> None:
    """Writes values into a tensor, or this process's part of them into its part."""
    with torch.no_grad():
        if isinstance(target, DTensor):
            values = distribute_tensor(values.to(target.device), target.device_mesh, target.placements)
        target.copy_(values)
