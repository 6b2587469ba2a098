"""The multi-image, multi-scale feature synchronizer (MMFS): tokens look at details of the pictures before them.

Features of a picture are projected once, into `PictureMemory`; every later token only samples them, and what its
choice of samples owes to the rank of a picture is projected once as well. The file knows nothing of language models:
`GatedSynchronizer` is what one of their layers adds to its hidden states.
"""

# B batch, T tokens (queries), I pictures, S cells of all levels of a picture, L levels, N heads, D head width,
# P points per level, C width of tokens, F width of picture features, R ranks

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmi_agent.errors import ConfigError, ShapeError
from mmi_agent.models.deformable_attention import deformable_attention

__all__ = [
    "FeatureSynchronizer",
    "FeatureSynchronizerConfig",
    "GatedSynchronizer",
    "PictureMemory",
    "RankTable",
    "Sight",
    "picture_ranks",
]


@dataclass(frozen=True, kw_only=True)
class FeatureSynchronizerConfig:
    """Sizes of a `FeatureSynchronizer`.

    Attributes:
        token_width: Channels of the tokens that look.
        feature_width: Channels of the picture features.
        value_width: Channels of the projected features; divisible by `num_heads`.
        level_widths: Side of each square feature map, in cells, in the order in which they are joined.
        num_heads: Attention heads.
        num_points: Sampling points of each head on each map.
        num_ranks: Rows of the table of picture ranks: a token tells apart its latest `num_ranks - 1` pictures.
        offset_unit: Offsets are in cells of a map this wide, whatever the level.
    """

    token_width: int
    feature_width: int
    value_width: int
    level_widths: tuple[int, ...] = (32, 16, 8)
    num_heads: int = 16
    num_points: int = 8
    num_ranks: int = 50
    offset_unit: int = 16

    def __post_init__(self) -> None:
        if self.value_width % self.num_heads:
            raise ConfigError(f"value_width {self.value_width} is not divisible by num_heads {self.num_heads}")

    @property
    def level_sizes(self) -> list[tuple[int, int]]:
        """(height, width) of each map, in cells."""
        return [(width, width) for width in self.level_widths]

    @property
    def num_cells(self) -> int:
        """Cells of one picture, all levels together."""
        return sum(width * width for width in self.level_widths)


class RankTable(NamedTuple):
    """What the rank of a picture adds to a token's choice of samples."""

    offsets: Tensor
    """(R, N, P, 2)."""
    logits: Tensor
    """(R, N, L, P); minus infinity at rank 0, which is out of sight."""


def picture_ranks(visible_BTI: Tensor, num_ranks: int) -> Tensor:
    """Numbers the pictures that each token sees from the latest, 1, backwards.

    Args:
        visible_BTI: True where the token may look at the picture.
        num_ranks: R.

    Returns:
        Shape (B, T, I); 0 is out of sight, as is all that lies beyond the table.
    """
    seen_BTI = visible_BTI.long()
    rank_BTI = seen_BTI.flip(-1).cumsum(-1).flip(-1) * seen_BTI
    return torch.where(rank_BTI < num_ranks, rank_BTI, 0)


