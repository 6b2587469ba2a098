"""What the process boundary to MineDojo costs: steps through it, against the same steps inside.

    python benchmarks/bench_minedojo.py [--steps 40] [--rounds 15]

The game is stood in for by a Malmo server in which nothing happens (tests/minedojo/malmo_server.py), so that what is
measured is MineDojo and the boundary, and not how fast a game renders. The ways take turns, and the fastest round of
each counts: what runs beside it only slows.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import psutil
from mmi_minecraft.minedojo import Action, MineDojoEnvironment, minedojo_python
from mmi_minecraft.minedojo.boundary import SimulatorProcess
from mmi_minecraft.minedojo.sight import RAYS
from pydantic import JsonValue

from mmi_agent.pictures import MemoryPictures
from mmi_agent.tool import invoke

SIZES_PX = ((256, 160), (640, 360))
TASK = "harvest_milk"
ROOT = Path(__file__).parent.parent
SIMULATOR = ROOT / "environments/minecraft/mmi_minecraft/minedojo/simulator"
MALMO = ROOT / "tests/minedojo/malmo_server.py"

# MineDojo's own `step`, in its own process: a line with the number of steps in, a line when they are made out
INSIDE = """
import json, os, sys
wire = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
sys.path.insert(0, sys.argv[1])
import numpy as np
from episodes import Simulator
options = json.loads(sys.argv[2])
simulator = Simulator()
simulator.open(options.pop("port"))
action = np.array(options.pop("action"))
simulator.begin(**options)
for line in sys.stdin:
    for _ in range(int(line)):
        simulator._environment.step(action)
    print("made", file=wire, flush=True)
"""


@contextmanager
def still_game() -> Generator[int]:
    """A Malmo server in a process of its own; gives its port."""
    command = [sys.executable, str(MALMO), "0"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin and server.stdout
        yield int(server.stdout.readline())
        server.stdin.close()


class Cost(NamedTuple):
    """What steps took: seconds on the clock, and of a core in MineDojo's process and this one together."""

    wall_s: float
    core_s: float


def measured(act: Callable[[], object], *processes: psutil.Process) -> Cost:
    began, spent = perf_counter(), sum(map(core_s, processes))
    act()
    return Cost(perf_counter() - began, sum(map(core_s, processes)) - spent)


def core_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def compare(steps: int, rounds: int, port: int, width_px: int, height_px: int) -> dict[str, Cost]:
    """What one step costs, by each way to make it; in the round in which it cost least."""
    vector: JsonValue = [*Action(walk="forward").vector()]
    once: list[JsonValue] = [vector]
    episode: dict[str, JsonValue] = {"task_id": TASK, "seed": 0, "width_px": width_px, "height_px": height_px}
    episode["rays"] = [list(ray) for ray in RAYS]
    here, simulator = psutil.Process(), SimulatorProcess(minedojo_python(print))
    there = psutil.Process(simulator.pid)
    simulator.request("open", timeout_s=60, port=port)
    simulator.request("begin", **episode, timeout_s=60)
    others = set(here.children())
    world = MineDojoEnvironment(TASK, address=f"localhost:{port}", width_px=width_px, height_px=height_px)
    world.reset(pictures=MemoryPictures())
    move = next(tool for tool in world.tools if tool.name == "move")

    def one_by_one() -> None:
        for _ in range(steps):
            simulator.request("step", timeout_s=60, actions=once)

    def called_and_looked_at() -> None:
        for _ in range(steps):
            invoke(move, {"direction": "forward", "ticks": 1})
            world.observe()

    (worlds,) = set(here.children()) - others
    with inside({**episode, "port": port, "action": vector}) as (ask, process):
        ways: dict[str, Callable[[], Cost]] = {
            "inside MineDojo's process": lambda: measured(lambda: ask(steps), process),
            "through the boundary": lambda: measured(one_by_one, here, there),
            "as a tool call, and a look": lambda: measured(called_and_looked_at, here, worlds),
        }
        costs = [{name: way() for name, way in ways.items()} for _ in range(rounds)]
    simulator.close()
    world.close()
    return {name: Cost(*(min(each[name][k] for each in costs) / steps for k in (0, 1))) for name in ways}


@contextmanager
def inside(options: Mapping[str, object]) -> Generator[tuple[Callable[[int], None], psutil.Process]]:
    """MineDojo without a boundary; gives what makes some steps, and the process that makes them."""
    command = [str(minedojo_python()), "-s", "-E", "-c", INSIDE, str(SIMULATOR), json.dumps(options)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        stdin, stdout = process.stdin, process.stdout
        assert stdin and stdout

        def ask(steps: int) -> None:
            print(steps, file=stdin, flush=True)
            stdout.readline()

        ask(1)  # until it is there
        yield ask, psutil.Process(process.pid)
        stdin.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    print(f"{'picture':<12}{'way':<28}{'steps/s':>9}{'ratio':>8}{'core ms':>9}{'ratio':>8}")
    with still_game() as port:
        for width_px, height_px in SIZES_PX:
            costs = compare(options.steps, options.rounds, port, width_px, height_px)
            base = next(iter(costs.values()))
            for name, cost in costs.items():
                wall = f"{1 / cost.wall_s:>9.1f}{base.wall_s / cost.wall_s:>8.2f}"
                core = f"{1000 * cost.core_s:>9.1f}{base.core_s / cost.core_s:>8.2f}"
                print(f"{f'{width_px} x {height_px}':<12}{name:<28}{wall}{core}")


if __name__ == "__main__":
    main()
