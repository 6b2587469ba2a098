"""Documents all of which is learnt, as most of the released model's data is."""

from collections.abc import Iterable

from mmi_agent.inference.prompts import Content, Part
from mmi_agent.types import Picture

__all__ = ["learnt_document"]


def learnt_document(contents: Iterable[Content]) -> tuple[Part, ...]:
    """Marks everything as learnt but a picture that opens the document: nothing before it says what to draw."""
    first, *others = (content for content in contents if content != "")
    return Part(first, learnt=not isinstance(first, Picture)), *(Part(content, learnt=True) for content in others)
