import json
import math
import os
import random
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from mmi_agent.errors import ShapeError
from mmi_agent.models.deformable_attention import deformable_attention


def bilinear(value_DHW, x, y):
    """One sample, from the definition: cell (i, j) has its middle at ((j + 0.5) / width, (i + 0.5) / height)."""
    _, height, width = value_DHW.shape
    column, row = x * width - 0.5, y * height - 0.5
    total = torch.zeros(value_DHW.shape[0])
    for i in (math.floor(row), math.floor(row) + 1):
        for j in (math.floor(column), math.floor(column) + 1):
            if 0 <= i < height and 0 <= j < width:
                total += (1 - abs(row - i)) * (1 - abs(column - j)) * value_DHW[:, i, j]
    return total


def test_equals_a_loop_over_every_sample():
    B, N, D, Q, P = 2, 3, 4, 5, 2
    sizes = [(4, 3), (1, 2)]
    value_BSND = torch.randn(B, 14, N, D)
    locations_BQNLP2 = torch.rand(B, Q, N, 2, P, 2) * 1.6 - 0.3  # some outside
    weights_BQNLP = torch.randn(B, Q, N, 2, P)

    expected_BQND = torch.zeros(B, Q, N, D)
    for b, q, n, level, p in torch.cartesian_prod(*map(torch.arange, (B, Q, N, 2, P))).tolist():
        start, (height, width) = sum(h * w for h, w in sizes[:level]), sizes[level]
        map_DHW = value_BSND[b, start : start + height * width, n].T.unflatten(1, (height, width))
        x, y = locations_BQNLP2[b, q, n, level, p].tolist()
        expected_BQND[b, q, n] += weights_BQNLP[b, q, n, level, p] * bilinear(map_DHW, x, y)

    mixed_BQC = deformable_attention(
        value_BSND[:, None], sizes, locations_BQNLP2[:, :, :, None], weights_BQNLP[:, :, :, None]
    )
    torch.testing.assert_close(mixed_BQC, expected_BQND.flatten(2))


def test_cells_that_do_not_fit_the_levels_are_refused():
    with pytest.raises(ShapeError, match="need 14 cells on 2 levels, got 13 on 2"):
        deformable_attention(
            torch.zeros(1, 1, 13, 1, 1),
            [(4, 3), (1, 2)],
            torch.zeros(1, 1, 1, 1, 2, 1, 2),
            torch.zeros(1, 1, 1, 1, 2, 1),
        )


def test_queries_may_share_pictures_and_levels_may_share_places():
    value_1ISND = torch.randn(1, 3, 14, 2, 4)
    value_BISND = value_1ISND.expand(2, -1, -1, -1, -1)
    sizes = [(4, 3), (1, 2)]
    locations_BQNI1P2 = torch.rand(2, 5, 2, 3, 1, 3, 2) * 1.6 - 0.3
    weights_BQNILP = torch.randn(2, 5, 2, 3, 2, 3)
    alone = [
        deformable_attention(
            value_BISND[:, i : i + 1],
            sizes,
            locations_BQNI1P2[:, :, :, i : i + 1].expand(-1, -1, -1, -1, 2, -1, -1),
            weights_BQNILP[:, :, :, i : i + 1],
        )
        for i in range(3)
    ]
    together = deformable_attention(value_1ISND, sizes, locations_BQNI1P2, weights_BQNILP)
    torch.testing.assert_close(together, torch.stack(alone).sum(0))


def test_the_fused_kernel_is_the_plain_one():
    if find_spec("triton") is None:
        pytest.skip("triton is not installed: pip install triton")
    seed = random.SystemRandom().randrange(10**6)
    script = Path(__file__).with_name("interpreted_kernel.py")
    run = subprocess.run(
        [sys.executable, script, str(seed)],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    errors = json.loads(run.stdout)
    assert len(errors["float32"]) == 9 and max(errors["float32"]) < 1e-6, (seed, errors)
    assert len(errors["bfloat16"]) == 8 and max(errors["bfloat16"]) < 2**-7, (seed, errors)  # two steps of bfloat16
