"""Turns texts and pictures into vectors, offline.

An object with `embed_documents` and `embed_query`, as every LangChain `Embeddings` has, embeds texts; one with
`embed_pictures` embeds pictures. Either may have a `name`: vectors of different makers are never compared.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from mmi_agent.errors import MemoryStoreError, MissingDependencyError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

__all__ = ["Encoder", "PictureEmbedder", "TextEmbedder", "numpy"]

E = TypeVar("E")


class TextEmbedder(Protocol):
    """Embeds texts; a LangChain `Embeddings` fits as it is."""

    def embed_documents(self, texts: list[str]) -> Sequence[Sequence[float]]:
        """One vector for each text that is to be found."""
        ...

    def embed_query(self, text: str) -> Sequence[float]:
        """The vector of a text that is looked for."""
        ...


class PictureEmbedder(Protocol):
    """Embeds pictures."""

    def embed_pictures(self, pictures: list[bytes]) -> Sequence[Sequence[float]]:
        """One vector for each encoded picture.

        Raises:
            ActionError: If one is no picture that can be read.
        """
        ...


class Encoder(Generic[E]):
    """An embedder that is made when it is first needed, and whose vectors are checked.

    Args:
        make: Makes it.
    """

    def __init__(self, make: Callable[[], E]) -> None:
        self._make = make
        self._embedder: E | None = None
        self.width: int | None = None

    @property
    def embedder(self) -> E:
        """The embedder."""
        if self._embedder is None:
            self._embedder = self._make()
        return self._embedder

    @property
    def name(self) -> str:
        """What its vectors are known by: its own name, or its class and the model that it uses."""
        if isinstance(name := getattr(self.embedder, "name", None), str):
            return name
        kind, model = type(self.embedder), getattr(self.embedder, "model_name", None)
        model = model or getattr(self.embedder, "model", None)
        return ":".join([f"{kind.__module__}.{kind.__qualname__}", *([model] if isinstance(model, str) else [])])

    def unit(self, rows: Sequence[Sequence[float]], *, count: int) -> "Vectors":
        """Checks what the embedder returned, and scales each vector to length 1.

        Args:
            rows: What it returned.
            count: How many inputs it was given.

        Raises:
            MemoryStoreError: If there are too few or too many, of another width than before, or with numbers that are
                none.
        """
        np = numpy()
        widths = sorted({len(row) for row in rows})
        if len(rows) != count or len(widths) != 1 or widths[0] != (self.width or widths[0]) or not widths[0]:
            raise MemoryStoreError(
                f"the embedder {self.name} gave {len(rows)} vectors of {' and '.join(map(str, widths)) or 'no'} "
                f"numbers for {count} inputs: expected one each, of {self.width or 'one width'}"
            )
        vectors_ND = np.asarray(rows, dtype=np.float32)
        if not np.isfinite(vectors_ND).all():
            raise MemoryStoreError(f"the embedder {self.name} gave a vector with NaN or infinity in it")
        self.width = widths[0]
        lengths_N1 = np.linalg.norm(vectors_ND, axis=1, keepdims=True)
        return vectors_ND / np.where(lengths_N1 > 0, lengths_N1, 1)


def numpy() -> Any:
    """Numpy, loaded where vectors are needed and not before.

    Raises:
        MissingDependencyError: If it is not installed.
    """
    try:
        import numpy
    except ModuleNotFoundError as error:
        raise MissingDependencyError("memory needs numpy: pip install 'mmi-agent[memory]'") from error
    return numpy
