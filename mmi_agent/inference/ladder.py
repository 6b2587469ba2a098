"""The parity ladder: how far our model is from what the released implementation computed with the same weights.

A rung is one recorded tensor of a parity folder (`checkpoints/parity.py` says what such a folder is). Rungs are climbed
in the order of computation, so that the first that does not hold tells where to look.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mmi_agent.checkpoints.parity import Fixture, open_fixture
from mmi_agent.inference.drawing import DrawSettings, draw_picture
from mmi_agent.models.losses import NoiseDraw, next_picture_loss, next_token_loss, next_token_targets, weighted_loss
from mmi_agent.models.mm_interleaved import MMInterleavedModel, Reading
from mmi_agent.models.visual_tokenizer import VisualFeatures
from mmi_agent.quiet_imports import quiet_imports

__all__ = ["Rung", "climb"]

_NEAREST_BOS = (0, 6, 0, 0)  # where the documents of the four pictures begin, for the loss that is recorded beside
_GENERATED: dict[str, dict[str, Any]] = {
    "gen_greedy": {},
    "gen_greedy_penalty": {"repetition_penalty": 1.3},
    "gen_beam5": {"num_beams": 5},
    "gen_beam3_len": {"num_beams": 3, "length_penalty": -1.0},
}
_MAX_TOKENS, _MIN_TOKENS = 24, 4
_DRAWN = DrawSettings(steps=5, guidance_scale=7.5, scheduler="ddpm")

Recorded = Mapping[str, Tensor]
Computed = Iterator[tuple[str, Tensor]]


@dataclass(frozen=True, kw_only=True)
class Rung:
    """How far one of our tensors is from the recorded one.

    Attributes:
        name: Of the recorded tensor.
        error: Largest absolute difference, relative to the largest absolute value recorded. Of whole numbers, how many
            differ. Infinite where the shapes differ.
        limit: The largest error that is put down to rounding; 0 for whole numbers.
    """

    name: str
    error: float
    limit: float

    @property
    def holds(self) -> bool:
        """Whether the two agree but for rounding."""
        return self.error <= self.limit


def climb(folder: Path, salt: str = "") -> Iterator[Rung]:
    """Runs our model on what the released one was run on.

    Args:
        folder: A parity folder.
        salt: What the folder's weights were drawn with.

    Yields:
        A rung for each recorded result, as soon as it is computed.

    Raises:
        CheckpointError: If the folder is not complete.
    """
    fixture = open_fixture(folder, salt)
    recorded, model = fixture.recorded, fixture.model
    with torch.inference_mode():
        seen = model.see(recorded["images"].float())
        reading = model.read(recorded["text_ids"], seen, recorded["attention_mask"])
    parts: list[tuple[tuple[str, ...], Callable[[], Computed]]] = [
        (("text_ids", "images"), lambda: _read(model, recorded, seen)),
        (("text_ids", "images"), lambda: _condition(model, recorded, reading)),
        (("unet_latents", "unet_timesteps"), lambda: _denoise(model, recorded, seen, reading)),
        (("images_dec",), lambda: _autoencode(model, recorded)),
        (("loss_noise", "loss_timesteps", "loss_vae_eps"), lambda: _losses(model, recorded, seen, reading)),
        (("gen_prompt",), lambda: _write(model, recorded)),
        (("score_prompt", "score_options"), lambda: _score(model, recorded)),
        (("img_prompt",), lambda: _draw(fixture)),
    ]
    for inputs, compute in parts:
        if all(name in recorded for name in inputs):
            with torch.inference_mode():
                yield from (_compare(name, ours, recorded[name]) for name, ours in compute() if name in recorded)


def _compare(name: str, ours: Tensor, recorded: Tensor) -> Rung:
    whole = not recorded.is_floating_point()
    limit = 0.0 if whole else 1e-3 if name == "gen_image" else 1e-4
    if ours.shape != recorded.shape:
        error = math.inf
    elif whole:
        error = float((ours.long() != recorded).sum())
    else:
        error = float((ours - recorded).abs().max() / recorded.abs().max().clamp(min=1e-12))
    return Rung(name=name, error=math.inf if math.isnan(error) else error, limit=limit)


def _read(model: MMInterleavedModel, recorded: Recorded, seen: VisualFeatures) -> Computed:
    yield "vis_embed", seen.tokens
    for level, map_PFHW in enumerate(seen.maps):
        step = map_PFHW.shape[-1] // 8
        yield f"ms{level}_sample", map_PFHW[..., ::step, ::step]
        yield f"ms{level}_mean", map_PFHW.mean((-2, -1))
        yield f"ms{level}_std", map_PFHW.std((-2, -1))

    batch = model.merge(recorded["text_ids"], seen)
    yield "mm_embeds", batch.embeddings
    if batch.visible is not None:
        yield "cross_attention_mask", batch.visible.float()

    layers: list[Tensor] = []
    hooks = [layer.register_forward_hook(_keep_in(layers)) for layer in model.decoder.layers]
    reading = model.read(recorded["text_ids"], seen, recorded["attention_mask"])
    for hook in hooks:
        hook.remove()
    # The released code records the input of each layer, and of the last layer only what the norm made of its output.
    for index, state_BTC in enumerate([batch.embeddings, *layers[:-1], reading.hidden]):
        yield f"layer{index}", state_BTC
    yield "hidden_states", reading.hidden
    yield "text_logits", reading.logits


def _keep_in(layers: list[Tensor]) -> Callable[[nn.Module, object, Tensor], None]:
    def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        layers.append(output)

    return keep


def _condition(model: MMInterleavedModel, recorded: Recorded, reading: Reading) -> Computed:
    scenes = model.scenes(recorded["text_ids"], reading.hidden)
    features_PTC, mask_PT = model.drawing.context_features(scenes.contexts)
    yield "context_features", features_PTC
    yield "context_mask", mask_PT
    yield "image_context", model.drawing.condition(scenes.contexts)
    yield "mmfs_mask", (scenes.previous >= 0)[:, None]


def _denoise(model: MMInterleavedModel, recorded: Recorded, seen: VisualFeatures, reading: Reading) -> Computed:
    scenes = model.scenes(recorded["text_ids"], reading.hidden)
    inputs = recorded["unet_latents"], recorded["unet_timesteps"], model.drawing.condition(scenes.contexts)
    yield "unet_pred", model.drawing.denoiser(*inputs, *model.look_back(seen, scenes.previous))
    yield "unet_pred_without_mmfs", model.drawing.denoiser(*inputs, looks=False)


def _autoencode(model: MMInterleavedModel, recorded: Recorded) -> Computed:
    decoder = model.drawing
    latents_PAHW = decoder.encode(recorded["images_dec"].float())
    yield "vae_mean", latents_PAHW / decoder.config.autoencoder.scale
    yield "vae_decode", decoder.autoencoder.decode(latents_PAHW[:1] / decoder.config.autoencoder.scale).sample


def _losses(model: MMInterleavedModel, recorded: Recorded, seen: VisualFeatures, reading: Reading) -> Computed:
    ids_BT, mask_BT = recorded["text_ids"], recorded["attention_mask"]
    text_loss = next_token_loss(reading, next_token_targets(ids_BT, mask_BT, model.config))
    noise = NoiseDraw(
        recorded["loss_noise"],
        recorded["loss_timesteps"],
        recorded["loss_vae_eps"],
        torch.zeros(len(seen), dtype=torch.bool),
    )
    pixels_PCHW = recorded["images_dec"].float()
    picture_loss = next_picture_loss(model, ids_BT, reading, seen, pixels_PCHW, noise)
    yield "loss_txt", text_loss[None]
    yield "loss_img", picture_loss[None]
    yield "loss", weighted_loss(text_loss, picture_loss)[None]
    begins_P = recorded.get("nearest_bos_idxs", torch.tensor(_NEAREST_BOS))
    yield (
        "loss_img_nearest_bos",
        next_picture_loss(model, ids_BT, reading, seen, pixels_PCHW, noise, begins_P)[None],
    )


def _write(model: MMInterleavedModel, recorded: Recorded) -> Computed:
    with quiet_imports():
        from mmi_agent.inference.beams import read, search

    config = model.config
    num_pictures = int((recorded["gen_prompt"] == config.begin_of_image).sum())
    state = read(model, recorded["gen_prompt"], recorded["images"][:num_pictures].float())
    ends = (config.end_of_text, config.begin_of_image)
    for name, options in _GENERATED.items():
        ids = search(model, state, ends=ends, max_tokens=_MAX_TOKENS, min_tokens=_MIN_TOKENS, **options)
        yield name, torch.tensor([[config.begin_of_text, *ids]])


def _score(model: MMInterleavedModel, recorded: Recorded) -> Computed:
    options_OT = recorded["score_options"]
    rows, length = options_OT.shape
    prompt_OT = recorded["score_prompt"].expand(rows, -1)
    seen = model.see(recorded["images"][:1].float())
    reading = model.read(torch.cat([prompt_OT, options_OT], 1), seen[[0] * rows])
    log_probs_OTV = reading.logits[:, -length - 1 : -1].log_softmax(-1)
    yield "scores", log_probs_OTV.gather(-1, options_OT[..., None]).sum((1, 2))[None, None]


def _draw(fixture: Fixture) -> Computed:
    model, recorded = fixture.model, fixture.recorded
    first_1CHW = recorded["images"][:1].float()
    pixels_PCHW = torch.cat([first_1CHW, torch.full_like(first_1CHW, 0.5)])  # the second is what will be drawn
    seen = model.see(pixels_PCHW)
    scenes = model.scenes(recorded["img_prompt"], model.read(recorded["img_prompt"], seen).hidden)
    before: VisualFeatures = seen[[int(scenes.previous[1])]]
    yield "gen_image", draw_picture(model, scenes.contexts[1], before, _DRAWN, seed=fixture.draw_seed)[None]
