"""The kernel beneath every look at a picture: plain PyTorch, by maps and by bags, and the fused one on a GPU.

    python benchmarks/bench_deformable.py [--device cpu]

Shapes of a decoded token, of a prompt, and of the UNet's finest skip, at the sizes of `--size`; inputs are new at every
run. Prints milliseconds of each, forward alone and forward with backward, their ratios to "maps" (grid_sample, as
usual), and the floor: inputs read once and results written once at the measured speed of a copy. Errors are the largest
difference from "maps" in float64, relative to the largest value, of the result and of the gradients of features, places
and weights; those of bfloat16 are from the same bfloat16 features, which plain PyTorch sums gradients in, so that only
the fused kernel is judged there. Ends with 1 if one is larger than it may be.
"""

# B batch, I pictures, S cells of all levels, N heads, D head width, Q queries, L levels, P points per level
# ruff: noqa: E741 - the legend's I

import argparse
import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from sizes import attempt, benchmark, config_of, copy_bytes_per_s, finish, note, on, rounded, seconds
from torch import Tensor
from torch.nn import functional as F

from mmi_agent.models.deformable_attention import deformable_attention, plain_deformable_attention

Kernel = Callable[[Tensor, Sequence[tuple[int, int]], Tensor, Tensor], Tensor]
_ALLOWED = {"float32": 1e-4, "bfloat16": 2**-7, "float16": 2**-9}  # sums in another order; two steps of bfloat16


