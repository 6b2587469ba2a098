"""The memory: what is remembered stays until it is forgotten, and then it is gone.

    with Memory.open(Path("memory")) as memory:
        memory.remember(MemoryItem(kind="fact", text="The invoices are under Reports.", trust="user"))
        memory.recall("where are the invoices?")

- What `remember` has returned for is on the disk, whatever happens to the process, the machine or the index.
- Several processes may use one memory: each reads what the others wrote before it answers.
- What is forgotten is gone from the file, from the vectors and from the index, and so is every picture that no other
  item has.
- The index is made of the file. Where it is missing, broken, or held by another process, nothing is lost.

The layout of the folder is told in `journal`.
"""

import random
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from mmi_agent.errors import ConfigError, MemoryStoreError, TrajectoryError, UnknownNameError
from mmi_agent.memory.catalogue import Catalogue
from mmi_agent.memory.chroma import ChromaIndex, clear_folder
from mmi_agent.memory.damaged import forget_damaged
from mmi_agent.memory.embedders import Encoder, PictureEmbedder, TextEmbedder
from mmi_agent.memory.index import ExactIndex, Filter, Found, Index, IndexBrokenError, Row, Tags
from mmi_agent.memory.items import Kind, MemoryItem, Query, Recalled, Trust
from mmi_agent.memory.journal import Journal, Remembered, Space, SpaceRecord, item_line, space_line
from mmi_agent.memory.ranking import collapsed, fused, ordered
from mmi_agent.pictures import FolderPictures, PictureStore
from mmi_agent.types import clean_text

if TYPE_CHECKING:
    from mmi_agent.memory.embedders import Vectors

__all__ = ["IndexKind", "Memory"]

T = TypeVar("T")

IndexKind = Literal["chroma", "exact"]
"""Whether an index is kept in the folder, or every vector is compared with."""

_SPACES: tuple[Space, ...] = ("text", "picture")
_EMBEDDED = 8000  # characters of a text that an embedder is given; MiniLM reads the first 256 tokens of them
_AT_ONCE = 64  # texts, or pictures, that an embedder is given at once
_ROWS = 4000  # items that an index is given at once
_REWRITTEN: set[Path] = set()
"""Folders in which something was forgotten that this process may still have in its freed memory.

Chroma writes memory to its files that it never filled: in these folders this process compares with every vector from
then on, and leaves the next index to the next process.
"""

_PROBES = 3  # items that an index must find by their own vectors before it is trusted
_SAME = 0.995  # cosine of a vector with itself, after Chroma's arithmetic


