"""The kernel beneath every look at a picture: plain PyTorch, by maps and by bags, and the fused one on a GPU.

    python benchmarks/bench_deformable.py [--device cpu]

Shapes of a decoded token, of a prompt, and of the UNet's finest skip, at the sizes of `--size`. Prints milliseconds of
each, their ratios to "maps" (grid_sample, as usual), the largest difference from it relative to the largest value, and
the floor: inputs read once and results written once at the measured speed of a copy. The fused kernel needs a GPU with
Triton; its numbers are proven on CPUs by tests/models/test_deformable_attention.py.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from sizes import benchmark, config_of, copy_bytes_per_s, finish, on, rounded, seconds
from torch import Tensor
from torch.nn import functional as F

from mmi_agent.models.deformable_attention import deformable_attention, plain_deformable_attention

Kernel = Callable[[Tensor, Sequence[tuple[int, int]], Tensor, Tensor], Tensor]


def by_maps(value_BISND: Tensor, sizes: Sequence[tuple[int, int]], places: Tensor, weights_BQNILP: Tensor) -> Tensor:
    """The usual way in PyTorch: every level of every picture is a map, and every sample is stored."""
    B, I, _, N, D = value_BISND.shape  # noqa: E741
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


def main() -> None:
    options = benchmark(__doc__).parse_args()
    synchronizer = config_of(options.size).decoder.synchronizer
    denoiser = getattr(config_of(options.size, draws=True).image_decoder, "denoiser", None)
    assert synchronizer is not None
    N, D, P = synchronizer.num_heads, synchronizer.value_width // synchronizer.num_heads, synchronizer.num_points
    levels = synchronizer.level_sizes
    finest = [(2 * levels[0][0], 2 * levels[0][1]), *levels]
    places = denoiser.latent_width**2 if denoiser else 1024
    shapes = {
        "token, 8 pictures": (1, 1, 8, levels),
        "prompt of 128, 8 pictures": (1, 128, 8, levels),
        f"UNet, {places} places, 1 picture": (2, places, 1, finest),
    }
    kernels: dict[str, Kernel] = {"maps": by_maps, "bags": plain_deformable_attention}
    if options.device != "cpu":
        kernels["fused"] = deformable_attention
    results: dict[str, object] = {}
    with on(options):
        speed = copy_bytes_per_s(options)
        for name, (B, Q, I, sizes) in shapes.items():  # noqa: E741
            S, L = sum(height * width for height, width in sizes), len(sizes)
            value_1ISND = torch.randn(1, I, S, N, D)
            value_BISND = value_1ISND.expand(B, -1, -1, -1, -1)
            where = torch.rand(B, Q, N, I, 1, P, 2, dtype=torch.float32)
            weights = torch.rand(B, Q, N, I, L, P, dtype=torch.float32) / (I * L * P)
            touched = min(S, 4 * Q * L * P) * I * N * D * value_1ISND.element_size()
            needed = touched + 4 * (where.numel() + weights.numel()) + B * Q * N * D * value_1ISND.element_size()
            expected = by_maps(value_BISND.float(), sizes, where, weights)
            given = (value_BISND, sizes, where, weights)
            taken = {kernel: seconds(partial(run, *given), options) for kernel, run in kernels.items()}
            results[name] = {
                "ms": {kernel: rounded(1e3 * taken[kernel]) for kernel in kernels},
                "times_as_fast_as_maps": {kernel: rounded(taken["maps"] / taken[kernel]) for kernel in kernels},
                "floor_ms": rounded(1e3 * needed / speed),
                "error": {
                    kernel: rounded(float((run(*given).float() - expected).abs().max()) / float(expected.abs().max()))
                    for kernel, run in kernels.items()
                },
            }
    finish(options, copy_bytes_per_s=rounded(speed), shapes=results)


if __name__ == "__main__":
    main()
