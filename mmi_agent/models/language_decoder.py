"""A Llama decoder whose every few layers also look at pictures through a feature synchronizer.

It maps embeddings to hidden states and hidden states to logits. It knows nothing of tokenizers, of sampling, or of
where visual tokens come from.
"""

# B batch, T new tokens, S all tokens (cached and new), C width, N query heads, K key/value heads, D head width,
# V tokens of the vocabulary, I pictures

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from mmi_agent.errors import CheckpointError, ConfigError, ShapeError
from mmi_agent.models.feature_synchronizer import (
    FeatureSynchronizerConfig,
    GatedSynchronizer,
    PictureMemory,
    RankTable,
    Sight,
    picture_ranks,
)
from mmi_agent.models.key_value_cache import FixedCache, KeyValueCache

__all__ = ["LanguageDecoder", "LanguageDecoderConfig", "Stretch"]


@dataclass(frozen=True, kw_only=True)
class LanguageDecoderConfig:
    """Sizes of a `LanguageDecoder`.

    Attributes:
        vocab_size: Rows of the embedding and of the head.
        num_new_tokens: Ids that the language model was not trained with, written by a small head of their own. They
            are the last of the vocabulary.
        first_new_token: The first of them. `vocab_size` where the embedding has no rows for them, less where it has.
        hidden_size: C.
        intermediate_size: Channels inside the feed-forward layers.
        num_layers: Decoder layers.
        num_heads: Query heads.
        num_kv_heads: Key/value heads, each shared by `num_heads / num_kv_heads` query heads.
        rope_theta: Base of the rotary position encoding.
        rms_norm_eps: Added to the mean square in every norm.
        max_positions: Tokens that a document may have.
        tied_head: Whether the embedding is also the head.
        head_bias: Whether the head has a bias; only where it is not tied.
        synchronizer: Sizes of the synchronizers; None for a decoder that never looks at pictures.
        synchronizer_every: Layers 0, n, 2n, ... have one.
    """

    vocab_size: int
    num_new_tokens: int = 0
    first_new_token: int | None = None
    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    rope_theta: float = 10_000.0
    rms_norm_eps: float = 1e-5
    max_positions: int = 2048
    tied_head: bool = False
    head_bias: bool = False
    synchronizer: FeatureSynchronizerConfig | None = None
    synchronizer_every: int = 4

    def __post_init__(self) -> None:
        if self.hidden_size % (2 * self.num_heads) or self.num_heads % self.num_kv_heads:
            raise ConfigError(
                f"hidden_size {self.hidden_size} must divide into num_heads {self.num_heads} of even width, "
                f"and num_heads by num_kv_heads {self.num_kv_heads}"
            )
        if self.tied_head and self.head_bias:
            raise ConfigError("a tied head has no bias")
        if self.synchronizer is not None and self.synchronizer.token_width != self.hidden_size:
            raise ConfigError(f"synchronizer.token_width {self.synchronizer.token_width} is not {self.hidden_size}")

    @property
    def head_width(self) -> int:
        """D."""
        return self.hidden_size // self.num_heads

    @property
    def num_tokens(self) -> int:
        """V: ids that the decoder writes."""
        return max(self.vocab_size, self.new_token_start + self.num_new_tokens)

    @property
    def new_token_start(self) -> int:
        """The first id that the language model was not trained with."""
        return self.vocab_size if self.first_new_token is None else self.first_new_token

    @property
    def synchronized_layers(self) -> range:
        """Indices of the layers that look at pictures."""
        return range(0, self.num_layers if self.synchronizer else 0, self.synchronizer_every)


class Stretch(NamedTuple):
    """Tokens of a row that attend to themselves, as far as they have come, and to the row's beginning."""

    begin: int
    end: int
    shared: int
    """Tokens of the beginning."""
    mask: Tensor | None
    """(end - begin, shared + end - begin), true where a token attends to a token; None where nothing is shared."""

    @classmethod
    def of(cls, begin: int, end: int, shared: int, device: torch.device) -> "Stretch":
        """Makes the mask of one."""
        length = end - begin
        if not shared:
            return cls(begin, end, 0, None)
        return cls(
            begin, end, shared, torch.ones(length, shared + length, dtype=torch.bool, device=device).tril(shared)
        )


