"""A Markdown page with pictures goes in, its continuation with pictures comes out, and a manifest that repeats it.

Knows Markdown, documents and folders; nothing of terminals. What a page holds is data: its text becomes no marker, its
pictures are files of this machine and nothing is fetched, and what the model wrote can name no picture of its own.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from secrets import token_hex
from typing import Literal, NamedTuple
from urllib.parse import unquote, urlsplit

import torch
from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.image import image as _image_rule
from markdown_it.token import Token
from pydantic import BaseModel, ConfigDict, ValidationError

from mmi_agent.errors import ActionError, CheckpointError, ConfigError
from mmi_agent.inference.document import Document, Dropped
from mmi_agent.inference.drawing import DrawSettings
from mmi_agent.inference.loading import MMInterleaved
from mmi_agent.inference.sampling import Sampling
from mmi_agent.inference.structure import Part, Structure
from mmi_agent.inference.writing import Order, Piece, gather
from mmi_agent.pictures import PictureStore
from mmi_agent.types import Picture, Text

__all__ = [
    "MANIFEST",
    "PAGE",
    "PICTURES",
    "Output",
    "Page",
    "PageManifest",
    "PageRun",
    "PictureSource",
    "Reference",
    "Setup",
    "WriteSettings",
    "copy_pictures",
    "differences",
    "find_references",
    "output_folder",
    "read_page",
    "read_page_manifest",
    "reference_to",
    "without_pictures",
]

PAGE, MANIFEST, PICTURES = "page.md", "manifest.json", "pictures"
_PACKAGES = ("mmi-agent", "torch", "diffusers", "transformers", "tokenizers", "numpy", "pillow")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Reference(NamedTuple):
    """A picture that a page names.

    Attributes:
        start: First character of `![...](...)`.
        end: The character after it.
        line: Its line, counted from 1.
        alt: What stands for it, as it is written.
        title: What is shown beside it, maybe nothing.
        target: Where it is.
    """

    start: int
    end: int
    line: int
    alt: str
    title: str
    target: str


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
            ConfigError: Saying the smallest budget that would do, or what excludes what.
        """
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
            model=str(folder.resolve()) if folder.is_dir() else loaded.name,
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


class PageRun:
    """Continues one page.

    Args:
        loaded: The model.
        page: The page.
        settings: What is asked for.
        pictures: Where the page's pictures are, and those that are drawn go.

    Raises:
        ConfigError: If a picture is not there, or is not what it was.
    """

    def __init__(self, loaded: MMInterleaved, page: Page, settings: WriteSettings, pictures: PictureStore) -> None:
        self._loaded, self._page, self._settings = loaded, page, settings
        self.pictures = pictures
        self._document: Document = loaded.open(pictures)
        self.given: list[Text | Picture] = page.blocks(pictures)
        self.written: list[Text | Picture] = []

    @property
    def dropped(self) -> Dropped:
        """What did not fit the model's window."""
        return self._document.dropped

    @property
    def caution(self) -> str:
        """What has to be known of the model before the outcome is judged, maybe nothing."""
        about_pictures = bool(self._page.pictures) or (self._settings.draws and self._settings.structure is not None)
        return self._loaded.caution if about_pictures or self._loaded.sees else ""

    def pieces(self, progress: Callable[[int, int], None] | None = None) -> Iterator[Piece]:
        """Reads the page and writes on; pieces come as they are written.

        Args:
            progress: Told after each step of a drawing how many of how many are done.

        Raises:
            MMIError: What `Document.append` and `Document.write` raise.
        """
        settings = self._settings
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
            self._document.append(*(block.text if isinstance(block, Text) else block for block in self.given))
            for piece in self._document.write(
                max_tokens=settings.max_tokens,
                sampling=settings.sampling,
                seed=settings.seed,
                structure=settings.structure,
                drawing=settings.drawing,
                progress=progress,
            ):
                gather(piece, self.written)
                yield piece

    def markdown(self) -> str:
        """The page with its continuation."""
        page = self._page.markdown
        follows_picture = False
        for block in self.written:
            if isinstance(block, Text):
                page += ("\n\n" if follows_picture else "") + without_pictures(block.text, after=page)
            else:
                page = f"{_closed(page)}{reference_to(block)}"
            follows_picture = isinstance(block, Picture)
        return page.rstrip("\n") + "\n"

    def save(self, folder: Path) -> PageManifest:
        """Writes the page and the manifest into a folder whose `pictures` holds the pictures already."""
        page = self.markdown().encode()
        drawn = [block for block in self.written if isinstance(block, Picture)]
        manifest = PageManifest(
            page=self._page,
            settings=self._settings,
            setup=Setup.of(self._loaded),
            dropped=self.dropped.positions,
            outputs=(
                Output(name=PAGE, sha256=hashlib.sha256(page).hexdigest()),
                *(Output(name=_file_of(picture.digest), sha256=picture.digest) for picture in drawn),
            ),
        )
        _write(folder / PAGE, page)
        _write(folder / MANIFEST, f"{manifest.model_dump_json(indent=2)}\n".encode())
        return manifest


