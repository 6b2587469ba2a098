"""Deformable attention: each query looks at a few points of a few feature maps, and learns where to look.

`deformable_attention` is the one kernel beneath both the ViT-Adapter, through `DeformableAttention`, and the
multi-image synchronizer of `feature_synchronizer.py`. It is written with `grid_sample`, so it runs on any device.
"""

# B batch, S cells of all levels, N heads, D head width, Q queries, L levels, P points per level, C model width

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmi_agent.errors import ShapeError

__all__ = ["DeformableAttention", "deformable_attention"]


def deformable_attention(
    value_BNDS: Tensor, level_sizes: Sequence[tuple[int, int]], locations_BQNLP2: Tensor, weights_BQNLP: Tensor
) -> Tensor:
    """Samples every level at every location and sums the samples by weight.

    Args:
        value_BNDS: Feature maps of all levels, flattened row by row and joined in the order of `level_sizes`. Cells
            stand last so that a level is a view, never a copy, however many pictures are folded into B.
        level_sizes: (height, width) of each level, in cells; S is their summed area.
        locations_BQNLP2: Sampling points (x, y), normalised to [0, 1]; a sample outside the map is 0.
        weights_BQNLP: Weight of each sample.

    Returns:
        Mixed features, shape (B, Q, N * D), dtype and device of `value_BNDS`.

    Raises:
        ShapeError: If S differs from the summed area of `level_sizes`, or L from their number.

    Source: Deformable DETR, eq. 3 (arXiv:2010.04159); same result as `ms_deform_attn_core_pytorch` in MM-Interleaved.
    """
    B, N, D, S = value_BNDS.shape
    Q, L = locations_BQNLP2.shape[1], locations_BQNLP2.shape[3]
    areas = [height * width for height, width in level_sizes]
    if sum(areas) != S or len(areas) != L:
        raise ShapeError(f"levels {list(level_sizes)!r} need {sum(areas)} cells on {len(areas)} levels, got {S} on {L}")

    # grid_sample wants the heads in the batch, and coordinates in [-1, 1].
    grid_XQLP2 = (2 * locations_BQNLP2 - 1).transpose(1, 2).flatten(0, 1).to(value_BNDS.dtype)
    weights_XQLP = weights_BQNLP.transpose(1, 2).flatten(0, 1)
    mixed_XDQ = value_BNDS.new_zeros(B * N, D, Q)
    for level, map_BNDs in enumerate(torch.split(value_BNDS, areas, dim=-1)):
        map_XDHW = map_BNDs.reshape(B * N, D, *level_sizes[level])
        sample_XDQP = F.grid_sample(map_XDHW, grid_XQLP2[:, :, level], padding_mode="zeros", align_corners=False)
        mixed_XDQ = mixed_XDQ + (sample_XDQP * weights_XQLP[:, None, :, level]).sum(-1)
    return mixed_XDQ.view(B, N * D, Q).transpose(1, 2)


class DeformableAttention(nn.Module):
    """Attention of queries at known places over the feature maps of one picture.

    Args:
        width: Channels of queries, features and result.
        value_width: Channels of the projected features; divisible by `num_heads`.
        num_heads: Attention heads.
        num_levels: Feature maps looked at.
        num_points: Sampling points of each head on each map.

    Source: ViT-Adapter (arXiv:2205.08534), after Deformable DETR.
    """

    def __init__(self, *, width: int, value_width: int, num_heads: int, num_levels: int, num_points: int) -> None:
        super().__init__()
        self.num_heads, self.num_levels, self.num_points = num_heads, num_levels, num_points
        self.offsets = nn.Linear(width, num_heads * num_levels * num_points * 2)
        self.weights = nn.Linear(width, num_heads * num_levels * num_points)
        self.value = nn.Linear(width, value_width)
        self.output = nn.Linear(value_width, width)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Starts with heads that look in evenly spread directions, point p at p cells, all equally weighted."""
        angle_N = torch.arange(self.num_heads) * (2 * math.pi / self.num_heads)
        direction_N2 = torch.stack([angle_N.cos(), angle_N.sin()], -1)
        direction_N2 = direction_N2 / direction_N2.abs().amax(-1, keepdim=True)
        distance_P1 = torch.arange(1.0, self.num_points + 1)[:, None]
        start_NLP2 = (direction_N2[:, None, None] * distance_P1).expand(-1, self.num_levels, -1, -1)
        with torch.no_grad():
            self.offsets.bias.copy_(start_NLP2.reshape(-1))
        for layer in (self.offsets, self.weights):
            nn.init.zeros_(layer.weight)
        for layer in (self.weights, self.value, self.output):
            nn.init.zeros_(layer.bias)
        for layer in (self.value, self.output):
            nn.init.xavier_uniform_(layer.weight)

    def forward(
        self, query_BQC: Tensor, reference_Q2: Tensor, feature_BSC: Tensor, level_sizes: Sequence[tuple[int, int]]
    ) -> Tensor:
        """Looks around each query's place.

        Args:
            query_BQC: What asks.
            reference_Q2: Where each query stands, (x, y) in [0, 1].
            feature_BSC: Feature maps, flattened row by row and joined in the order of `level_sizes`.
            level_sizes: (height, width) of each map, in cells.

        Returns:
            Shape (B, Q, C).

        Raises:
            ShapeError: If `feature_BSC` does not hold the cells of `level_sizes`.
        """
        B, Q, _ = query_BQC.shape
        N, L, P = self.num_heads, self.num_levels, self.num_points
        value_BNDS = self.value(feature_BSC).transpose(1, 2).unflatten(1, (N, -1))
        weights_BQNLP = self.weights(query_BQC).view(B, Q, N, L * P).softmax(-1).view(B, Q, N, L, P)
        # Offsets are in cells of their level.
        cells_L12 = query_BQC.new_tensor([(width, height) for height, width in level_sizes])[:, None]
        offsets_BQNLP2 = self.offsets(query_BQC).view(B, Q, N, L, P, 2) / cells_L12
        locations_BQNLP2 = reference_Q2[:, None, None, None] + offsets_BQNLP2
        return self.output(deformable_attention(value_BNDS, level_sizes, locations_BQNLP2, weights_BQNLP))
