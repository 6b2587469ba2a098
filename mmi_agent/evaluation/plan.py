"""What an evaluation is to do: a config, and the episodes that follow from it."""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import JsonValue

from mmi_agent.checkpoints.files import MANIFEST, sha256_of
from mmi_agent.errors import ConfigError
from mmi_agent.memory.journal import holds_memory
from mmi_agent.policies import check_policy, trained_weights
from mmi_agent.registry import environment_class

__all__ = ["WITH_MEMORY", "Episode", "EvaluationConfig"]

WITH_MEMORY = "+memory"
"""At the end of a policy's name: the same policy, recalling from the study's memory."""


@dataclass(frozen=True, kw_only=True)
class Episode:
    """One policy in one environment from one seed."""

    policy: str
    environment: str
    seed: int

    def folder(self, root: Path) -> Path:
        """Where its run goes."""
        return root / "runs" / _as_folder_name(self.policy) / _as_folder_name(self.environment) / str(self.seed)


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """What is compared on what; it decides every episode, so a study that goes on must be given the same again.

    Attributes:
        environments: Names with their tasks, as in "gui/miniwob:click-test".
        policies: Names that `mmi_agent.policies` knows.
        seeds: One episode each, for every environment and policy.
        max_steps: After so many steps an episode has failed.
        max_seconds: After so many seconds likewise; a worker that is silent for twice as long is replaced.
        approve: Tools that may do what cannot be undone; all others are denied.
        weights: Of the models whose names say none: what `MMInterleaved.from_pretrained` takes.
        memory: Folder of a memory that policies named "NAME+memory" recall from; nothing is remembered in it, so that
            the order of episodes does not matter.
        suites: Which suites the environments come from: each has its own figures in the report.
    """

    environments: tuple[str, ...]
    policies: tuple[str, ...]
    seeds: tuple[int, ...] = tuple(range(10))
    max_steps: int = 10
    max_seconds: float = 120.0
    approve: tuple[str, ...] = ()
    weights: str | None = None
    suites: tuple[str, ...] = ()
    memory: str | None = None

    def check(self) -> None:
        """Finds the person's mistakes before anything is started.

        Raises:
            ConfigError: If a list is empty or names something twice.
            UnknownNameError: If an environment or a policy has no such name.
            MissingDependencyError: If an environment lacks an extra.
        """
        for what, items, option in (
            ("environment", self.environments, "--suite or --env"),
            ("policy", self.policies, "--policy"),
            ("seed", self.seeds, "--seeds"),
        ):
            if not items:
                raise ConfigError(f"an evaluation needs at least one {what}: give {option}")
            names = [_as_folder_name(str(item)) for item in items]
            if twice := next((item for item, name in zip(items, names, strict=True) if names.count(name) > 1), None):
                raise ConfigError(f"the {what} {twice!r} is given twice")
        for policy in self.policies:
            check_policy(policy.removesuffix(WITH_MEMORY))
            if policy.endswith(WITH_MEMORY) and self.memory is None:
                raise ConfigError(f"the policy {policy!r} recalls, and no memory is given")
        if self.memory is not None and not holds_memory(Path(self.memory)):
            raise ConfigError(f"{self.memory} holds no memory: mmi memory learn {self.memory} RUN... makes one")
        for environment in self.environments:
            environment_class(environment)

    def episodes(self) -> list[Episode]:
        """Every episode; those that share a policy, then an environment, stand together."""
        return [
            Episode(policy=policy, environment=environment, seed=seed)
            for policy in self.policies
            for environment in self.environments
            for seed in self.seeds
        ]

    def adapters(self) -> dict[str, str]:
        """SHA-256 of the manifest of each policy's adapter, which has those of all its weights.

        Raises:
            OSError: If one cannot be read.
        """
        folders = {
            policy: trained_weights(policy.removesuffix(WITH_MEMORY), weights=self.weights) for policy in self.policies
        }
        return {policy: sha256_of(folder / MANIFEST) for policy, folder in folders.items() if folder}

    def to_json(self) -> dict[str, JsonValue]:
        """The config as the study's folder records it."""
        return json.loads(json.dumps(asdict(self)))


def _as_folder_name(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name).strip(".-") or "-"
