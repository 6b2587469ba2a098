"""The one form of everything that can be trained on."""

from dataclasses import dataclass

from mmi_agent.inference.prompts import Part
from mmi_agent.pictures import PictureStore

__all__ = ["Broken", "Sample"]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A document of text and pictures of which some parts are learnt.

    A learnt text or marker counts in the loss of the next token. So does the beginning of a learnt picture, and the
    picture itself counts in the loss of the next picture where the model can draw.

    Attributes:
        parts: In their order. A sample that opens with a marker is a chat; any other is a document, and gets the
            beginning and the end of one.
        pictures: Where the bytes of its pictures are.
        source: Where it comes from, as in "runs/login/trajectory.jsonl" or "docs.jsonl: line 7".
    """

    parts: tuple[Part, ...]
    pictures: PictureStore
    source: str


@dataclass(frozen=True, kw_only=True)
class Broken:
    """What should have been a sample.

    Attributes:
        source: Where it should have come from.
        reason: What is wrong with it, in a line.
    """

    source: str
    reason: str