def find_references(markdown: str) -> list[Reference]:
    r"""Finds the pictures of a page in reading order; what stands in code, in HTML or in a picture's words is text.

    Args:
        markdown: With "\n" as the only line end.
    """
    lines = markdown.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    return [
        reference
        for token in _parser().parse(markdown)
        if token.type == "inline" and token.map
        for reference in _references_of(token, token.map[0], lines, starts)
    ]


def _references_of(block: Token, first_line: int, lines: Sequence[str], starts: Sequence[int]) -> Iterator[Reference]:
    """Maps places in a block's content, whose lines have lost quote marks and indents, to places in the page."""
    content = block.content.split("\n")

    def place(offset: int) -> tuple[int, int]:
        before = block.content[:offset]
        row = before.count("\n")
        column = offset - (before.rfind("\n") + 1)
        stripped = content[row].strip()
        lead = len(content[row]) - len(content[row].lstrip())
        return first_line + row, starts[first_line + row] + lines[first_line + row].rfind(stripped) + column - lead

    for token in block.children or []:
        if token.type == "image":
            line, start = place(token.meta["start"])
            _, last = place(token.meta["end"] - 1)
            target = unquote(str(token.attrs["src"]))
            yield Reference(start, last + 1, line + 1, token.content, str(token.attrs.get("title", "")), target)


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark")
    parser.inline.ruler.at("image", _image_with_place)
    parser.validateLink = _any_link  # what must not be read is refused by name, instead of passing for text
    return parser


def _any_link(url: str) -> bool:
    return True


def _image_with_place(state: StateInline, silent: bool) -> bool:
    start = state.pos
    found = _image_rule(state, silent)
    if found and not silent:
        state.tokens[-1].meta = {"start": start, "end": state.pos}
    return found


