"""A chat with a model in one document, so that a turn pays for what is new. Knows nothing of terminals."""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Protocol

from mmi_agent.errors import ConfigError, UnknownNameError
from mmi_agent.inference.document import Dropped, PictureUnit, ReadCount, Unit
from mmi_agent.inference.drawing import DrawSettings
from mmi_agent.inference.loading import MMInterleaved
from mmi_agent.inference.picture_references import reference_to, without_pictures
from mmi_agent.inference.prompts import Content, encode_content, turn
from mmi_agent.inference.sampling import Sampling, check_seed
from mmi_agent.inference.tokenizer import START_OF_TURN, Tokenizer
from mmi_agent.inference.writing import Piece, gather
from mmi_agent.pictures import PictureStore
from mmi_agent.types import Picture, Text

__all__ = ["Conversation", "Exchange"]


@dataclass(kw_only=True)
class Exchange:
    """What was asked, and the answer.

    Attributes:
        asked: Pictures and words; empty for a drawing that nobody put into words.
        draws: Whether the answer is a picture.
        seed: Of the answer.
        start: Where it begins, counted from the first unit that the document ever had.
        answer: What was answered so far.
        read: What the document had to read for it, before the answer.
    """

    asked: tuple[Text | Picture, ...]
    draws: bool
    seed: int
    start: int
    answer: list[Text | Picture] = field(default_factory=list[Text | Picture])
    read: ReadCount = field(default_factory=lambda: ReadCount(0, 0))


class _Form(Protocol):
    """How turns are told apart."""

    def opening(self, instruction: str) -> list[Unit]:
        """What stands before the first turn."""
        ...

    def question(self, units: Sequence[Unit], words: str) -> list[Unit]:
        """A person's turn, up to where the answer begins."""
        ...

    def answer(self) -> list[Unit]:
        """The beginning of an answer that nobody asked for."""
        ...

    def closing(self) -> list[Unit]:
        """The end of an answer."""
        ...


