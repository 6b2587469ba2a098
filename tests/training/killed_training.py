"""Trains `tiny` in a folder: `python killed_training.py FOLDER STEPS`; to be killed, and started again."""

import sys
import time
from pathlib import Path

from toy_supply import CONFIG, ToySupply

from mmi_agent.models.mm_interleaved import MMInterleavedModel
from mmi_agent.training.recipes import recipe
from mmi_agent.training.trainer import Plan, Trainer


def main(folder: str, pause_s: str = "0") -> None:
    trainer = Trainer(
        MMInterleavedModel.build(CONFIG).eval(),
        base="tiny",
        recipe=recipe("lora"),
        plan=Plan(steps=6, save_every=2, keep=1),
        supply=ToySupply(num_samples=4, pictures=False),
        folder=Path(folder),
    )
    trainer.run(lambda _: time.sleep(float(pause_s)))


if __name__ == "__main__":
    main(*sys.argv[1:])
