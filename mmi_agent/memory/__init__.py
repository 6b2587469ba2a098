"""What the agent remembers: episodes, facts and skills that are recalled by text and by picture.

`Memory.open(folder)` is the front door; see `store` for what it promises.
"""

from mmi_agent.memory.embedders import PictureEmbedder, TextEmbedder
from mmi_agent.memory.items import KINDS, TRUSTS, Kind, MemoryItem, Query, Recalled, Source, Trust
from mmi_agent.memory.store import Memory

__all__ = [
    "KINDS",
    "TRUSTS",
    "Kind",
    "Memory",
    "MemoryItem",
    "PictureEmbedder",
    "Query",
    "Recalled",
    "Source",
    "TextEmbedder",
    "Trust",
]
