"""What an episode in the browser costs: milliseconds of a core for each thing that is done.

    python benchmarks/bench_episode.py [--rounds 20]

Counts the processor time of this process, of Playwright's driver and of Chromium together, so that work beside it
disturbs it little. A worker of an evaluation
that changes its task pays `reset_another_task` instead of `reset_same_task`.
"""

import argparse
import json
from collections.abc import Callable

import psutil
from mmi_gui import MiniWobEnvironment

from mmi_agent.pictures import MemoryPictures
from mmi_agent.tool import invoke

_TASKS = ("click-tab", "login-user", "click-checkboxes")


def spent_s() -> float:
    """The processor time of this process and of all that it started, those that ended included."""
    total = 0.0
    me = psutil.Process()
    for process in (me, *me.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def mean_ms(act: Callable[[int], object], rounds: int) -> float:
    """Mean milliseconds of a core for one call."""
    before = spent_s()
    for number in range(rounds):
        act(number)
    return round(1000 * (spent_s() - before) / rounds, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    rounds: int = parser.parse_args().rounds
    pictures = MemoryPictures()
    with MiniWobEnvironment(_TASKS[0]) as world:
        world.reset(pictures=pictures)
        click = next(tool for tool in world.tools if tool.name == "click_at")

        def begin(task: str, seed: int) -> None:
            world.load(task)
            world.reset(seed=seed, pictures=pictures)

        measured = {
            "look": mean_ms(lambda _: world.observe(), rounds),
            "click_until_still": mean_ms(lambda _: invoke(click, {"x": 900, "y": 980}), rounds),
            "verdict": mean_ms(lambda _: world.verdict(), rounds),
            "reset_same_task": mean_ms(lambda seed: begin(_TASKS[0], seed), rounds),
            "reset_another_task": mean_ms(lambda number: begin(_TASKS[number % len(_TASKS)], number), rounds),
        }
    print(json.dumps(measured, indent=2))


if __name__ == "__main__":
    main()