def read_page(path: Path | None, data: bytes, pictures: PictureStore) -> Page:
    """Reads a page, and stores its pictures.

    Args:
        path: Its file; its pictures stand relative to it. None for what came through a pipe: relative to here.
        data: The file's bytes.
        pictures: Where its pictures go.

    Raises:
        ConfigError: If it is not UTF-8 or empty, or if a picture is missing, damaged or somewhere else than in a file.
    """
    name = path.name if path else "stdin"
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{name}, line {line}: the byte {data[error.start]:#04x} is not UTF-8: save it so") from error
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd").removesuffix("\n")
    if not text.strip():
        raise ConfigError(f"{name} is empty: expected text or a picture to go on from")
    sources = list[PictureSource]()
    parts = list[str]()
    end = 0
    for reference in find_references(text):
        sources.append(_store(reference, path.parent if path else Path(), name, pictures))
        title = f' "{reference.title.replace(chr(34), chr(92) + chr(34))}"' if reference.title else ""
        parts += [text[end : reference.start], f"![{reference.alt}]({_file_of(sources[-1].digest)}{title})"]
        end = reference.end
    markdown = "".join([*parts, text[end:]])
    return Page(name=name, sha256=hashlib.sha256(data).hexdigest(), markdown=markdown, pictures=tuple(sources))


def _store(reference: Reference, folder: Path, page: str, pictures: PictureStore) -> PictureSource:
    where = f"{page}, line {reference.line}: the picture {_short(reference.target)!r}"
    scheme = urlsplit(reference.target).scheme if ":" in reference.target else ""
    if scheme in ("http", "https") or reference.target.startswith("//"):
        raise ConfigError(f"{where} is on the web, and nothing is fetched: save it beside the page and name the file")
    if scheme:
        raise ConfigError(f"{where} is a {scheme}: address: expected a file, as in ![a cup](cup.png)")
    path = folder / reference.target
    if not reference.target or not path.is_file():
        raise ConfigError(f"{where} is missing: expected a file at {path}")
    try:
        data = path.read_bytes()
        picture = pictures.put(data)
    except OSError as error:
        raise ConfigError(f"{where} cannot be read: {error.strerror}") from error
    except ActionError as error:
        raise ConfigError(f"{where} is none: {error}") from error
    return PictureSource(target=reference.target, sha256=hashlib.sha256(data).hexdigest(), digest=picture.digest)


def copy_pictures(page: Page, source: PictureStore, target: PictureStore) -> None:
    """Copies the pictures of a page from one store to another.

    Raises:
        ConfigError: If a picture is not there, or is not what it was.
    """
    for block in page.blocks(source):
        if isinstance(block, Picture):
            target.put(source.get(block.digest))


def _short(target: str) -> str:
    return target if len(target) <= 80 else f"{target[:60]}..."


def _kept(digest: str, pictures: PictureStore) -> Picture:
    file = _file_of(digest)
    try:
        data = pictures.get(digest)
    except KeyError:
        raise ConfigError(f"{file} is missing: it belongs to the page") from None
    if (found := hashlib.sha256(data).hexdigest()) != digest:
        raise ConfigError(f"{file} was changed: expected the SHA-256 of its name, found {found[:12]}...")
    return pictures.put(data)


def _file_of(digest: str) -> str:
    return f"{PICTURES}/{digest}.png"


def reference_to(picture: Picture) -> str:
    """A picture as a page of ours names it."""
    return f"![{picture.origin}]({_file_of(picture.digest)})"


def without_pictures(text: str, *, after: str = "") -> str:
    """What a model wrote, made to name no picture: a page loads what was drawn and nothing else.

    Args:
        text: What it wrote.
        after: What stands before it.
    """
    kept = text.replace("![", "!\\[")
    return f"\\{kept}" if after.endswith("!") and kept.startswith("[") else kept


def _closed(markdown: str) -> str:
    """Ends the paragraph, and the code that a fence left open, so that a picture can follow."""
    markdown = f"{markdown.rstrip(chr(10))}\n\n"
    last = _parser().parse(f"{markdown}.")[-1]
    return f"{markdown}{last.markup}\n\n" if last.type == "fence" else markdown


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


@contextmanager
def output_folder(target: Path) -> Generator[Path]:
    """Gives a folder to fill, which becomes `target` when the block ends without an error, and goes otherwise.

    Raises:
        ConfigError: If there is something at `target` already, or it cannot be written.
    """
    if target.exists() or target.is_symlink():
        raise ConfigError(f"{target} is there already and is not written over: name another folder")
    unfinished = target.parent / f".{target.name}-{token_hex(4)}.part"
    try:
        try:
            (unfinished / PICTURES).mkdir(parents=True)
        except OSError as error:
            raise ConfigError(f"cannot write to {target.parent}: {error.strerror}") from error
        yield unfinished
        try:
            unfinished.rename(target)
        except OSError as error:
            raise ConfigError(f"cannot make {target}: {error.strerror}; name another folder") from error
    except BaseException:
        with suppress(KeyboardInterrupt):  # of one who is impatient; what it left is taken away next
            shutil.rmtree(unfinished, ignore_errors=True)
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _write(path: Path, data: bytes) -> None:
    try:
        with path.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error


def _versions() -> Iterator[tuple[str, str]]:
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            yield package, version(package)