class LanguageDecoder(nn.Module):
    """Embeddings in, hidden states out; text logits on request.

    Args:
        config: The sizes.
        language_device: Where the language model's own weights are made. "meta" leaves them without storage or
            values until `assign_language_weights`: a preset with weights of its own is then built at once.

    Source: LLaMA (arXiv:2302.13971) with grouped queries (arXiv:2305.13245); synchronizers as in MM-Interleaved
    (arXiv:2401.10208), between attention and feed-forward.
    """

    def __init__(self, config: LanguageDecoderConfig, *, language_device: torch.device | str | None = None) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.hidden_size, device=language_device)
        self.layers = nn.ModuleList(
            DecoderLayer(config, looks=index in config.synchronized_layers, device=language_device)
            for index in range(config.num_layers)
        )
        self.norm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps, device=language_device)
        self.head: nn.Module | None = (
            None
            if config.tied_head
            else nn.Linear(config.hidden_size, config.vocab_size, bias=config.head_bias, device=language_device)
        )
        self.new_head = nn.Linear(config.hidden_size, config.num_new_tokens) if config.num_new_tokens else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Starts with tied logits of about unit size, and with new tokens that are unlikely whatever was read."""
        nn.init.normal_(self.embedding.weight, std=self.config.hidden_size**-0.5)
        if self.new_head is not None:
            nn.init.zeros_(self.new_head.weight)
            nn.init.constant_(self.new_head.bias, -5.0)

    def forward(
        self,
        embeddings_BTC: Tensor,
        *,
        cache: KeyValueCache | None = None,
        pictures: PictureMemory | None = None,
        visible_BTI: Tensor | None = None,
        attend_BTS: Tensor | Sequence[Stretch] | None = None,
        positions_BT: Tensor | None = None,
    ) -> Tensor:
        """Reads tokens, after those in the cache if there is one.

        Args:
            embeddings_BTC: What `embed` returned, or visual tokens.
            cache: Keys and values of the tokens before; the new ones are appended.
            pictures: What the synchronizers may look at; a memory of one row serves any number of rows.
            visible_BTI: True where a token may look at a picture; None derives it from where the pictures start.
            attend_BTS: True where a token attends to a token, rows may be 1; None is causal. Padding on the right
                needs no mask, since nothing before it attends to it. Of one row also its stretches, one after the
                other: what they leave out is then not computed.
            positions_BT: Where each token stands in its document, without a cache; None counts along the row.

        Returns:
            Hidden states after the last norm, shape (B, T, C).

        Raises:
            ShapeError: If the window is full, or shapes disagree.
        """
        B, T, C = embeddings_BTC.shape
        if self.config.hidden_size != C or (cache is not None and cache.batch_size != B):
            rows = "any" if cache is None else cache.batch_size
            raise ShapeError(f"expected embeddings ({rows}, tokens, {self.config.hidden_size}), got {(B, T, C)}")
        past = 0
        if cache is not None:
            cache.reserve(T)
            past = cache.length
        if positions_BT is None:
            positions_BT = torch.arange(past, past + T, device=embeddings_BTC.device)[None]
        if attend_BTS is None and past and T > 1:
            attend_BTS = torch.ones(1, T, past + T, dtype=torch.bool, device=embeddings_BTC.device).tril(past)
        if pictures is not None and visible_BTI is None:
            visible_BTI = pictures.visible(past, T)
        sights = self.sights(pictures, visible_BTI)

        with _kernels(embeddings_BTC):
            hidden_BTC = self._read(embeddings_BTC, positions_BT, attend_BTS, cache, sights)
        if cache is not None:
            cache.advance(T)
        return hidden_BTC

    def step(self, embeddings_B1C: Tensor, cache: FixedCache, sights: Sequence[Sight]) -> Tensor:
        """Reads one token after those in the cache, as a graph of fixed shape that can be compiled.

        Args:
            embeddings_B1C: What `embed` returned.
            cache: Where keys and values go; counting on is left to its owner.
            sights: One for each synchronizer; slots without a picture have rank 0.

        Returns:
            Hidden states after the last norm, shape (B, 1, C): those of `forward`.
        """
        return self._read(embeddings_B1C, cache.position_1[None], cache.attend(), cache, sights)

    def _read(
        self,
        embeddings_BTC: Tensor,
        positions_BT: Tensor,
        attend_BTS: Tensor | Sequence[Stretch] | None,
        cache: KeyValueCache | FixedCache | None,
        sights: Sequence[Sight],
    ) -> Tensor:
        rotation = _rotation(positions_BT, self.config, embeddings_BTC.dtype)
        mask_B1TS = attend_BTS[:, None] if isinstance(attend_BTS, Tensor) else attend_BTS
        hidden_BTC = embeddings_BTC
        for index, layer in enumerate(self.layers):
            sight = sights[index // self.config.synchronizer_every] if sights else None
            hidden_BTC = layer(hidden_BTC, rotation, mask_B1TS, cache, index, sight)
        return self.norm(hidden_BTC)

    def embed(self, ids_BT: Tensor) -> Tensor:
        """Looks up tokens; new ids without a row of their own are zeros. Shape (B, T, C)."""
        if self.config.num_tokens == self.config.vocab_size:
            return self.embedding(ids_BT)
        known_BT1 = (ids_BT < self.config.vocab_size)[..., None]
        return torch.where(known_BT1, self.embedding(ids_BT.clamp(max=self.config.vocab_size - 1)), 0.0)

    def logits(self, hidden_BTC: Tensor) -> Tensor:
        """Scores every id, new ones included, as the next token. Shape (B, T, V)."""
        if self.head is None:
            logits_BTV = F.linear(hidden_BTC, self.embedding.weight)
        else:
            logits_BTV = self.head(hidden_BTC)
        if self.new_head is None:
            return logits_BTV
        start = self.config.new_token_start
        missing = self.config.num_tokens - self.config.vocab_size
        new_BTV = F.pad(logits_BTV[..., start:], (0, missing)) + self.new_head(hidden_BTC)
        return torch.cat([logits_BTV[..., :start], new_BTV], -1)

    def project_pictures(self, features_BISF: Tensor) -> list[Tensor]:
        """Projects picture features for every synchronizer, once for all tokens that will look at them.

        Args:
            features_BISF: Feature maps, flattened row by row and joined in the order of `level_widths`.

        Returns:
            One tensor (B, I, S, heads, head width) per synchronizer: what `PictureMemory` holds.

        Raises:
            ShapeError: If S or F is not what the configuration says.
        """
        return [look.project(features_BISF) for look in self._looks()]

    def sights(self, pictures: PictureMemory | None, visible_BTI: Tensor | None) -> list[Sight]:
        """Puts together what each synchronizer needs to look at pictures, once for all tokens and layers.

        Args:
            pictures: What there is to see.
            visible_BTI: True where a token may look at a picture; None where all see all.

        Returns:
            One for each synchronizer; none where there are no pictures.
        """
        synchronizer = self.config.synchronizer
        if pictures is None or not len(pictures) or synchronizer is None:
            return []
        values = pictures.values
        if visible_BTI is None:  # nothing sees beyond the table of ranks
            values = [value_BISND[:, 1 - synchronizer.num_ranks :] for value_BISND in values]
            visible_BTI = torch.ones(1, 1, values[0].shape[1], dtype=torch.bool)
        rank_BTI = picture_ranks(visible_BTI.to(values[0].device), synchronizer.num_ranks)
        tables = pictures.rank_tables(self.rank_tables)
        return [Sight(value_BISND, rank_BTI, table) for value_BISND, table in zip(values, tables, strict=True)]

    def open_cache(self, *, batch_size: int = 1, capacity: int = 256) -> KeyValueCache:
        """Returns an empty cache of the decoder's sizes, dtype and device."""
        return KeyValueCache(
            num_layers=self.config.num_layers,
            num_heads=self.config.num_kv_heads,
            head_width=self.config.head_width,
            max_length=self.config.max_positions,
            batch_size=batch_size,
            capacity=capacity,
            dtype=self.norm.weight.dtype,
            device=self.norm.weight.device,
        )

    def language_weight_names(self) -> list[str]:
        """Names of the weights that a plain Llama has, in order."""
        return [name for name, _ in self.named_parameters() if ".look." not in name and not name.startswith("new_head")]

    def assign_language_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Takes over the tensors of a plain Llama, without a copy.

        Args:
            weights: One tensor for each of `language_weight_names`.

        Raises:
            CheckpointError: If names or shapes differ; the first ten are listed.
        """
        expected = {name: tuple(self.get_parameter(name).shape) for name in self.language_weight_names()}
        given = {name: tuple(tensor.shape) for name, tensor in weights.items()}
        wrong = [name for name in sorted(expected.keys() | given.keys()) if expected.get(name) != given.get(name)]
        if wrong:
            listed = ", ".join(f"{name}: {expected.get(name)} expected, {given.get(name)} given" for name in wrong[:10])
            raise CheckpointError(f"{len(wrong)} language weights do not fit: {listed}")
        self.load_state_dict(weights, strict=False, assign=True)

    def rank_tables(self) -> list[RankTable]:
        """What the ranks of pictures add to a token's choice, for each synchronizer; see `FeatureSynchronizer`."""
        return [look.synchronizer.rank_table() for look in self._looks()]

    def _looks(self) -> list[GatedSynchronizer]:
        layers = [layer for layer in self.layers if isinstance(layer, DecoderLayer)]
        return [layer.look for layer in layers if layer.look is not None]


