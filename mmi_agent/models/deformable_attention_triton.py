"""The fused kernel of deformable attention, in Triton: no sample is ever stored, sums are in float32.

Imported only where it is used: Triton comes with PyTorch for GPUs, and nowhere else. Ours because no library's would
do: mmcv's operator is no longer kept up, the one of the `kernels` hub has to be fetched from a hub at run time, and
either knows neither bfloat16 sums in float32 nor several pictures at once. `plain_deformable_attention` is its
reference. `TRITON_INTERPRET=1` runs it on a CPU, slowly, for tests.
"""

# B batch, I pictures, S cells of all levels, N heads, D head width, Q queries, L levels, P points per level,
# Z parts that pictures are split into
# ruff: noqa: E741 - the legend's I

# Triton's language has no types that a checker could follow.
# pyright: basic, reportArgumentType=false, reportAssignmentType=false, reportGeneralTypeIssues=false
# pyright: reportIndexIssue=false, reportMissingImports=false

from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

__all__ = ["fused_deformable_attention"]

_ENOUGH_PROGRAMS = 1024  # with fewer, pictures are looked at side by side and summed at the end


def fused_deformable_attention(
    value_BISND: Tensor, level_sizes: Sequence[tuple[int, int]], locations_BQNILP2: Tensor, weights_BQNILP: Tensor
) -> Tensor:
    """Does what `deformable_attention` says, for a GPU, with gradients; shapes are not checked."""
    sizes = [side for size in level_sizes for side in size]
    return _forward(value_BISND, sizes, locations_BQNILP2.float(), weights_BQNILP.float())


@triton.jit
def _sides(place, size: tl.constexpr):
    """The two cells around places along an axis, whether they are inside, and how far the places are from the first."""
    cell = place * size - 0.5
    low = tl.floor(cell)
    first = low.to(tl.int32)
    return first, (first >= 0) & (first < size), (first >= -1) & (first < size - 1), cell - low


@triton.jit
def _forward_kernel(
    value,
    locations,
    weights,
    mixed,
    queries,
    pictures,
    pictures_each,
    value_stride,
    part_stride,
    HEIGHTS: tl.constexpr,
    WIDTHS: tl.constexpr,
    STARTS: tl.constexpr,
    CELLS: tl.constexpr,
    HEADS: tl.constexpr,
    WIDTH: tl.constexpr,
    PADDED_WIDTH: tl.constexpr,
    POINTS: tl.constexpr,
    PADDED_POINTS: tl.constexpr,
    PLACES: tl.constexpr,  # levels that have places of their own: all, or 1
    BLOCK: tl.constexpr,
):
    levels: tl.constexpr = len(HEIGHTS)
    row = (tl.program_id(1) // HEADS).to(tl.int64)
    head = tl.program_id(1) % HEADS
    # A tile's rows are the points of a few queries, its columns are channels.
    point = tl.arange(0, BLOCK * PADDED_POINTS) % PADDED_POINTS
    query = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK * PADDED_POINTS) // PADDED_POINTS
    channel = tl.arange(0, PADDED_WIDTH)
    is_point = (query < queries) & (point < POINTS)
    is_channel = channel < WIDTH
    asked = (row * queries + query) * HEADS + head  # which query and head

    total = tl.zeros((BLOCK * PADDED_POINTS, PADDED_WIDTH), tl.float32)
    first_picture = tl.program_id(2) * pictures_each
    for picture in range(first_picture, tl.minimum(first_picture + pictures_each, pictures)):
        table = value + row * value_stride + picture * (CELLS * HEADS * WIDTH) + head * WIDTH + channel
        sight = asked * pictures + picture
        for level in tl.static_range(levels):
            weight = tl.load(weights + (sight * levels + level) * POINTS + point, mask=is_point, other=0.0)
            at = locations + ((sight * PLACES + level % PLACES) * POINTS + point) * 2
            x = tl.load(at, mask=is_point, other=0.0)
            y = tl.load(at + 1, mask=is_point, other=0.0)
            left, is_left, is_right, from_left = _sides(x, WIDTHS[level])
            top, is_top, is_bottom, from_top = _sides(y, HEIGHTS[level])
            corner = STARTS[level] + top * WIDTHS[level] + left
            seen = is_point & (weight != 0.0)
            for down in tl.static_range(2):
                for right in tl.static_range(2):
                    inside = seen & (is_bottom if down else is_top) & (is_right if right else is_left)
                    share = (from_top if down else 1 - from_top) * (from_left if right else 1 - from_left)
                    cell = corner + down * WIDTHS[level] + right
                    sample = tl.load(
                        table[None, :] + cell[:, None] * (HEADS * WIDTH),
                        mask=inside[:, None] & is_channel[None, :],
                        other=0.0,
                    )
                    total += (weight * share)[:, None] * sample.to(tl.float32)
    summed = tl.sum(tl.reshape(total, (BLOCK, PADDED_POINTS, PADDED_WIDTH)), 1)
    query = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    asked = (row * queries + query) * HEADS + head
    out = mixed + tl.program_id(2).to(tl.int64) * part_stride + asked[:, None] * WIDTH + channel[None, :]
    tl.store(out, summed.to(mixed.dtype.element_ty), mask=(query < queries)[:, None] & is_channel[None, :])


