"""Answers a chat: reads its turns, writes text and pictures, and at most one call or one piece of JSON.

Knows nothing of LangChain. Conversations that go on are read from where they differ: a few documents are kept, and the
one that shares the longest beginning is taken.
"""

import json
import re
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, NamedTuple
from uuid import uuid4

from mmi_agent.errors import PolicyError, ShapeError
from mmi_agent.inference.document import Document, Piece, Unit, num_shared
from mmi_agent.inference.drawing import DrawSettings
from mmi_agent.inference.grammar import CallSchema, Grammar
from mmi_agent.inference.loading import MMInterleaved
from mmi_agent.inference.sampling import Sampling, check_seed
from mmi_agent.inference.stopping import StopStrings
from mmi_agent.inference.structure import Part
from mmi_agent.inference.tokenizer import Tokenizer
from mmi_agent.integrations.turns import CALL_OPENING, ChatTurn, prompt_units
from mmi_agent.pictures import PictureStore
from mmi_agent.types import Picture

__all__ = ["Answerer", "CallArguments", "CallBegun", "Done", "Drew", "Event", "Question", "Said", "answerer"]

_KEPT_DOCUMENTS = 3
_CALL_HEAD = re.compile(r'\{"tool":("(?:[^"\\]|\\.)*"),"arguments":')

Reason = Literal["stop", "length", "tool_calls"]


class Said(NamedTuple):
    """More text."""

    text: str


class Drew(NamedTuple):
    """A picture, whole; it is in the store."""

    picture: Picture


class CallBegun(NamedTuple):
    """A call of that tool begins."""

    id: str
    name: str


class CallArguments(NamedTuple):
    """More of the JSON of its arguments."""

    json: str


class Done(NamedTuple):
    """The end of an answer.

    Attributes:
        reason: Why it ends.
        read: Positions of the model's window that the question takes.
        reused: How many of them had been read before.
        written: Positions that the answer takes.
    """

    reason: Reason
    read: int
    reused: int
    written: int


