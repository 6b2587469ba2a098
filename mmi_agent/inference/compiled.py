"""Decoding with a compiled step: the same numbers, without the cost of launching every operation by itself.

`CompiledDecoder` is called like the language decoder it wraps. Single tokens go through a step of fixed shapes, which
`torch.compile` turns into few kernels and, on a GPU, a CUDA graph; everything else goes to the decoder as it is. The
step works on buffers of its own, so that documents may fork and go back as they like.
"""

# Y layers, B rows, K key/value heads, S tokens, D head width, C width, I pictures

from typing import Any
from weakref import ref

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from mmi_agent.models.feature_synchronizer import PictureMemory, RankTable, Sight
from mmi_agent.models.key_value_cache import FixedCache, KeyValueCache
from mmi_agent.models.language_decoder import LanguageDecoder

__all__ = ["CompiledDecoder"]


class CompiledDecoder:
    """A language decoder that reads single tokens by a compiled step.

    The first token compiles the step, which takes a minute or so; one that finds no room doubles the room and compiles
    again. Keys, values and pictures of the latest document are held twice.

    Args:
        decoder: The decoder, in evaluation mode.
        tokens: Room for tokens to begin with.
        pictures: Room for pictures to begin with.
        backend: Of `torch.compile`.
    """

    def __init__(
        self,
        decoder: LanguageDecoder,
        *,
        tokens: int = 1024,
        pictures: int = 16,
        backend: str = "inductor",
    ) -> None:
        self._decoder = decoder
        self._tokens, self._pictures = min(tokens, decoder.config.max_positions), pictures
        self._backend = backend
        self._step: DecodeStep | None = None
        self._mirrored: tuple[Any, ...] = ()

    @torch.inference_mode()
    def __call__(
        self, embeddings_BTC: Tensor, *, cache: KeyValueCache, pictures: PictureMemory | None = None
    ) -> Tensor:
        """Reads tokens after those in the cache; see `LanguageDecoder.forward`.

        Raises:
            ShapeError: If the window is full, or shapes disagree.
        """
        sees_all = pictures is None or pictures.visible(cache.length, 1) is None
        if embeddings_BTC.shape[1] != 1 or cache.batch_size != embeddings_BTC.shape[0] or not sees_all:
            return self._decoder(embeddings_BTC, cache=cache, pictures=pictures)
        cache.reserve(1)
        step = self._prepare(cache, pictures)
        step.position_1.fill_(cache.length)
        torch.compiler.cudagraph_mark_step_begin()
        hidden_B1C, keys_YBK1D, values_YBK1D = step(embeddings_BTC)
        cache.extend(keys_YBK1D, values_YBK1D)
        self._mirrored = self._state(cache, pictures)
        return hidden_B1C.clone()  # the next step of a CUDA graph writes where this one did

    def _prepare(self, cache: KeyValueCache, pictures: PictureMemory | None) -> "DecodeStep":
        """Returns the step, holding what the cache and the memory hold."""
        while self._tokens <= cache.length:
            self._tokens = min(2 * self._tokens, self._decoder.config.max_positions)
        synchronizer = self._decoder.config.synchronizer
        count = min(len(pictures or ()), synchronizer.num_ranks - 1 if synchronizer else 0)
        while self._pictures < count:
            self._pictures *= 2
        shape = (cache.batch_size, self._tokens, self._pictures)
        if self._step is None or self._step.shape != shape:
            self._step = DecodeStep(self._decoder, *shape)
            self._compile(self._step)
            self._mirrored = ()
        if self._mirrored != self._state(cache, pictures):
            self._step.take(cache, self._decoder.sights(pictures, None))
        return self._step

    def _compile(self, step: "DecodeStep") -> None:
        options = None
        if self._backend == "inductor" and step.position_1.is_cuda:
            # A matrix times one vector is best written out, and tuned, by the compiler.
            options = {"triton.cudagraphs": True, "coordinate_descent_tuning": True}
        torch_compile = nn.Module.compile  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        torch_compile(step, fullgraph=True, dynamic=False, backend=self._backend, options=options)

    def _state(self, cache: KeyValueCache, pictures: PictureMemory | None) -> tuple[Any, ...]:
        """Equal only where the step holds what cache and memory hold."""
        seen = (None, 0) if pictures is None else (ref(pictures), pictures.version)
        return (ref(cache), cache.version, *seen)


class DecodeStep(nn.Module):
    """One token, at fixed shapes: its buffers stay where they are, as a CUDA graph wants them.

    Args:
        decoder: The decoder.
        batch_size: Rows.
        tokens: Room for tokens.
        pictures: Room for pictures.
    """

    def __init__(self, decoder: LanguageDecoder, batch_size: int, tokens: int, pictures: int) -> None:
        super().__init__()
        self.shape = (batch_size, tokens, pictures)
        self.decoder = decoder
        config, synchronizer = decoder.config, decoder.config.synchronizer
        weight = decoder.norm.weight
        self.position_1: Tensor
        self.ranks_11I: Tensor
        with torch.inference_mode(False):
            self._keep("position_1", torch.zeros(1, dtype=torch.long, device=weight.device))
            self._keep("ranks_11I", torch.zeros(1, 1, pictures, dtype=torch.long, device=weight.device))
            for layer in range(config.num_layers):
                for name in ("keys", "values"):
                    buffer_BKSD = weight.new_zeros(batch_size, config.num_kv_heads, tokens, config.head_width)
                    self._keep(f"{name}_{layer}", buffer_BKSD)
            for look, table in enumerate(decoder.rank_tables()):
                assert synchronizer is not None
                heads = synchronizer.num_heads
                shape = (1, pictures, synchronizer.num_cells, heads, synchronizer.value_width // heads)
                self._keep(f"cells_{look}", weight.new_zeros(shape))
                self._keep(f"offsets_{look}", table.offsets.detach())
                self._keep(f"logits_{look}", table.logits.detach())

    def _keep(self, name: str, buffer: Tensor) -> None:
        self.register_buffer(name, buffer, persistent=False)

    def take(self, cache: KeyValueCache, sights: list[Sight]) -> None:
        """Copies what a cache holds, and what there is to see."""
        for name, held_YBKSD in zip(("keys", "values"), cache.held(), strict=True):
            for layer, held_BKSD in enumerate(held_YBKSD):
                self.get_buffer(f"{name}_{layer}")[:, :, : held_BKSD.shape[2]] = held_BKSD
        self.ranks_11I.zero_()
        for look, sight in enumerate(sights):
            count = sight.values.shape[1]
            self.get_buffer(f"cells_{look}")[:, :count] = sight.values
            self.ranks_11I[:, :, :count] = sight.ranks

    def forward(self, embeddings_B1C: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns hidden states (B, 1, C), and keys and values of the token, each (Y, B, K, 1, D)."""
        layers = range(self.decoder.config.num_layers)
        cache = FixedCache(
            [self.get_buffer(f"keys_{layer}") for layer in layers],
            [self.get_buffer(f"values_{layer}") for layer in layers],
            self.position_1,
        )
        sights = [
            Sight(
                self.get_buffer(f"cells_{look}"),
                self.ranks_11I,
                RankTable(self.get_buffer(f"offsets_{look}"), self.get_buffer(f"logits_{look}")),
            )
            for look in range(len(self.decoder.config.synchronized_layers))
        ]
        with sdpa_kernel(SDPBackend.MATH):  # for a single query the compiler's own code is the fastest
            hidden_B1C = self.decoder.step(embeddings_B1C, cache, sights)
        return hidden_B1C, *cache.written()
