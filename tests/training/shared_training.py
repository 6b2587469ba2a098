"""Trains `tiny` in as many processes as torchrun started: `shared_training.py RECIPE FOLDER [shard] [recompute]`."""

import sys
from pathlib import Path

from toy_supply import CONFIG, ToySupply, batch

from mmi_agent.models.mm_interleaved import MMInterleavedModel
from mmi_agent.training.recipes import recipe
from mmi_agent.training.trainer import Plan, Trainer


def main(name: str, folder: str, *options: str) -> None:
    trainer = Trainer(
        MMInterleavedModel.build(CONFIG).eval(),
        base="tiny",
        recipe=recipe(name),
        plan=Plan(steps=2, shard="shard" in options, checkpoint_layers="recompute" in options),
        # rows of one process have pictures, those of the other may have none
        supply=ToySupply(num_samples=6, pictures=name != "lora"),
        folder=Path(folder),
        held_back=[batch(range(20, 24), pictures=False)],
    )
    trainer.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