class DecoderLayer(nn.Module):
    """Attention to the tokens before, a look at the pictures, a feed-forward layer."""

    def __init__(self, config: LanguageDecoderConfig, *, looks: bool, device: torch.device | str | None) -> None:
        super().__init__()
        eps = config.rms_norm_eps
        self.attention_norm = nn.RMSNorm(config.hidden_size, eps=eps, device=device)
        self.attention = GroupedQueryAttention(config, device=device)
        self.look = GatedSynchronizer(config.synchronizer, norm_eps=eps) if looks and config.synchronizer else None
        self.feed_forward_norm = nn.RMSNorm(config.hidden_size, eps=eps, device=device)
        self.feed_forward = FeedForward(config.hidden_size, config.intermediate_size, device=device)

    def forward(
        self,
        hidden_BTC: Tensor,
        rotation: tuple[Tensor, Tensor],
        mask_B1TS: Tensor | Sequence[Stretch] | None,
        cache: KeyValueCache | FixedCache | None,
        index: int,
        sight: Sight | None,
    ) -> Tensor:
        """Returns the hidden states after this layer, the layer of number `index` in the cache."""
        hidden_BTC = hidden_BTC + self.attention(self.attention_norm(hidden_BTC), rotation, mask_B1TS, cache, index)
        if self.look is not None:
            hidden_BTC = hidden_BTC + self.look(hidden_BTC, sight)
        return hidden_BTC + self.feed_forward(self.feed_forward_norm(hidden_BTC))


