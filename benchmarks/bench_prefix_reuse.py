"""What keeping the document between steps is worth: the same ten-step run read with reuse and without, turn about.

    python benchmarks/bench_prefix_reuse.py [--preset small] [--steps 10] [--rounds 3]

Prints positions read and seconds per step for both, their ratio, and the floor: the positions that are new.
"""

import argparse
import json
import statistics
import time

import torch

from mmi_agent.inference.document import Unit
from mmi_agent.inference.loading import MMInterleaved
from mmi_agent.inference.prompts import ChatPrompt
from mmi_agent.pictures import MemoryPictures
from mmi_agent.policy import Context, PastStep
from mmi_agent.tool import ASK_USER, FINISH
from mmi_agent.types import Element, Observation, Outcome, Text, ToolCall


def ten_step_prompts(loaded: MMInterleaved, steps: int) -> list[list[Unit]]:
    """The prompts of one run over a page of twelve elements whose names change from step to step."""
    chat, pictures = ChatPrompt(loaded.tokenizer, look=False), MemoryPictures()
    past: list[PastStep] = []
    prompts: list[list[Unit]] = []
    for step in range(steps):
        elements = tuple(
            Element(mark=mark, role="button", name=f"choice {mark} of step {step}", box=(0, 0, 9, 9), source="dom")
            for mark in range(1, 13)
        )
        seen = Observation(text="Address: https://example.org/", elements=elements)
        context = Context(
            instruction="Click every third choice.",
            observation=seen,
            tools=(FINISH, ASK_USER),
            pictures=pictures,
            steps=tuple(past),
        )
        prompts.append(chat.decision(context))
        call = ToolCall(name="click", arguments={"mark": step % 12 + 1})
        past.append(
            PastStep(observation=seen, blocks=(Text(text="Next."),), call=call, outcome=Outcome(text="Clicked."))
        )
    return prompts


def read(loaded: MMInterleaved, prompts: list[list[Unit]], *, reuse: bool) -> tuple[int, list[float]]:
    """Reads every prompt; returns the positions read and the seconds of each step."""
    pictures = MemoryPictures()
    document = loaded.open(pictures)
    positions, seconds = 0, list[float]()
    for prompt in prompts:
        document = document if reuse else loaded.open(pictures)
        began = time.perf_counter()
        positions += document.become(prompt).read
        seconds.append(time.perf_counter() - began)
    return positions, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="small")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    loaded = MMInterleaved.from_pretrained(options.preset)
    prompts = ten_step_prompts(loaded, options.steps)
    read(loaded, prompts[:2], reuse=True)  # warm-up
    ratios: list[float] = []
    rows: dict[bool, tuple[int, list[float]]] = {}
    for _ in range(options.rounds):
        rows = {reuse: read(loaded, prompts, reuse=reuse) for reuse in (True, False)}
        ratios.append(sum(rows[False][1]) / sum(rows[True][1]))
    new = len(prompts[-1])
    result = {
        "preset": options.preset,
        "steps": options.steps,
        "threads": torch.get_num_threads(),
        "positions_read_with_reuse": rows[True][0],
        "positions_read_without": rows[False][0],
        "positions_floor": new,
        "median_step_s_with_reuse": round(statistics.median(rows[True][1]), 3),
        "median_step_s_without": round(statistics.median(rows[False][1]), 3),
        "speed_up": {"median": round(statistics.median(ratios), 2), "all": [round(ratio, 2) for ratio in ratios]},
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
