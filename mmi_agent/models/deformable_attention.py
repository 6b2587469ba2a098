"""Deformable attention: each query looks at a few points of a few feature maps, and learns where to look.

`deformable_attention` is the one kernel beneath both the ViT-Adapter, through `DeformableAttention`, and the
multi-image synchronizer of `feature_synchronizer.py`. On a GPU with Triton it is the fused kernel of
`deformable_attention_triton.py`; elsewhere it is plain PyTorch, which is also what that one is measured against.
"""

# B batch, I pictures, S cells of all levels, N heads, D head width, Q queries, L levels, P points per level,
# X samples that a head mixes for a query, C model width

import math
from collections.abc import Sequence
from importlib.util import find_spec

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmi_agent.errors import ShapeError

__all__ = ["DeformableAttention", "deformable_attention", "plain_deformable_attention"]

_HAS_TRITON = find_spec("triton") is not None


def deformable_attention(
    value_BISND: Tensor, level_sizes: Sequence[tuple[int, int]], locations_BQNILP2: Tensor, weights_BQNILP: Tensor
) -> Tensor:
    """Samples every level of every picture at every location and sums the samples by weight.

    Args:
        value_BISND: Feature maps of all levels, flattened row by row and joined in the order of `level_sizes`. B may
            be 1 where all rows look at the same pictures.
        level_sizes: (height, width) of each level, in cells; S is their summed area.
        locations_BQNILP2: Sampling points (x, y), normalised to [0, 1]; a sample outside the map is 0. L may be 1
            where a point is at the same place on every level.
        weights_BQNILP: Weight of each sample.

    Returns:
        Mixed features, shape (B, Q, N * D), dtype and device of `value_BISND`; summed in float32.

    Raises:
        ShapeError: If S differs from the summed area of `level_sizes`, or L from their number.

    Source: Deformable DETR, eq. 3 (arXiv:2010.04159); same result as `ms_deform_attn_core_pytorch` in MM-Interleaved.
    """
    areas = [height * width for height, width in level_sizes]
    S, L = value_BISND.shape[2], weights_BQNILP.shape[4]
    if sum(areas) != S or len(areas) != L or locations_BQNILP2.shape[4] not in (1, L):
        raise ShapeError(f"levels {list(level_sizes)!r} need {sum(areas)} cells on {len(areas)} levels, got {S} on {L}")
    if value_BISND.is_cuda and _HAS_TRITON:
        from mmi_agent.models.deformable_attention_triton import fused_deformable_attention

        return fused_deformable_attention(value_BISND, level_sizes, locations_BQNILP2, weights_BQNILP)
    return plain_deformable_attention(value_BISND, level_sizes, locations_BQNILP2, weights_BQNILP)


def plain_deformable_attention(
    value_BISND: Tensor, level_sizes: Sequence[tuple[int, int]], locations_BQNILP2: Tensor, weights_BQNILP: Tensor
) -> Tensor:
    """Does what `deformable_attention` says on any device; shapes are not checked.

    Every sample is four rows of a table, and everything that a head mixes for a query is one bag of rows: PyTorch sums
    bags without storing the rows.
    """
    _, I, S, N, D = value_BISND.shape  # noqa: E741 - the legend's letter
    B, Q = weights_BQNILP.shape[:2]
    device = value_BISND.device
    size_2L1 = torch.tensor(level_sizes, device=device).T.flip(0)[..., None]
    width_L1, height_L1 = size_2L1.unbind()

    # The two cells around a sample along each axis, with their shares. What is short stands first: passes over memory
    # are then long.
    size_2QNIL1 = size_2L1[:, None, None, None]
    cell_2BQNILP = locations_BQNILP2.movedim(-1, 0).float() * size_2QNIL1[:, None] - 0.5
    low_2BQNILP = cell_2BQNILP.floor()
    above_2BQNILP = cell_2BQNILP - low_2BQNILP
    near_22BQNILP = torch.stack([low_2BQNILP, low_2BQNILP + 1], 1)
    share_22BQNILP = torch.stack([1 - above_2BQNILP, above_2BQNILP], 1)
    is_inside_22BQNILP = (near_22BQNILP >= 0) & (near_22BQNILP < size_2QNIL1[:, None, None])
    x_2BQNILP, y_2BQNILP = torch.where(is_inside_22BQNILP, near_22BQNILP, 0.0).int().unbind()
    share_x, share_y = torch.where(is_inside_22BQNILP, share_22BQNILP, 0.0).unbind()

    # The table's rows stand in the order of pictures, cells, heads.
    first_L1 = (width_L1 * height_L1).cumsum(0) - width_L1 * height_L1
    picture_BI = torch.arange(value_BISND.shape[0] * I, device=device).view(-1, I) * S
    first_B1NIL1 = (picture_BI[:, None, None, :, None, None] + first_L1) * N
    first_B1NIL1 = first_B1NIL1 + torch.arange(N, device=device)[:, None, None, None]
    x_2BQNILP = x_2BQNILP * N + first_B1NIL1.int()
    y_2BQNILP = y_2BQNILP * (width_L1 * N).int()
    rows_22BQNILP = y_2BQNILP[:, None] + x_2BQNILP
    weights_22BQNILP = (share_y * weights_BQNILP)[:, None] * share_x
    table_XD = value_BISND.reshape(-1, D)
    table_XD = table_XD.float() if value_BISND.is_cuda else table_XD  # bags of bfloat16 have no gradients there
    mixed_XD = F.embedding_bag(
        rows_22BQNILP.movedim((0, 1), (4, 5)).reshape(B * Q * N, -1),
        table_XD,
        mode="sum",
        per_sample_weights=weights_22BQNILP.movedim((0, 1), (4, 5)).reshape(B * Q * N, -1).to(table_XD.dtype),
    )
    return mixed_XD.view(B, Q, N * D).to(value_BISND.dtype)


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
        value_B1SND = self.value(feature_BSC)[:, None].unflatten(-1, (N, -1))
        weights_BQNLP = self.weights(query_BQC).view(B, Q, N, L * P).softmax(-1).view(B, Q, N, L, P)
        # Offsets are in cells of their level.
        cells_L12 = query_BQC.new_tensor([(width, height) for height, width in level_sizes])[:, None]
        offsets_BQNLP2 = self.offsets(query_BQC).float().view(B, Q, N, L, P, 2) / cells_L12
        locations_BQNLP2 = reference_Q2[:, None, None, None] + offsets_BQNLP2
        mixed_BQC = deformable_attention(
            value_B1SND, level_sizes, locations_BQNLP2[:, :, :, None], weights_BQNLP[:, :, :, None]
        )
        return self.output(mixed_BQC)
