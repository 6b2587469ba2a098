"""A growing document of text and pictures, and everything cached for it: a turn pays for what is new.

Knows tokens and pictures by name; nothing of prompts, tools or agents.
"""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import takewhile
from typing import NamedTuple, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mmi_agent.inference.tokenizer import Tokenizer
from mmi_agent.models.feature_synchronizer import PictureMemory
from mmi_agent.models.mm_interleaved import MMInterleavedModel
from mmi_agent.pictures import PictureStore

__all__ = ["Constraint", "Continuation", "Document", "PictureUnit", "ReadCount", "Unit", "pixels_of"]

_MAX_ROWS = 16  # continuations scored in one forward pass


@dataclass(frozen=True)
class PictureUnit:
    """A picture's place in a document: its begin-of-image token and its visual tokens."""

    digest: str


Unit = int | PictureUnit
"""A token id or a picture."""


class ReadCount(NamedTuple):
    """Positions that were in the cache already, and positions that the model had to read."""

    reused: int
    read: int


class Continuation(NamedTuple):
    """Tokens to score, after at least one token that is given."""

    given: list[int]
    scored: list[int]


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


def pixels_of(data: bytes, side_px: int) -> Tensor:
    """Decodes a picture as the vision encoder reads it.

    Args:
        data: A PNG file.
        side_px: Height and width to scale to; the shape of the screen is not kept, so that nothing is cut off.

    Returns:
        RGB in 0..1, shape (1, 3, side_px, side_px).
    """
    image = Image.open(BytesIO(data)).convert("RGB").resize((side_px, side_px), Image.Resampling.BICUBIC)
    return torch.tensor(np.asarray(image, dtype=np.float32) / 255).permute(2, 0, 1)[None]


