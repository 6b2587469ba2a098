"""The chat model beyond the standard suite: interleaved answers, pictures by digest, forms, bad input."""

import base64
import time
from io import BytesIO
from typing import Any

import pytest
from langchain_core.exceptions import ContextOverflowError
from langchain_core.load import dumpd, load
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_tests.utils.stream_lifecycle import assert_valid_event_stream
from PIL import Image

from mmi_agent.errors import ActionError, ConfigError, UnknownNameError
from mmi_agent.integrations.chat import ChatMMInterleaved
from mmi_agent.integrations.messages import by_digest, inlined
from mmi_agent.pictures import MemoryPictures

_MIXED: dict[str, Any] = {"structure": ["text", "picture", "text"], "drawing_steps": 1, "max_tokens": 9}


@pytest.fixture(scope="module")
def chat() -> ChatMMInterleaved:
    return ChatMMInterleaved(model="tiny", pictures=0, max_tokens=24)


def _png(color: str = "red") -> str:
    buffer = BytesIO()
    Image.new("RGB", (8, 6), color).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def weigh(thing: str, times: int = 1) -> str:
    """Weigh something."""
    return f"{thing} {times}"


def test_text_and_pictures_take_turns_the_same_in_every_form(chat: ChatMMInterleaved) -> None:
    answer = chat.invoke("Hi", **_MIXED)
    assert [block["type"] for block in answer.content_blocks] == ["text", "image", "text"]
    drawn = answer.content_blocks[1]
    assert Image.open(BytesIO(base64.b64decode(drawn["base64"]))).size == (32, 32)  # pyright: ignore[reportGeneralTypeIssues, reportTypedDictNotRequiredAccess]

    whole: AIMessageChunk | None = None
    for chunk in chat.stream("Hi", **_MIXED):
        whole = chunk if whole is None else whole + chunk
    assert whole is not None and whole.content == answer.content

    stream = chat.stream_events("Hi", version="v3", **_MIXED)
    events = list(stream)
    assert_valid_event_stream(events)
    order = [(e["event"].removeprefix("content-block-"), e["index"]) for e in events if "index" in e]
    assert [step for step in order if step[0] != "delta"] == [
        (what, index) for index in range(3) for what in ("start", "finish")
    ]  # a block is closed before the next is opened
    blocks = [{k: v for k, v in b.items() if k != "index"} for b in answer.content_blocks]
    assert [{k: v for k, v in b.items() if k != "index"} for b in stream.output.content_blocks] == blocks
    usage = stream.output.usage_metadata
    assert usage and answer.usage_metadata and usage["output_tokens"] == answer.usage_metadata["output_tokens"]


def test_a_call_is_streamed_and_comes_as_events(chat: ChatMMInterleaved) -> None:
    bound = chat.bind_tools([weigh], tool_choice="weigh")
    events = list(bound.stream_events("Weigh a fig.", version="v3", max_tokens=64))
    assert_valid_event_stream(events)
    [finish] = [e["content"] for e in events if e["event"] == "content-block-finish"]
    answer = bound.invoke("Weigh a fig.", max_tokens=64)
    assert finish["type"] == "tool_call" and finish["args"] == answer.tool_calls[0]["args"]
    assert answer.response_metadata["finish_reason"] == "tool_calls"
    assert not chat.bind_tools([weigh], tool_choice="none").invoke("Weigh a fig.").tool_calls


def test_the_seed_decides_and_other_options_of_a_call_are_kept(chat: ChatMMInterleaved) -> None:
    said = [chat.invoke("Hi", temperature=1.0, seed=seed, max_tokens=12).text for seed in (1, 1, 2)]
    assert said[0] == said[1] != said[2]


