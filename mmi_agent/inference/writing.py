"""The loop that writes: choose, take note, show; a picture where the model begins one.

It sees a document as a `Page` to write on. What may come is decided by a structure, a grammar and stop strings; what
comes, by a sampler.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from mmi_agent.errors import ConfigError
from mmi_agent.inference.sampling import Sampler, Sampling
from mmi_agent.inference.stopping import Shown, StopStrings
from mmi_agent.inference.structure import Structure
from mmi_agent.inference.tokenizer import Tokenizer
from mmi_agent.types import Picture, Text

__all__ = ["Alphabet", "Constraint", "Order", "Page", "Piece", "Writer", "gather"]


class Piece(NamedTuple):
    """What was written, a token or a few at a time.

    Attributes:
        ids: The tokens; of a picture its begin-of-image id.
        text: The text that they completed, in whole characters, maybe none.
        picture: What was drawn; None for text.
    """

    ids: list[int]
    text: str
    picture: Picture | None = None


def gather(piece: Piece, blocks: list[Text | Picture]) -> None:
    """Adds a piece to what was written before it; text joins text."""
    if piece.picture is not None:
        blocks.append(piece.picture)
    elif piece.text and blocks and isinstance(before := blocks[-1], Text):
        blocks[-1] = Text(text=before.text + piece.text)
    elif piece.text:
        blocks.append(Text(text=piece.text))


class Constraint(Protocol):
    """What may be written next: a grammar's state."""

    @property
    def done(self) -> bool:
        """Whether nothing more may be written."""
        ...

    def forced(self) -> list[int]:
        """Tokens that must come next, if there is only one way to go on."""
        ...

    def mask(self, tokens_left: int | None = None) -> Tensor:
        """True for each id that may come next, so that the end is reached within `tokens_left`. Shape (V,)."""
        ...

    def advance(self, ids: Sequence[int]) -> None:
        """Takes note of what was written."""
        ...

    def ending(self) -> list[int]:
        """A short way from here to the end; empty if it may end here."""
        ...


class Page(Protocol):
    """What is written on."""

    def append(self, ids: list[int], /) -> object:
        """Reads tokens."""
        ...

    def take_back(self, num_units: int) -> None:
        """Forgets the latest units."""
        ...

    def next_scores(self) -> Tensor:
        """Logits of what comes next, float32, on the CPU, shape (V,)."""
        ...


