"""The keys and values of the tokens read so far, in buffers that are allocated ahead."""

# Y layers, B batch, K key/value heads, S tokens, T new tokens, D head width

from collections.abc import Sequence

import torch
from torch import Tensor

from mmi_agent.errors import ShapeError

__all__ = ["FixedCache", "KeyValueCache"]


class KeyValueCache:
    """Keys and values of all layers; going back is free, going on writes in place.

    Not for training: what is written in place has no gradient. `version` changes with what the cache holds.

    Args:
        num_layers: Layers of the decoder.
        num_heads: Key/value heads.
        head_width: Channels of a head.
        max_length: Tokens that the decoder can tell apart; more raise.
        batch_size: Rows.
        capacity: Tokens to allocate for now; doubled as needed.
        dtype: Of the buffers.
        device: Of the buffers.
    """

    def __init__(
        self,
        *,
        num_layers: int,
        num_heads: int,
        head_width: int,
        max_length: int,
        batch_size: int = 1,
        capacity: int = 256,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        shape = (num_layers, batch_size, num_heads, min(capacity, max_length), head_width)
        self._keys = torch.empty(shape, dtype=dtype, device=device)
        self._values = torch.empty(shape, dtype=dtype, device=device)
        self.max_length = max_length
        self.length = 0
        self.version = 0

    @property
    def batch_size(self) -> int:
        """Rows."""
        return self._keys.shape[1]

    @property
    def capacity(self) -> int:
        """Tokens that are allocated."""
        return self._keys.shape[3]

    def reserve(self, num_tokens: int) -> None:
        """Makes sure that `num_tokens` more fit, at least doubling the buffers when they don't.

        Raises:
            ShapeError: If the decoder cannot tell so many tokens apart.
        """
        needed = self.length + num_tokens
        if needed > self.max_length:
            raise ShapeError(
                f"{num_tokens} tokens more than the {self.length} read exceed the window of {self.max_length}: "
                "rewind, or start a shorter document"
            )
        if needed > self.capacity:
            self._resize(self.batch_size, min(max(needed, 2 * self.capacity), self.max_length))

    def write(self, layer: int, keys_BKTD: Tensor, values_BKTD: Tensor) -> tuple[Tensor, Tensor]:
        """Writes one layer's part of new tokens, for which `reserve` made room; `advance` then counts them.

        Returns:
            Keys and values of that layer, old and new: views of shape (B, K, S, D).
        """
        end = self.length + keys_BKTD.shape[2]
        self._keys[layer, :, :, self.length : end] = keys_BKTD
        self._values[layer, :, :, self.length : end] = values_BKTD
        return self._keys[layer, :, :, :end], self._values[layer, :, :, :end]

    def advance(self, num_tokens: int) -> None:
        """Counts the tokens that all layers have written."""
        self.length += num_tokens
        self.version += 1

    def extend(self, keys_YBKTD: Tensor, values_YBKTD: Tensor) -> None:
        """Reserves, writes and counts new tokens of all layers at once.

        Raises:
            ShapeError: If the decoder cannot tell so many tokens apart.
        """
        num_tokens = keys_YBKTD.shape[3]
        self.reserve(num_tokens)
        self._keys[:, :, :, self.length : self.length + num_tokens] = keys_YBKTD
        self._values[:, :, :, self.length : self.length + num_tokens] = values_YBKTD
        self.advance(num_tokens)

    def held(self) -> tuple[Tensor, Tensor]:
        """Keys and values of all tokens: views of shape (Y, B, K, S, D)."""
        return self._keys[:, :, :, : self.length], self._values[:, :, :, : self.length]

    def rewind(self, length: int) -> None:
        """Forgets all tokens from position `length` on.

        Raises:
            ShapeError: If fewer were read.
        """
        if not 0 <= length <= self.length:
            raise ShapeError(f"cannot rewind to {length}: {self.length} tokens were read")
        self.length = length
        self.version += 1

    def fork(self, batch_size: int | None = None, *, capacity: int | None = None) -> "KeyValueCache":
        """Returns a copy that goes its own way.

        Args:
            batch_size: Rows of the copy; a single row is repeated to as many. None keeps them.
            capacity: Tokens to allocate in the copy; None leaves room for 64 more.

        Raises:
            ShapeError: If several rows are asked to become another number of rows.
        """
        rows = self.batch_size if batch_size is None else batch_size
        if self.batch_size not in (1, rows):
            raise ShapeError(f"cannot fork {self.batch_size} rows into {rows}")
        copy = object.__new__(KeyValueCache)
        copy._keys, copy._values = self._keys, self._values
        copy.max_length, copy.length, copy.version = self.max_length, self.length, 0
        copy._resize(rows, min(max(capacity or 0, self.length + 64), self.max_length))
        return copy

    def reorder(self, rows: Tensor) -> None:
        """Puts row `rows[i]` in the place of row i, as a beam search does when one beam goes on from another.

        Args:
            rows: Indices of rows, shape (B,).
        """
        self._keys[:, :, :, : self.length] = self._keys[:, rows, :, : self.length]
        self._values[:, :, :, : self.length] = self._values[:, rows, :, : self.length]
        self.version += 1

    def _resize(self, batch_size: int, capacity: int) -> None:
        layers, _, heads, _, width = self._keys.shape
        for name in ("_keys", "_values"):
            old: Tensor = getattr(self, name)
            new = old.new_empty(layers, batch_size, heads, capacity, width)
            new[:, :, :, : self.length] = old[:, :, :, : self.length]
            setattr(self, name, new)


class FixedCache:
    """What a compiled step sees of a cache: buffers of one size, and a place to write that is a tensor.

    Nothing about it changes from token to token but values, so that a step is compiled, and recorded, once.

    Args:
        keys: A buffer (B, K, S, D) for each layer.
        values: Likewise.
        position_1: Where the next token goes; those before it are there.
    """

    def __init__(self, keys: Sequence[Tensor], values: Sequence[Tensor], position_1: Tensor) -> None:
        self._keys, self._values = keys, values
        self.position_1 = position_1
        self._written: list[tuple[Tensor, Tensor]] = []

    def write(self, layer: int, keys_BK1D: Tensor, values_BK1D: Tensor) -> tuple[Tensor, Tensor]:
        """Writes one layer's part of the next token; returns the buffers of that layer."""
        self._keys[layer].index_copy_(2, self.position_1, keys_BK1D)
        self._values[layer].index_copy_(2, self.position_1, values_BK1D)
        self._written.append((keys_BK1D, values_BK1D))
        return self._keys[layer], self._values[layer]

    def attend(self) -> Tensor:
        """True for the tokens up to the next one: the mask (1, 1, S)."""
        return (torch.arange(self._keys[0].shape[2], device=self.position_1.device) <= self.position_1)[None, None]

    def written(self) -> tuple[Tensor, Tensor]:
        """What all layers wrote, for `KeyValueCache.extend`: two tensors (Y, B, K, 1, D)."""
        keys, values = zip(*self._written, strict=True)
        return torch.stack(keys), torch.stack(values)
