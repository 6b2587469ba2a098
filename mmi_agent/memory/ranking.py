"""What comes to mind first: rankings fused, duplicates collapsed, age and outcome weighed in.

Source: reciprocal rank fusion, Cormack, Clarke and Buettcher, SIGIR 2009; its constant is theirs.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from mmi_agent.memory.index import Found
from mmi_agent.memory.items import MemoryItem

__all__ = ["collapsed", "fused", "ordered", "weight"]

_CONSTANT = 60
_LEAST = 0.01  # of the likeness that the best has: what is not alike at all still has a rank
_HALF_LIFE_DAYS = 90.0
_OLDEST = 0.85  # of a score, however old
_FAILED = 0.85


def fused(rankings: Iterable[Sequence[Found]]) -> dict[str, float]:
    """Scores ids by their ranks in several rankings, best first; one that stands first in all of them scores 1.

    In each ranking a rank counts as much as the item is alike, compared with the first: so what fits is not overtaken
    by what does not, where only few items are there to be ranked.
    """
    rankings = [ranking for ranking in rankings if ranking]
    scores: dict[str, float] = {}
    for ranking in rankings:
        best = max(ranking[0].similarity, _LEAST)
        for rank, (id, similarity) in enumerate(ranking, start=1):
            alike = max(similarity, _LEAST * best) / best
            scores[id] = scores.get(id, 0.0) + alike * (_CONSTANT + 1) / (_CONSTANT + rank) / len(rankings)
    return scores


def weight(item: MemoryItem, *, at: datetime) -> float:
    """How much of its score an item keeps: what is old loses up to 15 %, and what ended badly 15 % more.

    So either decides between what fits about equally well.
    """
    age_days = max(0.0, (at - datetime.fromisoformat(item.time)).total_seconds() / 86400)
    fresh = _OLDEST + (1 - _OLDEST) * 0.5 ** (age_days / _HALF_LIFE_DAYS)
    return fresh * (_FAILED if item.success is False else 1.0)


def collapsed(items: Iterable[MemoryItem]) -> list[MemoryItem]:
    """Leaves out every item that says what one before it says, about the same world, with the same pictures."""
    seen: set[object] = set()
    kept: list[MemoryItem] = []
    for item in items:
        said = " ".join(item.text.split()).casefold()
        key = (item.kind, item.environment, said, tuple(picture.digest for picture in item.pictures))
        if key not in seen:
            seen.add(key)
            kept.append(item)
    return kept


def ordered(scores: Mapping[str, float], items: Mapping[str, MemoryItem]) -> list[tuple[MemoryItem, float]]:
    """The items with their weighed scores, best first; of equal ones the newest."""
    at = datetime.now(UTC)
    weighed = [(items[id], score * weight(items[id], at=at)) for id, score in scores.items() if id in items]
    return sorted(weighed, key=lambda pair: (pair[1], pair[0].time), reverse=True)
