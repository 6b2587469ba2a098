"""LangChain's messages as turns of a chat; blocks of every provider's form come in LangChain's standard form.

A picture stands in a message as base64, or by digest (`file_id` "sha256:..."), its bytes then in a `PictureStore`: a
checkpoint of a conversation with screenshots stays small.
"""

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from mmi_agent.errors import ActionError, ConfigError
from mmi_agent.integrations.turns import ChatTurn, call_line
from mmi_agent.pictures import PictureStore
from mmi_agent.types import Picture, clean_text

__all__ = ["by_digest", "chat_turns", "image_block", "inlined", "picture_of", "reference_block"]

_DIGEST = "sha256:"
_PASSED_OVER = ("reasoning", "invalid_tool_call", "tool_call", "tool_call_chunk")  # calls stand in `tool_calls`
_NAMED_ELSEWHERE = ("tool_use", "thinking", "redacted_thinking")  # of other providers' answers
_READABLE = "this model reads text and pictures"


def image_block(picture: Picture, store: PictureStore) -> dict[str, Any]:
    """The standard block of a picture, with its bytes."""
    data = base64.b64encode(store.get(picture.digest)).decode()
    return {"type": "image", "base64": data, "mime_type": "image/png"}


def reference_block(picture: Picture) -> dict[str, Any]:
    """The standard block of a picture by digest, its bytes in a store."""
    return {"type": "image", "file_id": f"{_DIGEST}{picture.digest}", "mime_type": "image/png"}


def picture_of(block: Mapping[str, Any], store: PictureStore) -> Picture:
    """The picture of a standard image block; its bytes are then in the store.

    Raises:
        ConfigError: If it is given by an address, or by an id that the store does not know.
        ActionError: If it is no picture that can be read.
    """
    if (file_id := block.get("file_id")) is not None:
        return _stored(str(file_id), store)
    url = str(block.get("url", ""))
    if "base64" not in block and not url.startswith("data:"):
        raise ConfigError(f"the picture at {url[:80]!r} is not fetched: give its bytes as base64")
    encoded = block["base64"] if "base64" in block else url.partition("base64,")[2]
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise ActionError(f"a picture of {len(str(encoded))} characters is no base64: {error}") from error
    return store.put(data)


def _stored(file_id: str, store: PictureStore) -> Picture:
    try:
        return store.put(store.get(file_id.removeprefix(_DIGEST)))
    except KeyError:
        raise ConfigError(
            f"the picture {file_id!r} is not in the store: give the model the store it was put in"
        ) from None


def by_digest(message: BaseMessage, store: PictureStore) -> BaseMessage:
    """The message with its pictures put into the store and named by digest.

    Raises:
        ConfigError: If a picture is given by an address.
        ActionError: If one cannot be read.
    """
    return _with_images(message, lambda block: reference_block(picture_of(block, store)))


def inlined(message: BaseMessage, store: PictureStore) -> BaseMessage:
    """The message with the bytes of its pictures in it, as every other chat model wants them."""
    return _with_images(message, lambda block: image_block(picture_of(block, store), store))


def _with_images(message: BaseMessage, replace: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> BaseMessage:
    content: Any = message.content
    if isinstance(content, str) or not any(_is_image(block) for block in content):
        return message
    blocks = cast("Sequence[Any]", message.content_blocks)
    kept = [replace(block) if block["type"] == "image" else block for block in blocks]
    return message.model_copy(update={"content": kept})


def _is_image(block: Any) -> bool:
    return isinstance(block, dict) and cast("dict[str, Any]", block).get("type") in ("image", "image_url")


def chat_turns(messages: Iterable[BaseMessage], store: PictureStore, *, notes: Sequence[str] = ()) -> list[ChatTurn]:
    """Turns messages into what the model reads.

    Args:
        messages: What was said so far.
        store: Takes the pictures.
        notes: Further lines for the first system turn: the tools, what form the answer has.

    Raises:
        ConfigError: If a message is of a kind, or a block of a type, that cannot be read.
        ActionError: If a picture cannot be read.
    """
    turns = [_turn(message, store) for message in messages]
    if not notes:
        return turns
    said = "\n".join(notes)
    if turns and turns[0].role == "system":
        return [ChatTurn(role="system", contents=(*turns[0].contents, f"\n{said}")), *turns[1:]]
    return [ChatTurn(role="system", contents=(said,)), *turns]


def _turn(message: BaseMessage, store: PictureStore) -> ChatTurn:
    contents = tuple(_contents(message, store))
    if isinstance(message, SystemMessage):
        return ChatTurn(role="system", contents=contents)
    if isinstance(message, HumanMessage):
        named = (f"{clean_text(message.name)}: ",) if message.name else ()
        return ChatTurn(role="user", contents=(*named, *contents))
    if isinstance(message, ToolMessage):
        status = "failed" if message.status == "error" else "done"
        return ChatTurn(role="user", contents=(f"Outcome: {status}. ", *contents))
    if isinstance(message, AIMessage):
        calls = "".join(f"\n{call_line(call['name'], call['args'])}" for call in message.tool_calls)
        return ChatTurn(role="assistant", contents=(*contents, *([calls] if calls else [])))
    raise ConfigError(f"a {type(message).__name__} cannot be read: expected a system, human, AI or tool message")


def _contents(message: BaseMessage, store: PictureStore) -> Iterator[str | Picture]:
    for block in cast("Sequence[Mapping[str, Any]]", message.content_blocks):
        match block["type"]:
            case "text":
                yield clean_text(block["text"])
            case "image":
                yield picture_of(block, store)
            case "non_standard":
                yield from _foreign(block["value"])
            case kind if kind not in _PASSED_OVER:
                raise ConfigError(f"a block of the type {kind!r} cannot be read: {_READABLE}")
            case _:
                pass


def _foreign(value: Mapping[str, Any]) -> Iterator[str]:
    """What a block that LangChain does not know says, as data."""
    kind = value.get("type")
    if kind == "json":
        yield json.dumps(value.get("json"), ensure_ascii=False)
    elif kind not in _NAMED_ELSEWHERE:
        raise ConfigError(f"a block of the type {kind!r} cannot be read: {_READABLE}")
