"""Tables of sines and cosines that tell places apart; computed, never learnt, never stored."""

# L length, G side of a grid, W width

import torch
from torch import Tensor

from mmi_agent.errors import ConfigError

__all__ = ["grid_positions", "line_positions"]


def line_positions(width: int, length: int, *, device: torch.device | str | None = None) -> Tensor:
    """Sines, then cosines, of every place on a line, at rising wavelengths: shape (length, width).

    Raises:
        ConfigError: If the width is odd.
    """
    if width % 2:
        raise ConfigError(f"width {width} of a table of positions is not divisible by 2")
    steps_X = torch.arange(width // 2, device=device, dtype=torch.float32)
    angles_LX = torch.arange(length, device=device, dtype=torch.float32)[:, None] * 10_000.0 ** -(steps_X / (width / 2))
    return torch.cat([angles_LX.sin(), angles_LX.cos()], 1)


def grid_positions(width: int, grid_width: int) -> Tensor:
    """The row's place, then the column's, of every cell of a square: shape (width, grid_width, grid_width).

    Raises:
        ConfigError: If the width is not divisible by 4.
    """
    if width % 4:
        raise ConfigError(f"width {width} of a table of positions is not divisible by 4")
    row_YGG = line_positions(width // 2, grid_width).T[:, :, None].expand(-1, -1, grid_width)
    return torch.cat([row_YGG, row_YGG.transpose(1, 2)])
