"""Decoding with a compiled step: the same numbers, without the cost of launching every operation by itself.

`CompiledDecoder` is called like the language decoder it wraps. Single tokens go through a step of fixed shapes, which
`torch.compile` turns into few kernels; everything else goes to the decoder as it is. On a GPU a layer of each kind is
compiled once for all of its kind, and the whole step is recorded as one CUDA graph. The step works on buffers of its
own, so that documents may fork and go back as they like.
"""

# Y layers, B rows, K key/value heads, S tokens, D head width, C width, I pictures

from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import ref

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from mmi_agent.models.feature_synchronizer import PictureMemory, RankTable, Sight
from mmi_agent.models.key_value_cache import FixedCache, KeyValueCache
from mmi_agent.models.language_decoder import DecoderLayer, LanguageDecoder

__all__ = ["CompiledDecoder"]

_WRITTEN_OUT = [SDPBackend.MATH]  # for a single query the compiler's own code is the fastest
_PLAIN = [SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]  # not compiled, the latter would widen the cache to float32


class CompiledDecoder:
    """A language decoder that reads single tokens by a compiled step.

    The first token compiles the step, which takes up to a minute; one that finds no room doubles the room and compiles
    again. Keys, values and pictures of the latest document are held twice.

    Args:
        decoder: The decoder, in evaluation mode.
        tokens: Room for tokens to begin with.
        pictures: Room for pictures to begin with.
        backend: Of `torch.compile`; None compiles nothing, and leaves a GPU with the CUDA graph.
        tuned: Whether the compiler writes products of a matrix and one vector itself, and tunes its kernels: slow to
            compile, and for GPUs only.
        by_layer: Whether layers are compiled one by one; None does so on a GPU, where compiling all at once takes
            minutes and gains nothing.
    """

    def __init__(
        self,
        decoder: LanguageDecoder,
        *,
        tokens: int = 1024,
        pictures: int = 16,
        backend: str | None = "inductor",
        tuned: bool = True,
        by_layer: bool | None = None,
    ) -> None:
        is_cuda = decoder.norm.weight.is_cuda
        self._decoder = decoder
        self._tokens, self._pictures = min(tokens, decoder.config.max_positions), pictures
        self._backend, self._is_tuned = backend, tuned and is_cuda
        self._is_by_layer = is_cuda if by_layer is None else by_layer
        self._step: DecodeStep | None = None
        self._recorded: _Recording | None = None
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
        if self._recorded is None and embeddings_BTC.is_cuda:
            self._recorded = _Recording(step, embeddings_BTC)
        hidden_B1C, keys_YBK1D, values_YBK1D = (self._recorded or step)(embeddings_BTC)
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
            self._recorded = None
            self._step = self._make_step(*shape)
            self._mirrored = ()
        if self._mirrored != self._state(cache, pictures):
            self._step.take(cache, self._decoder.sights(pictures, None))
        return self._step

    def _make_step(self, batch_size: int, tokens: int, pictures: int) -> "DecodeStep":
        run = self._compiled(_run_layer) if self._is_by_layer else None
        kernels = _PLAIN if self._backend is None else _WRITTEN_OUT
        step = DecodeStep(self._decoder, batch_size, tokens, pictures, run_layer=run, kernels=kernels)
        if not self._is_by_layer and self._backend is not None:
            compile_module = nn.Module.compile  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
            compile_module(step, fullgraph=True, dynamic=False, backend=self._backend)
        return step

    def _compiled(self, run: "_RunLayer") -> "_RunLayer":
        if self._backend is None:
            return partial(run, kernels=_PLAIN)
        # A matrix times one vector is best written out, and tuned, by the compiler.
        options = {"coordinate_descent_tuning": True} if self._backend == "inductor" and self._is_tuned else None
        torch_compile: Any = torch.compile  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        return torch_compile(run, fullgraph=True, dynamic=False, backend=self._backend, options=options)

    def _state(self, cache: KeyValueCache, pictures: PictureMemory | None) -> tuple[Any, ...]:
        """Equal only where the step holds what cache and memory hold."""
        seen = (None, 0) if pictures is None else (ref(pictures), pictures.version)
        return (ref(cache), cache.version, *seen)


