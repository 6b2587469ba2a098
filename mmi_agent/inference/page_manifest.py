"""What decides how a page is continued, and what came out: records that repeat a run, as JSON."""

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from mmi_agent.checkpoints import files
from mmi_agent.errors import CheckpointError, ConfigError
from mmi_agent.inference.drawing import DrawSettings
from mmi_agent.inference.loading import MMInterleaved
from mmi_agent.inference.picture_references import file_of, find_references
from mmi_agent.inference.sampling import Sampling, check_seed
from mmi_agent.inference.structure import Part, Structure
from mmi_agent.inference.writing import Order
from mmi_agent.pictures import PictureStore
from mmi_agent.types import Picture, Text

__all__ = [
    "MANIFEST",
    "PAGE",
    "Output",
    "Page",
    "PageManifest",
    "PictureSource",
    "Setup",
    "WriteSettings",
    "differences",
    "read_page_manifest",
]

PAGE, MANIFEST = "page.md", "manifest.json"
_PACKAGES = ("mmi-agent", "torch", "diffusers", "transformers", "tokenizers", "numpy", "pillow")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PictureSource(_Record):
    """A picture of the page as it was found.

    Attributes:
        target: As the page names it.
        sha256: Of the file.
        digest: Of the PNG that was made of it.
    """

    target: str
    sha256: str
    digest: str


class Page(_Record):
    """A page that is to be continued.

    Attributes:
        name: Of its file, or "stdin".
        sha256: Of its bytes.
        markdown: Its text; pictures are named `pictures/<digest>.png`. One line end at its end is left out.
        pictures: Where they came from, in reading order.
    """

    name: str
    sha256: str
    markdown: str
    pictures: tuple[PictureSource, ...]

    def blocks(self, pictures: PictureStore) -> list[Text | Picture]:
        """Text and pictures in reading order.

        Args:
            pictures: Where the pictures are.

        Raises:
            ConfigError: If a picture is not there, or is not what it was.
        """
        blocks: list[Text | Picture] = []
        place = 0
        for reference in find_references(self.markdown):
            blocks.append(Text(text=self.markdown[place : reference.start]))
            blocks.append(_kept(Path(reference.target).stem, pictures))
            place = reference.end
        blocks.append(Text(text=self.markdown[place:]))
        return [block for block in blocks if not isinstance(block, Text) or block.text]


class WriteSettings(_Record):
    """What decides how a page is continued, besides the page and the model.

    Attributes:
        seed: Of the draws and of the drawings.
        max_tokens: Tokens of text and pictures, together.
        sampling: How tokens are chosen.
        structure: Parts that shall come in this order, or how many pictures; None leaves it to the model.
        drawing: How pictures are drawn.
    """

    seed: int = 0
    max_tokens: int = 256
    sampling: Sampling = Sampling()
    structure: tuple[Part, ...] | int | None = None
    drawing: DrawSettings = DrawSettings()

    @property
    def draws(self) -> bool:
        """Whether there can be a picture at all."""
        return self._structure().may_draw

    def check(self) -> None:
        """Refuses what cannot be met, before a model is loaded.

        Raises:
            ConfigError: Saying the smallest budget that would do, what excludes what, or that the seed is none.
        """
        check_seed(self.seed)
        order = Order(
            max_tokens=self.max_tokens,
            min_tokens=0,
            sampling=self.sampling,
            seed=self.seed,
            stop=(),
            grammar=None,
            structure=self._structure(),
        )
        order.check()

    def _structure(self) -> Structure:
        if self.structure is None:
            return Structure.up_to(0 if self.sampling.num_beams > 1 else None)
        return Structure.exactly(self.structure) if isinstance(self.structure, int) else Structure.of(self.structure)


