"""CIDEr: how much of what several people said of a picture a caption says, rare words weighing more.

The usual package, pycocoevalcap, weighs 100 MB, most of it Java programs, and needs Java to split words; what it
computes is rebuilt here, words included, so that scores can be compared with those of papers.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from mmi_agent.errors import ConfigError

__all__ = ["cider", "words"]

_ORDERS = (1, 2, 3, 4)
_SIGMA = 6.0
_FULL = 10.0

_CURLY = str.maketrans("\u2018\u2019\u201c\u201d", "''\"\"")
_TOKEN = re.compile(
    r"""
    (?:mr|mrs|ms|dr|st|jr|sr|prof|no|vs|etc)\.  |  (?:[a-z]\.)+(?![a-z])   # abbreviations keep their dot
    | [^\W\d_]\w*(?:'[a-z]+)* (?:[-./]\w+(?:'[a-z]+)*)*                    # t-shirt, cat/dog, o'clock
    | [-+]?\.?\d+(?:[.,:/-]\d+)* \w* (?:-\w+)*                             # 5:30, 1,000.50, 4th, 10-inch
    | '(?:\d\ds?|n'|tis|twas)\b
    | '(?:s|m|d|re|ve|ll|t)\b
    | \w+ | [^\s]
    """,
    re.VERBOSE,
)
_CONTRACTED = re.compile(
    r"(.*[a-z0-9])(n't|'(?:s|m|d|re|ve|ll))|(can)(not)|(gon|wan)(na)|(got)(ta)|(gim|lem)(me)|('t)(is|was)"
)
_NAMED = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
_DROPPED = frozenset("'\"`.?!,:;-")


def words(text: str) -> list[str]:
    """Splits a caption into lower-case words, without punctuation.

    As the Penn treebank does, so that "it's" is two words and "isn't" is "is" and "n't".
    """
    return [part for token in _TOKEN.findall(text.lower().translate(_CURLY)) for part in _parts(token)]


def _parts(token: str) -> Iterator[str]:
    if token in _DROPPED:
        return
    if found := _CONTRACTED.fullmatch(token):
        first, last = filter(None, found.groups())
        yield from (*_parts(first), last)
    else:
        yield _NAMED.get(token, token)


def cider(captions: Mapping[str, str], references: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Scores captions against what several people said of the same pictures.

    The weight of a run of one to four words falls with the number of pictures of which anybody said it: a score
    depends on the whole set of pictures, and with one picture alone it is 0. The score of a set is the mean.

    Args:
        captions: By picture.
        references: The captions of people, by picture; at least one each.

    Returns:
        By picture, from 0 to 10, in the order of `captions`. Papers give the mean times 100.

    Raises:
        ConfigError: If both do not hold the same pictures, or a picture has no reference.

    Source: Vedantam et al., CIDEr: Consensus-based image description evaluation (arXiv:1411.5726); CIDEr-D as
    pycocoevalcap computes it: counts clipped, and captions of another length marked down.
    """
    if captions.keys() != references.keys() or not all(references.values()):
        raise ConfigError("captions and references must be of the same pictures, with at least one reference each")
    said = {picture: [_Counts(words(text)) for text in texts] for picture, texts in references.items()}
    pictures_with = Counter(gram for each in said.values() for gram in {gram for one in each for gram in one.grams})
    rarity = _Rarity(pictures_with, len(said))
    scores = dict[str, float]()
    for picture, caption in captions.items():
        given = _Vector(_Counts(words(caption)), rarity)
        likeness = [given.likeness(_Vector(reference, rarity)) for reference in said[picture]]
        scores[picture] = _FULL * sum(likeness) / len(likeness)
    return scores


class _Counts:
    """How often each run of words occurs in a caption."""

    def __init__(self, text: Sequence[str]) -> None:
        self.grams = Counter(
            tuple(text[start : start + order]) for order in _ORDERS for start in range(len(text) - order + 1)
        )
        self.pairs = max(len(text) - 1, 0)  # what the original takes for the length


class _Rarity:
    """The weight of a run of words: the logarithm of the part of the pictures of which nobody says it."""

    def __init__(self, pictures_with: Mapping[tuple[str, ...], int], pictures: int) -> None:
        self._pictures_with = pictures_with
        self._pictures = pictures

    def __call__(self, gram: tuple[str, ...]) -> float:
        return math.log(self._pictures / max(1, self._pictures_with.get(gram, 0)))


class _Vector:
    """A caption as weights of its runs of words, by their length."""

    def __init__(self, counts: _Counts, rarity: _Rarity) -> None:
        self._pairs = counts.pairs
        self._weights: list[dict[tuple[str, ...], float]] = [{} for _ in _ORDERS]
        for gram, count in counts.grams.items():
            self._weights[len(gram) - 1][gram] = count * rarity(gram)
        self._norms = [math.sqrt(sum(weight**2 for weight in weights.values())) for weights in self._weights]

    def likeness(self, reference: "_Vector") -> float:
        """From 0 to 1; what is said more often than in the reference does not count more."""
        likeness = 0.0
        for mine, theirs, norms in zip(
            self._weights, reference._weights, zip(self._norms, reference._norms, strict=True), strict=True
        ):
            if all(norms):
                shared = sum(min(mine[gram], theirs[gram]) * theirs[gram] for gram in mine.keys() & theirs.keys())
                likeness += shared / math.prod(norms)
        difference = self._pairs - reference._pairs
        return likeness / len(_ORDERS) * math.exp(-(difference**2) / (2 * _SIGMA**2))