class FeatureSynchronizer(nn.Module):
    """Deformable attention of tokens over all pictures that they may see.

    A token's points and weights depend on the token and on the picture's rank: 1 is the latest picture that the
    token sees, 2 the one before. One more choice, the `ignore` vector at logit 0, takes the weight that no picture
    earns, so a token that sees no picture gets a constant.

    Source: MM-Interleaved, sec. 3.2 (arXiv:2401.10208); same result as `MMFS` in the released code, where a sample's
    place does not depend on its level because offsets grow with the map and are divided by its width.
    """

    def __init__(self, config: FeatureSynchronizerConfig) -> None:
        super().__init__()
        self.config = config
        heads, points, levels = config.num_heads, config.num_points, len(config.level_widths)
        self.query = nn.Linear(config.token_width, config.token_width)
        self.rank = nn.Embedding(config.num_ranks, config.token_width)
        self.offsets = nn.Linear(config.token_width, heads * points * 2)
        # The released layer has one more weight per level, which its own code overwrites: kept to match its shape.
        self.weights = nn.Linear(config.token_width, heads * levels * (points + 1))
        self.value = nn.Linear(config.feature_width, config.value_width)
        self.output = nn.Linear(config.value_width, config.token_width)
        self.ignore = nn.Parameter(torch.zeros(config.value_width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Starts with points spread over 3 cells around the middle and unbiased weights."""
        nn.init.zeros_(self.offsets.weight)
        nn.init.uniform_(self.offsets.bias, -3, 3)
        nn.init.trunc_normal_(self.rank.weight, std=0.02)
        nn.init.zeros_(self.ignore)
        for layer in (self.value, self.output):
            nn.init.xavier_uniform_(layer.weight)
        for layer in (self.query, self.weights, self.value, self.output):
            nn.init.zeros_(layer.bias)

    def project(self, features_BISF: Tensor) -> Tensor:
        """Projects picture features once, for all tokens that will look at them.

        Args:
            features_BISF: Feature maps, flattened row by row and joined in the order of `level_widths`.

        Returns:
            Values, shape (B, I, S, N, D).

        Raises:
            ShapeError: If S or F is not what the configuration says.
        """
        expected = (self.config.num_cells, self.config.feature_width)
        if features_BISF.ndim != 4 or features_BISF.shape[2:] != expected:
            raise ShapeError(
                f"picture features must be (batch, pictures, {expected}), got {tuple(features_BISF.shape)}"
            )
        return self.value(features_BISF).unflatten(-1, (self.config.num_heads, -1))

    def rank_table(self) -> RankTable:
        """Projects the table of ranks, once for all tokens: what a token and a rank contribute is linear in both."""
        N, L, P = self.config.num_heads, len(self.config.level_widths), self.config.num_points
        offsets_RNP2 = F.linear(self.rank.weight, self.offsets.weight).view(-1, N, P, 2)
        logits_RNLP = F.linear(self.rank.weight, self.weights.weight).view(-1, N, L, P + 1)[..., :-1]
        hidden_1NLP = torch.full_like(logits_RNLP[:1], float("-inf"))
        return RankTable(offsets_RNP2, torch.cat([hidden_1NLP, logits_RNLP[1:]]))

    def forward(
        self,
        tokens_BTC: Tensor,
        values_BISND: Tensor | None,
        visible_BTI: Tensor | None = None,
        *,
        centres_T2: Tensor | None = None,
    ) -> Tensor:
        """Gathers for each token what it looks at in the pictures that it sees.

        Args:
            tokens_BTC: The tokens.
            values_BISND: What `project` returned; its batch may be 1 where all rows look at the same pictures.
                None where there are no pictures.
            visible_BTI: True where the token may look at the picture; None where all may look at all. Pictures of a
                rank beyond the table are not looked at.
            centres_T2: Where each token stands, (x, y) in [0, 1]; None puts all in the middle, as words are nowhere.

        Returns:
            Shape (B, T, C).

        Raises:
            ShapeError: If batches or numbers of pictures differ.
        """
        if values_BISND is None or values_BISND.shape[1] == 0:
            return self._ignored(tokens_BTC)
        if visible_BTI is None:
            values_BISND = values_BISND[:, 1 - self.config.num_ranks :]
            rank_BTI = torch.arange(values_BISND.shape[1], 0, -1, device=tokens_BTC.device)[None, None]
        else:
            rank_BTI = picture_ranks(visible_BTI, self.config.num_ranks)
        return self.look(tokens_BTC, values_BISND, rank_BTI, self.rank_table(), centres_T2=centres_T2)

    def look(
        self,
        tokens_BTC: Tensor,
        values_BISND: Tensor,
        rank_BTI: Tensor,
        table: RankTable,
        *,
        centres_T2: Tensor | None = None,
    ) -> Tensor:
        """Does what `forward` does, for callers that keep what many tokens and layers share.

        Args:
            tokens_BTC: The tokens.
            values_BISND: See `forward`.
            rank_BTI: What `picture_ranks` returned; rows and tokens may be 1 where all see the same.
            table: What `rank_table` returned.
            centres_T2: See `forward`.

        Returns:
            Shape (B, T, C).

        Raises:
            ShapeError: If batches or numbers of pictures differ.
        """
        B, T, _ = tokens_BTC.shape
        if values_BISND.shape[0] not in (1, B) or rank_BTI.shape[-1] != values_BISND.shape[1]:
            raise ShapeError(
                f"{B} rows of tokens cannot look at values {tuple(values_BISND.shape)}, visible {tuple(rank_BTI.shape)}"
            )
        N, L, P = self.config.num_heads, len(self.config.level_widths), self.config.num_points
        query_BTC = self.query(tokens_BTC)
        offsets_BTN1P2 = self.offsets(query_BTC).view(B, T, N, 1, P, 2)
        logits_BTN1LP = self.weights(query_BTC).view(B, T, N, 1, L, P + 1)[..., :-1]
        offsets_BTNIP2 = (offsets_BTN1P2 + _of_ranks(table.offsets, rank_BTI)).float()
        logits_BTNILP = logits_BTN1LP + _of_ranks(table.logits, rank_BTI)

        # The last choice is `ignore`, at logit 0.
        weights_BTNX = F.pad(logits_BTNILP.flatten(3), (0, 1)).softmax(-1, dtype=torch.float32)
        centres = 0.5 if centres_T2 is None else centres_T2[:, None, None, None]
        locations_BTNIP2 = centres + offsets_BTNIP2 / self.config.offset_unit
        mixed_BTX = deformable_attention(
            values_BISND,
            self.config.level_sizes,
            locations_BTNIP2[:, :, :, :, None],
            weights_BTNX[..., :-1].view(logits_BTNILP.shape),
        )
        ignored_BTX = (weights_BTNX[..., -1:] * self.ignore.view(N, -1)).flatten(2)
        return self.output(mixed_BTX + ignored_BTX.to(mixed_BTX.dtype))

    def _ignored(self, tokens_BTC: Tensor) -> Tensor:
        return self.output(self.ignore).expand(*tokens_BTC.shape[:2], -1)


def _of_ranks(table_RNX: Tensor, rank_BTI: Tensor) -> Tensor:
    """Rows of a table, (B, T, N, I, ...): as an embedding, whose gradients GPUs sum well where many have one rank."""
    rows_BTIX = F.embedding(rank_BTI, table_RNX.flatten(1))
    return rows_BTIX.view(*rank_BTI.shape, *table_RNX.shape[1:]).transpose(2, 3)


class Sight(NamedTuple):
    """What the tokens of one layer see: what `FeatureSynchronizer.look` takes."""

    values: Tensor
    """(B, I, S, N, D)."""
    ranks: Tensor
    """(B, T, I)."""
    table: RankTable


class GatedSynchronizer(nn.Module):
    """What a layer of the language decoder adds: a synchronizer between norms, behind a gate that starts closed."""

    def __init__(self, config: FeatureSynchronizerConfig, *, norm_eps: float) -> None:
        super().__init__()
        self.token_norm = nn.RMSNorm(config.token_width, eps=norm_eps)
        self.feature_norm = nn.RMSNorm(config.feature_width, eps=norm_eps)
        self.synchronizer = FeatureSynchronizer(config)
        self.gate = nn.Parameter(torch.zeros(1))

    def project(self, features_BISF: Tensor) -> Tensor:
        """Normalises and projects picture features; see `FeatureSynchronizer.project`."""
        return self.synchronizer.project(self.feature_norm(features_BISF))

    def forward(self, hidden_BTC: Tensor, sight: Sight | None) -> Tensor:
        """Returns what to add to `hidden_BTC`.

        Args:
            hidden_BTC: Hidden states of the layer.
            sight: What they see; None where there are no pictures.
        """
        if sight is None:  # what the tokens say makes no difference then
            seen_BTC = self.synchronizer(hidden_BTC, None)
        else:
            seen_BTC = self.synchronizer.look(self.token_norm(hidden_BTC), *sight)
        return self.gate.tanh() * seen_BTC


@dataclass
class _Shelf:
    """Buffers for the values of pictures, filled from the front, and shared by the memories that forked there."""

    buffers: list[Tensor]
    filled: int
    is_shared: bool = False

    @property
    def capacity(self) -> int:
        return self.buffers[0].shape[1] if self.buffers else 0


class PictureMemory:
    """The pictures of a growing document, as every synchronizer of a decoder needs them.

    Adding a picture copies that picture alone: buffers are allocated ahead, and double. Forks share them, since none
    writes where another may see. Not for training: what is written in place has no gradient.

    Args:
        values: One tensor (B, I, S, N, D) per synchronizer, as `project` returned it.
        starts: Position of the first token that sees each picture; None where the caller passes a mask of its own.
    """

    def __init__(self, values: Sequence[Tensor] = (), starts: Sequence[int] | None = ()) -> None:
        self._length = values[0].shape[1] if values else 0
        self._shelf = _Shelf(list(values), self._length, is_shared=True)
        self.starts = None if starts is None else list(starts)
        self.version = 0
        self._tables: list[RankTable] | None = None

    def __len__(self) -> int:
        return self._length

    @property
    def values(self) -> list[Tensor]:
        """One tensor (B, I, S, N, D) per synchronizer: views that hold until the memory changes."""
        return [buffer[:, : self._length] for buffer in self._shelf.buffers] if self._length else []

    def rank_tables(self, project: Callable[[], list[RankTable]]) -> list[RankTable]:
        """What `project` returned when it was first asked: tables are of the same weights as the values."""
        if self._tables is None:
            self._tables = project()
        return self._tables

    def append(self, values: Sequence[Tensor], *, start: int) -> None:
        """Adds pictures of which all tokens from position `start` on may look at.

        Args:
            values: One tensor (B, I, S, N, D) per synchronizer, as `project` returned it.
            start: Position of the first token that sees them: by the released rule, that of their first visual token.

        Raises:
            ShapeError: If the memory serves a batch with its own mask, or holds another number of layers.
        """
        layers = len(self._shelf.buffers)
        if self.starts is None or (layers and len(values) != layers):
            raise ShapeError(f"cannot append {len(values)} layers of values to a memory of {layers}")
        if not values:
            return
        end = self._length + values[0].shape[1]
        if self._shelf.filled != self._length or end > self._shelf.capacity:
            self._move(values, max(end, 2 * self._length))
        for buffer, value in zip(self._shelf.buffers, values, strict=True):
            buffer[:, self._length : end] = value
        self.starts += [start] * (end - self._length)
        self._length = self._shelf.filled = end
        self.version += 1

    def rewind(self, length: int) -> None:
        """Forgets the pictures that no token before position `length` sees."""
        assert self.starts is not None
        self._length = sum(start < length for start in self.starts)
        del self.starts[self._length :]
        if not self._shelf.is_shared:
            self._shelf.filled = self._length
        self.version += 1

    def fork(self) -> "PictureMemory":
        """Returns a memory that grows apart from this one; what both hold is shared."""
        fork = PictureMemory(starts=self.starts)
        self._shelf.is_shared = True
        fork._shelf, fork._length, fork._tables = self._shelf, self._length, self._tables
        return fork

    def visible(self, first: int, num_tokens: int) -> Tensor | None:
        """Which pictures the tokens from position `first` on see: (1, T, I), or None where all see all."""
        if not self.starts or max(self.starts) <= first:
            return None
        return torch.tensor(self.starts) <= torch.arange(first, first + num_tokens)[None, :, None]

    def _move(self, like: Sequence[Tensor], capacity: int) -> None:
        """Goes on in buffers of its own."""
        held = self.values
        buffers = [value.new_zeros(value.shape[0], capacity, *value.shape[2:]) for value in like]
        for buffer, value in zip(buffers, held, strict=False):  # nothing is held at first
            buffer[:, : self._length] = value
        self._shelf = _Shelf(buffers, self._length)