class Setup(_Record):
    """The model, and what it ran on.

    Attributes:
        model: A preset or a folder.
        fingerprint: Of its weights, as `MMInterleaved.fingerprint`.
        device: As torch names it.
        hardware: The device's name; of a CPU, the instructions that torch uses.
        dtype: Of the weights.
        bits: Of the weights in the language decoder's layers, where they are quantized.
        offload: Whether the image decoder was kept off the device while nothing was drawn.
        threads: Of a computation on the CPU.
        versions: Of the packages that compute.
    """

    model: str
    fingerprint: str
    device: str
    hardware: str
    dtype: str
    bits: int | None
    offload: bool
    threads: int
    versions: dict[str, str]

    @classmethod
    def of(cls, loaded: MMInterleaved) -> "Setup":
        """Describes a loaded model here and now."""
        weight = loaded.model.decoder.norm.weight
        is_gpu = weight.device.type == "cuda"
        folder = Path(loaded.name)
        return cls(
            model=str(folder.resolve()) if (folder / files.MANIFEST).is_file() else loaded.name,
            fingerprint=loaded.fingerprint,
            device=str(weight.device),
            hardware=torch.cuda.get_device_name(weight.device) if is_gpu else torch.backends.cpu.get_cpu_capability(),
            dtype=str(weight.dtype).removeprefix("torch."),
            bits=loaded.bits,
            offload=loaded.offload,
            threads=torch.get_num_threads(),
            versions=dict(_versions()),
        )

    def prepare(self, loaded: MMInterleaved) -> None:
        """Makes sure that a model is this one, and has the CPU compute as it did.

        Raises:
            CheckpointError: If its weights are others.
        """
        if loaded.fingerprint != self.fingerprint:
            raise CheckpointError(
                f"the weights of {self.model} are others now: the manifest has {self.fingerprint[:12]}, "
                f"they have {loaded.fingerprint[:12]}; the run cannot be repeated with them"
            )
        torch.set_num_threads(self.threads)

    def changes(self, now: "Setup") -> list[str]:
        """What is not as it was, in words."""
        then_and_now = [("hardware", self.hardware, now.hardware)]
        names = sorted(self.versions.keys() | now.versions.keys())
        then_and_now += [(name, self.versions.get(name, "none"), now.versions.get(name, "none")) for name in names]
        return [f"{name} was {then}, is {here}" for name, then, here in then_and_now if then != here]


class Output(_Record):
    """A file that came out."""

    name: str
    sha256: str


class PageManifest(_Record):
    """Everything that decides what comes out, and what came out.

    Attributes:
        format: Of the manifest itself.
        page: What was given.
        settings: What was asked for.
        setup: What did it.
        dropped: Positions of the page's beginning that did not fit the model's window.
        outputs: The page, then the drawn pictures in their order.
    """

    format: Literal[1] = 1
    page: Page
    settings: WriteSettings
    setup: Setup
    dropped: int
    outputs: tuple[Output, ...]


def read_page_manifest(path: Path) -> PageManifest:
    """Reads a run's manifest.

    Args:
        path: The manifest, or the folder that it is in.

    Raises:
        ConfigError: If it is missing, or is none of ours.
    """
    file = path / MANIFEST if path.is_dir() else path
    try:
        return PageManifest.model_validate_json(file.read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{file} is no manifest of mmi generate: {place or 'it'}: {first['msg']}") from error


def differences(before: PageManifest, now: PageManifest) -> list[str]:
    """Says which outputs of two runs are not the same, byte for byte; none where all are."""
    missing = Output(name="", sha256="")
    count = max(len(before.outputs), len(now.outputs))
    then, again = ([*outputs, *[missing] * (count - len(outputs))] for outputs in (before.outputs, now.outputs))
    labels = [PAGE, *(f"picture {number}" for number in range(1, count))]
    return [
        f"{label} ({old.name or 'none'} before, {new.name or 'none'} now)" if old.name != new.name else label
        for label, old, new in zip(labels, then, again, strict=True)
        if old.sha256 != new.sha256
    ]


def _kept(digest: str, pictures: PictureStore) -> Picture:
    file = file_of(digest)
    try:
        data = pictures.get(digest)
    except KeyError:
        raise ConfigError(f"{file} is missing: it belongs to the page") from None
    if (found := hashlib.sha256(data).hexdigest()) != digest:
        raise ConfigError(f"{file} was changed: expected the SHA-256 of its name, found {found[:12]}...")
    return pictures.put(data)


def _versions() -> Iterator[tuple[str, str]]:
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            yield package, version(package)
