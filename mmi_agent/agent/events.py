"""What `Agent.stream` tells as it happens, and the `Run` that is left at the end."""

from dataclasses import dataclass
from pathlib import Path

from mmi_agent.agent.trajectory import End, Intent, Result, Status
from mmi_agent.types import Observation, Picture, Text, Verdict

__all__ = ["Acted", "Called", "Ended", "Event", "Observed", "Run", "Wrote"]


@dataclass(frozen=True, kw_only=True)
class Run:
    """How a run ended.

    Attributes:
        folder: Where its trajectory and pictures are.
        status: How it ended.
        steps: How many steps it took, those of earlier processes included.
        verdict: The world's own judgement; None where nobody judges.
        reason: Why it ended, in words.
        answer: What `finish` or `ask_user` said.
    """

    folder: Path
    status: Status
    steps: int
    verdict: Verdict | None = None
    reason: str = ""
    answer: str = ""


@dataclass(frozen=True, kw_only=True)
class Observed:
    """The world was looked at; a step begins."""

    step: int
    observation: Observation


@dataclass(frozen=True, kw_only=True)
class Wrote:
    """The policy wrote a thought or drew a picture."""

    step: int
    block: Text | Picture


@dataclass(frozen=True, kw_only=True)
class Called:
    """The policy decided and the guard ruled; both are on disk, and nothing has happened yet."""

    step: int
    intent: Intent


@dataclass(frozen=True, kw_only=True)
class Acted:
    """The step is over."""

    step: int
    result: Result


@dataclass(frozen=True, kw_only=True)
class Ended:
    """The run is over."""

    run: Run
    end: End


Event = Observed | Wrote | Called | Acted | Ended
