"""What the practice tasks of Minecraft take: solved, steps and seconds of the expert, and what luck is worth beside it.

    python benchmarks/bench_minecraft_tasks.py [--policy expert] [--policy random] [--task hut] [--seeds 2] [--steps 40]

One server, one player, no pictures. The seconds are those of deciding and acting, without posing the problem. A server
goes by ticks of 50 ms, so most of them are waited for.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import mean, median
from typing import Any

from mmi_minecraft.tasks import PracticeEnvironment, practice_tasks

from mmi_agent.agent.baselines import FirstElementPolicy, RandomPolicy
from mmi_agent.agent.limits import Limits
from mmi_agent.agent.runtime import Agent
from mmi_agent.agent.trajectory import read_trajectory
from mmi_agent.policy import Policy

POLICIES: dict[str, Callable[[PracticeEnvironment], Policy]] = {
    "expert": lambda practice: practice.expert(),
    "random": lambda _: RandomPolicy(),
    "first-element": lambda _: FirstElementPolicy(),
}


def episode(practice: PracticeEnvironment, policy: Policy, seed: int, steps: int) -> dict[str, Any]:
    """One run: whether it was solved, its steps, and the seconds that they took."""
    with tempfile.TemporaryDirectory() as folder:
        agent = Agent(policy, practice, limits=Limits(max_steps=steps, max_seconds=300))
        run = agent.run(seed=seed, folder=Path(folder) / "run")
        made = read_trajectory(run.folder).steps
    spent_ms = sum(step.intent.decide_ms + (step.result.act_ms if step.result else 0) for step in made)
    return {
        "solved": run.verdict is not None and run.verdict.success,
        "steps": run.steps,
        "seconds": round(spent_ms / 1000, 2),
    }


def summary(episodes: list[dict[str, Any]]) -> dict[str, Any]:
    """Of one policy, over some episodes."""
    return {
        "solved": f"{sum(each['solved'] for each in episodes)}/{len(episodes)}",
        "mean_steps": round(mean(each["steps"] for each in episodes), 1),
        "median_seconds": round(median(each["seconds"] for each in episodes), 2),
    }


def measure(tasks: list[str], policies: list[str], seeds: int, steps: int) -> dict[str, Any]:
    """Every policy on every task."""
    measured: dict[str, Any] = {}
    with PracticeEnvironment(with_pictures=False) as practice:
        for name in policies:
            found: dict[str, list[dict[str, Any]]] = {}
            for task in tasks:
                practice.load(task)
                found[task] = [episode(practice, POLICIES[name](practice), seed, steps) for seed in range(seeds)]
            everything = [each for episodes in found.values() for each in episodes]
            by_task = {task: summary(episodes) for task, episodes in found.items()}
            measured[name] = {**summary(everything), "tasks": by_task}
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", action="append", choices=list(POLICIES), help="may be repeated; all by default")
    parser.add_argument("--task", action="append", choices=practice_tasks(), help="may be repeated; all by default")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=40, help="an episode has failed after so many")
    options = parser.parse_args()
    measured = measure(options.task or practice_tasks(), options.policy or list(POLICIES), options.seeds, options.steps)
    print(json.dumps(measured, indent=2))


if __name__ == "__main__":
    main()
