"""A growing document of text and pictures, and everything cached for it: a turn pays for what is new.

Knows tokens and pictures by name; nothing of prompts, tools or agents.

A document may grow beyond the model's window. Then its oldest units after a protected beginning are dropped, each whole
(a picture with all its visual tokens), and at least a quarter of the window at once, because what stays has to be read
again in its new place. `Document.dropped` tells what is missing. Of more pictures than the decoder's synchronizers can
tell apart (49 of the released sizes) the latest are looked at in detail; the older ones stay as visual tokens, and
`Document.overlooked` counts them.
"""

# T tokens, C width of the decoder, V vocabulary

from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from mmi_agent.errors import CheckpointError, ConfigError, DeviceMemoryError, ShapeError
from mmi_agent.inference import grounding
from mmi_agent.inference.compiled import CompiledDecoder
from mmi_agent.inference.drawing import DrawSettings, draw_picture
from mmi_agent.inference.grammar import Grammar
from mmi_agent.inference.hidden_states import HiddenStates
from mmi_agent.inference.sampling import Sampling
from mmi_agent.inference.structure import Part, Structure
from mmi_agent.inference.tokenizer import Tokenizer
from mmi_agent.inference.writing import Alphabet, Constraint, Order, Piece, Writer
from mmi_agent.models.feature_synchronizer import PictureMemory
from mmi_agent.models.mm_interleaved import MMInterleavedModel
from mmi_agent.models.visual_tokenizer import VisualFeatures
from mmi_agent.pictures import PictureStore, as_rgb, open_png
from mmi_agent.quiet_imports import quiet_imports
from mmi_agent.types import Box, Picture

__all__ = [
    "Constraint",
    "Continuation",
    "Document",
    "Dropped",
    "Item",
    "PictureUnit",
    "Piece",
    "ReadCount",
    "Unit",
    "num_shared",
    "pixels_of",
]

_MAX_ROWS = 16  # continuations scored in one forward pass
_KEPT_FEATURES = 16  # pictures whose features are kept for reading them again and for drawing


@dataclass(frozen=True)
class PictureUnit:
    """A picture's place in a document: its begin-of-image token and its visual tokens."""

    digest: str


Unit = int | PictureUnit
"""A token id or a picture."""

Item = str | bytes | Path | Image.Image | Picture | PictureUnit | Sequence[Unit]
"""What can be appended: text; a picture as a file's bytes, a path, an image or a name; or units as they are."""


class ReadCount(NamedTuple):
    """Positions that were in the cache already, those the model had to read, and those that were dropped to fit."""

    reused: int
    read: int
    dropped: int = 0


class Dropped(NamedTuple):
    """What is missing from a document because the window was full."""

    units: int = 0
    positions: int = 0
    pictures: tuple[PictureUnit, ...] = ()

    def with_more(self, units: Sequence[Unit], positions: int) -> "Dropped":
        """Counts further units that take so many positions."""
        pictures = tuple(unit for unit in units if isinstance(unit, PictureUnit))
        return Dropped(self.units + len(units), self.positions + positions, self.pictures + pictures)


class Continuation(NamedTuple):
    """Tokens to score, after tokens that are given."""

    given: list[int]
    scored: list[int]