class Document:
    """What a model has read and written so far.

    Args:
        model: The model, in evaluation mode.
        tokenizer: Its tokenizer.
        pictures: Where pictures are kept by digest.
    """

    def __init__(self, model: MMInterleavedModel, tokenizer: Tokenizer, pictures: PictureStore) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self.pictures = pictures
        self._cache = model.decoder.open_cache()
        self._memory = PictureMemory()
        self._units: list[Unit] = []
        self._ends: list[int] = []  # position after each unit
        self._last_hidden_C: Tensor | None = None

    @property
    def units(self) -> Sequence[Unit]:
        """What was read and written, in order."""
        return self._units

    @property
    def length(self) -> int:
        """Positions taken in the model's window; a picture takes one and its visual tokens."""
        return self._ends[-1] if self._ends else 0

    def fork(self) -> "Document":
        """Returns a copy that grows apart from this one."""
        copy = Document.__new__(Document)
        copy._model, copy._tokenizer, copy.pictures = self._model, self._tokenizer, self.pictures
        copy._last_hidden_C = self._last_hidden_C
        copy._cache, copy._memory = self._cache.fork(), self._memory.fork()
        copy._units, copy._ends = [*self._units], [*self._ends]
        return copy

    def rewind(self, num_units: int) -> None:
        """Forgets all but the first `num_units` units; costs nothing."""
        if num_units >= len(self._units):
            return
        del self._units[num_units:], self._ends[num_units:]
        self._cache.rewind(self.length)
        self._memory.rewind(self.length)
        self._last_hidden_C = None

    @torch.inference_mode()
    def become(self, units: Sequence[Unit]) -> ReadCount:
        """Turns the document into `units`, keeping the longest beginning that it shares with them.

        Raises:
            ShapeError: If they do not fit the model's window.
            KeyError: If the picture of a digest is not to be had.
        """
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(self._units, units, strict=False)))
        self.rewind(min(shared, len(units) - 1))  # the last unit is read again, for what comes after it
        reused = self.length
        self.append(units[len(self._units) :])
        return ReadCount(reused, self.length - reused)

    @torch.inference_mode()
    def append(self, units: Sequence[Unit]) -> None:
        """Reads more units.

        Raises:
            ShapeError: If they do not fit the model's window.
            KeyError: If the picture of a digest is not to be had.
        """
        rest = list(units)
        while rest:
            run = [unit for unit in takewhile(lambda unit: isinstance(unit, int), rest) if isinstance(unit, int)]
            if run:
                self._read(self._model.embed(torch.tensor([run])))
                self._note(run, 1)
                rest = rest[len(run) :]
            elif isinstance(picture := rest.pop(0), PictureUnit):
                self._read_picture(picture)

    def _read_picture(self, picture: PictureUnit) -> None:
        pixels_1CHW = pixels_of(self.pictures.get(picture.digest), self._model.config.vision.image_size)
        seen = self._model.see(pixels_1CHW)
        embeddings_1TC = self._model.embed_picture(seen)
        if values := self._model.project(seen):
            self._memory.append(values, start=self.length + 1)
        self._read(embeddings_1TC)
        self._note([picture], embeddings_1TC.shape[1])

    def _read(self, embeddings_1TC: Tensor) -> None:
        hidden_1TC = self._model.decoder(embeddings_1TC, cache=self._cache, pictures=self._visible_memory())
        self._last_hidden_C = hidden_1TC[0, -1]

    def _visible_memory(self) -> PictureMemory | None:
        return self._memory if len(self._memory) else None

    def _note(self, units: Sequence[Unit], positions_each: int) -> None:
        for unit in units:
            self._ends.append(self.length + positions_each)
            self._units.append(unit)

    @torch.inference_mode()
    def write(
        self,
        *,
        max_tokens: int,
        constraint: Constraint | None = None,
        stop: Container[int] = (),
        temperature: float = 0.0,
        seed: int = 0,
    ) -> Iterator[list[int]]:
        """Writes text, a token or a forced run of tokens at a time; what is yielded is already in the document.

        Args:
            max_tokens: No more than so many.
            constraint: Decides what may come next; writing ends when it is done.
            stop: Ids that end the writing and are not part of it.
            temperature: 0 takes the likeliest; higher draws.
            seed: Of the draws.

        Raises:
            ShapeError: If the window is full.
        """
        generator = torch.Generator().manual_seed(seed)
        left = max_tokens
        while left > 0 and not (constraint and constraint.done):
            ids = constraint.forced()[:left] if constraint else []
            ids = ids or [self._choose(constraint.mask(left) if constraint else None, temperature, generator)]
            if ids[0] in stop:
                return
            if constraint:
                constraint.advance(ids)
            self.append(ids)
            left -= len(ids)
            yield ids

    def _choose(self, allowed_V: Tensor | None, temperature: float, generator: torch.Generator) -> int:
        assert self._last_hidden_C is not None, "an empty document has no next token"
        logits_V = self._model.decoder.logits(self._last_hidden_C).float()
        allowed_V = self._writable() if allowed_V is None else allowed_V
        logits_V = logits_V.masked_fill(~allowed_V, float("-inf"))
        if temperature <= 0:
            return int(logits_V.argmax())
        return int(torch.multinomial((logits_V / temperature).softmax(-1), 1, generator=generator))

    def _writable(self) -> Tensor:
        """Every id but those of pictures: this model has no hand to draw with yet."""
        allowed_V = torch.ones(self._model.config.decoder.num_tokens, dtype=torch.bool)
        allowed_V[[self._model.config.begin_of_image, self._model.config.image]] = False
        return allowed_V

    @torch.inference_mode()
    def score(self, continuations: Sequence[Continuation]) -> list[float]:
        """Scores continuations of the document, side by side, without changing it.

        Returns:
            For each the summed log probability of its scored tokens, in nats.

        Raises:
            ShapeError: If one does not fit the model's window.
        """
        by_length = sorted(range(len(continuations)), key=lambda index: -_size(continuations[index]))
        scores = [0.0] * len(continuations)
        for start in range(0, len(by_length), _MAX_ROWS):
            rows = by_length[start : start + _MAX_ROWS]
            for index, score in zip(rows, self._score_rows([continuations[row] for row in rows]), strict=True):
                scores[index] = score
        return scores

    def _score_rows(self, rows: Sequence[Continuation]) -> list[float]:
        length = _size(rows[0])
        ids_BT = torch.zeros(len(rows), length, dtype=torch.long)
        for row, (given, scored) in enumerate(rows):
            ids_BT[row, : len(given) + len(scored)] = torch.tensor([*given, *scored])
        cache = self._cache.fork(len(rows), capacity=self.length + length)
        decoder = self._model.decoder
        hidden_BTC = decoder(self._model.embed(ids_BT), cache=cache, pictures=self._visible_memory())
        scores: list[float] = []
        for row, (given, scored) in enumerate(rows):
            before_TC = hidden_BTC[row, len(given) - 1 : len(given) + len(scored) - 1]
            log_probs_TV = decoder.logits(before_TC).float().log_softmax(-1)
            scores.append(float(log_probs_TV.gather(1, torch.tensor(scored)[:, None]).sum()))
        return scores


def _size(continuation: Continuation) -> int:
    return len(continuation.given) + len(continuation.scored)
