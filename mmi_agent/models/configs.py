"""Named sizes of the model."""

from collections.abc import Callable

from mmi_agent.errors import UnknownNameError
from mmi_agent.models.feature_synchronizer import FeatureSynchronizerConfig
from mmi_agent.models.language_decoder import LanguageDecoderConfig
from mmi_agent.models.mm_interleaved import MMInterleavedConfig
from mmi_agent.models.perceiver_resampler import PerceiverResamplerConfig
from mmi_agent.models.vision_encoder import VisionEncoderConfig

__all__ = ["preset", "small", "tiny"]


def tiny() -> MMInterleavedConfig:
    """A toy with every part of the model, for tests: under 1 M parameters, random weights."""
    return MMInterleavedConfig(
        vision=VisionEncoderConfig(
            width=32, intermediate_size=64, num_layers=4, num_heads=4, image_size=56, patch_size=14, stem_width=8
        ),
        resampler=PerceiverResamplerConfig(
            num_queries=8, width=48, feature_width=32, intermediate_size=96, num_layers=3, num_heads=4
        ),
        decoder=LanguageDecoderConfig(
            vocab_size=320,
            num_new_tokens=2,
            hidden_size=64,
            intermediate_size=96,
            num_layers=5,
            num_heads=4,
            num_kv_heads=2,
            max_positions=4096,
            tied_head=True,
            synchronizer=FeatureSynchronizerConfig(
                token_width=64, feature_width=32, value_width=32, level_widths=(8, 4, 2), offset_unit=4
            ),
        ),
        begin_of_text=0,
        begin_of_image=320,
        image=321,
    )


def small() -> MMInterleavedConfig:
    """SmolLM2-135M-Instruct with 16 M parameters of eyes: the embedded default, for a laptop's CPU."""
    return MMInterleavedConfig(
        vision=VisionEncoderConfig(
            width=192, intermediate_size=768, num_layers=12, num_heads=3, image_size=224, patch_size=14, stem_width=32
        ),
        resampler=PerceiverResamplerConfig(
            num_queries=64, width=192, feature_width=192, intermediate_size=768, num_layers=4, num_heads=3
        ),
        decoder=LanguageDecoderConfig(
            vocab_size=49152,
            num_new_tokens=2,
            hidden_size=576,
            intermediate_size=1536,
            num_layers=30,
            num_heads=9,
            num_kv_heads=3,
            rope_theta=100_000.0,
            rms_norm_eps=1e-5,
            max_positions=8192,
            tied_head=True,
            synchronizer=FeatureSynchronizerConfig(token_width=576, feature_width=192, value_width=192),
        ),
        begin_of_text=0,
        begin_of_image=49152,
        image=49153,
    )


_PRESETS: dict[str, Callable[[], MMInterleavedConfig]] = {"tiny": tiny, "small": small}


def preset(name: str) -> MMInterleavedConfig:
    """Returns the configuration of that name.

    Raises:
        UnknownNameError: If there is none; offers the nearest.
    """
    if name not in _PRESETS:
        raise UnknownNameError.among("preset", name, _PRESETS)
    return _PRESETS[name]()
