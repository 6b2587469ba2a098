"""Run by test_deformable_attention.py in a process of its own: Triton decides when it is imported whether to interpret.

Prints the largest error of the fused kernel against the plain one, relative to the largest value, of each case.
"""

import json
import sys

import torch

from mmi_agent.models.deformable_attention import plain_deformable_attention
from mmi_agent.models.deformable_attention_triton import fused_deformable_attention

# rows, rows of pictures, pictures, queries, heads, width of a head, points, levels, whether levels share places
CASES = [
    (2, 2, 1, 5, 2, 5, 3, [(4, 3), (1, 2)], False),
    (2, 1, 3, 1, 1, 8, 2, [(5, 5), (3, 3)], True),
]


def error(given: torch.Tensor, expected: torch.Tensor) -> float:
    return float((given.float() - expected.float()).abs().max() / expected.abs().max())


def main(seed: int) -> None:
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    errors: dict[str, list[float]] = {"float32": [], "bfloat16": []}
    for B, rows, I, Q, N, D, P, sizes, shared in CASES:  # noqa: E741
        S, L = sum(height * width for height, width in sizes), len(sizes)
        places = torch.rand(B, Q, N, I, 1 if shared else L, P, 2) * 1.8 - 0.4  # some outside
        weights = torch.randn(B, Q, N, I, L, P)
        for dtype in errors:
            value = torch.randn(rows, I, S, N, D).to(getattr(torch, dtype)).requires_grad_()
            inputs = (value, places.clone().requires_grad_(), weights.clone().requires_grad_())
            plain = plain_deformable_attention(value.float(), sizes, *inputs[1:])
            fused = fused_deformable_attention(value, sizes, *inputs[1:])
            passed = torch.randn_like(plain)
            expected = torch.autograd.grad(plain, inputs, passed)
            given = torch.autograd.grad(fused, inputs, passed.to(fused.dtype))
            errors[dtype] += [error(a, b) for a, b in zip((fused, *given), (plain, *expected), strict=True)]
    # A buffer with room for more pictures, several rows of it: rows are apart.
    buffer, sizes = torch.randn(2, 4, 6, 1, 2), [(2, 3)]
    view, places, weights = buffer[:, :3], torch.rand(2, 1, 1, 3, 1, 2, 2), torch.randn(2, 1, 1, 3, 1, 2)
    plain = plain_deformable_attention(view, sizes, places, weights)
    errors["float32"].append(error(fused_deformable_attention(view, sizes, places, weights), plain))
    sides = [side for size in sizes for side in size]
    arguments = (view.contiguous().requires_grad_(), sides, places, weights)
    torch.library.opcheck(torch.ops.mmi_agent.deformable_attention.default, arguments)
    print(json.dumps(errors))


main(int(sys.argv[1]))
