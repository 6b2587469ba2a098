"""How fast and how faithfully a memory recalls, what it takes on the disk, and how long its index takes to build.

    python benchmarks/bench_recall.py [--items 100000] [--queries 200] [--folder DIR]

Items are sentences about made-up screens, each with the vector that MiniLM gives its text, or, with `--vectors random`,
a vector drawn around one of 2000 centres, where MiniLM would take hours for a benchmark. Queries are other sentences of
the same kind. Recall@10 is the share of the ten nearest items, by comparison with every vector, that the index finds.
A recall is timed as the loop calls it: embedding the query, searching, reading and ranking the items.
"""

import argparse
import hashlib
import json
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmi_agent.memory import Memory, MemoryItem
from mmi_agent.memory.index import Filter
from mmi_agent.memory.minilm import MiniLM

_WIDTH = 384
_CENTRES = 2000
_SPREAD = 0.6  # of the noise's length around a centre of length 1: the nearest are then about as alike as sentences are
_ACTS = ("click", "open", "type into", "choose", "drag", "close", "scroll to", "copy", "delete", "send")
_THINGS = (
    "the button",
    "the field",
    "the list",
    "the mail",
    "the invoice",
    "the date",
    "the slider",
    "the tab",
    "the map",
)
_PLACES = ("in the shop", "in the bank", "on the left", "below the title", "of the second page", "for Anna", "at noon")


class Clusters:
    """Gives each text a vector that follows from it: near one of the centres, as texts on one subject are."""

    name = "clusters"

    def __init__(self) -> None:
        self._centres = np.random.default_rng(0).standard_normal((_CENTRES, _WIDTH)).astype(np.float32)
        self._centres /= np.linalg.norm(self._centres, axis=1, keepdims=True)

    def embed_documents(self, texts: list[str]) -> Sequence[Sequence[float]]:
        """One vector for each text."""
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> Sequence[float]:
        """The vector of a text."""
        draw = np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]))
        noise = draw.standard_normal(_WIDTH).astype(np.float32) * (_SPREAD / _WIDTH**0.5)
        vector: NDArray[np.float32] = self._centres[draw.integers(_CENTRES)] + noise
        return vector.tolist()


def sentence(number: int) -> str:
    draw = random.Random(number)
    return f"{draw.choice(_ACTS)} {draw.choice(_THINGS)} {draw.choice(_PLACES)}, number {draw.randrange(100_000)}"


def timed(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def percentile(values: Sequence[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


def fill(memory: Memory, items: int) -> float:
    """Remembers the items, a thousand at a time; returns the seconds that took, embedding included."""

    def remember() -> None:
        for begin in range(0, items, 1000):
            count = min(1000, items - begin)
            memory.remember_all(
                [
                    MemoryItem(kind="fact", trust="user", text=sentence(n), environment=f"world-{n % 20}")
                    for n in range(begin, begin + count)
                ]
            )

    return timed(remember)


def nearest(memory: Memory, vectors: Sequence[NDArray[np.float32]], k: int) -> list[list[float]]:
    """Similarities of the nearest items of each vector; ties make ids a matter of chance."""
    return [
        [found.similarity for found in memory._search("text", vector, k, Filter())]  # pyright: ignore[reportPrivateUsage]
        for vector in vectors
    ]


def recall_at(exact: Sequence[Sequence[float]], found: Sequence[Sequence[float]]) -> float:
    """The share of found items that are as near as the last of the exact ones, within a float's rounding."""
    hits = [sum(s >= best[-1] - 1e-5 for s in got) / len(best) for best, got in zip(exact, found, strict=True)]
    return statistics.fmean(hits)


def megabytes(*paths: Path) -> float:
    files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file()]
    return sum(file.stat().st_size for file in files) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--vectors", choices=["minilm", "random"], default="minilm")
    parser.add_argument("--folder", type=Path, help="Where the memory goes; a new temporary folder by default.")
    options = parser.parse_args()
    embedder = MiniLM.load() if options.vectors == "minilm" else Clusters()
    with tempfile.TemporaryDirectory() as temporary:
        measure(options, (options.folder or Path(temporary)) / "memory", embedder)


def measure(options: argparse.Namespace, folder: Path, embedder: MiniLM | Clusters) -> None:
    with Memory.open(folder, text_embedder=embedder) as memory:
        remember_s = fill(memory, options.items)
        build_s = timed(memory.build_index)
    queries = [sentence(10_000_000 + n) for n in range(options.queries)]
    rows = np.asarray([embedder.embed_query(query) for query in queries], np.float32)
    vectors = list(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    recalls: dict[str, dict[str, float]] = {}
    nearest_of: dict[str, list[list[float]]] = {}
    opening: dict[str, float] = {}
    for index in ("exact", "chroma"):
        with Memory.open(folder, text_embedder=embedder, index=index) as memory:
            opening[index] = timed(lambda memory=memory: memory.recall(queries[0], 10))
            ms = [1000 * timed(lambda q=query, memory=memory: memory.recall(q, 10)) for query in queries]
            searches = [1000 * timed(lambda v=v, memory=memory: nearest(memory, [v], 10)) for v in vectors]
            nearest_of[index] = nearest(memory, vectors, 10)
            recalls[index] = {
                "recall_p50_ms": round(percentile(ms, 0.5), 2),
                "recall_p95_ms": round(percentile(ms, 0.95), 2),
                "search_p50_ms": round(percentile(searches, 0.5), 2),
                "search_p95_ms": round(percentile(searches, 0.95), 2),
            }
    embed = [1000 * timed(lambda q=query: embedder.embed_query(q)) for query in queries]
    file_mb, index_mb = megabytes(folder / "items.jsonl"), megabytes(folder / "index")
    print(
        json.dumps(
            {
                "items": options.items,
                "queries": options.queries,
                "vectors": options.vectors,
                "recall_at_10": round(recall_at(nearest_of["exact"], nearest_of["chroma"]), 4),
                **recalls,
                "embed_query_p50_ms": round(percentile(embed, 0.5), 2),
                "first_recall_s": {name: round(seconds, 2) for name, seconds in opening.items()},
                "remember_s": round(remember_s, 1),
                "rebuild_s": round(build_s, 1),
                "file_bytes_per_item": round(file_mb * 2**20 / options.items),
                "index_bytes_per_item": round(index_mb * 2**20 / options.items),
                "chromadb": version("chromadb"),
                "machine": platform.processor() or platform.machine(),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
