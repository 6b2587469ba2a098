"""Presets by name: a model with its tokenizer, ready to read."""

from collections.abc import Callable
from dataclasses import dataclass

from mmi_agent.checkpoints.smollm2 import ensure_smollm2, load_language_weights, load_tokenizer
from mmi_agent.errors import ConfigError
from mmi_agent.inference.document import Document
from mmi_agent.inference.tokenizer import Tokenizer
from mmi_agent.models.configs import preset as preset_config
from mmi_agent.models.mm_interleaved import MMInterleaved

__all__ = ["LoadedModel", "load_model"]


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model that can read and write.

    Attributes:
        preset: Its name.
        model: The model, in evaluation mode.
        tokenizer: Its tokenizer.
        sees: Whether its eyes are of any use; those of `small` are not trained yet.
    """

    preset: str
    model: MMInterleaved
    tokenizer: Tokenizer
    sees: bool

    @property
    def picture_positions(self) -> int:
        """Positions that a picture takes in the model's window: its begin-of-image token and its visual tokens."""
        return 1 + self.model.config.resampler.num_queries

    def open(self, load: Callable[[str], bytes]) -> Document:
        """Opens an empty document.

        Args:
            load: Returns the PNG file of a digest.
        """
        return Document(self.model, load)


def load_model(
    preset: str = "small", *, weights: str | None = None, progress: Callable[[str], None] | None = None, seed: int = 0
) -> LoadedModel:
    """Loads a preset.

    Args:
        preset: "tiny" (random weights, in a moment) or "small".
        weights: Where the language weights of `small` are; None looks in the cache and fetches them once.
        progress: Told what is being done while it takes long.
        seed: Of the weights that are not trained.

    Raises:
        UnknownNameError: If there is no such preset.
        CheckpointError: If weights are missing or damaged.
        ConfigError: If weights are given for `tiny`, which has none.
    """
    config = preset_config(preset)
    if preset == "tiny":
        if weights is not None:
            raise ConfigError("the preset 'tiny' has random weights only: leave the weights out, or choose 'small'")
        model = MMInterleaved.build(config, seed=seed)
        return LoadedModel(preset=preset, model=model.eval(), tokenizer=Tokenizer.byte_level(), sees=True)
    folder = ensure_smollm2(weights, progress=progress)
    model = MMInterleaved.build(config, seed=seed, language_weights=load_language_weights(folder))
    return LoadedModel(preset=preset, model=model.eval(), tokenizer=Tokenizer(load_tokenizer(folder)), sees=False)
