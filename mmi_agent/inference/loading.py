"""The front door: a preset or a converted folder becomes a model with its tokenizer, ready to read, write and draw."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from mmi_agent.checkpoints.adapters import AdapterManifest, fits, holds_adapter, put_on
from mmi_agent.checkpoints.converted import MODEL, default_folder, load_converted, load_converted_tokenizer
from mmi_agent.checkpoints.files import MANIFEST, TRAINED, Manifest, read_manifest
from mmi_agent.checkpoints.smollm2 import ensure_smollm2, load_language_weights, load_tokenizer
from mmi_agent.errors import CheckpointError, ConfigError, UnknownNameError
from mmi_agent.inference.compiled import CompiledDecoder
from mmi_agent.inference.document import Document
from mmi_agent.inference.quantization import quantize
from mmi_agent.inference.tokenizer import Tokenizer
from mmi_agent.models.configs import PRESETS, preset
from mmi_agent.models.mm_interleaved import MMInterleavedConfig, MMInterleavedModel
from mmi_agent.pictures import MemoryPictures, PictureStore

__all__ = ["MMInterleaved", "converted_tokenizer", "has_eyes", "shipped_adapter"]

_VICUNA_END = "</s>"


@dataclass(frozen=True, kw_only=True)
class MMInterleaved:
    """A model that reads, writes and draws, and its tokenizer.

    Attributes:
        name: Of the preset, or of the folder that it came from.
        model: The model, in evaluation mode.
        tokenizer: Its tokenizer.
        sees: Whether its eyes are of any use; those of `small` are not trained yet.
        fingerprint: SHA-256 of what decides the weights: the sizes, the digests of the files, the seed of the rest.
        bits: Of the weights in the language decoder's layers; None where they are of the model's dtype.
        offload: Whether the image decoder is kept off the device while nothing is drawn.
        compiled: What documents read single tokens with, if `compile` was called.
        adapter: What is known of the weights that were trained on top; None for the bare preset.
    """

    name: str
    model: MMInterleavedModel
    tokenizer: Tokenizer
    sees: bool
    fingerprint: str
    bits: int | None = None
    offload: bool = False
    compiled: CompiledDecoder | None = None
    adapter: AdapterManifest | None = None

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path = "small",
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype | None = None,
        bits: int | None = None,
        draws: bool = True,
        offload: bool = False,
        weights: str | None = None,
        progress: Callable[[str], None] | None = None,
        seed: int = 0,
    ) -> "MMInterleaved":
        """Loads a preset, or a folder that `mmi weights convert` made.

        Args:
            name: "tiny" (random weights, in a moment), "small" (language weights are fetched once; eyes and hand are
                not trained yet), "full" (what `mmi weights fetch full` made), or a folder.
            device: Where the model goes.
            dtype: Of the weights; None is float32 for presets with random parts, and what is stored for the others.
                On CPUs without bfloat16 instructions float32 is ten times faster.
            bits: Of the weights in the language decoder's layers: 16 for speed on an x86 CPU, 8 or 4 to save
                memory; None leaves them as they are.
            draws: Whether the image decoder is wanted. Without it the model reads and writes text, and is there
                seconds sooner.
            offload: Whether the image decoder stays on the CPU, and is brought to the device for each drawing.
            weights: A folder of weights that `mmi train` made on top of these; "base" goes without the ones that come
                with a preset. For `small` also where its language weights are: None looks in the cache and fetches
                them once.
            progress: Told what is being done while it takes long.
            seed: Of the weights that are not trained.

        Raises:
            UnknownNameError: If there is no such preset and no such folder.
            CheckpointError: If weights are missing or damaged.
            ConfigError: If weights are given for anything but `small`, or device or bits cannot be had here.
            MissingDependencyError: If bits are given and torchao is not installed.
        """
        _expect_device(device)
        adapter, weights = _adapter_and_source(str(name), weights)
        folder = default_folder() if name == "full" else Path(name)
        if (folder / MANIFEST).is_file():
            straight_to = device if bits is None and not offload else "cpu"
            loaded = cls._from_folder(folder, str(name), straight_to, dtype, draws=draws)
        elif name in PRESETS and name != "full":
            loaded = cls._from_preset(str(name), dtype or torch.float32, weights, progress, draws=draws, seed=seed)
        elif name == "full":
            raise CheckpointError(f"the preset 'full' is not at {folder}: run mmi weights fetch full")
        elif folder.exists():
            raise CheckpointError(f"{folder} has no {MANIFEST}: make it one with mmi weights convert")
        else:
            raise UnknownNameError.among("preset or folder", str(name), PRESETS)
        if adapter is not None:
            loaded = loaded._with_adapter(adapter)
        if bits is not None:
            quantize(loaded.model.decoder, bits, device=device)
        _bring(loaded.model, device, offload=offload)
        return replace(loaded, bits=bits, offload=offload)

    @classmethod
    def _from_preset(
        cls,
        name: str,
        dtype: torch.dtype,
        weights: str | None,
        progress: Callable[[str], None] | None,
        *,
        draws: bool,
        seed: int,
    ) -> "MMInterleaved":
        config = preset(name)
        config = config if draws else replace(config, image_decoder=None)
        manifest: Manifest | None = None
        if name == "tiny":
            model, tokenizer = MMInterleavedModel.build(config, seed=seed), Tokenizer.byte_level()
        else:
            folder = ensure_smollm2(weights, progress=progress)
            manifest = read_manifest(folder)
            model = MMInterleavedModel.build(config, seed=seed, language_weights=load_language_weights(folder))
            tokenizer = Tokenizer(load_tokenizer(folder))
        fingerprint = _fingerprint(config, manifest, seed)
        model = model.to(dtype).eval()
        return cls(name=name, model=model, tokenizer=tokenizer, sees=has_eyes(name), fingerprint=fingerprint)

    @classmethod
    def _from_folder(
        cls, folder: Path, name: str, device: torch.device | str, dtype: torch.dtype | None, *, draws: bool
    ) -> "MMInterleaved":
        manifest = read_manifest(folder)
        if manifest.model != MODEL:
            raise CheckpointError(f"{folder} holds {manifest.model}, not a whole {MODEL}: name the preset instead")
        model = load_converted(folder, device=device, dtype=dtype, draws=draws)
        tokenizer = converted_tokenizer(folder)
        fingerprint = _fingerprint(model.config, manifest, None)
        return cls(name=name, model=model, tokenizer=tokenizer, sees=True, fingerprint=fingerprint)

    def _with_adapter(self, folder: Path) -> "MMInterleaved":
        shipped = shipped_adapter(self.name)
        is_second = shipped is not None and folder != shipped and not fits(self.model, folder)
        loaded = self
        for each in (shipped, folder) if shipped and is_second else (folder,):  # trained on top of what comes trained
            manifest = put_on(loaded.model, each)
            files = sorted(record.sha256 for record in manifest.files.values())
            fingerprint = hashlib.sha256(repr((loaded.fingerprint, files)).encode()).hexdigest()
            loaded = replace(loaded, adapter=manifest, fingerprint=fingerprint)
        return loaded

    @property
    def caution(self) -> str:
        """What whoever reads its texts and looks at its pictures has to know; empty for a trained model."""
        if self.name == "tiny":
            return "tiny has random weights: what it writes and draws is noise"
        if self.sees:
            return ""
        return f"{self.name} was not trained to see or to draw yet: what it says of pictures and draws is noise"

    @property
    def picture_positions(self) -> int:
        """Positions that a picture takes in the model's window: its begin-of-image token and its visual tokens."""
        return 1 + self.model.config.resampler.num_queries

    def open(self, pictures: PictureStore | None = None) -> Document:
        """Opens an empty document.

        Args:
            pictures: Where pictures are kept by digest; None keeps them in memory.
        """
        return Document(self.model, self.tokenizer, pictures or MemoryPictures(), decoder=self.compiled)

    def compile(self, *, tokens: int = 1024, pictures: int = 16) -> "MMInterleaved":
        """Returns the model with writing compiled: the same numbers, faster after a minute at the first token.

        Args:
            tokens: Room for so many in a document; more compile again.
            pictures: Likewise.

        Raises:
            ConfigError: If its weights have 16 bits.
        """
        if self.bits == 16:
            raise ConfigError("FBGEMM's kernels of 16 bits cannot be compiled: load the model without bits")
        return replace(self, compiled=CompiledDecoder(self.model.decoder, tokens=tokens, pictures=pictures))