class _Recording:
    """A step as a CUDA graph, made of what it does for one token: nothing is launched one by one afterwards."""

    def __init__(self, step: "DecodeStep", embeddings_B1C: Tensor) -> None:
        self._embeddings_B1C = embeddings_B1C.clone()
        self._graph = torch.cuda.CUDAGraph()
        stream: Any = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        dynamo_config: Any = torch._dynamo.config  # pyright: ignore[reportPrivateUsage]
        with torch.cuda.stream(stream), dynamo_config.patch(recompile_limit=1024, accumulated_recompile_limit=4096):
            for _ in range(2):  # compiles and tunes, which cannot be recorded
                step(self._embeddings_B1C)
        torch.cuda.current_stream().wait_stream(stream)
        with torch.cuda.graph(self._graph):
            self._written = step(self._embeddings_B1C)

    def __call__(self, embeddings_B1C: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Does what `DecodeStep.forward` does; the next call writes where this one did."""
        self._embeddings_B1C.copy_(embeddings_B1C)
        self._graph.replay()
        return self._written


class _LayerCaches(FixedCache):
    """A cache whose layers can be handed out one by one."""

    def of(self, layer: int) -> tuple[Tensor, Tensor]:
        """The buffers of one layer."""
        return self._keys[layer], self._values[layer]

    def note(self, keys_BK1D: Tensor, values_BK1D: Tensor) -> None:
        """Keeps what a layer wrote into its buffers."""
        self._written.append((keys_BK1D, values_BK1D))


_RunLayer = Callable[..., tuple[Tensor, Tensor, Tensor]]


def _run_layer(
    layer: DecoderLayer,
    hidden_B1C: Tensor,
    rotation: tuple[Tensor, Tensor],
    mask_B1TS: Tensor,
    buffers: tuple[Tensor, Tensor],
    position_1: Tensor,
    sight: Sight | None,
    kernels: list[SDPBackend] = _WRITTEN_OUT,
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns hidden states after a layer, and keys and values of the token, each (B, K, 1, D)."""
    keys_BKSD, values_BKSD = buffers
    cache = FixedCache([keys_BKSD], [values_BKSD], position_1)
    with sdpa_kernel(kernels):
        hidden_B1C = layer(hidden_B1C, rotation, mask_B1TS, cache, 0, sight)
    keys_1BK1D, values_1BK1D = cache.written()
    return hidden_B1C, keys_1BK1D[0], values_1BK1D[0]


class _ByLayer(nn.Module):
    """A layer that is run by something that knows neither its number nor its neighbours."""

    def __init__(self, layer: nn.Module, run: _RunLayer) -> None:
        super().__init__()
        self.layer, self._run = layer, run

    def forward(
        self,
        hidden_B1C: Tensor,
        rotation: tuple[Tensor, Tensor],
        mask_B1TS: Tensor,
        cache: _LayerCaches,
        index: int,
        sight: Sight | None,
    ) -> Tensor:
        """Returns the hidden states after the layer."""
        sight = sight if getattr(self.layer, "look", None) is not None else None
        hidden_B1C, keys_BK1D, values_BK1D = self._run(
            self.layer, hidden_B1C, rotation, mask_B1TS, cache.of(index), cache.position_1, sight
        )
        cache.note(keys_BK1D, values_BK1D)
        return hidden_B1C


class _LayeredDecoder(LanguageDecoder):
    """As much of a decoder as a step needs, with its layers run one by one."""

    def __init__(self, decoder: LanguageDecoder, run: _RunLayer) -> None:
        nn.Module.__init__(self)
        self.config, self.norm = decoder.config, decoder.norm
        self.layers = nn.ModuleList(_ByLayer(layer, run) for layer in decoder.layers)


class DecodeStep(nn.Module):
    """One token, at fixed shapes: its buffers stay where they are, as a CUDA graph wants them.

    Args:
        decoder: The decoder.
        batch_size: Rows.
        tokens: Room for tokens.
        pictures: Room for pictures.
        run_layer: What runs a layer; None leaves it to the decoder.
        kernels: Of attention, where the decoder runs its layers.
    """

    def __init__(
        self,
        decoder: LanguageDecoder,
        batch_size: int,
        tokens: int,
        pictures: int,
        *,
        run_layer: _RunLayer | None = None,
        kernels: list[SDPBackend] = _WRITTEN_OUT,
    ) -> None:
        super().__init__()
        self._kernels = kernels
        self.shape = (batch_size, tokens, pictures)
        self.decoder = decoder if run_layer is None else _LayeredDecoder(decoder, run_layer)
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
        cache = _LayerCaches(
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
        with sdpa_kernel(self._kernels):
            hidden_B1C = self.decoder.step(embeddings_B1C, cache, sights)
        return hidden_B1C, *cache.written()
