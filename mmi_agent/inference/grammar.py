"""What a model may write: tool calls and other JSON that always parse, at any temperature, within a budget.

A grammar is compiled from JSON schemas by `llguidance`; a state of it says at each place which tokens may come next.
A call is compact JSON, `{"tool":"click","arguments":{"mark":3}}`. Knows nothing about models or documents.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from llguidance import LLMatcher
from numpy.typing import NDArray
from torch import Tensor

from mmi_agent.errors import ConfigError, PolicyError
from mmi_agent.inference.bounded_schema import Bounds, Schema, bounded, extent
from mmi_agent.inference.tokenizer import Tokenizer
from mmi_agent.types import ToolCall

__all__ = ["CallSchema", "Grammar", "GrammarState"]

# no \u: it could write NUL and half characters, and everything else can be written as it is
_ESCAPES = '"\\nrt'
_ROOM_TOKENS = 384
_CLOSING_STRUCTURE = '}],1234567890n"tf[{.-'
_CLOSING_STRING = '"1'


class CallSchema(NamedTuple):
    """A tool that may be called.

    Attributes:
        name: The tool's name.
        parameters: The JSON schema of its arguments, as pydantic's `model_json_schema()` gives it.
    """

    name: str
    parameters: Mapping[str, Any]


class Grammar:
    """A finite language over a tokenizer's vocabulary; its class methods make one.

    Attributes:
        max_tokens: A budget with room for the longest text, or for 384 tokens before the end has to be headed for.
        closing: What of a budget is kept for the way to the end.
    """

    def __init__(self, source: str, tokenizer: Tokenizer, *, longest: int, closing: int) -> None:
        self._tokenizer = tokenizer
        self.closing = closing
        self._matcher = LLMatcher(tokenizer.constraints, source, log_level=0)
        if self._matcher.is_error():
            raise ConfigError(f"the schema cannot be compiled: {_reason(self._matcher)}")
        self.max_tokens = min(longest, _ROOM_TOKENS) + closing

    @classmethod
    def for_calls(cls, calls: Sequence[CallSchema], tokenizer: Tokenizer, *, bounds: Bounds | None = None) -> "Grammar":
        """Exactly one call of one of the tools.

        Args:
            calls: The tools.
            tokenizer: Of the model that writes.
            bounds: Of strings, lists and numbers whose schema sets none.

        Raises:
            ConfigError: Naming the tool whose schema cannot be kept, and why; or if there is no tool.
        """
        if not calls:
            raise ConfigError("no tool may be called: expected at least one")
        schemas = [_call_schema(call, bounds) for call in calls]
        try:
            grammar = cls._from_schema({"anyOf": schemas}, tokenizer)
        except ConfigError:
            for call, schema in zip(calls, schemas, strict=True):
                try:
                    cls._from_schema(schema, tokenizer)
                except ConfigError as error:
                    raise ConfigError(f"{_refusal(call)}: {error}") from error
            raise
        for call in calls:  # a schema that no text follows vanishes from the grammar without a word
            if not grammar._begins(f'{{"tool":{json.dumps(call.name, ensure_ascii=False)},"arguments":{{'):
                raise ConfigError(f"{_refusal(call)}: no text follows its schema; loosen its bounds and patterns")
        return grammar

    @classmethod
    def for_json(cls, schema: Mapping[str, Any], tokenizer: Tokenizer, *, bounds: Bounds | None = None) -> "Grammar":
        """Compact JSON that follows a schema.

        Raises:
            ConfigError: Saying where the schema cannot be kept, and why.
        """
        return cls._from_schema(bounded(schema, bounds), tokenizer)

    @classmethod
    def for_choices(cls, choices: Sequence[str], tokenizer: Tokenizer) -> "Grammar":
        """One of the texts, as it stands.

        Raises:
            ConfigError: If there are none, or one is empty.
        """
        if not choices or not all(choices):
            raise ConfigError(f"choices are {list(choices)!r}: expected texts that are not empty")
        length = max(len(choice.encode()) for choice in choices)
        source = LLMatcher.grammar_from_lark("start: " + " | ".join(map(json.dumps, choices)))
        return cls(source, tokenizer, longest=length, closing=length)

    @classmethod
    def for_pattern(cls, pattern: str, tokenizer: Tokenizer, *, longest: int) -> "Grammar":
        """Text that a regular expression matches from beginning to end.

        Args:
            pattern: The expression, as Rust's `regex` reads it.
            tokenizer: Of the model that writes.
            longest: Bytes of the longest text that it matches.

        Raises:
            ConfigError: If the expression cannot be compiled.
        """
        return cls(LLMatcher.grammar_from_regex(pattern), tokenizer, longest=longest, closing=longest)

    @classmethod
    def _from_schema(cls, schema: Schema, tokenizer: Tokenizer) -> "Grammar":
        longest, closing = extent(schema)
        source = LLMatcher.grammar_from_json_schema(
            schema, overrides={"whitespace_flexible": False, "json_allowed_escapes": _ESCAPES}
        )
        return cls(source, tokenizer, longest=longest, closing=closing)

    def _begins(self, text: str) -> bool:
        """Whether some text of the language begins so."""
        ids = self._tokenizer.encode(text)
        return self._matcher.deep_copy().try_consume_tokens(ids) == len(ids)

    def start(self, vocab_size: int | None = None) -> "GrammarState":
        """A state in which nothing is written.

        Args:
            vocab_size: Of the model; ids beyond the tokenizer's are never allowed. By default the tokenizer's.
        """
        size = self._tokenizer.vocab_size if vocab_size is None else vocab_size
        return GrammarState(self._matcher.deep_copy(), self._tokenizer, size, self.closing)

    @staticmethod
    def parse_call(text: str) -> ToolCall:
        """Reads what was written by a grammar of calls.

        Raises:
            PolicyError: If the text is no call, which means that it was cut.
        """
        try:
            call = json.loads(text)
            return ToolCall(name=call["tool"], arguments=call["arguments"])
        except (ValueError, KeyError, TypeError) as error:
            raise PolicyError(f"not a call: {text[:200]!r}") from error


class GrammarState:
    """A place in a text that is being written."""

    def __init__(self, matcher: LLMatcher, tokenizer: Tokenizer, vocab_size: int, closing: int) -> None:
        self._matcher = matcher
        self._tokenizer = tokenizer
        self._vocab_size = vocab_size
        self._closing = closing
        self._ending: list[int] | None = None  # the way to the end, until another one is taken

    @property
    def done(self) -> bool:
        """Whether nothing more may be written."""
        return self._matcher.is_stopped()

    def forced(self) -> list[int]:
        """Tokens that must come next, if there is only one way to go on: they need no model to choose them."""
        return self._matcher.compute_ff_tokens()

    def mask(self, tokens_left: int | None = None) -> Tensor:
        """Says which tokens may come next.

        Args:
            tokens_left: What is left of the budget. When it gets short, only the way to the end remains; a budget of
                `Grammar.max_tokens` never runs out before the end, nor does any that is enough for `ending` at the
                start.

        Returns:
            True for each id that may come next, shape (vocab_size,), bool, on the CPU. Where the text may end, the
            tokenizer's end of turn is one of them.

        Raises:
            PolicyError: If the grammar has become too complex for its limits.
        """
        allowed_V = torch.zeros(self._vocab_size, dtype=torch.bool)
        if tokens_left is not None and tokens_left <= self._closing:
            allowed_V[(self.ending() or [self._tokenizer.end_of_turn])[0]] = True
        else:
            allowed = self._allowed(self._matcher)
            allowed_V[: len(allowed)] = torch.as_tensor(allowed)
        return allowed_V

    def advance(self, ids: Sequence[int]) -> None:
        """Takes note of tokens that were written.

        Raises:
            PolicyError: If one of them is not allowed; the state is then as before.
        """
        taken = self._matcher.try_consume_tokens(list(ids))
        if taken < len(ids):
            self._matcher.rollback(taken)
            raise PolicyError(f"the token {ids[taken]} is not allowed after {taken} of {list(ids)}")
        on_the_way = self._ending is not None and self._ending[: len(ids)] == list(ids)
        self._ending = self._ending[len(ids) :] if self._ending is not None and on_the_way else None

    def fork(self) -> "GrammarState":
        """A state at the same place that goes its own way."""
        return GrammarState(self._matcher.deep_copy(), self._tokenizer, self._vocab_size, self._closing)

    def ending(self) -> list[int]:
        """A short way from here to the end of the text; empty if it may end here."""
        if self._ending is None:
            self._ending = self._way_to_the_end()
        return self._ending

    def _way_to_the_end(self) -> list[int]:
        matcher = self._matcher.deep_copy()
        tokens: list[int] = []
        while not matcher.is_accepting():
            step = matcher.compute_ff_tokens() or [self._closer(matcher)]
            matcher.consume_tokens(step)
            tokens += step
        return tokens

    def _closer(self, matcher: LLMatcher) -> int:
        """The next token on a short way to the end."""
        ids = self._tokenizer.id_of_byte
        in_string = matcher.validate_tokens([ids[ord("a")]]) or matcher.validate_tokens([ids[ord(" ")]])
        for character in _CLOSING_STRING if in_string else _CLOSING_STRUCTURE:
            if matcher.validate_tokens([ids[ord(character)]]):
                return ids[ord(character)]
        return int(np.argmax(self._allowed(matcher)))

    def _allowed(self, matcher: LLMatcher) -> NDArray[np.bool_]:
        bits = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
        if matcher.is_error():
            raise PolicyError(f"the grammar cannot go on: {_reason(matcher)}")
        return np.unpackbits(bits, bitorder="little")[: self._tokenizer.vocab_size].astype(np.bool_)


def _call_schema(call: CallSchema, bounds: Bounds | None) -> Schema:
    try:
        tool = bounded({"const": call.name})
        arguments = bounded(call.parameters, bounds)
    except ConfigError as error:
        raise ConfigError(f"{_refusal(call)}: {error}") from error
    return {
        "type": "object",
        "properties": {"tool": tool, "arguments": arguments},
        "required": ["tool", "arguments"],
        "additionalProperties": False,
    }


def _refusal(call: CallSchema) -> str:
    return f"the tool {call.name!r} cannot be written by a grammar"


def _reason(matcher: LLMatcher) -> str:
    return " ".join(matcher.get_error().split())[:200] or "no reason given"
