"""The front door: a preset or a converted folder becomes a model with its tokenizer, ready to read and write."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from mmi_agent.checkpoints.smollm2 import ensure_smollm2, load_language_weights, load_tokenizer
from mmi_agent.errors import ConfigError
from mmi_agent.inference.document import Document
from mmi_agent.inference.tokenizer import Tokenizer
from mmi_agent.models.configs import preset as preset_config
from mmi_agent.models.mm_interleaved import MMInterleavedModel
from mmi_agent.pictures import MemoryPictures, PictureStore

__all__ = ["MMInterleaved"]


@dataclass(frozen=True, kw_only=True)
class MMInterleaved:
    """A model that can read and write, and its tokenizer.

    Attributes:
        preset: Its name.
        model: The model, in evaluation mode.
        tokenizer: Its tokenizer.
        sees: Whether its eyes are of any use; those of `small` are not trained yet.
    """

    preset: str
    model: MMInterleavedModel
    tokenizer: Tokenizer
    sees: bool

    @classmethod
    def from_pretrained(
        cls,
        name: str = "small",
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        weights: str | None = None,
        progress: Callable[[str], None] | None = None,
        seed: int = 0,
    ) -> "MMInterleaved":
        """Loads a preset.

        Args:
            name: "tiny" (random weights, in a moment) or "small".
            device: Where the model goes.
            dtype: Of the weights. On CPUs without bfloat16 instructions float32 is ten times faster.
            weights: Where the language weights of `small` are; None looks in the cache and fetches them once.
            progress: Told what is being done while it takes long.
            seed: Of the weights that are not trained.

        Raises:
            UnknownNameError: If there is no such preset.
            CheckpointError: If weights are missing or damaged.
            ConfigError: If weights are given for `tiny`, which has none.
        """
        config = preset_config(name)
        if name == "tiny":
            if weights is not None:
                raise ConfigError("the preset 'tiny' has random weights only: leave the weights out, or choose 'small'")
            model, tokenizer = MMInterleavedModel.build(config, seed=seed), Tokenizer.byte_level()
        else:
            folder = ensure_smollm2(weights, progress=progress)
            model = MMInterleavedModel.build(config, seed=seed, language_weights=load_language_weights(folder))
            tokenizer = Tokenizer(load_tokenizer(folder))
        model = model.to(device=device, dtype=dtype).eval()
        return cls(preset=name, model=model, tokenizer=tokenizer, sees=name == "tiny")

    @property
    def picture_positions(self) -> int:
        """Positions that a picture takes in the model's window: its begin-of-image token and its visual tokens."""
        return 1 + self.model.config.resampler.num_queries

    def open(self, pictures: PictureStore | None = None) -> Document:
        """Opens an empty document.

        Args:
            pictures: Where pictures are kept by digest; None keeps them in memory.
        """
        return Document(self.model, self.tokenizer, pictures or MemoryPictures())