class Case(NamedTuple):
    """What a kernel is given."""

    value: Tensor
    """(B, I, S, N, D)."""
    sizes: list[tuple[int, int]]
    places: Tensor
    """(B, Q, N, I, 1, P, 2)."""
    weights: Tensor
    """(B, Q, N, I, L, P)."""

    @classmethod
    def random(cls, shape: tuple[int, int, int], sizes: list[tuple[int, int]], heads: tuple[int, int, int]) -> "Case":
        """Draws one: some samples are outside of their map, none is where gradients jump, between cells' middles."""
        (B, Q, I), (N, D, P), L = shape, heads, len(sizes)
        steps = 2 * max(map(max, sizes))  # the middles of all levels, whose sides are powers of 2, lie on steps
        value_1ISND = torch.randn(1, I, sum(height * width for height, width in sizes), N, D)
        where = (B, Q, N, I, 1, P, 2)
        step = torch.randint(-(steps // 10), steps + steps // 10, where).float()
        places = (step + 0.1 + 0.8 * torch.rand(where, dtype=torch.float32)) / steps
        weights = torch.rand(B, Q, N, I, L, P, dtype=torch.float32) / (I * L * P)
        return cls(value_1ISND.expand(B, -1, -1, -1, -1), sizes, places, weights)

    def asking(self, dtype: torch.dtype | None = None) -> "Case":
        """A copy whose tensors want gradients; the features are in the given precision, or as they are."""
        value = self.value[:1].to(dtype or self.value.dtype).detach().clone().requires_grad_()
        wide = dtype if dtype == torch.float64 else torch.float32
        places, weights = (each.to(wide).detach().clone().requires_grad_() for each in (self.places, self.weights))
        return Case(value.expand(*self.value.shape), self.sizes, places, weights)

    def gradients(self, kernel: Kernel, passed_BQX: Tensor) -> tuple[Tensor, ...]:
        """What a kernel returns, and the gradients of features, places and weights."""
        mixed_BQX = kernel(*self)
        given = (self.value, self.places, self.weights)
        return (mixed_BQX, *torch.autograd.grad(mixed_BQX, given, passed_BQX.to(mixed_BQX.dtype)))

    def bytes_needed(self) -> int:
        """Bytes of a forward pass that touches each cell at most once and each other number once."""
        (B, I, S, N, D), (Q, L, P) = self.value.shape, (self.weights.shape[1], *self.weights.shape[4:])
        size = self.value.element_size()
        touched = min(S, 4 * Q * L * P) * I * N * D * size
        return touched + 4 * (self.places.numel() + self.weights.numel()) + B * Q * N * D * size


def by_maps(value_BISND: Tensor, sizes: Sequence[tuple[int, int]], places: Tensor, weights_BQNILP: Tensor) -> Tensor:
    """The usual way in PyTorch: every level of every picture is a map, and every sample is stored."""
    B, I, _, N, D = value_BISND.shape
    Q = places.shape[1]
    grid_XQLP2 = (2 * places - 1).permute(0, 3, 2, 1, 4, 5, 6).flatten(0, 2).to(value_BISND.dtype)
    weights_XQLP = weights_BQNILP.permute(0, 3, 2, 1, 4, 5).flatten(0, 2)
    mixed_XDQ = value_BISND.new_zeros(B * I * N, D, Q)
    for level, cells in enumerate(torch.split(value_BISND, [height * width for height, width in sizes], 2)):
        map_XDHW = cells.permute(0, 1, 3, 4, 2).reshape(B * I * N, D, *sizes[level])
        grid_XQP2 = grid_XQLP2[:, :, min(level, grid_XQLP2.shape[2] - 1)]
        sample_XDQP = F.grid_sample(map_XDHW, grid_XQP2, padding_mode="zeros", align_corners=False)
        mixed_XDQ = mixed_XDQ + (sample_XDQP * weights_XQLP[:, None, :, level]).sum(-1)
    return mixed_XDQ.view(B, I, N * D, Q).sum(1).transpose(1, 2)


def in_float64(value: Tensor, sizes: Sequence[tuple[int, int]], places: Tensor, weights: Tensor) -> Tensor:
    """What is right: the usual way, in float64."""
    return by_maps(value.double(), sizes, places.double(), weights.double())


def error(given: Tensor, expected: Tensor) -> float:
    return float((given.detach().double() - expected.detach()).abs().max() / expected.abs().max())


def errors(case: Case, kernels: dict[str, Kernel]) -> dict[str, list[float]]:
    """Of each kernel: result, then gradients of features, places and weights."""
    B, _, _, N, D = case.value.shape
    passed_BQX = torch.randn(B, case.weights.shape[1], N * D, device=case.value.device, dtype=case.value.dtype)
    expected = case.asking(torch.float64).gradients(in_float64, passed_BQX)
    found: dict[str, list[float]] = {}
    for name, kernel in kernels.items():
        given = case.asking().gradients(kernel, passed_BQX)
        found[name] = [rounded(error(a, b)) for a, b in zip(given, expected, strict=True)]
    return found


def times(case: Case, kernels: dict[str, Kernel], options: argparse.Namespace, speed: float) -> dict[str, object]:
    """Milliseconds of each kernel, forward alone, and forward with backward."""
    B, _, _, N, D = case.value.shape
    passed_BQX = torch.randn(B, case.weights.shape[1], N * D, device=case.value.device, dtype=case.value.dtype)
    asking = case.asking()
    both = {name: seconds(partial(asking.gradients, kernel, passed_BQX), options) for name, kernel in kernels.items()}
    with torch.inference_mode():
        forward = {name: seconds(partial(kernel, *case), options) for name, kernel in kernels.items()}
    return {
        "forward_ms": {name: rounded(1e3 * forward[name]) for name in kernels},
        "both_ms": {name: rounded(1e3 * both[name]) for name in kernels},
        "forward_times_as_fast_as_maps": {name: rounded(forward["maps"] / forward[name]) for name in kernels},
        "both_times_as_fast_as_maps": {name: rounded(both["maps"] / both[name]) for name in kernels},
        "floor_forward_ms": rounded(1e3 * case.bytes_needed() / speed),
    }


def shapes_of(options: argparse.Namespace) -> dict[str, tuple[tuple[int, int, int], list[tuple[int, int]]]]:
    """(rows, queries, pictures) and levels of each use."""
    config = config_of(options.size, draws=True)
    synchronizer, hand = config.decoder.synchronizer, config.image_decoder
    assert synchronizer is not None and hand is not None
    levels, places = synchronizer.level_sizes, hand.denoiser.latent_width**2
    finest = [(width, width) for width in hand.denoiser.level_widths]
    return {
        "token, 8 pictures": ((1, 1, 8), levels),
        "prompt of 128, 8 pictures": ((1, 128, 8), levels),
        f"UNet, {places} places, 1 picture": ((2, places, 1), finest),
    }


def main() -> None:
    parser = benchmark(__doc__, rounds=20)
    parser.add_argument("--dtypes", nargs="+", choices=list(_ALLOWED), help="the default is --dtype")
    options = parser.parse_args()
    synchronizer = config_of(options.size).decoder.synchronizer
    assert synchronizer is not None
    N, P = synchronizer.num_heads, synchronizer.num_points
    heads, seed = (N, synchronizer.value_width // N, P), random.SystemRandom().randrange(10**6)
    kernels: dict[str, Kernel] = {"maps": by_maps, "bags": plain_deformable_attention}
    if options.device != "cpu":
        kernels["fused"] = deformable_attention
    results: dict[str, object] = {}
    failed: list[str] = []
    with on(options):
        speed = copy_bytes_per_s(options)
    for dtype in options.dtypes or [options.dtype]:
        for name, (shape, sizes) in shapes_of(options).items():
            options.dtype = dtype
            with on(options), torch.inference_mode(False):
                torch.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType]
                case = Case.random(shape, sizes, heads)
            found = errors(case, {key: kernels[key] for key in kernels if key != "maps"})
            judged = [key for key in found if key == "fused" or dtype == "float32"]
            wrong = [key for key in judged if not max(found[key]) <= _ALLOWED[dtype]]
            failed += [f"{key}: {name}, {dtype}" for key in wrong]
            results[f"{name}, {dtype}"] = {"errors": found, "failed": wrong}
            note(options, case=name, errors=found, failed=wrong)
            taken = attempt(partial(times, case, kernels, options, speed))
            results[f"{name}, {dtype}"] = {"errors": found, "failed": wrong, "times": taken}
    finish(options, seed=seed, copy_bytes_per_s=rounded(speed), allowed=_ALLOWED, cases=results, failed=failed)
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
