"""Networks that make numbers of pictures: features for a distance, and CLIP for likeness.

They are the user's, in a folder of transformers' form with safetensors; nothing is downloaded and no code of the
folder is run.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from mmi_agent.errors import CheckpointError
from mmi_agent.evaluation.metrics.libraries import from_library
from mmi_agent.quiet_imports import quiet_imports

__all__ = ["ClipNetwork", "FeatureNetwork", "VisionNetwork", "in_batches"]


class FeatureNetwork(Protocol):
    """What makes features of pictures: of yours too, if it has this method."""

    def features(self, pictures: Sequence[Image.Image]) -> Any:
        """Features of RGB pictures, a float tensor of shape (pictures, width)."""
        ...


class VisionNetwork:
    """A vision model of transformers as a feature network: CLIP's picture embedding, or the pooled output of another.

    Args:
        folder: Where its config, its weights and its `preprocessor_config.json` are.
        device: As torch names it.

    Raises:
        CheckpointError: If it cannot be loaded.
    """

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        self._model, self._process = _loaded(folder, device)
        self._device = device

    def features(self, pictures: Sequence[Image.Image]) -> Any:
        """Features of RGB pictures, a float tensor of shape (pictures, width)."""
        import torch

        pixels = self._process(images=list(pictures), return_tensors="pt")["pixel_values"].to(self._device)
        with torch.inference_mode():
            embed: Callable[[Any], Any] = getattr(self._model, "get_image_features", self._model)
            return _pooled(embed(pixels)).float()


class ClipNetwork(VisionNetwork):
    """CLIP: pictures and texts in one space.

    Args:
        folder: As for `VisionNetwork`, with the tokenizer beside it.
        device: As torch names it.

    Raises:
        CheckpointError: If it cannot be loaded.
    """

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        super().__init__(folder, device)
        if not hasattr(self._model, "get_text_features"):
            raise CheckpointError(f"{folder} holds no model of pictures and texts, such as CLIP")
        with _explained(folder):
            self._tokenize = from_library("transformers", "AutoTokenizer").from_pretrained(
                folder, local_files_only=True
            )

    def text_features(self, texts: Sequence[str]) -> Any:
        """Features of texts, a float tensor of shape (texts, width); what is longer than the window is cut off."""
        import torch

        window = self._model.config.text_config.max_position_embeddings
        tokens = self._tokenize(list(texts), padding=True, truncation=True, max_length=window, return_tensors="pt")
        with torch.inference_mode():
            return _pooled(
                self._model.get_text_features(
                    input_ids=tokens["input_ids"].to(self._device),
                    attention_mask=tokens["attention_mask"].to(self._device),
                )
            ).float()


def in_batches(items: Sequence[Any], size: int = 32) -> Iterator[Sequence[Any]]:
    """Yields the items in runs of `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _loaded(folder: Path, device: str) -> tuple[Any, Any]:
    build, prepare = (from_library("transformers", name) for name in ("AutoModel", "AutoImageProcessor"))
    from_library("transformers.utils.logging", "disable_progress_bar")()
    with _explained(folder), quiet_imports():
        process = prepare.from_pretrained(folder, local_files_only=True)
        return build.from_pretrained(folder, local_files_only=True, use_safetensors=True).eval().to(device), process


@contextmanager
def _explained(folder: Path) -> Generator[None]:
    """Turns what transformers says of a folder into one line."""
    try:
        yield
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise CheckpointError(
            f"{folder} cannot be loaded: {said[0][:200]}; expected a folder as save_pretrained of transformers "
            "writes it, with model.safetensors and preprocessor_config.json"
        ) from error


def _pooled(output: Any) -> Any:
    pooled = getattr(output, "pooler_output", output)
    return output.last_hidden_state.mean(dim=1) if pooled is None else pooled
