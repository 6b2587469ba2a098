"""What a step of training takes: tokens a second, memory, and how busy the device is with the model's products.

    python benchmarks/bench_train.py [--size middle] [--device cpu] [--recipe pretrain] [--layers 8] [--profile]

A step is a batch of random rows, each of text and pictures that are read and drawn: both losses, the way back, the
gradients clipped, and AdamW, as `mmi train` takes it, in the precision that it uses. `--layers` is the depth of the
language decoder, whose width stays; what does not fit is tried again with half the rows.

Operations are those that PyTorch counts in one step: two for every multiplication and addition of matrix products,
convolutions and attention, forward and backward, as they are executed. What has no gradient has no backward, and
nothing is counted for looks at pictures, norms, losses and the optimizer. Attention counts whole, masked or not. The
utilisation is against the best rate of a large matrix product in the same precision, in the same run. `--profile` tells
what a step spends its time on, the longest first.
"""

# B rows, T tokens, I pictures of a row

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from sizes import attempt, benchmark, config_of, finish, on, profiled, rounded, seconds
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mmi_agent.data.packing import Batch
from mmi_agent.models.losses import IGNORED
from mmi_agent.models.mm_interleaved import MMInterleavedConfig, MMInterleavedModel, RowLayout
from mmi_agent.training.objective import Objective, count, draw_noise
from mmi_agent.training.parameters import find_learners, make_optimizer, prepare
from mmi_agent.training.processes import Processes
from mmi_agent.training.recipes import RECIPES, Recipe, recipe


def random_batch(config: MMInterleavedConfig, options: argparse.Namespace, rows: int) -> Batch:
    """Makes rows of one document each, their pictures spread evenly between words."""
    T, I, side = options.tokens, options.pictures, config.vision.image_size  # noqa: E741 - the legend's I
    hand = config.image_decoder
    assert hand is not None
    ids_BT = torch.randint(3, config.decoder.new_token_start, (rows, T))
    ids_BT[:, 0] = config.begin_of_text
    length = config.resampler.num_queries
    for begin in range(T // (2 * I), T, T // I):
        ids_BT[:, begin] = config.begin_of_image
        ids_BT[:, begin + 1 : begin + 1 + length] = config.image
    targets_BT = torch.full_like(ids_BT, IGNORED)
    targets_BT[:, :-1] = torch.where(ids_BT[:, 1:] == config.image, IGNORED, ids_BT[:, 1:])
    positions_BT = torch.arange(T).expand(rows, -1)
    return Batch(
        ids=ids_BT,
        targets=targets_BT,
        layout=RowLayout(positions_BT, torch.ones_like(positions_BT)),
        pixels=torch.rand(rows * I, 3, side, side),
        drawn_pixels=torch.rand(rows * I, 3, hand.image_size, hand.image_size),
        draws=torch.ones(rows * I, dtype=torch.bool),
        begins=torch.zeros(rows * I, dtype=torch.long),
        sources=(),
    )


def step_of(objective: Objective, batch: Batch, asked: Recipe, device: torch.device) -> Callable[[], float]:
    """A whole step; returns the loss."""
    learners, processes = find_learners(objective.model, asked), Processes(device=device)
    optimizer: Any = make_optimizer(learners, asked)
    counts = count(batch)
    draw = draw_noise(objective.model, batch, range(counts.pictures))

    def step() -> float:
        with processes.precision():
            costs = objective(batch.to(device), draw)
        text_loss, picture_loss = costs.text / counts.tokens, costs.picture / max(counts.pictures, 1)
        loss: Any = asked.text_weight * text_loss + asked.picture_weight * picture_loss
        loss.backward()
        nn.utils.clip_grad_norm_(learners.parameters.values(), asked.clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    return step


def product_rate(options: argparse.Namespace) -> float:
    """Operations a second of the best of several large matrix products, in the precision of training."""
    is_cuda = options.device != "cpu"
    side, dtype = (8192, torch.bfloat16) if is_cuda else (1024, torch.float32)
    first, second = (torch.randn(side, side, device=options.device, dtype=dtype) for _ in range(2))
    return 2 * side**3 / min(seconds(lambda: first @ second, options) for _ in range(5))


def operations_of(step: Callable[[], object]) -> int:
    """Operations of a step."""
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def measure(objective: Objective, options: argparse.Namespace, rows: int) -> dict[str, object]:
    """Takes steps with so many rows."""
    asked, device = recipe(options.recipe), torch.device(options.device)
    batch = random_batch(objective.model.config, options, rows)
    step = step_of(objective, batch, asked, device)
    before = step()  # kernels are made, and the optimizer's state
    if options.device != "cpu":
        torch.cuda.reset_peak_memory_stats()
    step_s, rate = seconds(step, options, warm_up=0), product_rate(options)
    operations = attempt(partial(operations_of, step))
    known: dict[str, object] = {"operations_of_step": operations}
    if isinstance(operations, int):
        known |= {"operations_per_s": rounded(operations / step_s), "utilisation": rounded(operations / step_s / rate)}
    if options.profile:
        known["profile"] = profiled(step, options)
    return {
        "rows": rows,
        "tokens": batch.ids.numel(),
        "pictures": len(batch.draws),
        "step_s": rounded(step_s),
        "tokens_per_s": rounded(batch.ids.numel() / step_s),
        "peak_mb": torch.cuda.max_memory_allocated() // 2**20 if options.device != "cpu" else None,
        "losses": [rounded(before), rounded(step())],
        "autocast": "bfloat16" if options.device != "cpu" else None,
        "product_operations_per_s": rounded(rate),
        **known,
    }


def build_objective(options: argparse.Namespace) -> Objective:
    """Builds the model in float32, as training wants it, and freezes what the recipe does not train."""
    config = config_of(options.size, draws=True)
    config = replace(config, decoder=replace(config.decoder, num_layers=options.layers or config.decoder.num_layers))
    with on(options), torch.inference_mode(False):
        model = MMInterleavedModel(config)
    prepare(model, recipe(options.recipe))
    return Objective(model)


def main() -> None:
    parser = benchmark(__doc__, rounds=3, dtype="float32")
    parser.add_argument("--recipe", choices=list(RECIPES), default="pretrain")
    parser.add_argument("--layers", type=int, help="of the language decoder; the default is the size's")
    parser.add_argument("--rows", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=1024, help="of a row")
    parser.add_argument("--pictures", type=int, default=2, help="of a row")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    objective = build_objective(options)
    weights = list(objective.parameters())
    result: dict[str, Any] = {}
    rows = options.rows
    while rows and not result:
        try:
            result = measure(objective, options, rows)
        except torch.OutOfMemoryError:
            rows //= 2
            objective.zero_grad(set_to_none=True)
            torch.cuda.empty_cache()
    finish(
        options,
        recipe=options.recipe,
        layers=objective.model.config.decoder.num_layers,
        parameters=sum(weight.numel() for weight in weights),
        learning=sum(weight.numel() for weight in weights if weight.requires_grad),
        **(result or {"failed": "does not fit with one row"}),
    )


if __name__ == "__main__":
    main()