class GroupedQueryAttention(nn.Module):
    """Causal attention in which several query heads share a key/value head."""

    def __init__(self, config: LanguageDecoderConfig, *, device: torch.device | str | None) -> None:
        super().__init__()
        self.head_width = config.head_width
        self.is_grouped = config.num_kv_heads != config.num_heads
        shared_width = config.num_kv_heads * config.head_width
        self.query = nn.Linear(config.hidden_size, config.hidden_size, bias=False, device=device)
        self.key = nn.Linear(config.hidden_size, shared_width, bias=False, device=device)
        self.value = nn.Linear(config.hidden_size, shared_width, bias=False, device=device)
        self.output = nn.Linear(config.hidden_size, config.hidden_size, bias=False, device=device)

    def forward(
        self,
        hidden_BTC: Tensor,
        rotation: tuple[Tensor, Tensor],
        mask_B1TS: Tensor | Sequence[Stretch] | None,
        cache: KeyValueCache | FixedCache | None,
        index: int,
    ) -> Tensor:
        """Attends to all tokens that the mask allows: without one, and without a past, to those before."""
        query_BNTD = _rotate(self._heads(self.query(hidden_BTC)), rotation)
        key_BKSD = _rotate(self._heads(self.key(hidden_BTC)), rotation)
        value_BKSD = self._heads(self.value(hidden_BTC))
        if cache is not None:
            key_BKSD, value_BKSD = cache.write(index, key_BKSD, value_BKSD)
        if mask_B1TS is None or isinstance(mask_B1TS, Tensor):
            is_causal = mask_B1TS is None and query_BNTD.shape[2] > 1
            mixed_BNTD = self._mix(query_BNTD, key_BKSD, value_BKSD, mask_B1TS, is_causal=is_causal)
        else:
            mixed_BNTD = self._mix_stretches(query_BNTD, key_BKSD, value_BKSD, mask_B1TS)
        return self.output(mixed_BNTD.transpose(1, 2).flatten(2))

    def _mix_stretches(
        self, query_1NTD: Tensor, key_1KTD: Tensor, value_1KTD: Tensor, stretches: Sequence[Stretch]
    ) -> Tensor:
        parts: list[Tensor] = []
        for begin, end, shared, mask_TS in stretches:
            keys, values = (
                torch.cat([each_1KTD[:, :, :shared], each_1KTD[:, :, begin:end]], 2)
                if shared
                else each_1KTD[:, :, begin:end]
                for each_1KTD in (key_1KTD, value_1KTD)
            )
            parts.append(self._mix(query_1NTD[:, :, begin:end], keys, values, mask_TS, is_causal=mask_TS is None))
        return torch.cat(parts, 2)

    def _mix(
        self, query_BNTD: Tensor, key_BKSD: Tensor, value_BKSD: Tensor, mask: Tensor | None, *, is_causal: bool
    ) -> Tensor:
        is_grouped = self.is_grouped
        if is_grouped and mask is not None and query_BNTD.is_cuda:  # no kernel there takes both, but the one for all
            groups = query_BNTD.shape[1] // key_BKSD.shape[1]
            key_BKSD, value_BKSD = (each.repeat_interleave(groups, 1) for each in (key_BKSD, value_BKSD))
            is_grouped = False
        return F.scaled_dot_product_attention(
            query_BNTD, key_BKSD, value_BKSD, attn_mask=mask, is_causal=is_causal, enable_gqa=is_grouped
        )

    def _heads(self, projected_BTX: Tensor) -> Tensor:
        B, T, _ = projected_BTX.shape
        return projected_BTX.view(B, T, -1, self.head_width).transpose(1, 2)