class Memory:
    """What was remembered in a folder, for one thread at a time.

    Args:
        folder: Made where there is none.
        text_embedder: Anything with `embed_documents` and `embed_query`, as a LangChain `Embeddings` has; None is
            MiniLM, from its package. Loaded when it is first needed.
        picture_embedder: Anything with `embed_pictures`; None is the eyes of `small`. Likewise.
        index: "chroma" keeps an index in the folder; "exact" compares with every vector, and keeps nothing.

    Raises:
        MemoryStoreError: If the folder cannot be used, is of a newer version, or was damaged.
    """

    def __init__(
        self,
        folder: Path,
        *,
        text_embedder: TextEmbedder | None = None,
        picture_embedder: PictureEmbedder | None = None,
        index: IndexKind = "chroma",
    ) -> None:
        self.folder = folder
        self.pictures = FolderPictures(folder / "pictures")
        self._journal = Journal(folder)
        self._catalogue = Catalogue()
        self._encoders: dict[Space, Encoder[Any]] = {
            "text": Encoder(_minilm if text_embedder is None else lambda: text_embedder),
            "picture": Encoder(_eyes if picture_embedder is None else lambda: picture_embedder),
        }
        self._kind_of_index: IndexKind = index
        self._index: Index | None = None
        self._indexed = 0  # how much of the file the index holds
        self._catch_up()

    @classmethod
    def open(cls, folder: Path, **options: Any) -> Self:
        """Opens the memory in a folder, and makes one where there is none; arguments and errors are those above."""
        return cls(folder, **options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of files and locks; a second call does nothing."""
        self._drop_index()
        self._journal.close()

    # ---- what there is

    def __len__(self) -> int:
        self._catch_up()
        return len(self._catalogue.entries)

    def __contains__(self, id: str) -> bool:
        self._catch_up()
        return id in self._catalogue.entries

    def get(self, id: str) -> MemoryItem:
        """The item of that id.

        Raises:
            UnknownNameError: If there is none; offers the nearest.
        """
        self._catch_up()
        return self._read(self._known(id)).item

    def is_current(self, id: str) -> bool:
        """Whether an item is there and no other stands in its place."""
        self._catch_up()
        return self._catalogue.lives(id)

    def resolve(self, beginning: str) -> str:
        """The one id that begins so.

        Raises:
            UnknownNameError: If there is none, or more than one; nothing begins every id.
        """
        if not beginning:
            raise UnknownNameError("an empty id names no item: write an id, or how it begins")
        self._catch_up()
        found = [id for id in self._catalogue.entries if id.startswith(beginning)]
        if len(found) > 1 and beginning not in found:
            raise UnknownNameError(f"{len(found)} items have ids that begin with {beginning!r}: write more of it")
        return self._known(found[0] if len(found) == 1 else beginning)

    # ---- taking in

    def remember(self, item: MemoryItem, *, pictures: PictureStore | None = None) -> str:
        """Keeps an item: when this returns, it is on the disk.

        Args:
            item: One with the id of another takes its place.
            pictures: Where the bytes of its pictures are; None where they are in `self.pictures` already.

        Returns:
            Its id.

        Raises:
            MemoryStoreError: If it cannot be written, a picture is not there, or the memory is of other embedders.
            ActionError: If a picture cannot be read.
        """
        return self.remember_all([item], pictures=pictures)[0]

    def remember_all(self, items: Iterable[MemoryItem], *, pictures: PictureStore | None = None) -> Sequence[str]:
        """Keeps several items, all or none; arguments and errors are those of `remember`."""
        items = list(items)
        self._catch_up()
        store = self.pictures if pictures is None else pictures
        files = {p.digest: _bytes_of(p.digest, store) for item in items for p in item.pictures}
        texts = self._text_vectors([item.key for item in items])
        seen = self._picture_vectors(files)
        lines = [
            item_line(item, text=text, pictures=[seen[p.digest] for p in item.pictures])
            for item, text in zip(items, texts, strict=True)
        ]
        is_used: dict[Space, bool] = {"text": any(text is not None for text in texts), "picture": bool(seen)}
        with self._writing():
            new = [self._space(space) for space in _SPACES if is_used[space] and self._expect_maker(space) is None]
            self._keep_pictures(files)
            self._journal.append([*map(space_line, new), *lines], end=self._catalogue.end)
        self._catch_up()
        return [item.id for item in items]

    def edit(self, id: str, *, text: str, cue: str = "") -> MemoryItem:
        """Puts a corrected item in the place of one: by the owner, so it is trusted as his.

        Args:
            id: The one to correct; it is kept, and not recalled any more.
            text: What it says now.
            cue: What it is found by now; empty where that is its text.

        Returns:
            The new item.

        Raises:
            UnknownNameError: If there is no such item.
            ConfigError: If another stands in its place already: two corrections would contradict each other.
        """
        if id in self and not self.is_current(id):
            heirs = " or ".join(self._catalogue.in_place_of(id))
            raise ConfigError(f"another item stands in the place of {id}" + (f": edit {heirs}" if heirs else ""))
        old = self.get(id).model_dump(include={"kind", "pictures", "environment", "success", "source", "metadata"})
        item = MemoryItem.model_validate({**old, "text": text, "cue": cue, "trust": "user", "supersedes": (id,)})
        self.remember(item)
        return item

    def forget(self, *ids: str) -> int:
        """Removes items, and whatever they stand in place of, from file, vectors, index and pictures.

        Returns:
            How many items are gone.

        Raises:
            UnknownNameError: If there is no such item; then none is forgotten.
            MemoryStoreError: If the file cannot be written anew; then none is forgotten either.
        """
        with self._writing():
            gone = self._catalogue.with_ancestors([self._known(id) for id in ids])
            if gone:
                entries = {id: entry for id, entry in self._catalogue.entries.items() if id not in gone}
                lines = [self._journal.line(entry.at, entry.size) for entry in entries.values()]
                self._journal.rewrite([*map(space_line, self._catalogue.spaces.values()), *lines])
                clear_folder(self.folder)
                self._catch_up()
                self.sweep()
                forget_damaged(self.folder, gone)
        return len(gone)

    def sweep(self) -> None:
        """Removes every picture that no item has; call it where nobody else writes."""
        named = {digest for entry in self._catalogue.entries.values() for digest in entry.pictures}
        for path in self.pictures.folder.glob("*.png*"):
            if path.name.partition(".")[0] not in named:
                path.unlink(missing_ok=True)

    def _keep_pictures(self, files: Mapping[str, bytes]) -> None:
        for digest, data in files.items():
            try:
                found = self.pictures.put(data).digest
            except TrajectoryError as error:
                raise MemoryStoreError(str(error)) from error
            if found != digest:
                raise MemoryStoreError(f"the picture {digest:.12} has other bytes than its digest says")

    # ---- recalling

    def recall(self, query: Query | str, k: int = 5, *, collapse: bool = True) -> Sequence[Recalled]:
        """The items that fit best, best first.

        Args:
            query: What is looked for; a text alone will do.
            k: How many at most.
            collapse: Whether of items that say the same only the best stays.

        Raises:
            ConfigError: If it asks for nothing: no text and no picture.
            ActionError: If its picture cannot be read.
            MemoryStoreError: If the memory cannot be read, or is of other embedders.
        """
        query = Query(text=query) if isinstance(query, str) else query
        self._catch_up()
        vectors = self._query_vectors(query)
        worlds = query.environments and tuple(map(clean_text, query.environments))
        within = Filter(kinds=query.kinds, environments=worlds, trusts=query.trusts)
        k = min(k, len(self._catalogue.entries))
        wanted = max(2 * k, 20)
        while True:
            found: dict[Space, Sequence[Found]] = {
                space: self._search(space, vector, wanted, within) for space, vector in vectors.items()
            }
            best = self._ranked(found, query, collapse=collapse)
            if len(best) >= k or all(len(each) < wanted for each in found.values()):
                return best[:k]
            wanted *= 4

    def _query_vectors(self, query: Query) -> "dict[Space, Vectors]":
        """The vectors to compare with; none of a space that nothing is in, so that no embedder is loaded for it."""
        text = clean_text(query.text).strip()
        if not text and query.picture is None:
            raise ConfigError("a query needs a text or a picture")
        vectors: dict[Space, Vectors] = {}
        if text and self._expect_maker("text"):
            encoder = self._encoders["text"]
            vectors["text"] = encoder.unit([encoder.embedder.embed_query(text[:_EMBEDDED])], count=1)[0]
        if query.picture is not None and self._expect_maker("picture"):
            vectors["picture"] = self._picture_vectors({"": query.picture})[""]
        return vectors

    def _ranked(self, found: Mapping[Space, Sequence[Found]], query: Query, *, collapse: bool) -> Sequence[Recalled]:
        scores = fused(found.values())
        items = {id: self._read(id).item for id in scores if self._catalogue.lives(id)}
        ranked = ordered(scores, {id: item for id, item in items.items() if query.fits is None or query.fits(item)})
        similar = {space: {each.id: each.similarity for each in ranking} for space, ranking in found.items()}
        kept = {item.id for item in collapsed(item for item, _ in ranked)} if collapse else set(items)
        return [
            Recalled(
                item=item,
                score=score,
                text_similarity=similar.get("text", {}).get(item.id),
                picture_similarity=similar.get("picture", {}).get(item.id),
            )
            for item, score in ranked
            if item.id in kept
        ]

    # ---- the file

    def _catch_up(self) -> None:
        """Reads what was written since, by whomever."""
        if self._journal.stale:
            if self._catalogue.entries:
                _REWRITTEN.add(self.folder.resolve())
            start = self._journal.reopen()
            self._catalogue = Catalogue(start=start, end=start)
            self._drop_index()
        catalogue = self._catalogue
        if self._journal.size > catalogue.end:
            for found in self._journal.records(catalogue.end, number=catalogue.lines + 1):
                self._expect_width(found)
                catalogue.take(found)

    def _expect_width(self, found: Remembered | SpaceRecord) -> None:
        if isinstance(found, SpaceRecord):
            return
        for space, vectors in vectors_of(found).items():
            known = self._catalogue.spaces.get(space)
            if known is None or vectors.shape[1] != known.width:
                raise MemoryStoreError(
                    f"{self._journal.path}: the item {found.item.id!r} has a {space} vector of {vectors.shape[1]} "
                    f"numbers, expected {known.width if known else 'none'}: mmi memory rebuild --embed {self.folder} "
                    "makes all vectors anew"
                )

    @contextmanager
    def _writing(self) -> Generator[None]:
        """Keeps others from writing, and knows all that they wrote."""
        with self._journal.locked():
            self._catch_up()
            yield

    def _known(self, id: str) -> str:
        if id not in self._catalogue.entries:
            raise UnknownNameError.among("item", id, self._catalogue.entries)
        return id

    def _read(self, id: str) -> Remembered:
        entry = self._catalogue.entries[id]
        return self._journal.read(entry.at, entry.size)

    # ---- vectors

    def _text_vectors(self, texts: Sequence[str]) -> "Sequence[Vectors | None]":
        """A vector for each text; None for one that says nothing."""
        encoder, spoken = self._encoders["text"], [text[:_EMBEDDED] for text in texts if text.strip()]
        if spoken:
            self._expect_maker("text")
        made = iter(
            [
                vector
                for begin in range(0, len(spoken), _AT_ONCE)
                for batch in [spoken[begin : begin + _AT_ONCE]]
                for vector in encoder.unit(encoder.embedder.embed_documents(batch), count=len(batch))
            ]
        )
        return [next(made) if text.strip() else None for text in texts]

    def _picture_vectors(self, files: Mapping[str, bytes]) -> "Mapping[str, Vectors]":
        """A vector for each picture, by digest."""
        encoder, names, data = self._encoders["picture"], list(files), list(files.values())
        if names:
            self._expect_maker("picture")
        vectors = [
            vector
            for begin in range(0, len(data), _AT_ONCE)
            for batch in [data[begin : begin + _AT_ONCE]]
            for vector in encoder.unit(encoder.embedder.embed_pictures(batch), count=len(batch))
        ]
        return dict(zip(names, vectors, strict=True))

    def _expect_maker(self, space: Space) -> SpaceRecord | None:
        """What made the vectors that there are; None where there are none yet.

        Raises:
            MemoryStoreError: If it is not the embedder that was given.
        """
        known, encoder = self._catalogue.spaces.get(space), self._encoders[space]
        if known is None:
            return None
        if known.name != encoder.name or encoder.width not in (None, known.width):
            raise MemoryStoreError(
                f"the {space} vectors of {self.folder} were made by {known.name} ({known.width} numbers each), this is "
                f"{encoder.name}{f' ({encoder.width})' if encoder.width else ''}: give the same embedder, or let a "
                "rebuild make all vectors anew"
            )
        encoder.width = known.width
        return known

    def _space(self, space: Space) -> SpaceRecord:
        """What this process makes the vectors of a space with."""
        encoder = self._encoders[space]
        assert encoder.width, "a space begins with a vector"
        return SpaceRecord(space=space, name=encoder.name, width=encoder.width)

    # ---- the index

    def build_index(self) -> None:
        """Brings the index up to date, which the next recall would do anyway."""
        self._catch_up()
        self._with_index(lambda index: None)

    def _search(self, space: Space, vector: "Vectors", k: int, within: Filter) -> Sequence[Found]:
        return self._with_index(lambda index: index.search(space, vector, k, within))

    def _with_index(self, use: Callable[[Index], T]) -> T:
        """Uses an index that knows all; one that turns out to be broken is made anew, once, and then done without."""
        try:
            return use(self._ready_index())
        except IndexBrokenError:
            self._drop_index()
        try:
            self._take_index(anew=True)
            return use(self._ready_index())
        except IndexBrokenError:
            self._drop_index()
            self._index, self._indexed = ExactIndex(), self._catalogue.start
            return use(self._ready_index())

    def _ready_index(self) -> Index:
        index = self._index or self._take_index(anew=False)
        begin, end = self._indexed, self._catalogue.end
        if begin == end:
            return index
        if begin > end:
            raise IndexBrokenError("it holds more than the file")
        batch: list[Remembered] = []
        for found in self._journal.records(begin, number=0):
            batch += [found] if isinstance(found, Remembered) else []
            if len(batch) == _ROWS:
                self._feed(index, batch)
                batch.clear()
        self._feed(index, batch)
        if any(index.count(space) != self._catalogue.rows(space) for space in self._catalogue.spaces):
            raise IndexBrokenError("it does not hold as many vectors as the file")
        index.synced(end)
        self._indexed = end
        return index

    def _take_index(self, *, anew: bool) -> Index:
        """Opens the index of the folder; where another process has it, begins one of this process's own."""
        self._indexed = self._catalogue.start
        chroma = None
        if self._kind_of_index == "chroma" and self.folder.resolve() not in _REWRITTEN:
            chroma = ChromaIndex.take(self.folder, self._journal.generation, anew=anew)
        self._index = chroma or ExactIndex()
        if chroma and chroma.end:
            self._indexed = chroma.end
            self._expect_sound(chroma)
        return self._index

    def _expect_sound(self, index: Index) -> None:
        """Looks a few vectors up that must be there: an index can lose some and say nothing."""
        ids = [id for id, entry in self._catalogue.entries.items() if entry.at < self._indexed]
        alive = [id for id in random.sample(ids, min(len(ids), 4 * _PROBES)) if self._catalogue.lives(id)]
        for id in alive[:_PROBES]:
            for space, vectors in vectors_of(self._read(id)).items():
                nearest = index.search(space, vectors[0], 1, Filter())
                if not nearest or nearest[0].similarity < _SAME:
                    raise IndexBrokenError(f"it does not find {id} by its own vector")

    def _feed(self, index: Index, batch: Sequence[Remembered]) -> None:
        catalogue = self._catalogue
        old = {id for each in batch for id in (each.item.id, *each.item.supersedes)}
        if old := [id for id in old if id in catalogue.replaced or not catalogue.lives(id)]:
            index.remove(old)
        for space in _SPACES:
            rows = [
                Row(id=item.id, vectors=vectors[space], tags=Tags(item.kind, item.environment, item.trust))
                for item, at, vectors in ((each.item, each.at, vectors_of(each)) for each in batch)
                if space in vectors and catalogue.lives(item.id) and catalogue.entries[item.id].at == at
            ]
            index.add(space, rows)

    def _drop_index(self) -> None:
        if self._index is not None:
            self._index.close()
            self._index = None

    # ---- the list, last: its name hides a type

    def list(
        self,
        *,
        kinds: Sequence[Kind] | None = None,
        trusts: Sequence[Trust] | None = None,
        superseded: bool = False,
    ) -> Sequence[MemoryItem]:
        """The items, newest first.

        Args:
            kinds: Only these; None takes all.
            trusts: Only these; None takes all.
            superseded: Whether those are wanted too in whose place others stand.
        """
        self._catch_up()
        chosen = [
            (entry.time, entry.at, id)
            for id, entry in self._catalogue.entries.items()
            if (kinds is None or entry.kind in kinds)
            and (trusts is None or entry.trust in trusts)
            and (superseded or self._catalogue.lives(id))
        ]
        return [self._read(id).item for _, _, id in sorted(chosen, reverse=True)]


def vectors_of(found: Remembered) -> "dict[Space, Vectors]":
    """The vectors of an item in each space that it has some in, (count, width)."""
    vectors: dict[Space, Vectors] = {}
    if found.text_vector is not None:
        vectors["text"] = found.text_vector[None]
    if found.picture_vectors is not None:
        vectors["picture"] = found.picture_vectors
    return vectors


def _bytes_of(digest: str, store: PictureStore) -> bytes:
    try:
        return store.get(digest)
    except KeyError:
        raise MemoryStoreError(
            f"the picture {digest:.12} of an item is not where pictures are kept: put it there, "
            "or let mmi memory rebuild --embed leave out what is lost"
        ) from None


def _minilm() -> TextEmbedder:
    from mmi_agent.memory.minilm import MiniLM

    return MiniLM.load()


def _eyes() -> PictureEmbedder:
    from mmi_agent.memory.eyes import ModelEyes

    return ModelEyes()
