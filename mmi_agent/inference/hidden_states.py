"""What the decoder made of each position of a document, kept for drawing and for vectors."""

# T tokens, C width of the decoder

import torch
from torch import Tensor

__all__ = ["HiddenStates"]


class HiddenStates:
    """A growing buffer of hidden states; going back is free, a fork copies.

    Args:
        width: C.
        dtype: Of the buffer.
        device: Of the buffer.
    """

    def __init__(self, width: int, *, dtype: torch.dtype, device: torch.device | str) -> None:
        self._buffer_TC = torch.empty(0, width, dtype=dtype, device=device)
        self._length = 0

    @property
    def all(self) -> Tensor:
        """All of them, shape (T, C): a view that the next `append` may leave behind."""
        return self._buffer_TC[: self._length]

    @property
    def last(self) -> Tensor:
        """After the last position, shape (C,)."""
        return self._buffer_TC[self._length - 1]

    def append(self, hidden_TC: Tensor) -> None:
        """Takes over the states of new positions."""
        needed = self._length + len(hidden_TC)
        if needed > len(self._buffer_TC):
            self._resize(max(needed, 2 * len(self._buffer_TC), 64))
        self._buffer_TC[self._length : needed] = hidden_TC
        self._length = needed

    def rewind(self, length: int) -> None:
        """Forgets all from position `length` on."""
        self._length = min(length, self._length)

    def fork(self) -> "HiddenStates":
        """Returns a copy that grows apart from this one."""
        copy = object.__new__(HiddenStates)
        copy._buffer_TC, copy._length = self._buffer_TC, self._length
        copy._resize(self._length + 64)
        return copy

    def _resize(self, capacity: int) -> None:
        new_TC = self._buffer_TC.new_empty(capacity, self._buffer_TC.shape[1])
        new_TC[: self._length] = self.all
        self._buffer_TC = new_TC
