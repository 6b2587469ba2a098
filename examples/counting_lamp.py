"""An environment in 30 lines: a lamp with three lights. Run it with `python examples/counting_lamp.py`."""

from pathlib import Path
from tempfile import mkdtemp

from mmi_agent import Agent, FunctionTool, NoArguments, Observation, Outcome, PictureStore, Verdict
from mmi_agent.agent.baselines import RandomPolicy


class LampEnvironment:
    """A lamp: `switch` lights one more of its three lights."""

    name = "lamp"
    instruction = "Light all three lights."

    def __init__(self) -> None:
        self.lit = 0
        self.tools = (
            FunctionTool(
                name="switch",
                description="Light one more light.",
                args_schema=NoArguments,
                run=self._switch,
                effect="reversible",
            ),
        )

    def _switch(self, _: NoArguments) -> Outcome:
        self.lit += 1
        return Outcome(text=f"{self.lit} of 3 are lit")

    def reset(self, task: str | None = None, *, seed: int = 0, pictures: PictureStore) -> Observation:
        """Puts all lights out."""
        self.lit = 0
        return self.observe()

    def observe(self) -> Observation:
        """Counts the lights."""
        return Observation(text=f"lit: {self.lit}")

    def verdict(self) -> Verdict | None:
        """Success once all are lit."""
        return Verdict(success=True, reward=1) if self.lit == 3 else None

    def close(self) -> None:
        """Nothing to let go of."""


if __name__ == "__main__":
    run = Agent(RandomPolicy(), LampEnvironment()).run(seed=1, folder=Path(mkdtemp()) / "lamp")
    print(run.status, run.steps, run.verdict, run.folder)
