"""From words to parameters: what every reader of requests returns."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from mmi_agent.errors import ConfigError
from mmi_minecraft.generators import Structure, as_structure

__all__ = ["Reading", "RequestReader", "read_parameters"]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a request was understood to mean.

    Attributes:
        structure: What is to be built; None where something must be asked first.
        assumed: What was not said, with the value that was chosen, as in "height: 1".
        question: What must be asked; empty where nothing must.
    """

    structure: Structure | None = None
    assumed: tuple[str, ...] = ()
    question: str = ""


class RequestReader(Protocol):
    """Reads what somebody wants to have built."""

    @property
    def name(self) -> str:
        """What it is called in comparisons."""
        ...

    def read(self, request: str) -> Reading:
        """Understands a request, or finds out what to ask."""
        ...


def read_parameters(said: Mapping[str, Any]) -> Reading:
    """Fills in what was not said; what cannot be built becomes a question."""
    try:
        structure = as_structure(dict(said))
    except ConfigError as error:
        return Reading(question=f"{error}. What shall I build instead?")
    left_out = [name for name in type(structure).model_fields if name not in said]
    assumed = tuple(f"{name.replace('_', ' ')}: {_shown(getattr(structure, name))}" for name in left_out)
    return Reading(structure=structure, assumed=assumed)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value).replace("_", " ")
