"""How long a person waits: the import, the command's help, and a cold start to the first action in a real browser.

    python benchmarks/bench_startup.py [--rounds 5] [--policy small]

Every round is a process of its own. Prints medians and all rounds. The floor is the start of a bare interpreter.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mmi_agent.agent.trajectory import read_trajectory

_IMPORT = "import time; t = time.perf_counter(); import mmi_agent; print(time.perf_counter() - t)"


def seconds(command: list[str]) -> tuple[float, str]:
    """Runs a command; returns how long it took and what it printed."""
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return time.perf_counter() - began, done.stdout


def first_action(policy: str) -> dict[str, float]:
    """Starts `mmi run` for one step on a MiniWoB++ page; returns the whole process and its parts, in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "mmi_agent.cli", "run", "--env", "gui/miniwob:click-test-2"]
        whole, _ = seconds([*command, "--policy", policy, "--max-steps", "1", "--runs-dir", folder])
        (run,) = Path(folder).iterdir()
        step = read_trajectory(run).steps[0]
        return {
            "whole_process_s": whole,
            "decide_s": step.intent.decide_ms / 1000,
            "act_s": step.result.act_ms / 1000 if step.result else float("nan"),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--policy", default="small")
    options = parser.parse_args()
    rows: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        measured = {
            "bare_interpreter_s": seconds([sys.executable, "-c", "pass"])[0],
            "import_s": float(seconds([sys.executable, "-c", _IMPORT])[1]),
            "help_s": seconds([sys.executable, "-m", "mmi_agent.cli", "--help"])[0],
            **first_action(options.policy),
        }
        for name, value in measured.items():
            rows.setdefault(name, []).append(round(value, 3))
    print(json.dumps({name: {"median": statistics.median(row), "all": row} for name, row in rows.items()}, indent=2))


if __name__ == "__main__":
    main()