class FeedForward(nn.Module):
    """SwiGLU (arXiv:2002.05202)."""

    def __init__(self, width: int, inner_width: int, *, device: torch.device | str | None) -> None:
        super().__init__()
        self.gate = nn.Linear(width, inner_width, bias=False, device=device)
        self.up = nn.Linear(width, inner_width, bias=False, device=device)
        self.down = nn.Linear(inner_width, width, bias=False, device=device)

    def forward(self, hidden_BTC: Tensor) -> Tensor:
        """Mixes channels, token by token."""
        return self.down(F.silu(self.gate(hidden_BTC)) * self.up(hidden_BTC))


def _kernels(like: Tensor) -> AbstractContextManager[object]:
    """Leaves out cuDNN's attention on a GPU: it plans anew for every length, which takes longer than to attend."""
    if not like.is_cuda:
        return nullcontext()
    choose = cast("Callable[[list[SDPBackend]], AbstractContextManager[object]]", sdpa_kernel)
    return choose([SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH])


def _rotation(positions_BT: Tensor, config: LanguageDecoderConfig, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosine and sine of every position and pair of channels, each (B, 1, T, D / 2)."""
    steps_D = torch.arange(0, config.head_width, 2, device=positions_BT.device, dtype=torch.float32)
    speeds_D = config.rope_theta ** -(steps_D / config.head_width)
    angles_B1TD = positions_BT[:, None, :, None] * speeds_D
    return angles_B1TD.cos().to(dtype), angles_B1TD.sin().to(dtype)


def _rotate(heads_BNTD: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Turns channel i with channel i + D / 2, as the released weights want it."""
    cos_B1TD, sin_B1TD = rotation
    first, second = heads_BNTD.chunk(2, -1)
    return torch.cat([first * cos_B1TD - second * sin_B1TD, second * cos_B1TD + first * sin_B1TD], -1)
