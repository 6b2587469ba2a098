"""What the loop itself costs: milliseconds per step beside the world and the policy, and bytes stored per picture byte.

    python benchmarks/bench_loop.py [--steps 20] [--picture-kb 200]

A world of 200 kB screenshots, a new one each step, and a policy that decides at once. The floor of a step is three
writes that are synced: the picture, the intent and the outcome. The floor of the ratio is 1.
"""

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from PIL import Image

from mmi_agent import Agent, FunctionTool, NoArguments, Observation, Outcome, PictureStore
from mmi_agent.agent.limits import Limits
from mmi_agent.policy import Context
from mmi_agent.types import Block, Element, Text, ToolCall


class NoisyWorld:
    """Shows another noisy screenshot after each act."""

    name = "noisy"
    instruction = "Look."

    def __init__(self, picture_kb: int) -> None:
        self._bytes = picture_kb * 1000
        self._acts = 0
        self.tools = (
            FunctionTool(name="act", description="Act.", args_schema=NoArguments, run=self._act, effect="reversible"),
        )

    def _act(self, _: NoArguments) -> Outcome:
        self._acts += 1
        return Outcome(text="done")

    def reset(self, task: str | None = None, *, seed: int = 0, pictures: PictureStore) -> Observation:
        """Begins."""
        self._pictures = pictures
        return self.observe()

    def observe(self) -> Observation:
        """A picture of noise, and forty elements."""
        noise = random.Random(self._acts).randbytes(self._bytes)
        side = int((self._bytes / 3) ** 0.5)
        buffer = BytesIO()
        Image.frombytes("RGB", (side, side), noise[: side * side * 3]).save(buffer, "PNG", compress_level=1)
        elements = tuple(
            Element(mark=mark, role="button", name=f"button {mark}", box=(0, 0, 10, 10), source="dom")
            for mark in range(1, 41)
        )
        return Observation(pictures=(self._pictures.put(buffer.getvalue()),), elements=elements)

    def verdict(self) -> None:
        """Nobody judges."""

    def close(self) -> None:
        """Nothing to let go of."""


class AtOnce:
    """Acts without thinking."""

    name = "at-once"

    def decide(self, context: Context) -> Iterator[Block]:
        """A thought and the only call."""
        yield Text(text="Go on.")
        yield ToolCall(name="act")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--picture-kb", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        world = NoisyWorld(options.picture_kb)
        shown: list[float] = []
        observe = world.observe

        def timed() -> Observation:
            began = time.perf_counter()
            seen = observe()
            shown.append(time.perf_counter() - began)
            return seen

        world.observe = timed
        began = time.perf_counter()
        Agent(AtOnce(), world, limits=Limits(max_steps=options.steps, repeats=10**6)).run(folder=run)
        total = time.perf_counter() - began
        pictures = [path.stat().st_size for path in (run / "pictures").glob("*.png")]
        stored = sum(path.stat().st_size for path in run.rglob("*") if path.is_file())
    result = {
        "steps": options.steps,
        "loop_ms_per_step": round((total - sum(shown)) / options.steps * 1000, 2),
        "world_ms_per_step": round(statistics.median(shown) * 1000, 2),
        "unique_picture_bytes": sum(pictures),
        "stored_bytes": stored,
        "storage_ratio": round(stored / sum(pictures), 4),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
