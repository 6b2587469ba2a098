"""The perceiver resampler: a fixed number of learnt queries reads a sequence of any length."""

# B batch, K queries, S places looked at, C width of queries, F width of what is looked at

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmi_agent.errors import ShapeError
from mmi_agent.models.attention import MultiHeadAttention

__all__ = ["PerceiverResampler", "PerceiverResamplerConfig"]


@dataclass(frozen=True, kw_only=True)
class PerceiverResamplerConfig:
    """Sizes of a `PerceiverResampler`.

    Attributes:
        num_queries: K.
        width: C.
        feature_width: F.
        intermediate_size: Channels inside the feed-forward layers.
        num_layers: Layers.
        num_heads: Attention heads.
        look_every: Layers 0, n, 2n, ... look at the features; in the others the queries only see each other.
        head_norm: Whether queries and keys are normalised head by head.
        norm_eps: Added to the variance in every norm.
    """

    num_queries: int
    width: int
    feature_width: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    look_every: int = 2
    head_norm: bool = True
    norm_eps: float = 1e-12


class PerceiverResampler(nn.Module):
    """Turns features into `num_queries` tokens.

    Source: Q-Former of BLIP-2 (arXiv:2301.12597) without its text side, with normalised queries and keys.
    """

    def __init__(self, config: PerceiverResamplerConfig) -> None:
        super().__init__()
        self.config = config
        self.queries = nn.Parameter(torch.empty(config.num_queries, config.width))
        self.norm = nn.LayerNorm(config.width, eps=config.norm_eps)
        self.layers = nn.ModuleList(
            ResamplerLayer(config, looks=index % config.look_every == 0) for index in range(config.num_layers)
        )
        nn.init.normal_(self.queries, std=0.02)

    def forward(self, features_BSF: Tensor, visible_BS: Tensor | None = None) -> Tensor:
        """Reads the features.

        Args:
            features_BSF: The features.
            visible_BS: True where there is one, for rows of several lengths; None where all are.

        Returns:
            Tokens, shape (B, K, C).

        Raises:
            ShapeError: If the features are not of width F.
        """
        if features_BSF.ndim != 3 or features_BSF.shape[-1] != self.config.feature_width:
            expected = f"(batch, places, {self.config.feature_width})"
            raise ShapeError(f"features must be {expected}, got {tuple(features_BSF.shape)}")
        tokens_BKC = self.norm(self.queries).expand(len(features_BSF), -1, -1)
        for layer in self.layers:
            tokens_BKC = layer(tokens_BKC, features_BSF, visible_BS)
        return tokens_BKC


class ResamplerLayer(nn.Module):
    """Attention, a look at the features in some layers, a feed-forward layer; each normalised after its sum."""

    def __init__(self, config: PerceiverResamplerConfig, *, looks: bool) -> None:
        super().__init__()
        width, heads, eps = config.width, config.num_heads, config.norm_eps
        head_eps = eps if config.head_norm else None
        self.attention = MultiHeadAttention(width=width, num_heads=heads, head_norm_eps=head_eps)
        self.attention_norm = nn.LayerNorm(width, eps=eps)
        self.look = self.look_norm = None
        if looks:
            self.look = MultiHeadAttention(
                width=width, num_heads=heads, feature_width=config.feature_width, head_norm_eps=head_eps
            )
            self.look_norm = nn.LayerNorm(width, eps=eps)
        self.up = nn.Linear(width, config.intermediate_size)
        self.down = nn.Linear(config.intermediate_size, width)
        self.feed_forward_norm = nn.LayerNorm(width, eps=eps)

    def forward(self, tokens_BKC: Tensor, features_BSF: Tensor, visible_BS: Tensor | None) -> Tensor:
        """Returns the tokens after this layer."""
        tokens_BKC = self.attention_norm(tokens_BKC + self.attention(tokens_BKC))
        if self.look is not None and self.look_norm is not None:
            tokens_BKC = self.look_norm(tokens_BKC + self.look(tokens_BKC, features_BSF, visible_BS))
        return self.feed_forward_norm(tokens_BKC + self.down(F.gelu(self.up(tokens_BKC))))
