"""How long samples are for a model, and what of a dataset is broken."""

import math
import re
from dataclasses import dataclass, field
from typing import NamedTuple

from mmi_agent.cache import cache_root
from mmi_agent.checkpoints.converted import default_folder
from mmi_agent.checkpoints.smollm2 import ensure_smollm2, load_tokenizer
from mmi_agent.data.encoding import encode_sample
from mmi_agent.data.packing import ROW_TOKENS
from mmi_agent.data.readers.reader import Reader
from mmi_agent.data.sample import Broken, Sample
from mmi_agent.errors import MMIError
from mmi_agent.inference.loading import converted_tokenizer, has_eyes
from mmi_agent.inference.sights import Sight, sight_of
from mmi_agent.inference.tokenizer import Tokenizer
from mmi_agent.models.configs import preset
from mmi_agent.models.mm_interleaved import MMInterleavedConfig

__all__ = ["Kind", "Length", "Report", "Yardstick", "examine"]

_UNLIMITED = 1 << 40
_DETAIL = re.compile(r"'[^']*'|\"[^\"]*\"|\b[0-9a-f]{12,}\b|\d+")


class Length(NamedTuple):
    """What a sample takes.

    Attributes:
        tokens: Positions, those of pictures included.
        learnt: Those that count in the loss of the next token.
        pictures: Pictures in it.
        drawn: Those that count in the loss of the next picture.
    """

    tokens: int
    learnt: int
    pictures: int
    drawn: int


@dataclass(frozen=True, kw_only=True)
class Yardstick:
    """The tokenizer and the sizes of a model, without its weights.

    Attributes:
        name: Of the preset.
        tokenizer: Its tokenizer.
        config: Its sizes.
    """

    name: str
    tokenizer: Tokenizer
    config: MMInterleavedConfig

    @classmethod
    def of(cls, name: str | None = None) -> "Yardstick":
        """The yardstick of a preset.

        Args:
            name: "tiny", "small" or "full"; None is `small` where its tokenizer is on this machine, else `tiny`.

        Raises:
            UnknownNameError: If there is no such preset.
            CheckpointError: If its tokenizer cannot be had.
        """
        at_hand = any(cache_root().glob("smollm2-135m-instruct*"))
        name = name or ("small" if at_hand else "tiny")
        config = preset(name)
        if name == "tiny":
            tokenizer = Tokenizer.byte_level()
        elif name == "small":
            tokenizer = Tokenizer(load_tokenizer(ensure_smollm2()))
        else:
            tokenizer = converted_tokenizer(default_folder())
        return cls(name=name, tokenizer=tokenizer, config=config)

    @property
    def row_tokens(self) -> int:
        """The tokens after which `mmi train` cuts a sample off where nothing else is asked for."""
        return min(self.config.decoder.max_positions, ROW_TOKENS)

    @property
    def look(self) -> Sight:
        """What `mmi train` shows of the screens of runs where nothing else is asked for."""
        return sight_of(has_eyes(self.name))

    def measure(self, sample: Sample) -> Length:
        """How long a sample is.

        Raises:
            MMIError: If it is no sample for this model: a marker is unknown, a picture missing, nothing is learnt.
        """
        encoded = encode_sample(sample, self.tokenizer, self.config, max_positions=_UNLIMITED)
        drawn = sum(picture.drawn for picture in encoded.pictures)
        return Length(len(encoded.tokens), encoded.num_learnt, len(encoded.pictures), drawn)


@dataclass(kw_only=True)
class Kind:
    """Samples that are broken in the same way.

    Attributes:
        count: How many.
        example: The first of them.
    """

    count: int = 0
    example: Broken


@dataclass(kw_only=True)
class Report:
    """What is in a dataset.

    Attributes:
        name: The file or folder.
        form: Its form.
        lengths: Of each sample that can be learnt from.
        beyond_window: How many of them are longer than the window, so that their ends are cut off.
        broken: What cannot be learnt from, by reason without its details.
        left_out: As the reader says.
    """

    name: str
    form: str
    left_out: str = ""
    lengths: list[Length] = field(default_factory=list[Length])
    beyond_window: int = 0
    broken: dict[str, Kind] = field(default_factory=dict[str, Kind])

    @classmethod
    def of(cls, reader: Reader) -> "Report":
        """Of a dataset of which nothing is counted yet."""
        return cls(name=reader.name, form=reader.form, left_out=reader.left_out)

    @property
    def num_broken(self) -> int:
        """Samples that cannot be learnt from."""
        return sum(kind.count for kind in self.broken.values())

    @property
    def totals(self) -> Length:
        """All lengths together."""
        return Length(*map(sum, zip(*self.lengths, strict=True))) if self.lengths else Length(0, 0, 0, 0)

    def tokens_at(self, share: float) -> int:
        """So many tokens have at most this share of the samples: 0.95 for all but the longest twentieth."""
        ordered = sorted(length.tokens for length in self.lengths)
        return ordered[max(math.ceil(share * len(ordered)) - 1, 0)] if ordered else 0

    def add(self, found: Sample | Broken, yardstick: Yardstick, window: int) -> Length | Broken:
        """Counts one more; returns its length, or what is wrong with it."""
        measured = _measured(found, yardstick)
        if isinstance(measured, Broken):
            kind = self.broken.setdefault(_DETAIL.sub("…", measured.reason), Kind(example=measured))
            kind.count += 1
        else:
            self.lengths.append(measured)
            self.beyond_window += measured.tokens > window
        return measured

    def by_count(self) -> list[Kind]:
        """What is broken, the most frequent first."""
        return sorted(self.broken.values(), key=lambda kind: -kind.count)


def examine(reader: Reader, yardstick: Yardstick, *, window: int) -> Report:
    """Reads a dataset through.

    Args:
        reader: The dataset.
        yardstick: Of the model that is to learn from it.
        window: The tokens after which a sample is cut off.
    """
    report = Report.of(reader)
    for found in reader:
        report.add(found, yardstick, window)
    return report


def _measured(found: Sample | Broken, yardstick: Yardstick) -> Length | Broken:
    if isinstance(found, Broken):
        return found
    try:
        return yardstick.measure(found)
    except MMIError as error:
        return Broken(source=found.source, reason=str(error).removeprefix(f"{found.source}: "))
