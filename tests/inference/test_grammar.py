import json
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
import torch
from pydantic import AnyUrl, BaseModel, Field, FilePath, HttpUrl, Json, create_model

from mmi_agent.checkpoints.smollm2 import ensure_smollm2, load_tokenizer
from mmi_agent.errors import ConfigError, PolicyError
from mmi_agent.inference.bounded_schema import Bounds, bounded, extent
from mmi_agent.inference.grammar import CallSchema, Grammar, GrammarState
from mmi_agent.inference.tokenizer import Tokenizer

PICTURE_IDS = 2
NO_ARGUMENTS = {"type": "object", "properties": {}}


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Point(BaseModel):
    x: int = Field(ge=0, le=1000)
    note: str | None = None


class Tree(BaseModel):
    value: int
    children: list["Tree"] = []
    left: "Tree | None" = None


class Number(BaseModel):
    kind: Literal["number"]
    value: float


class Sum(BaseModel):
    kind: Literal["sum"]
    left: "Number | Sum"
    right: "Number | Sum"


FIELDS: dict[str, Any] = {
    "text": str,
    "short": Annotated[str, Field(min_length=3, max_length=5)],
    "long": Annotated[str, Field(min_length=250)],
    "maybe": str | None,
    "mark": Annotated[int, Field(ge=1, le=50)],
    "positive": Annotated[int, Field(gt=0)],
    "negative": Annotated[int, Field(lt=-5)],
    "fives": Annotated[int, Field(multiple_of=5)],
    "number": float,
    "share": Annotated[float, Field(gt=0, lt=1)],
    "narrow": Annotated[float, Field(ge=1e-4, le=2e-4)],
    "huge": Annotated[float, Field(gt=1e12)],
    "tenths": Annotated[float, Field(multiple_of=0.1)],
    "flag": bool,
    "nothing": None,
    "few": Annotated[list[int], Field(max_length=3)],
    "some": Annotated[list[str], Field(min_length=2)],
    "different": set[int],
    "pair": tuple[int, str],
    "nested": list[list[bool]],
    "counts": dict[str, int],
    "by_colour": dict[Colour, int],
    "by_pattern": dict[Annotated[str, Field(pattern="^k[0-9]$")], bool],
    "anything": Any,
    "free": dict[str, Any],
    "colour": Colour,
    "literal": Literal[1, "x", None],
    "odd": Literal['q"\\\u2028\n', "a/b\t", "<|im_end|>", "é🙂"],
    "union": int | str,
    "point": Point,
    "tree": Tree,
    "sum": Sum,
    "tagged": Annotated[Number | Sum, Field(discriminator="kind")],
    "pattern": Annotated[str, Field(pattern=r"^[a-z]+\d{2}$")],
    "inside": Annotated[str, Field(pattern="a.c")],
    "quotes": Annotated[str, Field(pattern=r'^["\\\]}]*$')],
    "day": date,
    "moment": datetime,
    "clock": time,
    "span": timedelta,
    "id": UUID,
    "url": HttpUrl,
    "any_url": AnyUrl,
    "path": Path,
    "bytes": bytes,
}


def model_of(*names: str) -> type[BaseModel]:
    fields: Any = {name: (FIELDS[name], ...) for name in names}
    return create_model("_".join(names), **fields)


@pytest.fixture(scope="module", params=["tiny", pytest.param("small", marks=pytest.mark.weights)])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return Tokenizer.byte_level() if request.param == "tiny" else Tokenizer(load_tokenizer(ensure_smollm2()))


def write(grammar: Grammar, tokenizer: Tokenizer, *, budget: int, seed: int, temperature: float) -> list[int]:
    """Decodes as the engine does, from a model that knows nothing."""
    vocab_size = tokenizer.vocab_size + PICTURE_IDS
    generator = torch.Generator().manual_seed(seed)
    state, written = grammar.start(vocab_size), list[int]()
    while len(written) < budget and not state.done:
        ids: Sequence[int] = state.forced()
        if not ids:
            allowed_V = state.mask(budget - len(written))
            assert allowed_V.any() and not allowed_V[tokenizer.vocab_size :].any()
            logits_V = torch.randn(vocab_size, generator=generator) * temperature
            logits_V[~allowed_V] = float("-inf")
            ids = [int(torch.multinomial(logits_V.softmax(-1), 1, generator=generator))]
        if ids[0] == tokenizer.end_of_turn:
            break
        state.advance(ids)
        written += ids
    return written


