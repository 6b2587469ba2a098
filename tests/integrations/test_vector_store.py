"""The memory behind LangChain's interface: its standard suites, and what these do not ask."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.vectorstores import VectorStore
from langchain_tests.integration_tests import RetrieversIntegrationTests, VectorStoreIntegrationTests

from mmi_agent.errors import ConfigError
from mmi_agent.integrations.memory import MemoryVectorStore
from mmi_agent.memory import Memory


class TestStandard(VectorStoreIntegrationTests):
    @pytest.fixture(params=["chroma", "exact"])
    def vectorstore(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VectorStore]:  # pyright: ignore[reportIncompatibleMethodOverride]
        with Memory.open(tmp_path / "memory", text_embedder=self.get_embeddings(), index=request.param) as memory:
            yield MemoryVectorStore(memory)


class TestStandardRetriever(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _memory(self, tmp_path: Path) -> Iterator[None]:
        with Memory.open(tmp_path / "memory", text_embedder=DeterministicFakeEmbedding(size=16)) as memory:
            self._store = MemoryVectorStore(memory)
            self._store.add_texts(["fig", "kiwi", "plum", "pear"])
            yield

    @property
    def retriever_constructor(self) -> Any:
        """The suite gives the number of results to a constructor, LangChain's own `as_retriever` among its options."""
        return lambda k=4: self._store.as_retriever(search_kwargs={"k": k})

    @property
    def retriever_query_example(self) -> str:
        return "fig"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MemoryVectorStore]:
    embedding = DeterministicFakeEmbedding(size=16)
    store = MemoryVectorStore.from_texts(["fig"], embedding, ids=["fig"], folder=tmp_path / "m", provenance=True)
    yield store
    store.memory.close()


def test_what_nobody_vouches_for_counts_as_seen_on_a_screen(store: MemoryVectorStore) -> None:
    store.add_documents([Document("kiwi", metadata={"page": 3})], ids=["kiwi"], trust="user")
    found = {document.id: document.metadata for document in store.similarity_search("fig", k=5)}
    assert found["fig"]["mmi_agent"]["trust"] == "screen" and found["kiwi"]["mmi_agent"]["trust"] == "user"
    assert found["kiwi"]["page"] == 3
    assert [d.id for d in store.similarity_search("fig", k=5, trusts=["user"])] == ["kiwi"]
    assert [d.id for d in store.similarity_search("fig", k=5, filter=lambda item: item.id == "kiwi")] == ["kiwi"]


@pytest.mark.filterwarnings("error:Relevance scores")
def test_it_is_a_retriever_and_its_scores_are_cosines(store: MemoryVectorStore) -> None:
    store.add_texts(["kiwi", "plum"])
    retriever = store.as_retriever(search_kwargs={"k": 1})
    assert [document.page_content for document in retriever.invoke("plum")] == ["plum"]
    [(document, score)] = store.similarity_search_with_score("kiwi", k=1)
    assert document.page_content == "kiwi" and score == pytest.approx(1.0, abs=1e-3)
    assert store.similarity_search_with_relevance_scores("kiwi", k=1)[0][1] == pytest.approx(1.0, abs=1e-3)


def test_bad_input_is_one_line(store: MemoryVectorStore) -> None:
    with pytest.raises(ConfigError, match="metadata"):
        store.add_texts(["a"], [{"when": object()}])
    with pytest.raises(ConfigError, match="2 texts, 1 metadatas"):
        store.add_texts(["a", "b"], [{}])
    with pytest.raises(ConfigError, match="no option 'where'"):
        store.similarity_search("a", where={})
    with pytest.raises(ConfigError, match="say what is to be forgotten"):
        store.delete()
    assert len(store.memory) == 1
