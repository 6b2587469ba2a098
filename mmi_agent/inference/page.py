"""A Markdown page with pictures goes in, its continuation with pictures comes out, and a manifest that repeats it.

Knows Markdown, documents and folders; nothing of terminals. What a page holds is data: its text becomes no marker, its
pictures are files of this machine and nothing is fetched, and what the model wrote can name no picture of its own.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from urllib.parse import urlsplit

import torch

from mmi_agent.errors import ActionError, ConfigError
from mmi_agent.inference.document import Document, Dropped
from mmi_agent.inference.loading import MMInterleaved
from mmi_agent.inference.page_manifest import (
    MANIFEST,
    PAGE,
    Output,
    Page,
    PageManifest,
    PictureSource,
    Setup,
    WriteSettings,
)
from mmi_agent.inference.picture_references import (
    PICTURES,
    Reference,
    closed,
    file_of,
    find_references,
    reference_to,
    without_pictures,
)
from mmi_agent.inference.writing import Piece, gather
from mmi_agent.pictures import PictureStore, open_png
from mmi_agent.types import Picture, Text

__all__ = ["PageRun", "copy_pictures", "output_folder", "read_page"]


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
                page = f"{closed(page)}{reference_to(block)}"
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
                *(Output(name=file_of(picture.digest), sha256=picture.digest) for picture in drawn),
            ),
        )
        _write(folder / PAGE, page)
        _write(folder / MANIFEST, f"{manifest.model_dump_json(indent=2)}\n".encode())
        return manifest


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
        parts += [text[end : reference.start], f"![{reference.alt}]({file_of(sources[-1].digest)}{title})"]
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
        open_png(data)  # a PNG is stored as it is: better now, with its line, than while it is read
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
