"""The released checkpoint's names and sizes, and ours: there and back.

A rule pairs the path of a released module or tensor with ours. `#` stands for a layer's number, on both sides in the
same order; a rule with literal numbers wins over one with `#`. A rule that ends in `*` takes over whatever stands
below: the UNet and the autoencoder keep diffusers' names. Tables that are computed from sizes are told apart by
`is_computed`.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from mmi_agent.errors import CheckpointError, ConfigError
from mmi_agent.models.denoiser import DenoiserConfig
from mmi_agent.models.feature_synchronizer import FeatureSynchronizerConfig
from mmi_agent.models.image_decoder import AutoencoderConfig, DiffusionConfig, ImageDecoderConfig
from mmi_agent.models.language_decoder import LanguageDecoderConfig
from mmi_agent.models.mm_interleaved import MMInterleavedConfig, MMInterleavedModel
from mmi_agent.models.perceiver_resampler import PerceiverResamplerConfig
from mmi_agent.models.vision_encoder import VisionEncoderConfig

__all__ = [
    "from_official",
    "is_computed",
    "load_official",
    "official_name",
    "our_name",
    "read_config",
    "to_official",
]

_COMPUTED = re.compile(r"(^|\.)(pos_embed|clip_mean|clip_std|position_ids|inv_freq)$")


def _below(released: str, ours: str, rules: Mapping[str, str]) -> dict[str, str]:
    return {f"{released}.{theirs}": f"{ours}.{own}" for theirs, own in rules.items()}


def _attention(released: str, ours: str, suffix: str, output: str) -> dict[str, str]:
    """Rules of a self-attention whose projections are named q, k and v."""
    parts = {"q": "query", "k": "key", "v": "value", output: "output"}
    return _below(released, ours, {theirs + suffix: own for theirs, own in parts.items()})


_DEFORMABLE_ATTENTION = {
    "sampling_offsets": "offsets",
    "attention_weights": "weights",
    "value_proj": "value",
    "output_proj": "output",
}
_INJECTOR = {
    "gamma": "gate",
    "query_norm": "patch_norm",
    "feat_norm": "cell_norm",
    **_below("attn", "attention", _DEFORMABLE_ATTENTION),
}
_EXTRACTOR = {
    "query_norm": "cell_norm",
    "feat_norm": "patch_norm",
    **_below("attn", "attention", _DEFORMABLE_ATTENTION),
    "ffn_norm": "feed_forward_norm",
    "ffn.fc1": "up",
    "ffn.dwconv.dwconv": "neighbours",
    "ffn.fc2": "down",
}
_SPATIAL_PRIOR = {
    **{f"stem.{3 * i}": f"stem.{i}.convolution" for i in range(3)},
    **{f"stem.{3 * i + 1}": f"stem.{i}.norm" for i in range(3)},
    **{f"conv{i + 2}.0": f"halvings.{i}.convolution" for i in range(3)},
    **{f"conv{i + 2}.1": f"halvings.{i}.norm" for i in range(3)},
    **{f"fc{i + 1}": f"projections.{i}" for i in range(4)},
}
_VISION_ENCODER = {
    "adapter_level_embed": "levels.weight",
    "embeddings.class_embedding": "class_token",
    "embeddings.patch_embedding": "patches",
    "embeddings.position_embedding": "positions",
    "pre_layrnorm": "norm",
    **_attention("encoder.layers.#.self_attn", "layers.#.attention", "_proj", "out"),
    "encoder.layers.#.layer_norm1": "layers.#.attention_norm",
    "encoder.layers.#.layer_norm2": "layers.#.feed_forward_norm",
    "encoder.layers.#.mlp.fc1": "layers.#.up",
    "encoder.layers.#.mlp.fc2": "layers.#.down",
    **_below("adapter_spm", "spatial_prior", _SPATIAL_PRIOR),
    **_below("adapter_interactions.#.injector", "injectors.#", _INJECTOR),
    **_below("adapter_interactions.#.extractor", "extractors.#", _EXTRACTOR),
    **_below("adapter_interactions.3.extra_extractors.0", "extractors.4", _EXTRACTOR),
    **_below("adapter_interactions.3.extra_extractors.1", "extractors.5", _EXTRACTOR),
    "adapter_up": "finer",
}
_RESAMPLER_ATTENTION = {
    name: name.replace("q_", "query_").replace("k_", "key_") for name in ("query", "key", "value", "q_norm", "k_norm")
}
_RESAMPLER_LAYER = {
    **_below("attention.attention", "attention", _RESAMPLER_ATTENTION),
    "attention.output.dense": "attention.output",
    "attention.output.LayerNorm": "attention_norm",
    **_below("crossattention.attention", "look", _RESAMPLER_ATTENTION),
    "crossattention.output.dense": "look.output",
    "crossattention.output.LayerNorm": "look_norm",
    "intermediate_query.dense": "up",
    "output_query.dense": "down",
    "output_query.LayerNorm": "feed_forward_norm",
}
_SYNCHRONIZER = {
    **_DEFORMABLE_ATTENTION,
    "ignore_token": "ignore",
    "dynamic_offset_mask": "query",
    "query_relpos": "rank",
}
_DECODER_LOOK = {
    "gate": "gate",
    "norm1": "token_norm",
    "norm2": "feature_norm",
    **_below("attn", "synchronizer", _SYNCHRONIZER),
}
_SKIP_LOOK = {
    "query_norm": "token_norm",
    "feat_norm": "feature_norm",
    **_below("mmfs", "synchronizer", _SYNCHRONIZER),
    "conv": "output",
}
_DECODER_LAYER = {
    **_attention("self_attn", "attention", "_proj", "o"),
    **_below("llama_cross_attn", "look", _DECODER_LOOK),
    "mlp.gate_proj": "feed_forward.gate",
    "mlp.up_proj": "feed_forward.up",
    "mlp.down_proj": "feed_forward.down",
    "input_layernorm": "attention_norm",
    "post_attention_layernorm": "feed_forward_norm",
}
_RESAMPLER = {
    "queries": "queries",
    "blip2qformer.layernorm": "norm",
    **_below("blip2qformer.encoder.layer.#", "layers.#", _RESAMPLER_LAYER),
}
_IMAGE_DECODER = {
    "neg_prompt_embeds": "unconditional",
    **_below("perceiver_resampler", "resampler", _RESAMPLER),
    "decoder.vae.*": "autoencoder.*",
    "decoder.unet.*": "denoiser.unet.*",
    **_below("decoder.mmfs_module.mmfs_down_blocks.#", "denoiser.looks.#", _SKIP_LOOK),
    **_below("decoder.mmfs_module.mmfs_mid_block", "denoiser.middle_look", _SKIP_LOOK),
}
_OURS = {
    "soi_token": "begin_of_image",
    **_below("visual_tokenizer.encoder.vision_model", "visual_tokenizer.encoder", _VISION_ENCODER),
    "visual_tokenizer.pos_proj": "visual_tokenizer.projection",
    "visual_tokenizer.pos_ln": "visual_tokenizer.projection_norm",
    "visual_tokenizer.post_ln": "visual_tokenizer.position_norm",
    "visual_tokenizer.proj": "visual_tokenizer.output",
    **_below("visual_tokenizer.perceiver_resampler", "visual_tokenizer.resampler", _RESAMPLER),
    "mm_decoder.embed_tokens": "decoder.embedding",
    **_below("mm_decoder.layers.#", "decoder.layers.#", _DECODER_LAYER),
    "mm_decoder.norm": "decoder.norm",
    "text_decoder.head": "decoder.head",
    "text_decoder.head_new": "decoder.new_head",
    "context_feat_proj": "image_decoder.context",
    **_below("image_decoder", "image_decoder", _IMAGE_DECODER),
}
_OFFICIAL = {own: released for released, own in _OURS.items()}
assert len(_OFFICIAL) == len(_OURS), "two released names would become one of ours"

# Released tensors whose first axes are of size 1 where ours have none, by the last part of our name.
_LEADING_AXES = {"begin_of_image": 1, "queries": 1, "unconditional": 1, "ignore": 3}


def is_computed(released_name: str) -> bool:
    """Whether a released tensor is a table that follows from the sizes."""
    return _COMPUTED.search(released_name) is not None


def our_name(released_name: str) -> str:
    """Returns our name of a released tensor.

    Raises:
        CheckpointError: If no rule covers it.
    """
    return _translate(released_name, _OURS)


def official_name(our_name: str) -> str:
    """Returns the released name of one of our tensors.

    Raises:
        CheckpointError: If no rule covers it.
    """
    return _translate(our_name, _OFFICIAL)


def from_official(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Renames a released checkpoint's tensors; computed tables are left out.

    Raises:
        CheckpointError: If a name is not one of the released model.
    """
    ours: dict[str, Tensor] = {}
    for released, tensor in weights.items():
        if not is_computed(released):
            name = our_name(released)
            ours[name] = tensor.reshape(tensor.shape[_leading_axes(name) :])
    return ours


