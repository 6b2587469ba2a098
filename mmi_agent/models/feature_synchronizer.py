"""The multi-image, multi-scale feature synchronizer (MMFS): tokens look at details of the pictures before them.

Features of a picture are projected once, into `PictureMemory`; every later token only samples them. The file knows
nothing of language models: `GatedSynchronizer` is what one of their layers adds to its hidden states.
"""

# B batch, T tokens (queries), I pictures, S cells of all levels of a picture, L levels, N heads, D head width,
# P points per level, C width of tokens, F width of picture features, R ranks

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmi_agent.errors import ConfigError, ShapeError
from mmi_agent.models.deformable_attention import deformable_attention

__all__ = ["FeatureSynchronizer", "FeatureSynchronizerConfig", "GatedSynchronizer", "PictureMemory"]


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
            Values, shape (B, I, N, D, S).

        Raises:
            ShapeError: If S or F is not what the configuration says.
        """
        expected = (self.config.num_cells, self.config.feature_width)
        if features_BISF.ndim != 4 or features_BISF.shape[2:] != expected:
            raise ShapeError(
                f"picture features must be (batch, pictures, {expected}), got {tuple(features_BISF.shape)}"
            )
        return self.value(features_BISF).transpose(2, 3).unflatten(2, (self.config.num_heads, -1)).contiguous()

    def forward(
        self,
        tokens_BTC: Tensor,
        values_BINDS: Tensor | None,
        visible_BTI: Tensor | None = None,
        *,
        centres_T2: Tensor | None = None,
    ) -> Tensor:
        """Gathers for each token what it looks at in the pictures that it sees.

        Args:
            tokens_BTC: The tokens.
            values_BINDS: What `project` returned; its batch may be 1 where all rows look at the same pictures.
                None where there are no pictures.
            visible_BTI: True where the token may look at the picture; None where all may look at all. Pictures of a
                rank beyond the table are not looked at.
            centres_T2: Where each token stands, (x, y) in [0, 1]; None puts all in the middle, as words are nowhere.

        Returns:
            Shape (B, T, C).

        Raises:
            ShapeError: If batches or numbers of pictures differ.
        """
        B, T, _ = tokens_BTC.shape
        if values_BINDS is None or values_BINDS.shape[1] == 0:
            return self.output(self.ignore).expand(B, T, -1)
        I = values_BINDS.shape[1]  # noqa: E741 - the legend's letter
        if values_BINDS.shape[0] == 1 and B > 1:
            folded_1XI = None if visible_BTI is None else visible_BTI.expand(B, T, I).reshape(1, B * T, I)
            repeated_X2 = None if centres_T2 is None else centres_T2.repeat(B, 1)
            folded_1XC = tokens_BTC.reshape(1, B * T, -1)
            return self(folded_1XC, values_BINDS, folded_1XI, centres_T2=repeated_X2).view(B, T, -1)
        if values_BINDS.shape[0] != B or (visible_BTI is not None and visible_BTI.shape[-1] != I):
            seen = None if visible_BTI is None else tuple(visible_BTI.shape)
            raise ShapeError(f"{B} rows of tokens cannot look at values {tuple(values_BINDS.shape)}, visible {seen}")
        return self._look(tokens_BTC, values_BINDS, self._ranks(visible_BTI, I).expand(B, T, I), centres_T2)

    def _ranks(self, visible_BTI: Tensor | None, num_pictures: int) -> Tensor:
        """Numbers the visible pictures from the latest, 1, backwards; 0 is out of sight."""
        if visible_BTI is None:
            rank_BTI = torch.arange(num_pictures, 0, -1, device=self.rank.weight.device)[None, None]
        else:
            seen_BTI = visible_BTI.long()
            rank_BTI = seen_BTI.flip(-1).cumsum(-1).flip(-1) * seen_BTI
        return torch.where(rank_BTI < self.config.num_ranks, rank_BTI, 0)

    def _look(self, tokens_BTC: Tensor, values_BINDS: Tensor, rank_BTI: Tensor, centres_T2: Tensor | None) -> Tensor:
        B, T, I = rank_BTI.shape  # noqa: E741
        N, P, L = self.config.num_heads, self.config.num_points, len(self.config.level_widths)

        # What a token and a rank contribute is projected apart and then added: the projections are linear, so a token
        # costs the same whatever the number of pictures.
        query_BTC = self.query(tokens_BTC)
        table_RC = self.rank.weight[: I + 1]
        offsets_BTIX = self.offsets(query_BTC)[:, :, None] + F.linear(table_RC, self.offsets.weight)[rank_BTI]
        logits_BTIX = self.weights(query_BTC)[:, :, None] + F.linear(table_RC, self.weights.weight)[rank_BTI]

        logits_BTINLP = logits_BTIX.view(B, T, I, N, L, P + 1)[..., :-1]
        logits_BTINLP = logits_BTINLP.masked_fill((rank_BTI == 0)[..., None, None, None], float("-inf"))
        choices_BTNX = logits_BTINLP.permute(0, 1, 3, 2, 4, 5).flatten(3)
        weights_BTNX = F.pad(choices_BTNX, (0, 1)).softmax(-1)  # the last choice is `ignore`, at logit 0

        # Pictures go into the batch of the kernel.
        points_BITNLP = weights_BTNX[..., :-1].view(B, T, N, I, L, P).permute(0, 3, 1, 2, 4, 5)
        offsets_BITN1P2 = offsets_BTIX.view(B, T, I, N, 1, P, 2).transpose(1, 2)
        centres = 0.5 if centres_T2 is None else centres_T2[:, None, None, None]
        locations_BITNLP2 = (centres + offsets_BITN1P2 / self.config.offset_unit).expand(-1, -1, -1, -1, L, -1, -1)
        mixed_XTF = deformable_attention(
            values_BINDS.flatten(0, 1),
            self.config.level_sizes,
            locations_BITNLP2.flatten(0, 1),
            points_BITNLP.flatten(0, 1),
        )
        ignored_BTF = (weights_BTNX[..., -1:] * self.ignore.view(N, -1)).flatten(2)
        return self.output(mixed_XTF.view(B, I, T, -1).sum(1) + ignored_BTF)


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

    def forward(self, hidden_BTC: Tensor, values_BINDS: Tensor | None, visible_BTI: Tensor | None = None) -> Tensor:
        """Returns what to add to `hidden_BTC`; see `FeatureSynchronizer.forward`."""
        return self.gate.tanh() * self.synchronizer(self.token_norm(hidden_BTC), values_BINDS, visible_BTI)


class PictureMemory:
    """The pictures of a growing document, as every synchronizer of a decoder needs them.

    Tensors are never written to after they were made, so a fork shares them.

    Args:
        values: One tensor (B, I, N, D, S) per synchronizer, as `project` returned it.
        starts: Position of the first token that sees each picture; None where the caller passes a mask of its own.
    """

    def __init__(self, values: Sequence[Tensor] = (), starts: Sequence[int] | None = ()) -> None:
        self.values = list(values)
        self.starts = None if starts is None else list(starts)

    def __len__(self) -> int:
        return self.values[0].shape[1] if self.values else 0

    def append(self, values: Sequence[Tensor], *, start: int) -> None:
        """Adds pictures of which all tokens from position `start` on may look at.

        Args:
            values: One tensor (B, I, N, D, S) per synchronizer, as `project` returned it.
            start: Position of the first token that sees them: by the released rule, that of their first visual token.

        Raises:
            ShapeError: If the memory serves a batch with its own mask, or holds another number of layers.
        """
        if self.starts is None or (self.values and len(values) != len(self.values)):
            raise ShapeError(f"cannot append {len(values)} layers of values to a memory of {len(self.values)}")
        self.values = (
            [torch.cat(pair, 1) for pair in zip(self.values, values, strict=True)] if self.values else [*values]
        )
        self.starts += [start] * (values[0].shape[1] if values else 0)

    def rewind(self, length: int) -> None:
        """Forgets the pictures that no token before position `length` sees."""
        assert self.starts is not None
        keep = sum(start < length for start in self.starts)
        self.starts = self.starts[:keep]
        self.values = [value[:, :keep] for value in self.values] if keep else []

    def fork(self) -> "PictureMemory":
        """Returns a memory that grows apart from this one; the tensors are shared."""
        return PictureMemory(self.values, self.starts)

    def visible(self, positions_BT: Tensor) -> Tensor | None:
        """Which pictures the tokens at these positions see: (B, T, I), or None where all see all."""
        if not self.starts or max(self.starts) <= int(positions_BT.min()):
            return None
        return torch.tensor(self.starts, device=positions_BT.device) <= positions_BT[..., None]