class _Marked:
    """Turns between the markers of the tokenizer, as SmolLM2 was trained to read them."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def opening(self, instruction: str) -> list[Unit]:
        return self._encode(turn("system", [instruction])) if instruction else []

    def question(self, units: Sequence[Unit], words: str) -> list[Unit]:
        *opening, text, end, newline = turn("user", [words])
        return [*self._encode(opening), *units, *self._encode([text, end, newline]), *self.answer()]

    def answer(self) -> list[Unit]:
        return self._encode(turn("assistant", closed=False))

    def closing(self) -> list[Unit]:
        return self._encode(turn("assistant")[-2:])

    def _encode(self, contents: Sequence[Content]) -> list[Unit]:
        return encode_content(contents, self._tokenizer)


class _Named:
    """Turns under the names that Vicuna was trained with, after its begin-of-text id."""

    def __init__(self, tokenizer: Tokenizer, begin_of_text: int) -> None:
        self._tokenizer = tokenizer
        self._begin_of_text = begin_of_text

    def opening(self, instruction: str) -> list[Unit]:
        return [self._begin_of_text, *self._tokenizer.encode(f"{instruction} " if instruction else "")]

    def question(self, units: Sequence[Unit], words: str) -> list[Unit]:
        encode = self._tokenizer.encode
        if not units:
            return [*encode(f"USER: {words} ASSISTANT:")]
        return [*encode("USER: "), *units, *encode(f"{words} ASSISTANT:")]

    def answer(self) -> list[Unit]:
        return [*self._tokenizer.encode("ASSISTANT:")]

    def closing(self) -> list[Unit]:
        return [self._tokenizer.end_of_turn]


class Conversation:
    """Turns of a person and of a model, one after the other.

    Args:
        loaded: The model.
        pictures: Where pictures are kept by digest.
        instruction: What stands before everything, and is never dropped; empty for nothing.
        sampling: How tokens are chosen.
        max_tokens: Tokens of an answer.
        drawing: How pictures are drawn.
        seed: Of the first answer; each further one takes the next.

    Raises:
        ConfigError: If the seed is none, or the instruction leaves less than a quarter of the model's window.
    """

    def __init__(
        self,
        loaded: MMInterleaved,
        pictures: PictureStore,
        *,
        instruction: str = "",
        sampling: Sampling | None = None,
        max_tokens: int = 256,
        drawing: DrawSettings | None = None,
        seed: int = 0,
    ) -> None:
        check_seed(seed)
        self._loaded, self._document = loaded, loaded.open(pictures)
        self._sampling, self._max_tokens, self._drawing = sampling, max_tokens, drawing
        self._seed = seed
        self._form = _form_of(loaded)
        opening, window = self._form.opening(instruction), loaded.model.config.decoder.max_positions
        if len(opening) > window - window // 4:
            raise ConfigError(
                f"the system text takes {len(opening)} positions, the window has {window}, a quarter of it for the "
                "chat: shorten it"
            )
        self._document.append(opening)
        self._document.protect()
        self._head = len(self._document.units)
        self.exchanges: list[Exchange] = []

    @property
    def length(self) -> int:
        """Positions taken in the model's window."""
        return self._document.length

    @property
    def dropped(self) -> Dropped:
        """What was dropped because the window was full, all together."""
        return self._document.dropped

    @property
    def overlooked(self) -> int:
        """Pictures that the model sees less of, because there are too many."""
        return self._document.overlooked

    def transcript(self) -> str:
        """The chat as Markdown, with pictures named as a page names them."""
        return "".join(
            f"**{name}:**{_markdown(blocks)}\n\n"
            for exchange in self.exchanges
            for name, blocks in (("You", exchange.asked), ("Model", exchange.answer))
            if blocks
        )

    def say(
        self, words: str, pictures: Sequence[Picture] = (), *, progress: Callable[[int, int], None] | None = None
    ) -> Generator[Piece]:
        """Says something and lets the model answer, piece by piece.

        An answer that is left early is closed where it is. One that breaks is forgotten, with what was said. A model
        whose hand is not trained draws in no answer by itself.

        Args:
            words: What is said.
            pictures: What is shown before it; they are in the store.
            progress: Told after each step of a drawing how many of how many are done.

        Raises:
            MMIError: What `Document.append` and `Document.write` raise.
        """
        return self._exchange((*pictures, Text(text=words)), draws=False, progress=progress)

    def draw(
        self,
        words: str = "",
        pictures: Sequence[Picture] = (),
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> Generator[Piece]:
        """Lets the model answer with a picture: to words, or to the chat as it stands.

        Raises:
            MMIError: What `Document.append` and `Document.draw` raise.
        """
        asked = (*pictures, *([Text(text=words)] if words else []))
        return self._exchange(asked, draws=True, progress=progress)

    def again(self, *, progress: Callable[[int, int], None] | None = None) -> Generator[Piece]:
        """Has the latest answer given anew, with another seed; the earlier one is back if that breaks.

        Raises:
            ConfigError: If there is none, or its beginning was dropped.
            MMIError: What the answer raises.
        """
        units = self._document.units[self._place(self._latest()) :]
        last = self.undo()
        try:
            yield from self._exchange(last.asked, draws=last.draws, progress=progress)
        except GeneratorExit:
            raise
        except BaseException:
            last.start = self._end
            self._document.append(units)
            self.exchanges.append(last)
            raise

    def undo(self) -> Exchange:
        """Takes back the latest question and answer, and returns them.

        Raises:
            ConfigError: If there are none, or their beginning was dropped.
        """
        last = self._latest()
        self._document.rewind(self._place(last))
        self.exchanges.pop()
        return last

    def _latest(self) -> Exchange:
        """The latest exchange, all of which is in the document."""
        if not self.exchanges:
            raise ConfigError("nothing was said yet")
        if self._place(self.exchanges[-1]) < self._head:
            raise ConfigError("the beginning of the latest turn was dropped, because the window is full")
        return self.exchanges[-1]

    @property
    def _end(self) -> int:
        """Where the next exchange begins, counted from the first unit that the document ever had."""
        return len(self._document.units) + self._document.dropped.units

    def _place(self, exchange: Exchange) -> int:
        """Where an exchange begins among the units that are left; dropped units stood right after the head."""
        return exchange.start - self._document.dropped.units

    def _exchange(
        self, asked: tuple[Text | Picture, ...], *, draws: bool, progress: Callable[[int, int], None] | None
    ) -> Generator[Piece]:
        exchange = Exchange(asked=asked, draws=draws, seed=self._seed, start=self._end)
        self._seed += 1
        self.exchanges.append(exchange)
        try:
            exchange.read = self._document.append(self._question(asked))
            with closing(self._answer(exchange, progress)) as pieces:
                for piece in pieces:
                    gather(piece, exchange.answer)
                    yield piece
        except GeneratorExit:
            self._document.append(self._form.closing())
            raise
        except BaseException:
            self.exchanges.remove(exchange)
            self._document.rewind(max(self._place(exchange), self._head))
            raise
        self._document.append(self._form.closing())

    def _question(self, asked: Sequence[Text | Picture]) -> list[Unit]:
        if not asked:
            return self._form.answer()
        pictures = [PictureUnit(block.digest) for block in asked if isinstance(block, Picture)]
        return self._form.question(pictures, " ".join(block.text for block in asked if isinstance(block, Text)))

    def _answer(self, exchange: Exchange, progress: Callable[[int, int], None] | None) -> Generator[Piece]:
        if exchange.draws:
            picture = self._document.draw(self._drawing, seed=exchange.seed, progress=progress)
            yield Piece([self._loaded.model.config.begin_of_image], "", picture)
            return
        yield from self._document.write(
            max_tokens=self._max_tokens,
            sampling=self._sampling,
            seed=exchange.seed,
            pictures=None if self._loaded.sees else 0,
            drawing=self._drawing,
            progress=progress,
        )


def _form_of(loaded: MMInterleaved) -> _Form:
    try:
        loaded.tokenizer.special(START_OF_TURN)
    except UnknownNameError:
        return _Named(loaded.tokenizer, loaded.model.config.begin_of_text)
    return _Marked(loaded.tokenizer)


def _markdown(blocks: Sequence[Text | Picture]) -> str:
    parts = (without_pictures(block.text) if isinstance(block, Text) else reference_to(block) for block in blocks)
    return "".join(f" {part.strip()}" for part in parts)
