"""Keeping a part of the model where there is room, and bringing it where it is needed for as long as it is needed."""

from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import nn

__all__ = ["brought_to"]


@contextmanager
def brought_to(module: nn.Module, device: torch.device) -> Generator[None]:
    """Has a module on a device inside, and where it was before outside.

    An image decoder that was sent away, `model.image_decoder.to("cpu")`, is so brought for each drawing: on a GPU the
    2 GB of `full` take less than a second each way.
    """
    home = next(module.parameters()).device
    if home == device:
        yield
        return
    module.to(device)
    try:
        yield
    finally:
        module.to(home)
