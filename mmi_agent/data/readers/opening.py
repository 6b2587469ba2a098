"""Opens training data of whatever form: the form is found from what is there."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from mmi_agent.data.readers.grounding import GROUNDING
from mmi_agent.data.readers.interleaved import MMC4, OBELICS
from mmi_agent.data.readers.lines import JsonLines
from mmi_agent.data.readers.pairs import PAIRS, PairsArchive
from mmi_agent.data.readers.parts import PARTS
from mmi_agent.data.readers.reader import Joined, Reader, Unreadable
from mmi_agent.data.readers.screens import Screens
from mmi_agent.data.readers.segmentation import SEGMENTATION, SegmentationFolder
from mmi_agent.data.readers.stories import STORIES
from mmi_agent.data.readers.trajectories import TRAJECTORY, Runs, Trajectories, find_demonstrations, find_runs
from mmi_agent.errors import DataError
from mmi_agent.inference.sights import Look

__all__ = ["FORMS", "fingerprint", "open_data"]

_LINE_FORMS = (PARTS, MMC4, OBELICS, STORIES, SEGMENTATION, GROUNDING, PAIRS)  # the first that fits is taken

FORMS = ("trajectory", *dict.fromkeys(form.name for form in _LINE_FORMS), Screens.form)
"""The forms of data that can be read."""

_LINES = (".jsonl", ".jsonl.gz")
_ARCHIVES = (".tar", ".tar.gz", ".tgz")
_LOOKED_AT_BYTES = 1 << 16  # of each end of a file


def open_data(path: Path | str, *, form: str | None = None, look: Look = True, runs: Runs = "successful") -> Reader:
    """Opens a file or a folder of training data.

    Args:
        path: JSON lines, a tar of pictures and captions (both maybe gzipped), a run, or a folder of runs, of such
            files, or of pictures and segmentation maps; or a file that says which screens are to be drawn.
        form: One of `FORMS`; None finds it out.
        look: Of runs: what goes in of a screen, as in `mmi_agent.inference.sights`.
        runs: Of runs: which are learnt from.

    Raises:
        DataError: If there is nothing, or nothing of that form.
    """
    path = Path(path)
    if form is not None and form not in FORMS:
        raise DataError(f"unknown form {form!r}: expected one of {', '.join(FORMS)}")
    if path.is_dir():
        return _open_folder(path, form, look=look, runs=runs)
    if not path.exists():
        raise DataError(f"there is no file or folder {path}")
    if path.name == TRAJECTORY and form in (None, "trajectory"):
        return Trajectories(path.parent, look=look, runs=runs)
    return _open_file(path, form)


def _open_folder(folder: Path, form: str | None, *, look: Look, runs: Runs) -> Reader:
    if form in (None, "trajectory") and next(find_runs(folder), None):
        return Trajectories(folder, look=look, runs=runs)
    if shards := _shards(folder):
        return _joined(folder, [_open_shard(shard, form, f"{folder.resolve().name}/") for shard in shards])
    if form in (None, "segmentation") and SegmentationFolder.fits(folder):
        return SegmentationFolder(folder)
    wanted = f"data of the form {form!r}" if form else "data"
    raise DataError(
        f"{folder} holds no {wanted}: expected {TRAJECTORY} in it or below, files that end in "
        f"{', '.join(_LINES + _ARCHIVES)}, or the folders images and segmentation"
    )


def _joined(folder: Path, readers: Sequence[Reader]) -> Reader:
    unreadable = [reader for reader in readers if isinstance(reader, Unreadable)]
    if len(unreadable) == len(readers):
        raise DataError(f"{folder}: none of its {len(readers)} files can be read: {unreadable[0].reason}")
    return Joined(str(folder), readers)


def _open_shard(path: Path, form: str | None, within: str) -> Reader:
    """Opens a file of a folder; one that cannot be opened is broken, and the others are there."""
    try:
        return _open_file(path, form, within)
    except DataError as error:
        return Unreadable(path, source=f"{within}{path.name}", reason=str(error))


def _open_file(path: Path, form: str | None, within: str = "") -> Reader:
    source = f"{within}{path.name}"
    if path.name.endswith(_ARCHIVES):
        if form not in (None, "pairs"):
            raise DataError(f"{path} is an archive, which holds pairs: expected JSON lines for the form {form!r}")
        return PairsArchive(path, source=source)
    if form == Screens.form or (form is None and Screens.fits(path)):
        return Screens(path)
    if form == "trajectory":
        raise DataError(f"{path} is no run: expected a folder with {TRAJECTORY}")
    return JsonLines(path, [each for each in _LINE_FORMS if form in (None, each.name)], source=source)


def _shards(folder: Path) -> list[Path]:
    files = (path for path in folder.iterdir() if path.name.endswith(_LINES + _ARCHIVES) and path.is_file())
    return sorted(path for path in files if not path.name.startswith("."))


def fingerprint(path: Path | str, *, runs: Runs = "successful") -> str:
    """Tells data from other data: the names, sizes, beginnings and ends of its files, but for pictures, as a digest.

    Args:
        path: The data.
        runs: As it is opened.

    Raises:
        DataError: If there is nothing.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"there is no file or folder {path}")
    digest = hashlib.sha256()
    for name, file in _files(path, runs):
        size = file.stat().st_size
        digest.update(f"{name}\0{size}\0".encode())
        with file.open("rb") as opened:
            digest.update(opened.read(_LOOKED_AT_BYTES))
            opened.seek(max(size - _LOOKED_AT_BYTES, 0))
            digest.update(opened.read(_LOOKED_AT_BYTES))
    return digest.hexdigest()


def _files(path: Path, runs: Runs) -> Iterator[tuple[str, Path]]:
    if not path.is_dir():
        yield path.name, path
        return
    found = list(find_runs(path))
    recorded = found if runs == "all" else find_demonstrations(found)
    files = sorted(recorded) if found else _shards(path) or sorted(each for each in path.rglob("*") if each.is_file())
    for file in files:
        yield file.relative_to(path).as_posix(), file
