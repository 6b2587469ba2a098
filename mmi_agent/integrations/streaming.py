"""An answer in LangChain's words: as chunks of a message, and as the events of protocol v3.

In the events a block is closed before the next is opened. LangChain would make events out of the chunks by itself, but
it leaves every block open until the end, and readers of interleaved text and pictures cannot tell what is whole.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from langchain_core.messages import AIMessageChunk
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGenerationChunk
from langchain_protocol.protocol import MessagesData

from mmi_agent.integrations.answering import CallArguments, CallBegun, Done, Drew, Event, Said
from mmi_agent.integrations.messages import image_block, reference_block
from mmi_agent.pictures import PictureStore

__all__ = ["Telling", "answer_chunks", "answer_events"]


@dataclass(frozen=True, kw_only=True)
class Telling:
    """How an answer is told.

    Attributes:
        model: The model's name.
        store: Where its pictures are.
        inline: Whether pictures come with their bytes, or by digest.
    """

    model: str
    store: PictureStore
    inline: bool

    def image(self, drew: Drew) -> dict[str, Any]:
        """The block of a picture."""
        return image_block(drew.picture, self.store) if self.inline else reference_block(drew.picture)

    @property
    def form(self) -> dict[str, Any]:
        """What every chunk says of the answer."""
        return {"output_version": "v1", "model_provider": "mmi_agent"}

    def ending(self, done: Done) -> dict[str, Any]:
        """What the last chunk says besides."""
        return {"model_name": self.model, "finish_reason": done.reason}


def _usage(done: Done) -> UsageMetadata:
    return UsageMetadata(
        input_tokens=done.read,
        output_tokens=done.written,
        total_tokens=done.read + done.written,
        input_token_details={"cache_read": done.reused},
    )


def answer_chunks(answer: Iterable[Event], telling: Telling) -> Iterator[ChatGenerationChunk]:
    """The answer as chunks; added up they are the message."""
    index, kind = -1, ""
    call_id = ""
    for event in answer:
        if isinstance(event, Done):
            yield ChatGenerationChunk(
                message=AIMessageChunk(
                    content=[],
                    response_metadata=telling.form | telling.ending(event),
                    usage_metadata=_usage(event),
                    chunk_position="last",
                )
            )
            continue
        if not _goes_on(kind, event):
            index, kind = index + 1, _kind(event)
        call: dict[str, Any] | None = None
        if isinstance(event, Said):
            block: dict[str, Any] = {"type": "text", "text": event.text}
        elif isinstance(event, Drew):
            block = telling.image(event)
        elif isinstance(event, CallBegun):
            call_id = event.id
            call = {"id": call_id, "name": event.name, "args": ""}
            block = {"type": "tool_call_chunk", **call}
        else:
            call = {"id": None, "name": None, "args": event.json}
            block = {"type": "tool_call_chunk", "args": event.json}
        message = AIMessageChunk(
            content=[block | {"index": index}],
            tool_call_chunks=[cast("Any", call | {"type": "tool_call_chunk", "index": index})] if call else [],
            response_metadata=telling.form,
        )
        yield ChatGenerationChunk(message=message, text=event.text if isinstance(event, Said) else "")


def _kind(event: Event) -> str:
    return "text" if isinstance(event, Said) else "image" if isinstance(event, Drew) else "call"


def _goes_on(kind: str, event: Event) -> bool:
    """Whether an event adds to the block before it."""
    return kind == _kind(event) and isinstance(event, (Said, CallArguments))


@dataclass
class _Open:
    """The block that is being told."""

    index: int
    content: dict[str, Any]
    parts: list[str] = field(default_factory=list[str])

    def finished(self) -> dict[str, Any]:
        """The whole block."""
        told = "".join(self.parts)
        match self.content["type"]:
            case "text":
                return self.content | {"text": told}
            case "tool_call_chunk":
                return self.content | {"type": "tool_call", "args": json.loads(told or "{}")}
            case _:
                return self.content


def answer_events(answer: Iterable[Event], telling: Telling, *, message_id: str) -> Iterator[MessagesData]:
    """The answer as events of protocol v3; one block is open at a time."""
    return cast("Iterator[MessagesData]", _events(answer, telling, message_id))


def _events(answer: Iterable[Event], telling: Telling, message_id: str) -> Iterator[dict[str, Any]]:
    metadata = {"provider": "mmi_agent", "model": telling.model}
    yield {"event": "message-start", "role": "ai", "id": message_id, "metadata": metadata}
    block: _Open | None = None
    kind = ""
    for event in answer:
        if block is not None and not _goes_on(kind, event):
            yield {"event": "content-block-finish", "index": block.index, "content": block.finished()}
        if isinstance(event, Done):
            ending = telling.form | telling.ending(event)
            yield {"event": "message-finish", "usage": _usage(event), "metadata": ending}
            return
        if not _goes_on(kind, event):
            block, kind = _Open(0 if block is None else block.index + 1, _opening(event, telling)), _kind(event)
            yield {"event": "content-block-start", "index": block.index, "content": block.content}
        if block is not None and isinstance(event, (Said, CallArguments)):
            told = event.text if isinstance(event, Said) else event.json
            block.parts.append(told)
            delta = (
                {"type": "text-delta", "text": told}
                if isinstance(event, Said)
                else {"type": "tool-call-delta", "args": told}
            )
            yield {"event": "content-block-delta", "index": block.index, "delta": delta}


def _opening(event: Event, telling: Telling) -> dict[str, Any]:
    """A block as it is opened; a picture is opened whole."""
    if isinstance(event, Drew):
        return telling.image(event)
    if isinstance(event, CallBegun):
        return {"type": "tool_call_chunk", "id": event.id, "name": event.name, "args": ""}
    return {"type": "text", "text": ""}
