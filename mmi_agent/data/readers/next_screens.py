"""Runs whose screens are learnt as well: each after the first is drawn, from all that stands before it.

What stands before a screen is the task, the screens and calls so far, and the call that led to it; the screen before it
is what the image decoder looks back at.
"""

from dataclasses import replace

from mmi_agent.data.readers.reader import Reader
from mmi_agent.data.sample import Broken, Sample
from mmi_agent.inference.prompts import Part
from mmi_agent.types import Picture

__all__ = ["NextScreens", "with_screens_learnt"]


class NextScreens(Reader):
    """A reader's samples with every picture but the first learnt.

    Args:
        reader: The samples, of runs with their pictures.
    """

    def __init__(self, reader: Reader) -> None:
        self.name, self.form, self.left_out = reader.name, reader.form, reader.left_out
        self._reader = reader

    def __len__(self) -> int:
        return len(self._reader)

    def __getitem__(self, number: int, /) -> Sample | Broken:
        found = self._reader[number]
        return with_screens_learnt(found) if isinstance(found, Sample) else found

    def source(self, number: int, /) -> str:
        """Where one comes from."""
        return self._reader.source(number)


def with_screens_learnt(sample: Sample) -> Sample:
    """The sample with every picture but the first learnt."""
    parts: list[Part] = []
    seen = False
    for part in sample.parts:
        is_picture = isinstance(part.content, Picture)
        parts.append(Part(part.content, learnt=True) if is_picture and seen else part)
        seen = seen or is_picture
    return replace(sample, parts=tuple(parts))