@triton.jit
def _backward_kernel(
    gradient,
    value,
    locations,
    weights,
    value_gradient,
    location_gradient,
    weight_gradient,
    queries,
    pictures,
    value_stride,
    HEIGHTS: tl.constexpr,
    WIDTHS: tl.constexpr,
    STARTS: tl.constexpr,
    CELLS: tl.constexpr,
    HEADS: tl.constexpr,
    WIDTH: tl.constexpr,
    PADDED_WIDTH: tl.constexpr,
    POINTS: tl.constexpr,
    PADDED_POINTS: tl.constexpr,
    PLACES: tl.constexpr,
    BLOCK: tl.constexpr,
):
    levels: tl.constexpr = len(HEIGHTS)
    row = (tl.program_id(1) // HEADS).to(tl.int64)
    head = tl.program_id(1) % HEADS
    point = tl.arange(0, BLOCK * PADDED_POINTS) % PADDED_POINTS
    query = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK * PADDED_POINTS) // PADDED_POINTS
    channel = tl.arange(0, PADDED_WIDTH)
    is_point = (query < queries) & (point < POINTS)
    is_channel = channel < WIDTH
    asked = (row * queries + query) * HEADS + head
    passed = tl.load(
        gradient + asked[:, None] * WIDTH + channel[None, :], mask=is_point[:, None] & is_channel[None, :], other=0.0
    ).to(tl.float32)

    picture = tl.program_id(2)
    first = row * value_stride + picture * (CELLS * HEADS * WIDTH) + head * WIDTH + channel
    sight = asked * pictures + picture
    for level in tl.static_range(levels):
        sampled = (sight * levels + level) * POINTS + point
        weight = tl.load(weights + sampled, mask=is_point, other=0.0)
        at = locations + ((sight * PLACES + level % PLACES) * POINTS + point) * 2
        x = tl.load(at, mask=is_point, other=0.0)
        y = tl.load(at + 1, mask=is_point, other=0.0)
        left, is_left, is_right, from_left = _sides(x, WIDTHS[level])
        top, is_top, is_bottom, from_top = _sides(y, HEIGHTS[level])
        corner = STARTS[level] + top * WIDTHS[level] + left
        of_weight = tl.zeros((BLOCK * PADDED_POINTS,), tl.float32)
        of_x = tl.zeros((BLOCK * PADDED_POINTS,), tl.float32)
        of_y = tl.zeros((BLOCK * PADDED_POINTS,), tl.float32)
        for down in tl.static_range(2):
            for right in tl.static_range(2):
                inside = is_point & (is_bottom if down else is_top) & (is_right if right else is_left)
                across = from_left if right else 1 - from_left
                along = from_top if down else 1 - from_top
                cell = corner + down * WIDTHS[level] + right
                place = first[None, :] + cell[:, None] * (HEADS * WIDTH)
                mask = inside[:, None] & is_channel[None, :]
                sample = tl.load(value + place, mask=mask, other=0.0).to(tl.float32)
                agreement = tl.sum(passed * sample, 1)
                of_weight += across * along * agreement
                of_x += (along if right else -along) * agreement
                of_y += (across if down else -across) * agreement
                added = (weight * across * along)[:, None] * passed
                tl.atomic_add(value_gradient + place, added, mask=mask, sem="relaxed")
        tl.store(weight_gradient + sampled, of_weight, mask=is_point)
        tl.store(location_gradient + sampled * 2, of_x * weight * WIDTHS[level], mask=is_point)
        tl.store(location_gradient + sampled * 2 + 1, of_y * weight * HEIGHTS[level], mask=is_point)


@torch.library.custom_op("mmi_agent::deformable_attention", mutates_args=())
def _forward(value_BISND: Tensor, sizes: list[int], locations_BQNILP2: Tensor, weights_BQNILP: Tensor) -> Tensor:
    B, Q, N, I = weights_BQNILP.shape[:4]
    D = value_BISND.shape[-1]
    value_BISND = _inner_contiguous(value_BISND)
    block = _block(Q)
    programs = triton.cdiv(Q, block) * B * N
    parts = I if programs < _ENOUGH_PROGRAMS else 1
    dtype = value_BISND.dtype if parts == 1 else torch.float32
    mixed_ZBQX = value_BISND.new_empty(parts, B, Q, N * D, dtype=dtype)
    if mixed_ZBQX.numel():
        _forward_kernel[(triton.cdiv(Q, block), B * N, parts)](
            value_BISND,
            locations_BQNILP2.contiguous(),
            weights_BQNILP.contiguous(),
            mixed_ZBQX,
            Q,
            I,
            triton.cdiv(I, parts),
            _row_stride(value_BISND),
            mixed_ZBQX.stride(0),
            BLOCK=block,
            **_constants(value_BISND, sizes, locations_BQNILP2),
        )
    return mixed_ZBQX[0] if parts == 1 else mixed_ZBQX.sum(0).to(value_BISND.dtype)


