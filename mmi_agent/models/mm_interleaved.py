"""MM-Interleaved: text and pictures in any order go in, and hidden states from which either is written come out."""

# B rows, T tokens, P pictures of all rows, I pictures of the row with most, K visual tokens of a picture,
# S cells of a picture, F width of feature maps, C width of the language decoder, V vocabulary

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmi_agent.errors import ConfigError, ShapeError
from mmi_agent.models.feature_synchronizer import PictureMemory
from mmi_agent.models.image_decoder import ImageDecoder, ImageDecoderConfig
from mmi_agent.models.language_decoder import LanguageDecoder, LanguageDecoderConfig, Stretch
from mmi_agent.models.perceiver_resampler import PerceiverResamplerConfig
from mmi_agent.models.vision_encoder import VisionEncoderConfig
from mmi_agent.models.visual_tokenizer import VisualFeatures, VisualTokenizer

__all__ = ["InterleavedBatch", "MMInterleavedConfig", "MMInterleavedModel", "Reading", "RowLayout", "Scenes"]


@dataclass(frozen=True, kw_only=True)
class MMInterleavedConfig:
    """Sizes of an `MMInterleavedModel`, and the ids that mean something to it.

    Attributes:
        vision: Sizes of the vision encoder.
        resampler: Sizes of the resampler of visual tokens.
        decoder: Sizes of the language decoder.
        image_decoder: Sizes of the image decoder; None for a model that only reads.
        begin_of_text: Id before each document: in a row of several, no token looks at pictures before its own.
        begin_of_image: Id before each picture.
        image: Id that stands in place of each visual token.
        end_of_text: Id that ends what is written.
        padding: Id that fills up shorter rows.
    """

    vision: VisionEncoderConfig
    resampler: PerceiverResamplerConfig
    decoder: LanguageDecoderConfig
    image_decoder: ImageDecoderConfig | None = None
    begin_of_text: int
    begin_of_image: int
    image: int
    end_of_text: int
    padding: int

    def __post_init__(self) -> None:
        synchronizer = self.decoder.synchronizer
        if synchronizer and not set(synchronizer.level_widths) <= set(self.vision.map_widths):
            raise ConfigError(
                f"synchronizer.level_widths {synchronizer.level_widths} must be among the vision encoder's "
                f"{self.vision.map_widths}"
            )
        if drawing := self.image_decoder:
            found = (drawing.resampler.feature_width, drawing.denoiser.feature_width)
            if found != (self.decoder.hidden_size, self.vision.width):
                raise ConfigError(
                    f"image_decoder reads widths {found}, decoder and vision give "
                    f"{(self.decoder.hidden_size, self.vision.width)}"
                )
            if not set(drawing.denoiser.level_widths) <= set(self.vision.map_widths):
                raise ConfigError(
                    f"image_decoder.denoiser.level_widths {drawing.denoiser.level_widths} must be among the vision "
                    f"encoder's {self.vision.map_widths}"
                )

    def fake_batch(self, *, batch_size: int = 2, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Makes ids and pixels that fit: in each row text, a picture, and text."""
        generator = torch.Generator().manual_seed(seed)
        ids_BT = torch.randint(3, self.decoder.new_token_start, (batch_size, 2 * 6), generator=generator)
        picture_K = torch.tensor([self.begin_of_image] + [self.image] * self.resampler.num_queries)
        ids_BT = torch.cat([ids_BT[:, :6], picture_K.expand(batch_size, -1), ids_BT[:, 6:]], 1)
        ids_BT[:, 0] = self.begin_of_text
        side = self.vision.image_size
        return ids_BT, torch.rand(batch_size, 3, side, side, generator=generator)


class InterleavedBatch(NamedTuple):
    """Rows of text and pictures, ready for the language decoder."""

    embeddings: Tensor
    """(B, T, C)."""
    pictures: PictureMemory | None
    """I pictures a row, in their order; a row of fewer is filled up."""
    visible: Tensor | None
    """(B, T, I), true where a token may look at a picture."""


class RowLayout(NamedTuple):
    """Which tokens of a row belong together, where several documents stand in it."""

    positions: Tensor
    """(B, T), where each token stands in its document."""
    document: Tensor
    """(B, T), the number of the document, from 1 on: a token attends to its own, and looks at its pictures. 0 is what
    begins a row for all, and what fills it up."""

    def attends(self) -> Tensor | list[Stretch]:
        """What a token attends to, as `LanguageDecoder.forward` takes it."""
        if len(self.document) == 1:
            changes = (self.document[0].diff() != 0).nonzero().flatten()
            ends = [0, *(int(change) + 1 for change in changes), self.document.shape[1]]
            shared = ends[1] if self.document[0, 0] == 0 else 0
            device = self.document.device
            return [Stretch.of(begin, end, shared if begin else 0, device) for begin, end in pairwise(ends)]
        reader_BT1, read_B1S = self.document[..., None], self.document[:, None]
        return ((reader_BT1 == read_B1S) | (read_B1S == 0)).tril()


class Reading(NamedTuple):
    """What the model makes of a batch."""

    hidden: Tensor
    """(B, T, C), after the last norm."""
    logits: Tensor
    """(B, T, V)."""


class Scenes(NamedTuple):
    """What each picture of a batch is drawn from."""

    contexts: list[Tensor]
    """Hidden states (T, C) from the beginning of the picture's document up to its begin-of-image token."""
    previous: Tensor
    """(P,), which of all pictures stands before it in its document; -1 where none does."""


class MMInterleavedModel(nn.Module):
    """The whole model.

    A growing document needs `see`, `embed`, `embed_picture` and `project`, and calls the decoder with a cache and a
    `PictureMemory`; whole batches go through `forward`. Both give the same numbers. What is drawn, `image_decoder`
    draws, from the hidden states of a document or from the `scenes` of a batch.

    Args:
        config: The sizes.
        language_device: "meta" leaves the language weights to `LanguageDecoder.assign_language_weights`.

    Source: arXiv:2401.10208.
    """

    def __init__(self, config: MMInterleavedConfig, *, language_device: torch.device | str | None = None) -> None:
        super().__init__()
        self.config = config
        width = config.decoder.hidden_size
        self.visual_tokenizer = VisualTokenizer(config.vision, config.resampler, token_width=width)
        self.decoder = LanguageDecoder(config.decoder, language_device=language_device)
        self.image_decoder = ImageDecoder(config.image_decoder) if config.image_decoder else None
        self.begin_of_image = nn.Parameter(torch.zeros(width))

    @classmethod
    def build(
        cls, config: MMInterleavedConfig, *, seed: int = 0, language_weights: Mapping[str, Tensor] | None = None
    ) -> "MMInterleavedModel":
        """Makes a model whose weights follow from a seed, whatever was drawn before.

        Args:
            config: The sizes.
            seed: Of all weights that are not given.
            language_weights: One tensor for each of `LanguageDecoder.language_weight_names`, taken over as they are.

        Raises:
            CheckpointError: If the language weights do not fit.
        """
        state = torch.get_rng_state()
        try:
            torch.default_generator.manual_seed(seed)
            model = cls(config, language_device=None if language_weights is None else "meta")
        finally:
            torch.set_rng_state(state)
        if language_weights is not None:
            model.decoder.assign_language_weights(language_weights)
        return model

    def see(self, pixels_PCHW: Tensor) -> VisualFeatures:
        """Looks at pictures: RGB in 0..1, `image_size` high and wide.

        Raises:
            ShapeError: If the pictures have another size.
        """
        return self.visual_tokenizer(pixels_PCHW)

    def project(self, seen: VisualFeatures, picture_BI: Tensor | None = None) -> list[Tensor]:
        """Projects the feature maps of pictures for every synchronizer, as `PictureMemory` holds them.

        Args:
            seen: The pictures.
            picture_BI: Which picture stands where, as indices; None puts all into one row.
        """
        if self.config.decoder.synchronizer is None:
            return []
        cells_PSF = seen.cells(self.config.decoder.synchronizer.level_widths)
        return self.decoder.project_pictures(cells_PSF[None] if picture_BI is None else cells_PSF[picture_BI])

    def embed(self, ids_BT: Tensor) -> Tensor:
        """Embeds text; the begin-of-image id gets its learnt vector. Shape (B, T, C)."""
        is_begin_BT1 = (ids_BT == self.config.begin_of_image)[..., None]
        return self.decoder.embed(ids_BT) + is_begin_BT1 * self.begin_of_image

    def embed_picture(self, seen: VisualFeatures, index: int = 0) -> Tensor:
        """Embeds one picture with its begin-of-image id: shape (1, 1 + K, C).

        The begin-of-image token does not look at the picture, the visual tokens do: it starts at the second position.
        """
        begin_11 = torch.tensor([[self.config.begin_of_image]], device=seen.tokens.device)
        return torch.cat([self.embed(begin_11), seen.tokens[index][None]], 1)

    def merge(self, ids_BT: Tensor, seen: VisualFeatures | None, document_BT: Tensor | None = None) -> InterleavedBatch:
        """Puts visual tokens in their places and finds out which token looks at which picture.

        A token looks at the pictures of its own document whose visual tokens have begun: a picture's own visual
        tokens look at it, its begin-of-image token does not.

        Args:
            ids_BT: Text, with a begin-of-image id and K image ids for each picture.
            seen: The pictures, in the order of rows and, within rows, of tokens.
            document_BT: The number of each token's document; None counts begin-of-text ids.

        Raises:
            ShapeError: If there are more or fewer pictures than the ids have places for.
        """
        embeddings_BTC = self.embed(ids_BT)
        is_visual_BT = ids_BT == self.config.image
        starts_BT = is_visual_BT & F.pad(ids_BT == self.config.begin_of_image, (1, 0))[:, :-1]
        places = (int(starts_BT.sum()), int(is_visual_BT.sum()))
        given = (0, 0) if seen is None else (len(seen), seen.tokens.shape[:2].numel())
        if places != given:
            raise ShapeError(f"the ids have places for (pictures, visual tokens) {places}, given were {given}")
        if seen is None or len(seen) == 0:
            return InterleavedBatch(embeddings_BTC, None, None)

        visual_XC = seen.tokens.flatten(0, 1).to(embeddings_BTC.dtype)
        embeddings_BTC = embeddings_BTC.masked_scatter(is_visual_BT[..., None], visual_XC)
        start_BI, picture_BI = _pictures_of_rows(starts_BT)
        values = self.project(seen, picture_BI)
        if document_BT is None:
            document_BT = (ids_BT == self.config.begin_of_text).cumsum(1)
        visible_BTI = _visible(document_BT, start_BI)
        return InterleavedBatch(embeddings_BTC, PictureMemory(values, starts=None), visible_BTI)

    def forward(
        self, ids_BT: Tensor, pixels_PCHW: Tensor | None = None, attention_mask_BT: Tensor | None = None
    ) -> Reading:
        """Reads whole rows of text and pictures.

        Args:
            ids_BT: Text, with a begin-of-image id and K image ids for each picture.
            pixels_PCHW: The pictures, in the order of rows and, within rows, of tokens; RGB in 0..1.
            attention_mask_BT: Nonzero for tokens, 0 for padding. With padding on the right it changes nothing but
                the hidden states of the padding itself.

        Raises:
            ShapeError: If there are more or fewer pictures than places for them, or they have a wrong size.
        """
        return self.read(ids_BT, None if pixels_PCHW is None else self.see(pixels_PCHW), attention_mask_BT)

    def read(
        self, ids_BT: Tensor, seen: VisualFeatures | None = None, attention_mask_BT: Tensor | None = None
    ) -> Reading:
        """Reads whole rows of text and of pictures that were seen before; see `forward`."""
        attend_BTS = None
        if attention_mask_BT is not None:
            attend_BTS = attention_mask_BT.bool()[:, None].expand(-1, ids_BT.shape[1], -1).tril()
        batch = self.merge(ids_BT, seen)
        hidden_BTC = self.decoder(
            batch.embeddings, pictures=batch.pictures, visible_BTI=batch.visible, attend_BTS=attend_BTS
        )
        return Reading(hidden_BTC, self.decoder.logits(hidden_BTC))

    def read_rows(self, ids_BT: Tensor, layout: RowLayout, seen: VisualFeatures | None = None) -> Tensor:
        """Reads rows in which several documents stand.

        Args:
            ids_BT: Text, with a begin-of-image id and K image ids for each picture.
            layout: Which tokens belong together.
            seen: The pictures, in the order of rows and, within rows, of tokens.

        Returns:
            Hidden states (B, T, C), for each document those of reading it by itself. Logits are left to the caller,
            who may want few of them.

        Raises:
            ShapeError: If there are more or fewer pictures than places for them.
        """
        batch = self.merge(ids_BT, seen, layout.document)
        return self.decoder(
            batch.embeddings,
            pictures=batch.pictures,
            visible_BTI=batch.visible,
            attend_BTS=layout.attends(),
            positions_BT=layout.positions,
        )

    def scenes(self, ids_BT: Tensor, hidden_BTC: Tensor, begins_P: Tensor | None = None) -> Scenes:
        """Finds what each picture of a batch is drawn from.

        Args:
            ids_BT: What was read.
            hidden_BTC: What came of it.
            begins_P: For each picture the position in its row where its document begins; None is the row's beginning.
        """
        row_P, end_P = (ids_BT == self.config.begin_of_image).nonzero(as_tuple=True)
        begins_P = torch.zeros_like(end_P) if begins_P is None else begins_P
        places_P3: Any = torch.stack([row_P, begins_P, end_P], 1)
        places = places_P3.tolist()  # all at once: a GPU is waited for each time
        contexts = [hidden_BTC[row, begin : end + 1] for row, begin, end in places]
        follows_P = (row_P == row_P.roll(1)) & (end_P.roll(1) >= begins_P) & (end_P > end_P.roll(1))
        previous_P = torch.where(follows_P, torch.arange(-1, len(row_P) - 1, device=row_P.device), -1)
        return Scenes(contexts, previous_P)

    def look_back(self, seen: VisualFeatures, previous_P: Tensor) -> tuple[list[Tensor], Tensor]:
        """Projects the picture before each picture for the synchronizers of the image decoder.

        Args:
            seen: All pictures.
            previous_P: Which of them stands before, -1 where none does.

        Returns:
            Values as `Denoiser.project` returns them, and whether there is anything to look at, (P, 1).
        """
        decoder = self.drawing
        cells_PSF = seen.cells(decoder.config.denoiser.level_widths)[previous_P.clamp(min=0)]
        return decoder.denoiser.project(cells_PSF[:, None]), (previous_P >= 0)[:, None]

    @property
    def drawing(self) -> ImageDecoder:
        """The image decoder.

        Raises:
            ConfigError: If the model has none.
        """
        if self.image_decoder is None:
            raise ConfigError("this model has no image decoder: the presets tiny, small and full have one")
        return self.image_decoder


def _pictures_of_rows(starts_BT: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers the pictures of each row.

    Args:
        starts_BT: True at the first visual token of each picture.

    Returns:
        Position of each picture's first visual token, -1 where a row has no such picture, and which of all pictures
        it is, any where a row has none; both (B, I).
    """
    row_P, position_P = starts_BT.nonzero(as_tuple=True)
    number_P = starts_BT.cumsum(1)[row_P, position_P] - 1
    start_BI = starts_BT.new_full((len(starts_BT), int(number_P.max()) + 1), -1, dtype=torch.long)
    picture_BI = torch.zeros_like(start_BI)
    start_BI[row_P, number_P] = position_P
    picture_BI[row_P, number_P] = torch.arange(len(row_P), device=row_P.device)
    return start_BI, picture_BI


def _visible(document_BT: Tensor, start_BI: Tensor) -> Tensor:
    """Whether a token may look at a picture: one of its own document that has begun."""
    position_T = torch.arange(document_BT.shape[1], device=document_BT.device)
    document_of_picture_B1I = document_BT.gather(1, start_BI.clamp(min=0))[:, None]
    has_begun_BTI = start_BI[:, None] <= position_T[:, None]
    return has_begun_BTI & (start_BI >= 0)[:, None] & (document_of_picture_B1I == document_BT[..., None])
