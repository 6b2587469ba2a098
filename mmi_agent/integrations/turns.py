"""Turns of a chat as the model reads them, between the markers or under the names that it was trained with.

Knows nothing of LangChain. What anybody says is data to the tokenizer: no text becomes a marker.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import JsonValue

from mmi_agent.errors import UnknownNameError
from mmi_agent.inference.document import Unit
from mmi_agent.inference.loading import MMInterleaved
from mmi_agent.inference.prompts import Content, encode_content, turn
from mmi_agent.inference.tokenizer import START_OF_TURN
from mmi_agent.types import Picture

__all__ = ["CALL_OPENING", "ChatTurn", "call_line", "prompt_units"]

CALL_OPENING = '{"tool":'
"""How a call begins, where text and a call may both come."""

_UNSEEN = "[picture]"


@dataclass(frozen=True, kw_only=True)
class ChatTurn:
    """What one side said.

    Attributes:
        role: Who.
        contents: Texts and pictures, in order.
    """

    role: Literal["system", "user", "assistant"]
    contents: tuple[str | Picture, ...]


def call_line(name: str, arguments: JsonValue) -> str:
    """A call as the model writes it."""
    return json.dumps({"tool": name, "arguments": arguments}, ensure_ascii=False, separators=(",", ":"))


def prompt_units(turns: Sequence[ChatTurn], loaded: MMInterleaved, *, look: bool) -> list[Unit]:
    """What the model reads before it answers: all turns, and the beginning of its own.

    Args:
        turns: What was said.
        loaded: The model.
        look: Whether pictures go in; otherwise a word stands in place of each.
    """
    seen = [(said.role, [_shown(content, look=look) for content in said.contents]) for said in turns]
    if _has_markers(loaded):
        contents = [content for role, shown in seen for content in turn(role, shown)]
        return encode_content([*contents, *turn("assistant", closed=False)], loaded.tokenizer)
    return _named(seen, loaded)


def _shown(content: str | Picture, *, look: bool) -> str | Picture:
    return _UNSEEN if isinstance(content, Picture) and not look else content


def _has_markers(loaded: MMInterleaved) -> bool:
    try:
        loaded.tokenizer.special(START_OF_TURN)
    except UnknownNameError:
        return False
    return True


def _named(turns: Iterable[tuple[str, Sequence[str | Picture]]], loaded: MMInterleaved) -> list[Unit]:
    """Turns under the names that Vicuna was trained with."""
    units: list[Unit] = [loaded.model.config.begin_of_text]
    for role, shown in turns:
        contents: list[Content] = [*({"user": ["USER: "], "assistant": ["ASSISTANT: "]}.get(role, [])), *shown]
        if role != "assistant":
            contents.append(" ")
        units += encode_content(contents, loaded.tokenizer)
        if role == "assistant":
            units.append(loaded.tokenizer.end_of_turn)
    return [*units, *loaded.tokenizer.encode("ASSISTANT:")]