@_forward.register_fake
def _(value_BISND: Tensor, sizes: list[int], locations_BQNILP2: Tensor, weights_BQNILP: Tensor) -> Tensor:
    B, Q, N = weights_BQNILP.shape[:3]
    return value_BISND.new_empty(B, Q, N * value_BISND.shape[-1])


@torch.library.custom_op("mmi_agent::deformable_attention_backward", mutates_args=())
def _backward(
    gradient_BQX: Tensor, value_BISND: Tensor, sizes: list[int], locations_BQNILP2: Tensor, weights_BQNILP: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    B, Q, N, I = weights_BQNILP.shape[:4]
    value_BISND = value_BISND.contiguous()
    block = _block(Q)
    # Rows of many queries meet in one cell: what they add is summed in float32.
    of_value_BISND = torch.zeros_like(value_BISND, dtype=torch.float32)
    of_weights_BQNILP = torch.empty_like(weights_BQNILP, memory_format=torch.contiguous_format)
    of_locations_BQNILP2 = weights_BQNILP.new_empty(*weights_BQNILP.shape, 2)
    if weights_BQNILP.numel():
        _backward_kernel[(triton.cdiv(Q, block), B * N, I)](
            gradient_BQX.contiguous(),
            value_BISND,
            locations_BQNILP2.contiguous(),
            weights_BQNILP.contiguous(),
            of_value_BISND,
            of_locations_BQNILP2,
            of_weights_BQNILP,
            Q,
            I,
            _row_stride(value_BISND),
            BLOCK=block,
            **_constants(value_BISND, sizes, locations_BQNILP2),
        )
    if locations_BQNILP2.shape[4] != weights_BQNILP.shape[4]:
        of_locations_BQNILP2 = of_locations_BQNILP2.sum(4, keepdim=True)
    return of_value_BISND.to(value_BISND.dtype), of_locations_BQNILP2, of_weights_BQNILP


@_backward.register_fake
def _(
    gradient_BQX: Tensor, value_BISND: Tensor, sizes: list[int], locations_BQNILP2: Tensor, weights_BQNILP: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    like = (value_BISND, locations_BQNILP2, weights_BQNILP)
    value, locations, weights = (torch.empty_like(given, memory_format=torch.contiguous_format) for given in like)
    return value, locations, weights


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    value_BISND, ctx.sizes, locations_BQNILP2, weights_BQNILP = inputs
    ctx.save_for_backward(value_BISND, locations_BQNILP2, weights_BQNILP)


def _gradients(ctx: Any, gradient_BQX: Tensor) -> tuple[Tensor | None, ...]:
    value_BISND, locations_BQNILP2, weights_BQNILP = ctx.saved_tensors
    of_value, of_locations, of_weights = _backward(
        gradient_BQX, value_BISND, ctx.sizes, locations_BQNILP2, weights_BQNILP
    )
    return of_value, None, of_locations, of_weights


_forward.register_autograd(_gradients, setup_context=_keep)


def _block(num_queries: int) -> int:
    """Queries of a program: a single token needs no room for more."""
    return min(4, triton.next_power_of_2(num_queries))


def _inner_contiguous(value_BISND: Tensor) -> Tensor:
    """Rows may be apart, as in a buffer with room for more pictures; the rest of a row stands in one piece."""
    return value_BISND if value_BISND[:1].is_contiguous() else value_BISND.contiguous()


def _row_stride(value_BISND: Tensor) -> int:
    return 0 if value_BISND.shape[0] == 1 else value_BISND.stride(0)


def _constants(value_BISND: Tensor, sizes: list[int], locations_BQNILP2: Tensor) -> dict[str, Any]:
    heights, widths = tuple(sizes[::2]), tuple(sizes[1::2])
    areas = [height * width for height, width in zip(heights, widths, strict=True)]
    _, _, S, N, D = value_BISND.shape
    return {
        "HEIGHTS": heights,
        "WIDTHS": widths,
        "STARTS": tuple(sum(areas[:level]) for level in range(len(areas))),
        "CELLS": S,
        "HEADS": N,
        "WIDTH": D,
        "PADDED_WIDTH": triton.next_power_of_2(D),
        "POINTS": locations_BQNILP2.shape[5],
        "PADDED_POINTS": triton.next_power_of_2(locations_BQNILP2.shape[5]),
        "PLACES": locations_BQNILP2.shape[4],
    }