@pytest.mark.parametrize("name", FIELDS)
def test_every_call_parses(tokenizer: Tokenizer, name: str) -> None:
    arguments = model_of(name, "mark") if name != "mark" else model_of(name)
    schema = arguments.model_json_schema()
    grammar = Grammar.for_calls([CallSchema(f"use_{name}", schema), CallSchema("finish", NO_ARGUMENTS)], tokenizer)
    tightest = len(grammar.start().ending())
    longest = extent(bounded(schema)).longest + len(f'{{"tool":"use_{name}","arguments":}}')
    for seed in range(12):
        budget = (grammar.max_tokens, grammar.max_tokens // 2 + tightest, tightest)[seed % 3]
        ids = write(grammar, tokenizer, budget=budget, seed=seed, temperature=(1.0, 50.0)[seed % 2])
        text = tokenizer.decode(ids)
        assert len(ids) <= budget and len(text.encode()) <= longest
        call = Grammar.parse_call(text)
        if call.name != "finish":
            arguments.model_validate_json(json.dumps(call.arguments))


def test_a_call_is_compact_json_and_says_what_is_forced(tokenizer: Tokenizer) -> None:
    grammar = Grammar.for_calls([CallSchema("click", model_of("mark").model_json_schema())], tokenizer)
    state = grammar.start()
    assert tokenizer.decode(state.forced()) in '{"tool":"click","arguments":{"mark":'
    text = '{"tool":"click","arguments":{"mark":3}}'
    state.advance(tokenizer.encode(text))
    assert state.done
    call = Grammar.parse_call(text)
    assert (call.name, call.arguments) == ("click", {"mark": 3})
    with pytest.raises(PolicyError, match="not a call"):
        Grammar.parse_call('{"tool":"cl')


def test_max_tokens_leaves_the_choice_free(tokenizer: Tokenizer) -> None:
    schema = {"type": "object", "properties": {"mark": {"enum": list(range(1, 60))}}, "required": ["mark"]}
    grammar = Grammar.for_calls([CallSchema("click", schema), CallSchema("hover", schema)], tokenizer)
    calls = {
        tokenizer.decode(write(grammar, tokenizer, budget=grammar.max_tokens, seed=seed, temperature=1))
        for seed in range(40)
    }
    assert len(calls) > 20


def test_no_string_can_hold_what_json_files_cannot(tokenizer: Tokenizer) -> None:
    state = Grammar.for_json({"type": "string"}, tokenizer).start()
    state.advance(tokenizer.encode('"'))
    for text in ("\\u0000", "\\ud800", "\x00", "\n"):
        with pytest.raises(PolicyError, match="is not allowed"):
            state.fork().advance(tokenizer.encode(text))
    assert not state.mask()[sorted(tokenizer.special_ids)].any()


def test_states_fork_and_a_wrong_token_changes_none(tokenizer: Tokenizer) -> None:
    state = Grammar.for_choices(["left", "right", "<|im_end|>"], tokenizer).start()
    before = state.mask()
    other = state.fork()
    other.advance(tokenizer.encode("left"))
    assert other.done and not state.done
    with pytest.raises(PolicyError, match="is not allowed"):
        state.advance(tokenizer.encode("lift"))
    assert torch.equal(state.mask(), before)


def test_a_text_that_could_go_on_may_end(tokenizer: Tokenizer) -> None:
    state = Grammar.for_json({"type": "integer", "minimum": 1, "maximum": 12}, tokenizer).start()
    state.advance(tokenizer.encode("1"))
    assert not state.ending() and not state.done
    assert state.mask()[tokenizer.end_of_turn]
    state.advance([tokenizer.end_of_turn])
    assert state.done


@pytest.mark.parametrize(
    ("field", "said"),
    [
        (Annotated[set[int], Field(min_length=3)], "3 different items cannot be kept"),
        (Annotated[str, Field(pattern=r"^\W+$")], "cannot be kept; write"),
        (Annotated[str, Field(pattern="^x{300}$")], "no text follows its schema"),
        (Literal["bell\x07"], "remove its control characters"),
        (FilePath, "the format 'file-path' cannot be kept; give a pattern instead"),
        (Json, "the keyword 'contentMediaType' cannot be kept"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_name(field: Any, said: str) -> None:
    schema = create_model("Arguments", value=(field, ...)).model_json_schema()
    with pytest.raises(ConfigError, match=f"^the tool 'odd' cannot be written by a grammar: .*{said}"):
        Grammar.for_calls([CallSchema("click", NO_ARGUMENTS), CallSchema("odd", schema)], Tokenizer.byte_level())


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"not": {"type": "integer"}}, "the keyword 'not'"),
        ({"type": ["integer", "null"], "not": {"const": 3}}, "the keyword 'not'"),
        ({"type": ["string", "null"], "contentEncoding": "base64"}, "the keyword 'contentEncoding'"),
        ({"type": "integer", "minimum": 5, "allOf": [{"minimum": 1}]}, "'minimum' stands beside allOf and in it"),
        ({"type": "string", "format": "date", "pattern": "^x$"}, "the format 'date' and a pattern"),
        ({"enum": [1, 5], "minimum": 3}, "the keyword 'minimum'"),
        ({"type": "object", "anyOf": [{"type": "integer"}]}, "allows nothing: no choice fits"),
        ({"enum": []}, r"enum is \[\]: expected a list that is not empty"),
        ({"anyOf": []}, r"anyOf is \[\]: expected a list that is not empty"),
        ({"properties": []}, r"properties is \[\]: expected an object"),
        ({"properties": {"a": 3}}, "^a is 3: expected a schema"),
        ({"type": "string", "minLength": "3"}, "minLength is '3': expected a whole number"),
        ({"type": "number", "exclusiveMinimum": True}, "exclusiveMinimum is True: expected a whole number or a number"),
        ({"type": "number", "minimum": 1e300}, "minimum cannot be kept: expected -9223372036854775808 to"),
        ({"type": ["strng"]}, "has the type 'strng': expected one of"),
    ],
)
def test_what_is_not_kept_or_malformed_is_refused_with_its_place(schema: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Grammar.for_json(schema, Tokenizer.byte_level())


def test_a_type_beside_choices_narrows_them() -> None:
    assert bounded({"type": "string", "enum": [1, "a", None]}) == {"enum": ["a"]}
    assert bounded({"type": ["number", "null"], "anyOf": [{"enum": ["x", None]}, {"type": "boolean"}]}) == {
        "anyOf": [{"enum": [None]}]
    }
    assert bounded({"title": "T", "allOf": [{"type": "boolean", "title": "part"}]}) == {"type": "boolean"}
    largest = {"type": "integer", "minimum": 2**64 - 1}
    assert Grammar.for_json(largest, Tokenizer.byte_level()).start().forced()


def test_the_way_to_the_end_is_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer, searched = Tokenizer.byte_level(), list[None]()
    find = GrammarState._way_to_the_end
    monkeypatch.setattr(GrammarState, "_way_to_the_end", lambda state: searched.append(None) or find(state))
    schema = {"type": "array", "items": {"type": "integer"}, "minItems": 50, "maxItems": 50}
    grammar = Grammar.for_json(schema, tokenizer)
    text = tokenizer.decode(write(grammar, tokenizer, budget=grammar.closing, seed=1, temperature=1))
    assert len(json.loads(text)) == 50 and len(searched) == 1


def test_a_schema_that_does_not_compile_names_its_tool() -> None:
    odd = CallSchema("odd", {"properties": {"value": {"type": "string", "pattern": "^(a"}}})
    with pytest.raises(ConfigError, match=r"^the tool 'odd' cannot be .* cannot be compiled: regex parse error"):
        Grammar.for_calls([CallSchema("click", NO_ARGUMENTS), odd], Tokenizer.byte_level())


def test_other_schemas_that_are_refused() -> None:
    endless = {"$defs": {"A": {"properties": {"a": {"$ref": "#/$defs/A"}}, "required": ["a"]}}, "$ref": "#/$defs/A"}
    with pytest.raises(ConfigError, match="contains itself without end"):
        bounded(endless)
    with pytest.raises(ConfigError, match="a: the keyword 'contains' cannot be kept"):
        bounded({"properties": {"a": {"type": "array", "contains": {}}}})
    with pytest.raises(ConfigError, match="expected at least one"):
        Grammar.for_calls([], Tokenizer.byte_level())
    with pytest.raises(ConfigError, match="texts that are not empty"):
        Grammar.for_choices(["a", ""], Tokenizer.byte_level())


def test_bounds_fill_in_and_keep_what_is_stated() -> None:
    schema = bounded(model_of("text", "short", "number", "share", "tree").model_json_schema(), Bounds(characters=9))
    fields = schema["properties"]
    assert fields["text"]["maxLength"] == 9
    assert fields["short"]["maxLength"] == 5
    assert fields["number"] == {"type": "number", "multipleOf": 1e-3, "minimum": -(10**9), "maximum": 10**9}
    assert fields["share"] == {"type": "number", "multipleOf": 1e-3, "exclusiveMinimum": 0, "exclusiveMaximum": 1}
    assert "$ref" not in json.dumps(schema)
