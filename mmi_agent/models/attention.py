"""Full attention of queries over a sequence, as the vision encoder and the resamplers use it."""

# B batch, T queries, S places looked at, C width of queries, F width of what is looked at, N heads, D head width

from torch import Tensor, nn
from torch.nn import functional as F

from mmi_agent.errors import ConfigError

__all__ = ["MultiHeadAttention"]


class MultiHeadAttention(nn.Module):
    """Attention with biases, over the queries themselves or over something else.

    Args:
        width: C, divisible by `num_heads`.
        feature_width: F; None where the queries look at each other.
        num_heads: N.
        head_norm_eps: Where given, queries and keys are normalised head by head, with this added to the variance.
    """

    def __init__(
        self, *, width: int, num_heads: int, feature_width: int | None = None, head_norm_eps: float | None = None
    ) -> None:
        super().__init__()
        if width % num_heads:
            raise ConfigError(f"width {width} is not divisible by num_heads {num_heads}")
        self.head_width = width // num_heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(feature_width or width, width)
        self.value = nn.Linear(feature_width or width, width)
        self.output = nn.Linear(width, width)
        self.query_norm = self.key_norm = None
        if head_norm_eps is not None:
            self.query_norm = nn.LayerNorm(self.head_width, eps=head_norm_eps)
            self.key_norm = nn.LayerNorm(self.head_width, eps=head_norm_eps)

    def forward(self, query_BTC: Tensor, feature_BSF: Tensor | None = None, visible_BS: Tensor | None = None) -> Tensor:
        """Mixes what the queries look at: the features, or each other where there are none.

        Args:
            query_BTC: The queries.
            feature_BSF: What is looked at.
            visible_BS: True where a place may be looked at; None where all may. Each row needs one.

        Returns:
            Shape (B, T, C).
        """
        if feature_BSF is None:
            feature_BSF = query_BTC
        query_BNTD, key_BNSD = self._heads(self.query(query_BTC)), self._heads(self.key(feature_BSF))
        if self.query_norm is not None and self.key_norm is not None:
            query_BNTD, key_BNSD = self.query_norm(query_BNTD), self.key_norm(key_BNSD)
        value_BNSD = self._heads(self.value(feature_BSF))
        mask_B11S = None if visible_BS is None else visible_BS[:, None, None]
        mixed_BNTD = F.scaled_dot_product_attention(query_BNTD, key_BNSD, value_BNSD, attn_mask=mask_B11S)
        return self.output(mixed_BNTD.transpose(1, 2).flatten(2))

    def _heads(self, projected_BSC: Tensor) -> Tensor:
        B, S, _ = projected_BSC.shape
        return projected_BSC.view(B, S, -1, self.head_width).transpose(1, 2)
