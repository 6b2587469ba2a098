"""Memory in the loop: what comes to mind for a task on a screen, and what a run leaves behind.

What was recalled stands until the screen has become another one, so that the beginning of the prompt stays put and need
not be read again.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmi_agent.agent.context import text_tokens
from mmi_agent.agent.trajectory import Trajectory, read_trajectory
from mmi_agent.errors import TrajectoryError
from mmi_agent.memory.items import MemoryItem, Query, Recalled
from mmi_agent.memory.runs import items_of, situation
from mmi_agent.memory.store import Memory
from mmi_agent.pictures import PictureStore
from mmi_agent.types import Observation, Text

__all__ = ["NOTHING", "Episode", "Recollected", "Recollector"]

_FACT = 600  # characters of a fact that are shown


@dataclass(frozen=True, kw_only=True)
class Recollected:
    """What came to mind.

    Attributes:
        facts: Texts, best first.
        examples: Worked examples, best first.
        ids: Of the items, in that order.
    """

    facts: tuple[Text, ...] = ()
    examples: tuple[Text, ...] = ()
    ids: tuple[str, ...] = ()

    @property
    def tokens(self) -> int:
        """Roughly how many tokens it takes."""
        return sum(text_tokens(shown.text) for shown in (*self.facts, *self.examples))


NOTHING = Recollected()


@dataclass(frozen=True, kw_only=True)
class Recollector:
    """Recalls for runs, and remembers them.

    Attributes:
        memory: What is recalled from.
        max_tokens: Estimated tokens of all that is recalled for a decision.
        max_facts: At most so many facts.
        max_examples: At most so many worked examples.
        likeness: Cosine of the text vectors below which nothing comes to mind.
        learns: Whether runs are remembered; off where runs are to be compared.
    """

    memory: Memory
    max_tokens: int = 768
    max_facts: int = 4
    max_examples: int = 3
    likeness: float = 0.4
    learns: bool = True

    def begin(self, *, instruction: str, environment: str, pictures: PictureStore) -> "Episode":
        """Takes note of a run that begins.

        Args:
            instruction: Its task.
            environment: Its world.
            pictures: The bytes of what will be seen.
        """
        return Episode(self, instruction=instruction, environment=environment, pictures=pictures)

    def keep(self, folder: Path) -> int:
        """Remembers a run that is over.

        Args:
            folder: The run's.

        Returns:
            How many items were added.

        Raises:
            MemoryStoreError: If the memory cannot be written.
            TrajectoryError: If the run cannot be read, or a picture of it is missing or was changed.
            ActionError: If a picture of it cannot be read.
        """
        run = read_trajectory(folder)
        known = self.memory
        new = [item for item in items_of(run) if item.id not in known or known.get(item.id) != item]
        _expect_pictures(new, run)
        self.memory.remember_all(new, pictures=run.pictures)
        return len(new)

    def recall(
        self, instruction: str, observation: Observation, picture: bytes | None, environment: str
    ) -> Recollected:
        """What comes to mind for a task on a screen, within the budget: facts first, then examples."""
        facts = self._alike(Query(text=instruction, kinds=("fact",)), self.max_facts)
        query = Query(
            text=situation(instruction, observation),
            picture=picture,
            kinds=("skill", "episode"),
            fits=lambda item: item.success is not False,
        )
        found = self._alike(query, 4 * self.max_examples)
        examples = sorted(found, key=lambda each: (each.item.environment != environment, each.item.kind != "skill"))
        return _within(self.max_tokens, facts, _of_distinct_runs(examples), self.max_examples)

    def _alike(self, query: Query, k: int) -> Sequence[Recalled]:
        return [each for each in self.memory.recall(query, k) if (each.text_similarity or 0) >= self.likeness]


class Episode:
    """One run's share of the memory."""

    def __init__(self, recollector: Recollector, *, instruction: str, environment: str, pictures: PictureStore) -> None:
        self._recollector = recollector
        self._instruction = instruction
        self._environment = environment
        self._pictures = pictures
        self._screen: frozenset[tuple[str, str]] | None = None
        self._recollected = NOTHING

    def at(self, observation: Observation) -> Recollected:
        """What comes to mind on this screen: what came before, unless more than half of the screen is new.

        Raises:
            MemoryStoreError: If the memory cannot be read.
        """
        screen = frozenset((element.role, element.name) for element in observation.elements)
        if self._screen is None or 2 * len(screen - self._screen) > len(screen):
            picture = self._pictures.get(observation.pictures[0].digest) if observation.pictures else None
            self._recollected = self._recollector.recall(self._instruction, observation, picture, self._environment)
            self._screen = screen
        return self._recollected


def _expect_pictures(items: Iterable[MemoryItem], run: Trajectory) -> None:
    for digest in sorted({picture.digest for item in items for picture in item.pictures}):
        try:
            whole = hashlib.sha256(run.pictures.get(digest)).hexdigest() == digest
        except KeyError:
            whole = False
        if not whole:
            raise TrajectoryError(f"the picture {digest:.12} of the run {run.start.run} is missing or was changed")


def _of_distinct_runs(examples: Iterable[Recalled]) -> Iterator[Recalled]:
    """Leaves out the steps of a run that stands there already."""
    runs: set[str] = set()
    for each in examples:
        run = each.item.source.run
        if not run or run not in runs:
            runs.add(run)
            yield each


def _within(budget: int, facts: Iterable[Recalled], examples: Iterable[Recalled], max_examples: int) -> Recollected:
    """Takes what fits, the best first; what alone would be too long is left out, and shorter ones after it are not."""
    chosen: list[MemoryItem] = []
    told, shown = list[Text](), list[Text]()
    for into, candidates, limit in ((told, facts, None), (shown, examples, max_examples)):
        for each in candidates:
            text = Text(text=each.item.text[:_FACT] if into is told else each.item.text)
            if text_tokens(text.text) <= budget and (limit is None or len(into) < limit):
                budget -= text_tokens(text.text)
                into.append(text)
                chosen.append(each.item)
    return Recollected(facts=tuple(told), examples=tuple(shown), ids=tuple(item.id for item in chosen))
