"""How much memory a model takes, known from its sizes alone: nothing is loaded, nothing is fetched.

Weights, cache and pictures are counted; what is needed while computing is estimated, by the formulas in
`Footprint.reading_bytes` and `Footprint.drawing_bytes`.
"""

from dataclasses import dataclass
from math import prod
from typing import Literal

from mmi_agent.checkpoints.converted import expected_shapes
from mmi_agent.models.mm_interleaved import MMInterleavedConfig

__all__ = ["PRECISIONS", "Footprint", "Precision", "footprint", "parameters_per_part"]

Precision = Literal["float32", "bfloat16", "int8", "int4"]
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16", "int8", "int4")

_PARTS: tuple[str, ...] = ("eyes", "decoder layers", "rest of the decoder", "image decoder")
_GROUP = 128  # weights that share a scale and a zero point in int4


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """Bytes that a model takes in one precision.

    Attributes:
        precision: int8 and int4 stand for the decoder's attention and feed-forward weights, beside bfloat16.
        reader_bytes: Weights of everything but the image decoder.
        image_decoder_bytes: Weights of the image decoder.
        cache_bytes: Keys and values of a full window.
        pictures_bytes: Feature maps and projected features of as many pictures as fill a window.
        reading_bytes: Estimated working memory of reading a full window at once: 8 tensors of the decoder's width and
            3 of its feed-forward's for each token, and one row of logits.
        drawing_bytes: Estimated working memory of drawing: 4 maps of the autoencoder's second width at the size of the
            picture, where its memory peaks, or the denoiser's skip connections twice over for two rows, if that is
            more.
    """

    precision: Precision
    reader_bytes: int
    image_decoder_bytes: int
    cache_bytes: int
    pictures_bytes: int
    reading_bytes: int
    drawing_bytes: int

    @property
    def weights_bytes(self) -> int:
        """All weights."""
        return self.reader_bytes + self.image_decoder_bytes

    def to_write(self, *, offloaded: bool) -> int:
        """What reading and writing takes with a full window.

        Args:
            offloaded: Whether the image decoder is kept elsewhere while nothing is drawn.
        """
        resting = 0 if offloaded else self.image_decoder_bytes
        return self.reader_bytes + resting + self.cache_bytes + self.pictures_bytes + self.reading_bytes

    def to_draw(self) -> int:
        """What drawing takes with a full window: an image decoder that is kept elsewhere comes back for it."""
        return self.weights_bytes + self.cache_bytes + self.pictures_bytes + self.drawing_bytes


def parameters_per_part(config: MMInterleavedConfig) -> dict[str, int]:
    """Parameters of each part: what sees, the decoder's layers, the rest of the decoder, what draws."""
    parts = dict.fromkeys(_PARTS, 0)
    for name, shape in expected_shapes(config).items():
        parts[_part(name)] += prod(shape)
    return parts


def footprint(config: MMInterleavedConfig, precision: Precision) -> Footprint:
    """Counts and estimates what a model takes."""
    size = 4 if precision == "float32" else 2
    per_part = dict.fromkeys(_PARTS, 0)
    for name, shape in expected_shapes(config).items():
        per_part[_part(name)] += _stored_bytes(shape, size, precision if _part(name) == "decoder layers" else None)
    drawn = per_part.pop("image decoder")
    decoder, window = config.decoder, config.decoder.max_positions
    tokens = window * (8 * decoder.hidden_size + 3 * decoder.intermediate_size) + decoder.num_tokens
    return Footprint(
        precision=precision,
        reader_bytes=sum(per_part.values()),
        image_decoder_bytes=drawn,
        cache_bytes=2 * decoder.num_layers * window * decoder.num_kv_heads * decoder.head_width * size,
        pictures_bytes=window // (1 + config.resampler.num_queries) * _picture_numbers(config) * size,
        reading_bytes=tokens * size,
        drawing_bytes=_drawing_numbers(config) * size,
    )


def _part(name: str) -> str:
    if name.startswith("visual_tokenizer."):
        return "eyes"
    if name.startswith("image_decoder."):
        return "image decoder"
    return "decoder layers" if ".attention." in name or ".feed_forward." in name else "rest of the decoder"


def _stored_bytes(shape: tuple[int, ...], size: int, precision: Precision | None) -> int:
    """Bytes of a tensor; a quantised one has a scale for each row, or scale and zero point for each group."""
    if precision == "int8":
        return prod(shape) + shape[0] * size
    if precision == "int4":
        return prod(shape) // 2 + -(-prod(shape) // _GROUP) * 2 * size
    return prod(shape) * size


def _picture_numbers(config: MMInterleavedConfig) -> int:
    """Numbers that are kept of a picture: its maps, its tokens, and what each synchronizer made of them."""
    maps = sum(side**2 for side in config.vision.map_widths) * config.vision.width
    tokens = config.resampler.num_queries * config.decoder.hidden_size
    synchronizer = config.decoder.synchronizer
    if synchronizer is None:
        return maps + tokens
    cells = sum(side**2 for side in synchronizer.level_widths)
    return maps + tokens + len(config.decoder.synchronized_layers) * cells * synchronizer.value_width


def _drawing_numbers(config: MMInterleavedConfig) -> int:
    if config.image_decoder is None:
        return 0
    drawing = config.image_decoder
    decoding = 4 * drawing.autoencoder.widths[:2][-1] * drawing.image_size**2
    denoising = 2 * 2 * sum(width * side**2 for width, side in drawing.denoiser.skips)
    return max(decoding, denoising)