def converted_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a folder that `mmi weights convert` made.

    Raises:
        CheckpointError: If it is not there.
    """
    return Tokenizer(load_converted_tokenizer(folder), end_of_turn=_VICUNA_END)


def has_eyes(preset: str) -> bool:
    """Whether a preset's eyes are of any use: those of `small` are not trained yet."""
    return preset != "small"


def shipped_adapter(preset: str) -> Path | None:
    """The folder of the trained weights that come with a preset; None where it has none."""
    folder = TRAINED / preset
    return folder if holds_adapter(folder) else None


def _adapter_and_source(name: str, weights: str | None) -> tuple[Path | None, str | None]:
    """What `weights` means for a preset: the adapter to put on, and where language weights come from."""
    shipped = shipped_adapter(name)
    if weights is None or weights == "base":
        return (None if weights else shipped), None
    if holds_adapter(Path(weights)):
        return Path(weights), None
    if name != "small":
        raise ConfigError(
            f"weights {weights!r} for {name!r}: expected 'base', or a folder that mmi train export made; only 'small' "
            "takes language weights from elsewhere"
        )
    return shipped, weights


def _expect_device(device: torch.device | str) -> None:
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # what torch raises differs by build
        reason = str(error).splitlines()[0]
        raise ConfigError(f"the device {str(device)!r} is not to be had here ({reason}): cpu always is") from error


def _bring(model: MMInterleavedModel, device: torch.device | str, *, offload: bool) -> None:
    """Moves a model to a device; an image decoder that is to be offloaded stays where it is."""
    hand = model.image_decoder
    if offload:
        model.image_decoder = None
    model.to(device=device)
    model.image_decoder = hand


def _fingerprint(config: MMInterleavedConfig, manifest: Manifest | None, seed: int | None) -> str:
    files = sorted(record.sha256 for record in manifest.files.values()) if manifest else []
    return hashlib.sha256(repr((config, files, seed)).encode()).hexdigest()
