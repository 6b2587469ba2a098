"""Our memory as a LangChain `VectorStore`, and so as its retriever.

A document that comes in is data of whoever wrote it. Unless its owner vouches for it, it counts as what a screen
showed: quoted, never an instruction.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore
from pydantic import ValidationError

from mmi_agent.errors import ConfigError
from mmi_agent.memory import Kind, Memory, MemoryItem, Query, Recalled, Trust

__all__ = ["MemoryVectorStore"]

T = TypeVar("T")


class MemoryVectorStore(VectorStore):
    """A memory behind LangChain's interface; threads may share it.

    Args:
        memory: The memory; the caller closes it. Open it with `text_embedder=...` for any LangChain `Embeddings`.
        kind: Of what is added.
        trust: Whose words the added documents are.
        environment: The world that they are about; empty for none.
        provenance: Whether found documents tell their kind, trust, time and source under "mmi_agent" in the metadata.
    """

    def __init__(
        self,
        memory: Memory,
        *,
        kind: Kind = "fact",
        trust: Trust = "screen",
        environment: str = "",
        provenance: bool = False,
    ) -> None:
        self.memory = memory
        self._kind, self._trust, self._environment = kind, trust, environment
        self._provenance = provenance
        self._lock = threading.Lock()  # a memory is for one thread at a time

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        folder: Path | str | None = None,
        **fields: Any,
    ) -> "MemoryVectorStore":
        """Opens the memory in a folder with an embedding of LangChain's, and adds texts.

        Args:
            texts: What is added.
            embedding: Embeds them.
            metadatas: Of each text.
            ids: Of each text.
            folder: Where the memory is, or will be.
            **fields: Of the store.

        Raises:
            ConfigError: If no folder is given.
        """
        if folder is None:
            raise ConfigError("no folder was given: say where the memory is, as in folder='memory'")
        store = cls(Memory.open(Path(folder), text_embedder=embedding), **fields)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    # ---- taking in, and forgetting

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Remembers texts; one with the id of another takes its place.

        Args:
            texts: What is remembered.
            metadatas: Of each text: what JSON can hold.
            ids: Of each text; None makes them up.
            **kwargs: `trust`, `kind` and `environment` of these texts.

        Raises:
            ConfigError: If metadata is no JSON, a text is too long, or there are not as many of one as of another.
        """
        said = list(texts)
        nothing: dict[str, Any] = {}
        notes: Sequence[dict[str, Any]] = metadatas or [nothing] * len(said)
        given: Sequence[str | None] = ids or [None] * len(said)
        if not len(said) == len(notes) == len(given):
            raise ConfigError(f"there are {len(said)} texts, {len(notes)} metadatas and {len(given)} ids")
        fixed = {"kind": self._kind, "trust": self._trust, "environment": self._environment, **kwargs}
        rows = zip(said, notes, given, strict=True)
        items = [
            _item({"text": text, "metadata": note, **({"id": id} if id else {}), **fixed}) for text, note, id in rows
        ]
        return list(self._alone(lambda: self.memory.remember_all(items)))

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool | None:
        """Forgets items; ids that are not there are passed over.

        Raises:
            ConfigError: If no ids are given: nothing is forgotten wholesale.
        """
        if ids is None:
            raise ConfigError("no ids were given: say what is to be forgotten")

        def forget() -> None:
            if known := [id for id in dict.fromkeys(ids) if id in self.memory]:
                self.memory.forget(*known)

        self._alone(forget)
        return True

    # ---- finding

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """The documents of these ids, as far as they are there."""
        return self._alone(lambda: [self._document(self.memory.get(id)) for id in ids if id in self.memory])

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """What comes to mind, best first.

        Args:
            query: In words.
            k: At most so many.
            **kwargs: `kinds`, `trusts`, `environments`, `picture` (an encoded picture of what is looked for), and
                `filter`, which is given each item and says whether it fits.
        """
        return [document for document, _ in self.similarity_search_with_score(query, k, **kwargs)]

    def similarity_search_with_score(self, query: str, k: int = 4, **kwargs: Any) -> list[tuple[Document, float]]:
        """Likewise, with the cosine of the texts; where something was found by its picture alone, of the pictures."""
        wanted = _query(query, kwargs)
        found = self._alone(lambda: self.memory.recall(wanted, k, collapse=False))
        return [(self._document(recalled.item), _cosine(recalled)) for recalled in found]

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        return lambda cosine: min(max((1 + cosine) / 2, 0.0), 1.0)  # rounding makes a cosine of 1.0000001

    def _document(self, item: MemoryItem) -> Document:
        metadata: dict[str, Any] = dict(item.metadata)
        if self._provenance:
            told = {"kind", "trust", "environment", "success", "source", "time", "pictures"}
            metadata["mmi_agent"] = item.model_dump(mode="json", include=told)
        return Document(id=item.id, page_content=item.text, metadata=metadata)

    def _alone(self, use: Callable[[], T]) -> T:
        with self._lock:
            return use()


def _item(fields: dict[str, Any]) -> MemoryItem:
    try:
        return MemoryItem.model_validate(fields)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        place = ".".join(map(str, fault["loc"]))
        raise ConfigError(f"a document cannot be remembered: {place}: {fault['msg']}") from error


def _query(text: str, options: dict[str, Any]) -> Query:
    names = {"kinds", "trusts", "environments", "picture", "filter"}
    if unknown := sorted(options.keys() - names):
        raise ConfigError(f"a search has no option {unknown[0]!r}: expected one of {sorted(names)}")
    fits = cast("Callable[[MemoryItem], bool] | None", options.get("filter"))
    lists = {name: tuple(options[name]) for name in ("kinds", "trusts", "environments") if options.get(name)}
    return Query(text=text, picture=options.get("picture"), fits=fits, **lists)


def _cosine(recalled: Recalled) -> float:
    found = recalled.text_similarity if recalled.text_similarity is not None else recalled.picture_similarity
    return 0.0 if found is None else found
