"""Named sizes of the model."""

from collections.abc import Callable

from mmi_agent.errors import UnknownNameError
from mmi_agent.models.denoiser import DenoiserConfig
from mmi_agent.models.feature_synchronizer import FeatureSynchronizerConfig
from mmi_agent.models.image_decoder import AutoencoderConfig, ImageDecoderConfig
from mmi_agent.models.language_decoder import LanguageDecoderConfig
from mmi_agent.models.mm_interleaved import MMInterleavedConfig
from mmi_agent.models.perceiver_resampler import PerceiverResamplerConfig
from mmi_agent.models.vision_encoder import VisionEncoderConfig

__all__ = ["PRESETS", "full", "preset", "small", "tiny"]


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
        image_decoder=ImageDecoderConfig(
            image_size=32,
            resampler=PerceiverResamplerConfig(
                num_queries=6,
                width=32,
                feature_width=64,
                intermediate_size=64,
                num_layers=1,
                num_heads=4,
                look_every=1,
                head_norm=False,
            ),
            denoiser=DenoiserConfig(
                latent_width=16,
                widths=(16, 32),
                num_heads=(2, 4),
                attends=(True, False),
                condition_width=32,
                blocks_per_level=1,
                norm_groups=8,
                feature_width=32,
                level_widths=(16, 8, 4, 2),
                value_width=32,
            ),
            autoencoder=AutoencoderConfig(widths=(8, 16), blocks_per_level=1, norm_groups=8),
        ),
        begin_of_text=0,
        begin_of_image=320,
        image=321,
        end_of_text=2,
        padding=0,
    )


def small() -> MMInterleavedConfig:
    """SmolLM2-135M-Instruct with small eyes and a small hand: the embedded default, for a laptop's CPU."""
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
        image_decoder=ImageDecoderConfig(
            image_size=256,
            resampler=PerceiverResamplerConfig(
                num_queries=32,
                width=256,
                feature_width=576,
                intermediate_size=768,
                num_layers=1,
                num_heads=4,
                look_every=1,
                head_norm=False,
            ),
            denoiser=DenoiserConfig(
                latent_width=32,
                widths=(64, 128, 192, 256),
                num_heads=(2, 4, 6, 8),
                attends=(True, True, True, False),
                condition_width=256,
                blocks_per_level=1,
                feature_width=192,
                value_width=192,
                looking_heads=4,  # of 48 channels: on a CPU a sample's place costs more than its channels
            ),
            autoencoder=AutoencoderConfig(widths=(32, 64, 128, 128), blocks_per_level=1),
        ),
        begin_of_text=0,
        begin_of_image=49152,
        image=49153,
        end_of_text=2,
        padding=0,
    )


def full() -> MMInterleavedConfig:
    """The released model: Vicuna-13B, CLIP ViT-L/14, Stable Diffusion 2.1 base; 14.9 B parameters, for a GPU."""
    return MMInterleavedConfig(
        vision=VisionEncoderConfig(width=1024, intermediate_size=4096, num_layers=24, num_heads=16),
        resampler=PerceiverResamplerConfig(
            num_queries=64, width=768, feature_width=1024, intermediate_size=3072, num_layers=12, num_heads=12
        ),
        decoder=LanguageDecoderConfig(
            vocab_size=32002,
            first_new_token=32000,
            num_new_tokens=2,
            hidden_size=5120,
            intermediate_size=13824,
            num_layers=40,
            num_heads=40,
            num_kv_heads=40,
            rms_norm_eps=1e-6,
            head_bias=True,
            synchronizer=FeatureSynchronizerConfig(token_width=5120, feature_width=1024, value_width=1024),
        ),
        image_decoder=ImageDecoderConfig(
            image_size=512,
            resampler=PerceiverResamplerConfig(
                num_queries=77,
                width=1024,
                feature_width=5120,
                intermediate_size=3072,
                num_layers=1,
                num_heads=16,
                look_every=1,
                head_norm=False,
            ),
            denoiser=DenoiserConfig(
                latent_width=64,
                widths=(320, 640, 1280, 1280),
                num_heads=(5, 10, 20, 20),
                attends=(True, True, True, False),
                condition_width=1024,
                feature_width=1024,
            ),
            autoencoder=AutoencoderConfig(widths=(128, 256, 512, 512)),
        ),
        begin_of_text=1,
        begin_of_image=32000,
        image=32001,
        end_of_text=2,
        padding=31999,
    )


PRESETS: dict[str, Callable[[], MMInterleavedConfig]] = {"tiny": tiny, "small": small, "full": full}


def preset(name: str) -> MMInterleavedConfig:
    """Returns the configuration of that name.

    Raises:
        UnknownNameError: If there is none; offers the nearest.
    """
    if name not in PRESETS:
        raise UnknownNameError.among("preset", name, PRESETS)
    return PRESETS[name]()