def to_official(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Renames our tensors to what the released code loads, computed tables apart.

    Raises:
        CheckpointError: If a name is not one of our model.
    """
    return {
        official_name(name): tensor.reshape((1,) * _leading_axes(name) + tuple(tensor.shape))
        for name, tensor in weights.items()
    }


def load_official(model: MMInterleavedModel, weights: Mapping[str, Tensor]) -> None:
    """Gives a model the released weights.

    Raises:
        CheckpointError: If names or shapes differ from the model's; the first ten are listed.
    """
    given = from_official(weights)
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    wrong = sorted(
        name
        for name in expected.keys() | given.keys()
        if name not in given or expected.get(name) != tuple(given[name].shape)
    )
    if wrong:
        raise CheckpointError(f"{len(wrong)} released weights do not fit: {_listed(wrong, expected, given)}")
    model.load_state_dict(given)


def read_config(released: Mapping[str, Any]) -> MMInterleavedConfig:
    """Reads sizes that are written in the released code's terms.

    Args:
        released: Sections `llm`, `clip`, `unet`, `vae` and `scheduler` as in the configuration files of those models,
            and `model` as in the released one's; `conv_inplane` and `adapter_n_points` of the adapter where they are
            not 64 and 4. Without `image_decoder_config` in `model` the three of drawing are not needed.

    Raises:
        ConfigError: If an entry is missing.
    """
    try:
        return _read_config(released)
    except KeyError as missing:
        raise ConfigError(f"the released configuration has no entry {missing.args[0]!r}") from missing


def _read_config(released: Mapping[str, Any]) -> MMInterleavedConfig:
    llm, clip, model = released["llm"], released["clip"], released["model"]
    perceiver, ids = model["visual_tokenizer_config"]["perceiver_config"], model["special_token_dict"]
    return MMInterleavedConfig(
        vision=VisionEncoderConfig(
            width=clip["hidden_size"],
            intermediate_size=clip["intermediate_size"],
            num_layers=clip["num_hidden_layers"],
            num_heads=clip["num_attention_heads"],
            image_size=clip["image_size"],
            patch_size=clip["patch_size"],
            stem_width=released.get("conv_inplane", 64),
            num_points=released.get("adapter_n_points", 4),
            norm_eps=clip["layer_norm_eps"],
        ),
        resampler=_read_resampler(perceiver),
        decoder=LanguageDecoderConfig(
            vocab_size=model["txt_vocab_size"],
            first_new_token=llm["vocab_size"],
            num_new_tokens=model["txt_vocab_size"] - llm["vocab_size"],
            hidden_size=llm["hidden_size"],
            intermediate_size=llm["intermediate_size"],
            num_layers=llm["num_hidden_layers"],
            num_heads=llm["num_attention_heads"],
            num_kv_heads=llm["num_key_value_heads"],
            rms_norm_eps=llm["rms_norm_eps"],
            max_positions=llm["max_position_embeddings"],
            head_bias=True,
            synchronizer=FeatureSynchronizerConfig(
                token_width=llm["hidden_size"],
                feature_width=model["image_embed_dim"],
                value_width=model["image_embed_dim"],
                level_widths=tuple(model["spatial_shapes"]),
            ),
            synchronizer_every=model["cross_attention_frequency"],
        ),
        image_decoder=_read_image_decoder(released) if "image_decoder_config" in model else None,
        begin_of_text=ids["bos_token_id"],
        begin_of_image=ids["soi_token_id"],
        image=ids["image_token_id"],
        end_of_text=ids["eos_token_id"],
        padding=ids["pad_token_id"],
    )


def _read_resampler(perceiver: Mapping[str, Any]) -> PerceiverResamplerConfig:
    return PerceiverResamplerConfig(
        num_queries=perceiver["num_queries"],
        width=perceiver["hidden_size"],
        feature_width=perceiver["encoder_hidden_size"],
        intermediate_size=perceiver.get("intermediate_size", 3072),
        num_layers=perceiver["num_hidden_layers"],
        num_heads=perceiver["num_attention_heads"],
        look_every=perceiver["cross_attention_frequency"],
        head_norm=perceiver.get("qk_normalization", False),
    )


def _read_image_decoder(released: Mapping[str, Any]) -> ImageDecoderConfig:
    drawing, unet, vae, noise = (
        released["model"]["image_decoder_config"],
        released["unet"],
        released["vae"],
        released["scheduler"],
    )
    image_size, widths = drawing["image_size"], tuple(unet["block_out_channels"])
    heads = unet["attention_head_dim"]
    autoencoder = AutoencoderConfig(
        widths=tuple(vae["block_out_channels"]),
        blocks_per_level=vae["layers_per_block"],
        latent_channels=vae["latent_channels"],
        norm_groups=vae["norm_num_groups"],
        scale=vae["scaling_factor"],
    )
    return ImageDecoderConfig(
        image_size=image_size,
        resampler=_read_resampler(drawing["perceiver_config"]),
        denoiser=DenoiserConfig(
            latent_width=image_size // autoencoder.pixels_per_latent,
            latent_channels=unet["in_channels"],
            widths=widths,
            num_heads=(heads,) * len(widths) if isinstance(heads, int) else tuple(heads),
            attends=tuple(kind == "CrossAttnDownBlock2D" for kind in unet["down_block_types"]),
            condition_width=unet["cross_attention_dim"],
            blocks_per_level=unet["layers_per_block"],
            norm_groups=unet["norm_num_groups"],
            feature_width=released["model"]["image_embed_dim"],
        ),
        autoencoder=autoencoder,
        diffusion=DiffusionConfig(
            num_steps=noise["num_train_timesteps"],
            beta_start=noise["beta_start"],
            beta_end=noise["beta_end"],
            beta_schedule=noise["beta_schedule"],
            predicts=noise["prediction_type"],
        ),
    )


def _translate(name: str, rules: Mapping[str, str]) -> str:
    """Finds the rule of a tensor or of its module, and puts the numbers back."""
    module, _, leaf = name.rpartition(".")
    for path, suffix in ((name, ""), (module, f".{leaf}")):
        if path in rules:
            return rules[path] + suffix
        numbers = re.findall(r"(?<=\.)\d+(?=\.|$)", path)
        pattern = re.sub(r"(?<=\.)\d+(?=\.|$)", "#", path)
        if pattern in rules:
            translated = rules[pattern] + suffix
            for number in numbers:
                translated = translated.replace("#", number, 1)
            return translated
    for path, translated in rules.items():
        if path.endswith("*") and name.startswith(path[:-1]):
            return translated[:-1] + name.removeprefix(path[:-1])
    raise CheckpointError(f"{name!r} is no tensor of MM-Interleaved that the rules cover")


def _leading_axes(our_name: str) -> int:
    return _LEADING_AXES.get(our_name.rpartition(".")[2], 0)


def _listed(names: Iterable[str], expected: Mapping[str, tuple[int, ...]], given: Mapping[str, Tensor]) -> str:
    parts: list[str] = []
    for name in list(names)[:10]:
        shape = tuple(given[name].shape) if name in given else None
        parts.append(f"{name}: {expected.get(name)} expected, {shape} given")
    return ", ".join(parts)
