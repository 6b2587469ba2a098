"""Samples as tokens of one model."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from mmi_agent.data.sample import Sample
from mmi_agent.errors import DataError
from mmi_agent.inference.prompts import Special
from mmi_agent.inference.tokenizer import Tokenizer
from mmi_agent.models.mm_interleaved import MMInterleavedConfig
from mmi_agent.types import Picture

__all__ = ["Encoded", "EncodedPicture", "Token", "encode_sample"]


class Token(NamedTuple):
    """A position of a sample.

    Attributes:
        id: Of the vocabulary; a picture is its begin-of-image id and an image id for each visual token.
        learnt: Whether it counts in the loss of the next token.
    """

    id: int
    learnt: bool


class EncodedPicture(NamedTuple):
    """A picture of a sample.

    Attributes:
        start: The position of its begin-of-image id.
        png: The file.
        drawn: Whether it counts in the loss of the next picture.
    """

    start: int
    png: bytes
    drawn: bool


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """A sample as a model reads it.

    Attributes:
        tokens: All positions.
        pictures: In the order of their tokens.
        source: Where the sample comes from.
        lost: Positions that did not fit and were cut off at its end.
    """

    tokens: tuple[Token, ...]
    pictures: tuple[EncodedPicture, ...]
    source: str
    lost: int = 0

    @property
    def num_learnt(self) -> int:
        """Tokens that count."""
        return sum(token.learnt for token in self.tokens)


def encode_sample(sample: Sample, tokenizer: Tokenizer, config: MMInterleavedConfig, *, max_positions: int) -> Encoded:
    """Encodes a sample; what does not fit is cut off at its end, a picture as a whole.

    Args:
        sample: The sample.
        tokenizer: Of the model.
        config: Of the model.
        max_positions: The model's window.

    Raises:
        DataError: If nothing of it is learnt within the window, or a picture is missing.
    """
    tokens: list[Token] = []
    pictures: list[EncodedPicture] = []
    lost = 0
    for piece in _pieces(sample, tokenizer, config):
        room = max_positions - len(tokens)
        if lost or len(piece.tokens) > room:
            kept = piece.tokens[:room] if piece.picture is None and not lost else []
            tokens += kept
            lost += len(piece.tokens) - len(kept)
            continue
        if piece.picture is not None:
            pictures.append(EncodedPicture(len(tokens), _bytes_of(piece.picture, sample), piece.draws))
        tokens += piece.tokens
    encoded = Encoded(tokens=tuple(tokens), pictures=tuple(pictures), source=sample.source, lost=lost)
    if not encoded.num_learnt and not any(picture.drawn for picture in pictures):
        raise DataError(f"{sample.source}: nothing in its first {max_positions} tokens is to be learnt")
    return encoded


class _Piece(NamedTuple):
    tokens: list[Token]
    picture: Picture | None = None
    draws: bool = False


def _pieces(sample: Sample, tokenizer: Tokenizer, config: MMInterleavedConfig) -> Iterator[_Piece]:
    is_document = bool(sample.parts) and not isinstance(sample.parts[0].content, Special)
    if is_document:
        yield _Piece([Token(config.begin_of_text, learnt=False)])
    for place, (content, learnt) in enumerate(sample.parts):
        match content:
            case str():
                yield _Piece([Token(token, learnt) for token in tokenizer.encode(content)])
            case Special(name):
                yield _Piece([Token(tokenizer.special(name), learnt)])
            case Picture():
                begin = Token(config.begin_of_image, learnt and place > 0)  # nothing announces a first picture
                image = Token(config.image, learnt=False)
                yield _Piece([begin, *[image] * config.resampler.num_queries], content, learnt and place > 0)
    if is_document:
        yield _Piece([Token(config.end_of_text, sample.parts[-1].learnt)])


def _bytes_of(picture: Picture, sample: Sample) -> bytes:
    try:
        return sample.pictures.get(picture.digest)
    except (KeyError, OSError) as error:
        raise DataError(f"{sample.source}: its picture {picture.digest[:12]}… is missing") from error