def num_shared(one: Sequence[Unit], other: Sequence[Unit]) -> int:
    """Counts the units with which both begin."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def pixels_of(data: bytes, side_px: int) -> Tensor:
    """Decodes a picture as the vision encoder reads it.

    Args:
        data: A PNG file.
        side_px: Height and width to scale to; the shape of the screen is not kept, so that nothing is cut off.

    Returns:
        RGB in 0..1, shape (1, 3, side_px, side_px).

    Raises:
        ActionError: If it is no picture or a damaged one.
    """
    image = as_rgb(open_png(data)).resize((side_px, side_px), Image.Resampling.BICUBIC)
    return torch.tensor(np.asarray(image, dtype=np.float32) / 255).permute(2, 0, 1)[None]


class Document:
    """What a model has read and written so far.

    Args:
        model: The model, in evaluation mode.
        tokenizer: Its tokenizer.
        pictures: Where pictures are kept by digest.
        decoder: What reads in place of the model's decoder, with its numbers; None for the decoder itself.
    """

    def __init__(
        self,
        model: MMInterleavedModel,
        tokenizer: Tokenizer,
        pictures: PictureStore,
        *,
        decoder: CompiledDecoder | None = None,
    ) -> None:
        self._model = model
        self._decoder = decoder or model.decoder
        self._tokenizer = tokenizer
        self.pictures = pictures
        weight = model.decoder.norm.weight
        self._device, self._dtype = weight.device, weight.dtype
        self._cache = model.decoder.open_cache()
        self._memory = PictureMemory()
        self._hidden = HiddenStates(model.config.decoder.hidden_size, dtype=self._dtype, device=self._device)
        self._features: OrderedDict[str, VisualFeatures] = OrderedDict()  # latest used last
        self._units: list[Unit] = []
        self._ends: list[int] = []  # position after each unit
        self._protected = 0
        self._dropped = Dropped()

    @property
    def units(self) -> Sequence[Unit]:
        """What was read and written, in order."""
        return self._units

    @property
    def length(self) -> int:
        """Positions taken in the model's window; a picture takes one and its visual tokens."""
        return self._ends[-1] if self._ends else 0

    @property
    def dropped(self) -> Dropped:
        """What was dropped because the window was full, all together."""
        return self._dropped

    @property
    def overlooked(self) -> int:
        """Pictures that new tokens know by their visual tokens alone, because there are too many to tell apart."""
        synchronizer = self._model.config.decoder.synchronizer
        return max(len(self._memory) - (synchronizer.num_ranks - 1), 0) if synchronizer else 0

    def text(self) -> str:
        """What was read and written, without the pictures."""
        return self._tokenizer.decode(unit for unit in self._units if isinstance(unit, int))

    def fork(self) -> "Document":
        """Returns a copy that grows apart from this one."""
        copy = object.__new__(Document)
        copy.__dict__ |= self.__dict__
        copy._cache, copy._memory, copy._hidden = self._cache.fork(), self._memory.fork(), self._hidden.fork()
        copy._units, copy._ends = [*self._units], [*self._ends]
        return copy

    def rewind(self, num_units: int) -> None:
        """Forgets all but the first `num_units` units, or all where that is negative; costs nothing."""
        num_units = max(num_units, 0)
        if num_units >= len(self._units):
            return
        del self._units[num_units:], self._ends[num_units:]
        self._rewind_positions(self.length)

    def take_back(self, num_units: int) -> None:
        """Forgets the latest `num_units` units."""
        self.rewind(len(self._units) - num_units)

    def protect(self, num_units: int | None = None) -> None:
        """Keeps the first units from ever being dropped: all there are now, or so many.

        The begin-of-text id at the beginning is never dropped.
        """
        self._protected = len(self._units) if num_units is None else num_units

    def become(self, units: Sequence[Unit]) -> ReadCount:
        """Turns the document into just these units, keeping the longest beginning that it shares with them.

        Raises:
            ShapeError: If they do not fit the model's window, or an id is none of the model's.
            KeyError: If the picture of a digest is not to be had.
        """
        self._expect_ids(units)
        window = self._model.config.decoder.max_positions
        if (positions := self._positions(units)) > window:
            raise ShapeError(f"{positions} positions exceed the window of {window}: start a shorter document")
        self.rewind(num_shared(self._units, units))
        self._dropped = Dropped()
        reused = self.length
        self._read_units(units[len(self._units) :])
        return ReadCount(reused, self.length - reused)

    def append(self, *items: Item) -> ReadCount:
        """Reads more; text is data, and never becomes a marker.

        A document that begins with text or a picture gets the model's begin-of-text id first; one that begins with
        units is what they say. What does not fit the window makes room by the rule of this module.

        Raises:
            ShapeError: If what is protected leaves no room, an id is none of the model's, or an image is empty.
            ActionError: If a picture is none, or damaged.
            ConfigError: If there is no such file.
            KeyError: If the picture of a digest is not to be had.
            DeviceMemoryError: If the device's memory is used up.
        """
        units = [unit for item in items for unit in self._units_of(item)]
        if not self._units and items and (isinstance(items[0], (str, bytes, Path, Image.Image, Picture))):
            units.insert(0, self._model.config.begin_of_text)
        self._expect_ids(units)
        rest, dropped = self._make_room(units)
        reused = self.length
        self._read_units(rest)
        return ReadCount(reused, self.length - reused, dropped)

    def _units_of(self, item: Item) -> Sequence[Unit]:
        if isinstance(item, str):
            return self._tokenizer.encode(item)
        if isinstance(item, PictureUnit):
            return [item]
        if isinstance(item, Picture):
            return [PictureUnit(item.digest)]
        if isinstance(item, Image.Image):
            if 0 in item.size:
                raise ShapeError(f"the picture is {item.width} x {item.height} px: expected 1 x 1 at least")
            return [PictureUnit(self.pictures.put(_encoded(as_rgb(item))).digest)]
        if isinstance(item, Path):
            try:
                item = item.read_bytes()
            except OSError as error:
                raise ConfigError(f"cannot read the picture {item}: {error.strerror}") from error
        if isinstance(item, bytes):
            return [PictureUnit(self.pictures.put(item).digest)]
        return item

    def _expect_ids(self, units: Iterable[Unit]) -> None:
        size = self._model.config.decoder.num_tokens
        wrong = (unit for unit in units if isinstance(unit, int) and not 0 <= unit < size)
        if (unit := next(wrong, None)) is not None:
            raise ShapeError(f"{unit} is no id of the model's: expected 0 to {size - 1}")

    def _positions(self, units: Iterable[Unit]) -> int:
        picture = 1 + self._model.config.resampler.num_queries
        return sum(1 if isinstance(unit, int) else picture for unit in units)

    def _make_room(self, units: Sequence[Unit], *, spare: int = 0) -> tuple[Sequence[Unit], int]:
        """Drops what has to be dropped before `units`, and `spare` positions after them, fit.

        Returns:
            What is to be read, and how many positions are gone. The document is then what stays in its place.
        """
        window, gone = self._model.config.decoder.max_positions, self._in_the_way(units, spare)
        if not gone and self.length + self._positions(units) + spare <= window:
            return units, 0
        head, dropped = self._num_kept, self._positions(gone)
        tail = [*self._units[head:], *units][len(gone) :]
        if (kept := self._positions([*self._units[:head], *tail]) + spare) > window:
            raise ShapeError(f"{kept} positions exceed the window of {window}: protect fewer units, or write less")
        self._dropped = self._dropped.with_more(gone, dropped)
        self.rewind(head)
        return tail, dropped

    @property
    def _num_kept(self) -> int:
        """Units at the beginning that are never dropped."""
        return min(max(self._protected, self._units[:1] == [self._model.config.begin_of_text]), len(self._units))

    def _in_the_way(self, units: Sequence[Unit], spare: int) -> list[Unit]:
        """What has to be dropped after the protected beginning before `units` and `spare` positions fit."""
        window = self._model.config.decoder.max_positions
        missing = self.length + self._positions(units) + spare - window
        gone: list[Unit] = []
        if missing <= 0:
            return gone
        dropped, needed = 0, max(missing, window // 4)
        for unit in [*self._units[self._num_kept :], *units][:-1]:
            if dropped >= needed:
                break
            gone.append(unit)
            dropped += self._positions([unit])
        return gone

    @torch.inference_mode()
    def _read_units(self, units: Sequence[Unit]) -> None:
        rest = list(units)
        with _enough_memory("a shorter document, fewer pictures, a smaller dtype or preset"):
            while rest:
                run = [unit for unit in takewhile(lambda unit: isinstance(unit, int), rest) if isinstance(unit, int)]
                if run:
                    self._read(self._model.embed(torch.tensor([run], device=self._device)))
                    self._note(run, 1)
                    rest = rest[len(run) :]
                elif isinstance(picture := rest.pop(0), PictureUnit):
                    self._read_picture(picture)

    def _read_picture(self, picture: PictureUnit) -> None:
        seen = self._see(picture)
        embeddings_1TC = self._model.embed_picture(seen)
        if values := self._model.project(seen):
            self._memory.append(values, start=self.length + 1)
        self._read(embeddings_1TC)
        self._note([picture], embeddings_1TC.shape[1])

    def _see(self, picture: PictureUnit) -> VisualFeatures:
        seen = self._features.get(picture.digest)
        if seen is None:
            pixels_1CHW = pixels_of(self.pictures.get(picture.digest), self._model.config.vision.image_size)
            seen = self._model.see(pixels_1CHW.to(self._device, self._dtype))
            self._features[picture.digest] = seen
            if len(self._features) > _KEPT_FEATURES:
                self._features.popitem(last=False)
        self._features.move_to_end(picture.digest)
        return seen

    def _read(self, embeddings_1TC: Tensor) -> None:
        try:
            hidden_1TC = self._decoder(embeddings_1TC, cache=self._cache, pictures=self._visible_memory())
            self._hidden.append(hidden_1TC[0])
        except BaseException:
            self._rewind_positions(self.length)
            raise

    def _rewind_positions(self, length: int) -> None:
        self._cache.rewind(length)
        self._memory.rewind(length)
        self._hidden.rewind(length)

    def _visible_memory(self) -> PictureMemory | None:
        return self._memory if len(self._memory) else None

    def _note(self, units: Sequence[Unit], positions_each: int) -> None:
        for unit in units:
            self._ends.append(self.length + positions_each)
            self._units.append(unit)

    def write(
        self,
        *,
        max_tokens: int = 256,
        min_tokens: int = 0,
        sampling: Sampling | None = None,
        seed: int = 0,
        stop: Iterable[int | str] = (),
        grammar: Grammar | Constraint | None = None,
        pictures: int | None = None,
        structure: Sequence[Part] | int | None = None,
        drawing: DrawSettings | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Generator[Piece]:
        """Writes text, and pictures where the model begins one or the structure wants one.

        Pieces come as they are written, and what was yielded is in the document. Beams yield their text at once. An
        empty document begins with the begin-of-text id.

        Args:
            max_tokens: No more than so many tokens; each picture counts as one.
            min_tokens: No end before so many.
            sampling: How tokens are chosen; None takes the likeliest.
            seed: Of the draws. The pictures are drawn with this seed, the next, and so on.
            stop: Ids and strings that end the text, besides the model's own end of text and end of turn. None of
                them is shown or stays in the document, in part or whole.
            grammar: Decides what may come next; writing ends when it is done. It writes text alone.
            pictures: How many may be drawn; None leaves it to a model that draws, and is none for a grammar and beams.
            structure: The parts that shall come, in order, as in `["text", "picture", "text"]`; or a number: text with
                exactly so many pictures.
            drawing: How pictures are drawn.
            progress: Told after each step of a drawing how many of how many are done.

        Raises:
            ConfigError: If what is asked for cannot be had: a grammar or a structure that the budget is too small
                for, with the smallest that would do; pictures from a model that draws none; options that exclude
                each other. Raised at once, before anything is written.
            ShapeError: If what is protected leaves no room in the window.
            CheckpointError: If a weight is not a number.
            DeviceMemoryError: If the device's memory is used up.
        """
        config, stops = self._model.config, list(stop)
        sampling = sampling or Sampling()
        state = grammar.start(config.decoder.num_tokens) if isinstance(grammar, Grammar) else grammar
        order = Order(
            max_tokens=max_tokens,
            min_tokens=min_tokens,
            sampling=sampling,
            seed=seed,
            stop=[text for text in stops if isinstance(text, str)],
            grammar=state,
            structure=self._structure(pictures, structure, text_only=state is not None or sampling.num_beams > 1),
        )
        order.check()
        if order.structure.may_draw:
            (drawing or DrawSettings()).check(self._model.drawing.config.diffusion)
        ends = frozenset([self._tokenizer.end_of_turn, config.end_of_text])
        ends |= {token for token in stops if isinstance(token, int)}
        unspoken = range(self._tokenizer.vocab_size, config.decoder.num_tokens)  # ids of no text
        alphabet = Alphabet(
            size=config.decoder.num_tokens,
            begin_of_image=config.begin_of_image,
            begin_of_text=config.begin_of_text,
            ends=ends,
            never=frozenset([config.image, config.begin_of_text, *unspoken]) - ends,
        )
        writer = Writer(
            self,
            self._tokenizer,
            alphabet,
            order,
            draw=lambda number: self.draw(drawing, seed=seed + number, progress=progress),
            search=lambda: self._search(alphabet, order),
        )
        return self._written(writer)

    def _written(self, writer: Writer) -> Generator[Piece]:
        self._begin()
        yield from writer.pieces()

    def _search(self, alphabet: Alphabet, order: Order) -> list[int]:
        with quiet_imports():
            from mmi_agent.inference.beams import ReadState, search

        rest, _ = self._make_room([], spare=order.max_tokens)
        self._read_units(rest)
        with _enough_memory("fewer beams or a shorter document"):
            return search(
                self._model,
                ReadState(self._hidden.last, self._cache, self._visible_memory()),
                ends=sorted(alphabet.ends),
                max_tokens=order.max_tokens,
                min_tokens=order.min_tokens + 1,
                num_beams=order.sampling.num_beams,
                length_penalty=order.sampling.length_penalty,
                repetition_penalty=order.sampling.repetition_penalty,
                never=[*alphabet.never, alphabet.begin_of_image],
            )

    def _structure(self, pictures: int | None, structure: Sequence[Part] | int | None, *, text_only: bool) -> Structure:
        if pictures is not None and structure is not None:
            raise ConfigError("pictures and structure were given: the structure says how many pictures there are")
        if isinstance(structure, int):
            found = Structure.exactly(structure)
        elif structure is not None:
            found = Structure.of(structure)
        elif pictures is None and (text_only or self._model.image_decoder is None):
            found = Structure.up_to(0)
        else:
            found = Structure.up_to(pictures)
        if found.may_draw:
            _ = self._model.drawing  # raises where there is none
        return found

    def _begin(self) -> None:
        if not self._units:
            self._read_units([self._model.config.begin_of_text])

    def ground(self, phrase: str, *, most: int = 1, sampling: Sampling | None = None, seed: int = 0) -> list[Box]:
        """Asks where in the latest picture something is; the question and the answer do not stay in the document.

        The question is worded as the released model was trained to be asked, and a grammar lets nothing but boxes be
        written.

        Args:
            phrase: What to look for.
            most: No more boxes than so many; the release gave one.
            sampling: How digits are chosen; None takes the likeliest. Not with beams.
            seed: Of the draws.

        Returns:
            At least one box, each 0..1000 of the picture's width or height.

        Raises:
            ConfigError: If there is no picture in the document, or `most` is less than 1.
            ShapeError: If the window has no room for picture, question and answer.
        """
        if most < 1:
            raise ConfigError(f"most is {most}: at least 1 box is written")
        latest = max((place for place, unit in enumerate(self._units) if isinstance(unit, PictureUnit)), default=None)
        if latest is None:
            raise ConfigError("there is no picture to look at: append one first")
        said, spare = self._tokenizer.encode(grounding.request(phrase)), most * grounding.BOX_LENGTH
        if self._num_kept <= latest < self._num_kept + len(self._in_the_way(said, spare)):
            raise ShapeError("the question would drop the picture that it is about: the window is full, begin anew")
        rest, _ = self._make_room(said, spare=spare)
        self._read_units(rest)
        answer = "<box>"

        def written(grammar: Grammar) -> str:
            pieces = self.write(
                max_tokens=grammar.max_tokens, sampling=sampling, seed=seed + len(said), grammar=grammar
            )
            text = ""
            for piece in pieces:
                said.extend(piece.ids)
                text += piece.text
            return text

        try:
            for place in range(most):
                first = written(self._corner(0, 0))
                answer += first + written(self._corner(*grounding.corner_numbers(first)))
                ends = ["</box>", "</box><box>"] if place + 1 < most else ["</box>"]
                end = written(Grammar.for_choices(ends, self._tokenizer))
                answer += end
                if end == "</box>":
                    break
        finally:
            self.take_back(len(said))
        return [box for found in grounding.parse(answer).found for box in found.boxes]

    def _corner(self, least_x: int, least_y: int) -> Grammar:
        pattern = grounding.corner_pattern(least_x, least_y)
        return Grammar.for_pattern(pattern, self._tokenizer, longest=grounding.CORNER_LENGTH)

    def next_scores(self) -> Tensor:
        """Logits of what comes next: float32, on the CPU, shape (V,).

        Raises:
            ConfigError: If the document is empty.
            CheckpointError: If a weight is not a number.
        """
        self._expect_some("has no next token")
        with torch.inference_mode():
            scores_V = self._model.decoder.logits(self._hidden.last).float().cpu()
        self._expect_numbers(scores_V)
        return scores_V

    @torch.inference_mode()
    def hindsight(self, num_units: int) -> Tensor:
        """Log probabilities of every id where each of the latest units stands, before it was read.

        Costs the head alone: what the decoder made of each position is kept.

        Args:
            num_units: How many; all of them tokens, and not the whole document.

        Returns:
            Shape (num_units, V), float32, on the CPU.

        Raises:
            ConfigError: If nothing stands before them.
        """
        if num_units >= len(self._units):
            raise ConfigError(f"nothing stands before the latest {num_units} units of {len(self._units)}")
        before_TC = self._hidden.all[self.length - num_units - 1 : self.length - 1]
        return self._model.decoder.logits(before_TC).float().log_softmax(-1).cpu()

    def _expect_some(self, lack: str) -> None:
        if not self._units:
            raise ConfigError(f"an empty document {lack}: append text or a picture first")

    def _expect_numbers(self, values: Tensor) -> None:
        if not values.isnan().any():
            return
        tensors = [*self._model.named_parameters(), *self._model.named_buffers()]
        for name, tensor in tensors:
            if tensor.is_floating_point() and tensor.isnan().any():
                raise CheckpointError(f"the weight {name} holds NaN: the checkpoint is damaged, fetch it again")
        raise CheckpointError(f"the model computes NaN in {self._dtype} from weights without NaN: load it in float32")

    @torch.inference_mode()
    def score(self, continuations: Sequence[Continuation]) -> list[float]:
        """Scores continuations of the document, side by side, without changing it.

        Returns:
            For each the summed log probability of its scored tokens, in nats.

        Raises:
            ConfigError: If nothing stands before the first scored token.
            ShapeError: If one does not fit the model's window.
            CheckpointError: If a weight is not a number.
            DeviceMemoryError: If the device's memory is used up.
        """
        if not self._units and not all(given for given, _ in continuations):
            raise ConfigError("nothing stands before what is to be scored: append text first, or give some")
        by_length = sorted(range(len(continuations)), key=lambda index: -_size(continuations[index]))
        scores = [0.0] * len(continuations)
        with _enough_memory("fewer or shorter continuations, or a shorter document"):
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
        ids_BT = ids_BT.to(self._device)
        cache = self._cache.fork(len(rows), capacity=self.length + length)
        decoder = self._model.decoder
        hidden_BTC = decoder(self._model.embed(ids_BT), cache=cache, pictures=self._visible_memory())
        scores: list[float] = []
        for row, (given, scored) in enumerate(rows):
            states_TC = torch.cat([self._hidden.all[-1:], hidden_BTC[row]])
            first = len(given) if self._units else len(given) - 1
            log_probs_TV = decoder.logits(states_TC[first : first + len(scored)]).float().log_softmax(-1)
            chosen_T1 = torch.tensor(scored, device=self._device)[:, None]
            scores.append(float(log_probs_TV.gather(1, chosen_T1).sum()))
        self._expect_numbers(torch.tensor(scores))
        return scores

    @torch.inference_mode()
    def draw(
        self,
        settings: DrawSettings | None = None,
        *,
        seed: int = 0,
        progress: Callable[[int, int], None] | None = None,
    ) -> Picture:
        """Draws the picture that the document calls for, and reads it as the document's next picture.

        The drawing is conditioned on what the decoder made of everything since the latest begin-of-text id, and looks
        back at the latest picture, as in the released code. An empty document begins with the begin-of-text id.

        Args:
            settings: How to draw; None takes the defaults.
            seed: Of the drawing.
            progress: Told after each step how many of how many are done.

        Raises:
            ConfigError: If the model has no image decoder.
            CheckpointError: If a weight is not a number.
            DeviceMemoryError: If the device's memory is used up.
        """
        _ = self._model.drawing  # raises where there is none
        self._begin()
        rest, _ = self._make_room([], spare=1 + self._model.config.resampler.num_queries)
        self._read_units(rest)
        with _enough_memory("fewer pictures or a smaller dtype, or offload the image decoder"):
            pixels_CHW = draw_picture(
                self._model, self._states_of_picture(), self._latest_seen(), settings, seed=seed, progress=progress
            )
        image = Image.fromarray((pixels_CHW.permute(1, 2, 0) * 255).round().byte().numpy())
        picture = self.pictures.put(_encoded(image), origin="drawn")
        self._read_units([PictureUnit(picture.digest)])
        return picture

    def draw_from_segmentation(
        self,
        labels: bytes | Path | Image.Image | Picture,
        caption: str,
        settings: DrawSettings | None = None,
        *,
        seed: int = 0,
        progress: Callable[[int, int], None] | None = None,
    ) -> Picture:
        """Draws what a map of labels lays out: the map is read as a picture, then the caption, as the release had it.

        Args:
            labels: The map, each label in a colour of its own, as in a PNG with a palette.
            caption: What the picture shows.
            settings: How to draw; None takes the defaults.
            seed: Of the drawing.
            progress: Told after each step how many of how many are done.

        Raises:
            ConfigError: If the model has no image decoder. For the rest see `append` and `draw`.
        """
        _ = self._model.drawing  # raises where there is none, before anything is read
        self.append(labels, f"{caption.rstrip('.')}.")
        return self.draw(settings, seed=seed, progress=progress)

    def _states_of_picture(self) -> Tensor:
        """Hidden states since the latest begin-of-text id, with that of a begin-of-image id after them."""
        begin, length = self._model.config.begin_of_text, self.length
        place = max((index for index, unit in enumerate(self._units) if unit == begin), default=0)
        start = self._ends[place - 1] if place else 0
        try:
            self._read(self._model.embed(torch.tensor([[self._model.config.begin_of_image]], device=self._device)))
            states_TC = self._hidden.all[start:].clone()
        finally:
            self._rewind_positions(length)
        self._expect_numbers(states_TC)
        return states_TC

    def _latest_seen(self) -> VisualFeatures | None:
        latest = next((unit for unit in reversed(self._units) if isinstance(unit, PictureUnit)), None)
        return None if latest is None else self._see(latest)

    def embed(self) -> Tensor:
        """One vector for the document so far: the mean of the decoder's hidden states after its last norm.

        Returns:
            Of length 1, float32, shape (C,), on the model's device.

        Raises:
            ConfigError: If the document is empty.
            CheckpointError: If a weight is not a number.
        """
        self._expect_some("has no vector")
        with torch.inference_mode():
            vector_C = F.normalize(self._hidden.all.float().mean(0), dim=0)
        self._expect_numbers(vector_C)
        return vector_C


def _size(continuation: Continuation) -> int:
    return len(continuation.given) + len(continuation.scored)


def _encoded(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@contextmanager
def _enough_memory(lower: str) -> Generator[None]:
    """Turns a device's refusal into one line that says what to lower."""
    try:
        yield
    except RuntimeError as error:  # of which torch.OutOfMemoryError is one
        if any(sign in str(error).lower() for sign in ("out of memory", "can't allocate memory")):
            reason = str(error).splitlines()[0]
            raise DeviceMemoryError(f"out of memory ({reason}); lower it with {lower}") from error
        raise