def test_pictures_by_digest_are_the_same_pictures(chat: ChatMMInterleaved) -> None:
    picture = {"type": "image", "base64": _png(), "mime_type": "image/png"}
    calls = [{"name": "weigh", "args": {}, "id": "1", "type": "tool_call"}]
    asked = [HumanMessage("look"), AIMessage("", tool_calls=calls), ToolMessage([picture], tool_call_id="1")]
    store = MemoryPictures()
    named = [by_digest(message, store) for message in asked]
    assert "base64" not in str(named) and "sha256:" in str(named)
    assert [inlined(message, store).content for message in named] == [message.content for message in asked]

    with_store = ChatMMInterleaved(model="tiny", pictures=0, max_tokens=24, store=store)
    with_bytes, with_digest = chat.invoke(asked), with_store.invoke(named)
    assert with_digest.text == with_bytes.text
    usage = with_digest.usage_metadata
    assert usage and usage.get("input_token_details", {}).get("cache_read") == usage["input_tokens"]  # the same to it
    other = ToolMessage([picture | {"base64": _png("blue")}], tool_call_id="1")
    usage = chat.invoke([*asked[:2], other]).usage_metadata
    assert usage and usage.get("input_token_details", {}).get("cache_read", 0) < usage["input_tokens"]
    drawn = with_store.invoke("Hi", **_MIXED).content_blocks[1]
    assert store.get(drawn["file_id"].removeprefix("sha256:"))  # pyright: ignore[reportGeneralTypeIssues, reportTypedDictNotRequiredAccess]
    with pytest.raises(ConfigError, match="is not in the store"):
        chat.invoke(named)


def test_it_goes_to_json_and_back(chat: ChatMMInterleaved) -> None:
    again = load(dumpd(chat), allowed_objects=[ChatMMInterleaved], valid_namespaces=["mmi_agent"])
    assert again.asdict() == chat.asdict()


def test_bad_input_is_one_line(chat: ChatMMInterleaved) -> None:
    def sent(**block: Any) -> Any:
        return chat.invoke([HumanMessage([block])])

    with pytest.raises(ConfigError, match="is not fetched: give its bytes as base64"):
        sent(type="image", url="https://example.org/cat.png")
    with pytest.raises(ActionError, match="no base64"):
        sent(type="image", base64="???", mime_type="image/png")
    with pytest.raises(ActionError, match="not a picture"):
        sent(type="image", base64=base64.b64encode(b"no picture").decode(), mime_type="image/png")
    with pytest.raises(ConfigError, match="'audio' cannot be read"):
        sent(type="audio", base64="", mime_type="audio/wav")
    with pytest.raises(UnknownNameError, match="did you mean 'temperature'"):
        chat.invoke("Hi", temprature=1)
    with pytest.raises(UnknownNameError, match="unknown tool 'wiegh': did you mean 'weigh'"):
        chat.bind_tools([weigh], tool_choice="wiegh")
    with pytest.raises(ContextOverflowError, match="window of 4096"):
        chat.invoke("x" * 5000)
    with pytest.raises(TimeoutError, match="no whole answer within 0 s"):
        chat.invoke("Hi", timeout=0.0)
    assert chat.invoke("half \ud800 a character").text  # is no error: it is read as U+FFFD


def test_a_question_that_leaves_no_room_for_the_pictures_of_its_answer_is_refused(chat: ChatMMInterleaved) -> None:
    empty = chat.invoke("").usage_metadata
    assert empty
    fits = 4096 - empty["input_tokens"]
    picture: dict[str, Any] = {"structure": ["picture"], "drawing_steps": 1}
    others: list[dict[str, Any]] = [{"pictures": 1}, {"structure": ["text", "picture"]}]
    drawn = chat.invoke("x" * (fits - 9), **picture).usage_metadata
    assert drawn and drawn["total_tokens"] == 4096, "a picture takes nine positions"
    for options in (picture, *others):
        with pytest.raises(ContextOverflowError, match="no room for the answer and 1 pictures"):
            chat.invoke("x" * (fits - 8), **options)


def test_a_broken_answer_leaves_the_next_one_whole(chat: ChatMMInterleaved) -> None:
    whole = chat.invoke("Count.").text
    for _ in range(2):
        next(iter(chat.stream("Count.")))  # left after its first chunk
        time.sleep(0)
        assert chat.invoke("Count.").text == whole
