"""Worlds that the tests of the loop need beside `EchoEnvironment`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field

from mmi_agent import AllowListed, Observation, Outcome, Run, Verdict
from mmi_agent.agent.limits import Limits
from mmi_agent.agent.runtime import Agent
from mmi_agent.pictures import MemoryPictures, PictureStore
from mmi_agent.tool import ELEMENT_MARK, FunctionTool, Tool
from mmi_agent.types import Element

ALLOW = AllowListed(["send", "buy", "note"])


class Note(BaseModel):
    text: str


class OnMark(BaseModel):
    mark: Annotated[int, Field(json_schema_extra=ELEMENT_MARK)]


class FilmEnvironment:
    """Shows one observation after another, as `show` says; its tools do nothing but count.

    Args:
        show: Given how many looks were taken and how many calls were carried out.
    """

    name = "film"
    instruction = "Watch."

    def __init__(self, show: Callable[[int, int], Observation]) -> None:
        self._show = show
        self.looks = 0
        self.acted: list[BaseModel] = []
        self.pictures: PictureStore = MemoryPictures()
        self.tools: Sequence[Tool] = [
            FunctionTool(name="click", description="Click.", args_schema=OnMark, run=self._act, effect="reversible"),
            FunctionTool(name="buy", description="Buy.", args_schema=OnMark, run=self._act),
            FunctionTool(name="note", description="Note.", args_schema=Note, run=self._act, effect="reversible"),
        ]

    def _act(self, arguments: BaseModel) -> Outcome:
        self.acted.append(arguments)
        return Outcome(text="did it")

    def reset(self, task: str | None = None, *, seed: int = 0, pictures: PictureStore) -> Observation:
        self.pictures = pictures
        return self.observe()

    def observe(self) -> Observation:
        self.looks += 1
        return self._show(self.looks, len(self.acted))

    def verdict(self) -> Verdict | None:
        return None

    def close(self) -> None:
        pass


def button(mark: int, name: str, top: int = 100) -> Element:
    return Element(mark=mark, role="button", name=name, box=(100, top, 300, top + 50), source="dom")


def run(policy: Any, environment: Any, folder: Path, **options: Any) -> Run:
    limits = Limits(**{"max_steps": 12, "approval_timeout_s": 5, **options.pop("limits", {})})
    return Agent(policy, environment, limits=limits, approver=options.pop("approver", ALLOW), **options).run(
        folder=folder
    )
