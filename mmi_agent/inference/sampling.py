"""Choosing the next token from its scores. Knows nothing of models and documents."""

# V vocabulary

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mmi_agent.errors import ConfigError
from mmi_agent.quiet_imports import quiet_imports

__all__ = ["Sampler", "Sampling", "check_seed"]

_LEAST_TEMPERATURE = 1e-6  # scores divided by less are no numbers any more
_SEEDS = 2**63


def check_seed(seed: int) -> None:
    """Refuses what cannot be the seed of draws and drawings, each of which takes the next.

    Raises:
        ConfigError: If it is negative or too large.
    """
    if not 0 <= seed < _SEEDS:
        raise ConfigError(f"seed is {seed}: expected 0 to {_SEEDS - 1}")


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How the next token is chosen.

    Attributes:
        temperature: 0 takes the likeliest; 1 draws by probability, more makes it bolder.
        top_k: Draw among so many likeliest only.
        top_p: Draw among the likeliest that together have this probability only.
        min_p: Draw among those only that are at least this likely, relative to the likeliest.
        repetition_penalty: Divides positive and multiplies negative scores of what was written; 1 does nothing.
        num_beams: Texts that are kept side by side; more than one searches for a likely text and draws nothing.
        length_penalty: Exponent of the length by which the log probability of a beam is divided.
    """

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float = 1.0
    num_beams: int = 1
    length_penalty: float = 1.0

    def __post_init__(self) -> None:
        wrong = [
            ("temperature", self.temperature, f"0, or {_LEAST_TEMPERATURE} or more", _is_temperature(self.temperature)),
            ("top_k", self.top_k, "1 or more", self.top_k is None or self.top_k >= 1),
            ("top_p", self.top_p, "above 0 and at most 1", self.top_p is None or 0 < self.top_p <= 1),
            ("min_p", self.min_p, "from 0 to 1", self.min_p is None or 0 <= self.min_p <= 1),
            ("repetition_penalty", self.repetition_penalty, "more than 0", 0 < self.repetition_penalty < math.inf),
            ("num_beams", self.num_beams, "1 or more", self.num_beams >= 1),
            ("length_penalty", self.length_penalty, "a number", math.isfinite(self.length_penalty)),
        ]
        for name, value, expected, holds in wrong:
            if not holds:
                raise ConfigError(f"{name} is {value}: expected {expected}")
        draws = [name for name in ("temperature", "top_k", "top_p", "min_p") if getattr(self, name)]
        if self.num_beams > 1 and draws:
            raise ConfigError(
                f"num_beams is {self.num_beams}: beams are searched, not drawn; leave out {' and '.join(draws)}"
            )

    @property
    def is_narrowed(self) -> bool:
        """Whether fewer than all tokens are drawn among."""
        return self.top_k is not None or self.top_p is not None or self.min_p is not None


def _is_temperature(value: float) -> bool:
    return value == 0 or _LEAST_TEMPERATURE <= value < math.inf


class Sampler:
    """Chooses tokens one after the other.

    Draws are made on the CPU, so that a seed means the same draws on every device.

    Args:
        sampling: How.
        seed: Of the draws.
    """

    def __init__(self, sampling: Sampling, *, seed: int) -> None:
        self._temperature = sampling.temperature
        self._generator = torch.Generator().manual_seed(seed)
        self._processors = _processors(sampling)

    def choose(self, scores_V: Tensor, written: Sequence[int]) -> int:
        """Chooses a token.

        Args:
            scores_V: Logits, minus infinity for what must not come; float32, on the CPU.
            written: What the repetition penalty is for.
        """
        scores_1V, written_1T = scores_V[None], torch.tensor([list(written)], dtype=torch.long)
        for processor in self._processors:
            scores_1V = processor(written_1T, scores_1V)
        if self._temperature == 0:
            return int(scores_1V.argmax())
        if not self._processors:
            scores_1V = scores_1V / self._temperature
        return int(torch.multinomial(scores_1V[0].softmax(-1), 1, generator=self._generator))


def _processors(sampling: Sampling) -> list[Any]:
    """The library's processors in its own order; none, and no import, where only the temperature is set."""
    if not sampling.is_narrowed and sampling.repetition_penalty == 1:
        return []
    with quiet_imports():
        from transformers.generation import logits_process

    library: Any = logits_process
    processors: list[Any] = []
    if sampling.repetition_penalty != 1:
        processors.append(library.RepetitionPenaltyLogitsProcessor(float(sampling.repetition_penalty)))
    if sampling.temperature > 0:
        processors.append(library.TemperatureLogitsWarper(float(sampling.temperature)))
        if sampling.top_k is not None:
            processors.append(library.TopKLogitsWarper(sampling.top_k))
        if sampling.top_p is not None:
            processors.append(library.TopPLogitsWarper(float(sampling.top_p)))
        if sampling.min_p is not None:
            processors.append(library.MinPLogitsWarper(float(sampling.min_p)))
    return processors
