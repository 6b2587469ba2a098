"""An index in a folder, by ChromaDB.

It holds vectors, ids and tags, and no text. One process has it at a time: whoever comes second compares with every
vector instead. Each state of the memory's file that was written anew has a folder of its own here, so that nothing of
what was forgotten is left behind: Chroma itself keeps deleted vectors in its files.
"""

import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from mmi_agent.errors import MissingDependencyError
from mmi_agent.memory.index import Filter, Found, IndexBrokenError, Row, best_of
from mmi_agent.memory.journal import Space
from mmi_agent.sealed_file import lock_now
from mmi_agent.whole_file import write_whole

if TYPE_CHECKING:
    from mmi_agent.memory.embedders import Vectors

__all__ = ["ChromaIndex", "clear_folder"]

T = TypeVar("T")

_GRAPH = {"space": "cosine", "max_neighbors": 32, "ef_construction": 200, "ef_search": 200}
_BATCH = 4000  # Chroma takes some 5,400 at once
_SYNCED = "synced"
_LOCK = "index.lock"


class ChromaIndex:
    """Use `take`, which opens it for this process alone.

    Raises:
        IndexBrokenError: From every method, if Chroma fails in any way.
    """

    def __init__(self, folder: Path, lock: int) -> None:
        self._folder = folder
        self._lock = lock
        self._collections: dict[Space, Any] = {}
        self._client: Any = _guarded(lambda: _client(folder))
        self.end = _read_end(folder)

    @classmethod
    def take(cls, memory: Path, generation: str, *, anew: bool) -> Self | None:
        """Opens the index of a memory.

        Args:
            memory: The memory's folder.
            generation: Of its file; an index of another one is thrown away.
            anew: Whether to begin an empty one in any case.

        Returns:
            The index; its `end` says how much of the file it holds, 0 for an empty one. None if another process has it.

        Raises:
            MissingDependencyError: If Chroma is not installed.
            IndexBrokenError: If it cannot be opened.
        """
        lock = os.open(memory / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
        try:
            if not lock_now(lock):
                os.close(lock)
                return None
            found = None if anew else next((memory / "index").glob(f"{generation}-*/{_SYNCED}"), None)
            folder = found.parent if found else memory / "index" / f"{generation}-{secrets.token_hex(4)}"
            clear_folder(memory, but=folder)
            folder.mkdir(parents=True, exist_ok=True)
            return cls(folder, lock)
        except OSError as error:
            os.close(lock)
            raise IndexBrokenError(f"cannot use {memory / 'index'}: {error.strerror}") from error
        except BaseException:
            os.close(lock)
            raise

    def _collection(self, space: Space) -> Any:
        if space not in self._collections:
            self._collections[space] = self._client.get_or_create_collection(
                space, embedding_function=None, configuration={"hnsw": _GRAPH}
            )
        return self._collections[space]

    def add(self, space: Space, rows: Sequence[Row]) -> None:
        """Takes vectors in."""
        parts = [(f"{n}:{row.id}", vector, row) for row in rows for n, vector in enumerate(row.vectors)]
        for begin in range(0, len(parts), _BATCH):
            ids, vectors, owners = zip(*parts[begin : begin + _BATCH], strict=True)
            tags = [{"item": row.id, **row.tags._asdict()} for row in owners]
            _guarded(
                lambda ids=ids, vectors=vectors, tags=tags: self._collection(space).upsert(
                    ids=list(ids), embeddings=list(vectors), metadatas=tags
                )
            )

    def remove(self, ids: Iterable[str]) -> None:
        """Takes every vector of these items out of what is found; Chroma's files keep them until it is built anew."""
        if wanted := list(ids):
            for space in ("text", "picture"):
                _guarded(lambda space=space: self._collection(space).delete(where={"item": {"$in": wanted}}))

    def search(self, space: Space, vector: "Vectors", k: int, within: Filter) -> list[Found]:
        """The k nearest items, nearest first."""
        conditions: list[dict[str, Any]] = [{field: {"$in": list(v)}} for field, v in within.wanted.items()]
        if any(not condition for condition in within.wanted.values()):
            return []
        where = {"$and": conditions} if len(conditions) > 1 else conditions[0] if conditions else None
        answer = _guarded(
            lambda: self._collection(space).query(
                query_embeddings=[vector], n_results=k, where=where, include=["distances"]
            )
        )
        return best_of(_pairs(answer), k)

    def count(self, space: Space) -> int:
        """How many vectors it holds."""
        return _guarded(lambda: self._collection(space).count())

    def synced(self, end: int) -> None:
        """Notes on the disk that it holds what the memory's file says up to there."""
        _guarded(lambda: write_whole(self._folder / _SYNCED, str(end).encode()))
        self.end = end

    def close(self) -> None:
        """Lets go of the files and of the lock."""
        if self._lock >= 0:
            with suppress(IndexBrokenError):
                _guarded(self._client.close)
            os.close(self._lock)
            self._lock = -1


def clear_folder(memory: Path, *, but: Path | None = None) -> None:
    """Throws the index of a memory away, whoever has it open; he will notice."""
    for folder in (memory / "index").glob("*"):
        if folder != but:
            shutil.rmtree(folder, ignore_errors=True)


def _client(folder: Path) -> Any:
    try:
        import chromadb
        from chromadb.config import Settings
    except ModuleNotFoundError as error:
        raise MissingDependencyError("the index of a memory needs chromadb: pip install 'mmi-agent[memory]'") from error
    return chromadb.PersistentClient(str(folder), settings=Settings(anonymized_telemetry=False))


def _read_end(folder: Path) -> int:
    try:
        return int((folder / _SYNCED).read_text())
    except (OSError, ValueError):
        return 0


def _guarded(call: Callable[[], T]) -> T:
    """Calls Chroma; whatever it raises, a panic of its Rust part included, means that the index is broken."""
    try:
        return call()
    except (KeyboardInterrupt, SystemExit, GeneratorExit, MissingDependencyError):
        raise
    except BaseException as error:
        raise IndexBrokenError(f"{type(error).__name__}: {error}") from error


def _pairs(answer: Any) -> Iterator[tuple[str, float]]:
    for id, distance in zip(answer["ids"][0], answer["distances"][0], strict=True):
        yield str(id).partition(":")[2], 1 - float(distance)