Event = Said | Drew | CallBegun | CallArguments | Done


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is to be answered, and how.

    Attributes:
        turns: What was said so far.
        store: Where the bytes of pictures are, and where drawn ones are put.
        calls: What may be called.
        must_call: Whether nothing but a call will do.
        schema: Of the JSON that the answer has to be; None for words.
        max_tokens: Of text and pictures together, and as many of a call or of JSON before they are brought to
            their end.
        sampling: How tokens are chosen.
        seed: Of the answer.
        stop: Strings that end the text.
        pictures: How many may be drawn; None leaves it to the model.
        structure: The parts that shall come, in place of a number of pictures.
        drawing: How pictures are drawn.
        look: Whether pictures are shown to the model.
        timeout_s: The answer breaks off with `TimeoutError` after so long.

    Raises:
        ConfigError: If the seed is none.
    """

    turns: Sequence[ChatTurn]
    store: PictureStore
    calls: Sequence[CallSchema] = ()
    must_call: bool = False
    schema: Mapping[str, Any] | None = None
    max_tokens: int = 256
    sampling: Sampling = field(default_factory=Sampling)
    seed: int = 0
    stop: Sequence[str] = ()
    pictures: int | None = 0
    structure: Sequence[Part] | None = None
    drawing: DrawSettings | None = None
    look: bool = True
    timeout_s: float | None = None

    def __post_init__(self) -> None:
        check_seed(self.seed)


_loading = threading.Lock()


def answerer(name: str, *, weights: str | None = None, device: str = "cpu", draws: bool = True) -> "Answerer":
    """Loads what `MMInterleaved.from_pretrained` takes, once in a process.

    Raises:
        MMIError: What `MMInterleaved.from_pretrained` raises.
    """
    with _loading:
        return _loaded(name, weights, device, draws)


@lru_cache(maxsize=4)
def _loaded(name: str, weights: str | None, device: str, draws: bool) -> "Answerer":
    return Answerer(MMInterleaved.from_pretrained(name, weights=weights, device=device, draws=draws))


class Answerer:
    """A model that answers questions, several at a time if need be.

    Args:
        loaded: Model and tokenizer.
    """

    def __init__(self, loaded: MMInterleaved) -> None:
        self.loaded = loaded
        self._free: list[Document] = []
        self._lock = threading.Lock()

    def answer(self, question: Question) -> Generator[Event]:
        """Writes the answer, piece by piece; the last event is `Done`.

        Raises:
            ShapeError: If the question leaves no room in the model's window.
            ConfigError: If a schema cannot be kept, or pictures are wanted of a model that draws none.
            TimeoutError: If it took too long.
        """
        units = prompt_units(question.turns, self.loaded, look=question.look)
        with self._document(units) as document:
            document.pictures = question.store
            read = document.become(units)
            document.protect(self.loaded.model.config.decoder.max_positions)  # no answer drops what it answers
            answer = _Answer(self.loaded, document, question)
            reason = yield from answer.events()
            yield Done(reason, read.reused + read.read, read.reused, answer.written)

    @contextmanager
    def _document(self, units: Sequence[Unit]) -> Generator[Document]:
        """Lends the free document that shares most with `units`; one that broke does not come back."""
        with self._lock:
            best = max(self._free, key=lambda free: num_shared(free.units, units), default=None)
            is_full = len(self._free) >= _KEPT_DOCUMENTS
            if best is not None and (is_full or num_shared(best.units, units)):
                self._free.remove(best)
            else:
                best = None
        document = best or self.loaded.open()
        try:
            yield document
        except GeneratorExit:
            self._give_back(document)
            raise
        self._give_back(document)

    def _give_back(self, document: Document) -> None:
        with self._lock:
            self._free.append(document)
            del self._free[:-_KEPT_DOCUMENTS]


class _Answer:
    """One answer in the making."""

    def __init__(self, loaded: MMInterleaved, document: Document, question: Question) -> None:
        self._loaded, self._document, self._question = loaded, document, question
        self._began = time.monotonic()
        self._budget, self._spent = 0, 0  # tokens; a picture counts as one
        self.written = 0

    def events(self) -> Generator[Event, None, Reason]:
        question = self._question
        if question.schema is not None:
            grammar = _json_grammar(json.dumps(question.schema), self._loaded.tokenizer)
            yield from map(Said, self._constrained(grammar))
            return "stop"
        if question.must_call:
            yield from self._call()
            return "tool_calls"
        if (yield from self._words()):
            yield from self._call()
            return "tool_calls"
        return "stop" if self._spent < self._budget else "length"

    def _tokens_that_fit(self) -> int:
        """A budget of tokens for which the window has room, with the pictures that are wanted."""
        parts = self._question.structure or ()
        pictures = parts.count("picture") if parts else self._question.pictures or 0
        fitting = self._room - pictures * (self._loaded.picture_positions - 1)
        if fitting < max(len(parts), 1):
            raise ShapeError(
                f"the question takes {self._document.length} positions of the window of {self._window}, which leaves "
                f"no room for the answer and {pictures} pictures: shorten it"
            )
        return min(self._question.max_tokens, fitting)

    @property
    def _window(self) -> int:
        return self._loaded.model.config.decoder.max_positions

    @property
    def _room(self) -> int:
        return self._window - self._document.length

    def _words(self) -> Generator[Event, None, bool]:
        """Writes text and pictures; returns whether a call begins, which is then not in the document."""
        question, document = self._question, self._document
        opening = [f"\n{CALL_OPENING}", CALL_OPENING] if question.calls else []
        stops, start, block = StopStrings(opening), len(document.units), ""
        with closing(self._pieces()) as pieces:
            for piece in pieces:
                self._watch_time()
                self._spent += len(piece.ids)
                self.written += self._loaded.picture_positions if piece.picture else len(piece.ids)
                if piece.picture:
                    yield from _said(stops.flush().text)
                    yield Drew(piece.picture)
                    start, block = len(document.units), ""
                    continue
                shown = stops.push([(0, piece.text)])
                block += shown.text
                yield from _said(shown.text)
                if shown.cut is not None:
                    break
            else:
                yield from _said(stops.flush().text)
                return False
        document.rewind(start)
        document.append(block)
        return True

    def _pieces(self) -> Generator[Piece]:
        question = self._question
        self._budget = self._tokens_that_fit()
        return self._document.write(
            max_tokens=self._budget,
            min_tokens=0 if question.structure else min(1, self._budget),  # an answer says something
            sampling=question.sampling,
            seed=question.seed,
            stop=question.stop,
            pictures=None if question.structure else question.pictures,
            structure=question.structure,
            drawing=question.drawing,
        )

    def _call(self) -> Generator[Event]:
        """Writes a call, and tells its arguments as they come."""
        self._document.append("\n")
        grammar = _call_grammar(json.dumps([*self._question.calls]), self._loaded.tokenizer)
        text, told = "", -1
        for more in self._constrained(grammar):
            text += more
            if told < 0 and (head := _CALL_HEAD.match(text)):
                told = head.end()
                yield CallBegun(f"call_{uuid4().hex}", Grammar.parse_call(f"{head[0]}{{}}}}").name)
            if told >= 0 and len(text) - 1 > told:  # the last brace is not the arguments'
                yield CallArguments(text[told:-1])
                told = len(text) - 1
        if told < 0 or not text.endswith("}}"):
            raise PolicyError(f"not a call: {text[:200]!r}")

    def _constrained(self, grammar: Grammar) -> Iterator[str]:
        budget = min(grammar.max_tokens, self._question.max_tokens + grammar.closing)
        if self._room < budget:
            raise ShapeError(f"{self._room} positions of the window are free, the answer may take {budget}")
        for piece in self._document.write(
            max_tokens=budget,
            grammar=grammar,
            sampling=self._question.sampling,
            seed=self._question.seed + 1,
        ):
            self._watch_time()
            self.written += len(piece.ids)
            if piece.text:
                yield piece.text

    def _watch_time(self) -> None:
        limit = self._question.timeout_s
        if limit is not None and time.monotonic() - self._began > limit:
            raise TimeoutError(f"no whole answer within {limit:g} s, after {self.written} positions")


def _said(text: str) -> Iterator[Said]:
    if text:
        yield Said(text)


@lru_cache(maxsize=16)
def _call_grammar(calls: str, tokenizer: Tokenizer) -> Grammar:
    return Grammar.for_calls([CallSchema(*call) for call in json.loads(calls)], tokenizer)


@lru_cache(maxsize=16)
def _json_grammar(schema: str, tokenizer: Tokenizer) -> Grammar:
    return Grammar.for_json(json.loads(schema), tokenizer)