@dataclass(frozen=True, kw_only=True)
class Alphabet:
    """The ids that mean something to whoever writes.

    Attributes:
        size: Ids that the model has scores for.
        begin_of_image: Chosen where a picture shall come.
        begin_of_text: Counts as written for the repetition penalty, as in the released code.
        ends: Ids that end the text and are not part of it.
        never: Other ids that are not written.
    """

    size: int
    begin_of_image: int
    begin_of_text: int
    ends: frozenset[int]
    never: frozenset[int]


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to be written.

    Attributes:
        max_tokens: Tokens of text and pictures, together.
        min_tokens: Tokens of text before the end may come.
        sampling: How tokens are chosen.
        seed: Of the draws.
        stop: Strings that end the text and are not part of it.
        grammar: Decides what may come next; writing ends when it is done.
        structure: Where pictures may or must come.
    """

    max_tokens: int
    min_tokens: int
    sampling: Sampling
    seed: int
    stop: Sequence[str]
    grammar: Constraint | None
    structure: Structure

    def check(self) -> None:
        """Refuses what cannot be met.

        Raises:
            ConfigError: Saying the smallest budget that would do, or what excludes what.
        """
        if not 0 <= self.min_tokens <= self.max_tokens:
            raise ConfigError(f"min_tokens is {self.min_tokens}: expected 0 to max_tokens, which is {self.max_tokens}")
        if self.grammar is not None and self.sampling.num_beams > 1:
            raise ConfigError(f"num_beams is {self.sampling.num_beams}: a grammar is not kept by beams, leave them out")
        if self.grammar is not None and (least := len(self.grammar.ending())) > self.max_tokens:
            raise ConfigError(f"the grammar cannot end within max_tokens {self.max_tokens}: {least} are enough")
        if (least := self.structure.least_budget) > self.max_tokens:
            raise ConfigError(f"the structure does not fit into max_tokens {self.max_tokens}: {least} are enough")
        if self.structure.may_draw and (self.grammar is not None or self.sampling.num_beams > 1):
            raise ConfigError("a grammar and beams write text alone: leave out pictures and structure, or them")


class Writer:
    """Writes one text, with pictures where they may come.

    Args:
        page: What is written on.
        tokenizer: Turns ids into text.
        alphabet: The ids that mean something.
        order: What is to be written.
        draw: Draws the picture of that number onto the page.
        search: Finds a likely text with beams, with the id that ended it if one did; it is not on the page yet.
    """

    def __init__(
        self,
        page: Page,
        tokenizer: Tokenizer,
        alphabet: Alphabet,
        order: Order,
        *,
        draw: Callable[[int], Picture],
        search: Callable[[], list[int]],
    ) -> None:
        self._page, self._tokenizer = page, tokenizer
        self._alphabet, self._order = alphabet, order
        self._draw, self._search = draw, search
        self._sampler = Sampler(order.sampling, seed=order.seed)
        self._decoder = tokenizer.stream()
        self._stops = StopStrings(order.stop)
        self._written = [alphabet.begin_of_text]
        self._num_pictures = 0
        self._left = order.max_tokens
        self._silent_V = torch.zeros(alphabet.size, dtype=torch.bool)
        self._silent_V[[*alphabet.never, alphabet.begin_of_image, *alphabet.ends]] = True

    def pieces(self) -> Iterator[Piece]:
        """Writes; what is yielded is on the page, and nothing that is held back stays there when it is left early."""
        try:
            yield from self._beam_pieces() if self._order.sampling.num_beams > 1 else self._all_pieces()
        except GeneratorExit:
            self._page.take_back(self._stops.num_held)
            raise

    def _all_pieces(self) -> Iterator[Piece]:
        grammar, structure = self._order.grammar, self._order.structure
        while not (grammar and grammar.done):
            choices = structure.choices(self._left)
            ids = grammar.forced()[: self._left] if grammar and choices.text else []
            if choices.text and not ids:
                ids = [self._choose(picture=choices.picture, end=choices.end)]
            if not ids or ids[0] in self._alphabet.ends or ids[0] == self._alphabet.begin_of_image:
                wants_picture = bool(ids) and ids[0] == self._alphabet.begin_of_image
                if not wants_picture and choices.end:
                    break
                yield from self._close()
                yield self._picture()
            else:
                if grammar:
                    grammar.advance(ids)
                if (yield from self._write_shown(ids)):
                    return
        yield from self._close()

    def _choose(self, *, picture: bool, end: bool) -> int:
        """The next id; where no end may come but a picture may, an end stands for the wish to go on to it."""
        scores_V = self._page.next_scores()
        if self._order.grammar:
            silent_V = ~self._order.grammar.mask(self._left)
        else:
            silent_V = self._silent_V.clone()
            silent_V[self._alphabet.begin_of_image] = not picture
            silent_V[list(self._alphabet.ends)] = not (end or picture) or len(self._written) <= self._order.min_tokens
        return self._sampler.choose(scores_V.masked_fill(silent_V, float("-inf")), self._written)

    def _write_shown(self, ids: list[int]) -> Generator[Piece, None, bool]:
        """Writes and shows tokens; returns whether a stop string cut them."""
        shown = self._write(ids)
        if shown.ids or shown.text:
            yield Piece(shown.ids, shown.text)
        return shown.cut is not None

    def _write(self, ids: list[int]) -> Shown:
        self._page.append(ids)
        self._left -= len(ids)
        self._written += ids
        self._order.structure.wrote(len(ids))
        shown = self._stops.push([(token, self._decoder.push(token)) for token in ids])
        if shown.cut is not None:
            self._page.take_back(shown.cut)
            begun = self._tokenizer.encode(shown.begun)
            if begun:
                self._page.append(begun)
            return shown._replace(ids=[*shown.ids, *begun])
        return shown

    def _close(self) -> Iterator[Piece]:
        shown = self._stops.flush()
        text = shown.text + self._decoder.close()
        self._decoder = self._tokenizer.stream()
        if shown.ids or text:
            yield Piece(shown.ids, text)

    def _picture(self) -> Piece:
        picture = self._draw(self._num_pictures)
        self._num_pictures += 1
        self._left -= 1
        self._order.structure.drew()
        return Piece([self._alphabet.begin_of_image], "", picture)

    def _beam_pieces(self) -> Iterator[Piece]:
        ids = self._search()
        if ids and ids[-1] in self._alphabet.ends:
            del ids[-1]
        if ids:
            if (yield from self._write_shown(ids)):
                return
        yield from self._close()
