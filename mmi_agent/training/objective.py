"""What a batch costs: sums of both losses, so that any number of batches and processes add up to one mean."""

# B rows, T tokens, P pictures of all rows, D pictures that are drawn, C width of the decoder, N tokens that count

from collections.abc import Iterable
from functools import partial
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from mmi_agent.data.packing import Batch
from mmi_agent.models.losses import IGNORED, NoiseDraw, next_picture_errors
from mmi_agent.models.mm_interleaved import MMInterleavedConfig, MMInterleavedModel, RowLayout, Scenes
from mmi_agent.models.visual_tokenizer import VisualFeatures

__all__ = ["Costs", "Counts", "Objective", "checkpoint_layers", "compile_layers", "count", "draw_noise", "share"]

_CHUNK = 2048  # tokens whose logits are held at a time


class Counts(NamedTuple):
    """What the mean losses are means of."""

    tokens: int
    pictures: int

    def __add__(self, other: "Counts") -> "Counts":  # pyright: ignore[reportIncompatibleMethodOverride]
        return Counts(self.tokens + other.tokens, self.pictures + other.pictures)


class Costs(NamedTuple):
    """Sums over a batch."""

    text: Tensor
    """Cross entropy of the tokens that count, in nats."""
    picture: Tensor
    """Mean square errors of the pictures that are drawn."""
    right: Tensor
    """(N,), whether each token that counts is the likeliest."""


def count(batch: Batch) -> Counts:
    """Counts what both losses of a batch are sums over."""
    return Counts(batch.num_targets, 0 if batch.drawn_pixels is None else int(batch.draws.sum()))


class Objective(nn.Module):
    """A model with its losses, as one module whose `forward` can be shared among processes.

    Args:
        model: The model.

    Attributes:
        touches_all: Whether all that learns has a gradient, if only 0: several processes have to agree on which do,
            and one of them may see no picture.
    """

    def __init__(self, model: MMInterleavedModel) -> None:
        super().__init__()
        self.model = model
        self.touches_all = False

    def forward(self, batch: Batch, draw: NoiseDraw | None) -> Costs:
        """Reads a batch and adds up what it costs.

        Args:
            batch: The rows.
            draw: The noise of the pictures that are drawn, in their order; None leaves them out.
        """
        seen = None if batch.pixels is None else self.model.see(batch.pixels)
        hidden_BTC = self.model.read_rows(batch.ids, batch.layout, seen)
        text, right_N = self._text(hidden_BTC, batch.targets)
        if self.touches_all:
            text = text + self._nothing()
        if draw is None or seen is None:
            return Costs(text, text.new_zeros(()), right_N)
        return Costs(text, self._pictures(batch, hidden_BTC, seen, draw), right_N)

    def _nothing(self) -> Tensor | float:
        """0, with a gradient of 0 for all weights that are here: parts of weights elsewhere always have one."""
        here = [each for each in self.parameters() if each.requires_grad and not isinstance(each, DTensor)]
        return 0.0 * torch.cat([parameter.reshape(-1)[:1].float() for parameter in here]).sum() if here else 0.0

    def _text(self, hidden_BTC: Tensor, targets_BT: Tensor) -> tuple[Tensor, Tensor]:
        counts_BT = targets_BT != IGNORED
        hidden_NC, targets_N = hidden_BTC[counts_BT], targets_BT[counts_BT]
        if len(targets_N) <= _CHUNK:
            return self._tokens(hidden_NC, targets_N)
        chunks = zip(hidden_NC.split(_CHUNK), targets_N.split(_CHUNK), strict=True)
        costs, right = zip(*(checkpoint(self._tokens, *each, use_reentrant=False) for each in chunks), strict=True)
        return torch.stack(costs).sum(), torch.cat(right)

    def _tokens(self, hidden_NC: Tensor, targets_N: Tensor) -> tuple[Tensor, Tensor]:
        logits_NV = self.model.decoder.logits(hidden_NC).float()
        right_N = logits_NV.detach().argmax(-1) == targets_N
        return F.cross_entropy(logits_NV, targets_N, reduction="sum"), right_N

    def _pictures(self, batch: Batch, hidden_BTC: Tensor, seen: VisualFeatures, draw: NoiseDraw) -> Tensor:
        assert batch.drawn_pixels is not None
        scenes = self.model.scenes(batch.ids, hidden_BTC, batch.begins)
        drawn = batch.draws.tolist()  # all at once: a GPU is waited for each time
        contexts_D = [context_TC for context_TC, draws in zip(scenes.contexts, drawn, strict=True) if draws]
        wanted = Scenes(contexts_D, scenes.previous[batch.draws])
        return next_picture_errors(self.model, wanted, seen, batch.drawn_pixels[batch.draws], draw).sum()


def draw_noise(model: MMInterleavedModel, batch: Batch, seeds: Iterable[int]) -> NoiseDraw | None:
    """Draws noise for the pictures that are drawn, each from a seed of its own; None where there are none."""
    if batch.drawn_pixels is None or not batch.draws.any():
        return None
    return NoiseDraw.seeded(model, [*islice(seeds, int(batch.draws.sum()))])


def share(
    batch: Batch, draw: NoiseDraw | None, config: MMInterleavedConfig, *, rank: int, size: int
) -> tuple[Batch, NoiseDraw | None]:
    """Takes the rows of one process among several: every `size`-th. One that has none reads a row that counts nothing.

    Args:
        batch: The rows of all processes.
        draw: The noise of all pictures that are drawn.
        config: Of the model.
        rank: Number of the process.
        size: How many there are.
    """
    if size == 1:
        return batch, draw
    rows = torch.arange(len(batch.ids))[rank::size]
    idle = len(rows) == 0
    rows = torch.tensor([0]) if idle else rows
    pictures_B = (batch.ids == config.begin_of_image).sum(1)
    kept_P = torch.isin(torch.arange(len(batch.ids)).repeat_interleave(pictures_B), rows)
    drawn_P = batch.draws & kept_P & (not idle)
    taken = batch._replace(
        ids=batch.ids[rows],
        targets=torch.full_like(batch.targets[rows], IGNORED) if idle else batch.targets[rows],
        layout=RowLayout(*(tensor[rows] for tensor in batch.layout)),
        pixels=None if batch.pixels is None or not kept_P.any() else batch.pixels[kept_P],
        drawn_pixels=None if batch.drawn_pixels is None or not drawn_P.any() else batch.drawn_pixels[kept_P],
        draws=drawn_P[kept_P],
        begins=batch.begins[kept_P],
    )
    if draw is None or not drawn_P.any():
        return taken, None
    return taken, NoiseDraw(*(tensor[drawn_P[batch.draws]] for tensor in draw))


def compile_layers(model: MMInterleavedModel) -> None:
    """Has the layers of language decoder and vision encoder compiled, one of each kind for all of its kind."""
    encoder = model.visual_tokenizer.encoder
    for layer in (*model.decoder.layers, *encoder.layers, *encoder.injectors, *encoder.extractors):
        compile_module = layer.compile  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        compile_module(dynamic=True)


def checkpoint_layers(model: MMInterleavedModel) -> None:
    """Has the language decoder's layers computed again on the way back, instead of keeping what they computed."""
    for layer in model.decoder.layers:
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)
