"""Files of weights that are larger than memory: read tensor by tensor, written piece by piece.

What is read may come from anywhere, so nothing in it is run, and whatever is wrong with it is named. This file knows
the formats, and no model's names.
"""

import hashlib
import json
import os
import pickle
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor

from mmi_agent.checkpoints.files import FileRecord
from mmi_agent.errors import CheckpointError

__all__ = ["ShardEntry", "StoredTensor", "WeightFiles", "plan_shards", "promised_files", "write_shard"]

_AGAIN = "fetch it again"
_MAPPED_BYTES = 1 << 29  # pages of a mapped file count as memory until it is closed
_PIECE = 1 << 23  # numbers that are converted at a time
_DTYPE_NAMES = {torch.bfloat16: "BF16", torch.float16: "F16", torch.float32: "F32"}


class StoredTensor(NamedTuple):
    """What is known of a tensor before it is read."""

    file: str
    shape: tuple[int, ...]
    is_float: bool


class ShardEntry(NamedTuple):
    """A tensor that is to be written.

    Attributes:
        name: What it will be called.
        shape: Its shape.
        origin: File and name that it comes from, for errors.
    """

    name: str
    shape: tuple[int, ...]
    origin: str


class _Index(BaseModel):
    """A shard index in Hugging Face's form."""

    weight_map: dict[str, str]


@dataclass
class _Archive:
    """An open file of `torch.save`: its tensors, mapped, and (size, CRC-32) of what was saved."""

    tensors: Mapping[str, Tensor]
    sums: frozenset[tuple[int, int]]

    def read(self, name: str) -> Tensor:
        tensor = self.tensors[name]
        storage = tensor.untyped_storage()
        if self.sums and storage.nbytes() == tensor.nbytes:
            content = torch.empty(0, dtype=torch.uint8).set_(storage).numpy().data
            if (len(content), zlib.crc32(content)) not in self.sums:
                raise ValueError("its bytes are not those that were saved (CRC-32)")
        return tensor


@dataclass
class _Safetensors:
    """An open safetensors file."""

    file: Any

    def read(self, name: str) -> Tensor:
        return self.file.get_tensor(name)


class WeightFiles:
    """Weights from elsewhere: one file, or shards with or without an index.

    Args:
        source: A folder, an index (`*.index.json`), or a single file: `.safetensors`, or `.bin`, `.pt`, `.pth` of
            `torch.save`.

    Raises:
        CheckpointError: If a file is missing, cut off, damaged, or holds anything but tensors.
    """

    def __init__(self, source: Path) -> None:
        self.files = _files_of(source)
        self.tensors: dict[str, StoredTensor] = {}
        self._folder = source if source.is_dir() else source.parent
        self._open: dict[str, _Archive | _Safetensors] = {}
        self._mapped_bytes = 0
        for file, promised in self.files.items():
            found = _list(self._folder / file)
            if missing := sorted(set(promised) - found.keys()):
                raise CheckpointError(
                    f"{self.path(file)} lacks {len(missing)} tensors that the index promises, the first is "
                    f"{missing[0]!r}; {_AGAIN}, and the index with it"
                )
            if twice := sorted(found.keys() & self.tensors.keys()):
                raise CheckpointError(
                    f"{twice[0]!r} is in {self.path(self.tensors[twice[0]].file)} and in {self.path(file)}: expected "
                    f"one; take away the file that does not belong here"
                )
            self.tensors |= found

    def path(self, file: str) -> Path:
        """Where a file is."""
        return self._folder / file

    def read(self, name: str) -> Tensor:
        """Maps a tensor into memory. What was read before must not be held on to: its pages would stay.

        Raises:
            CheckpointError: If its bytes are not those that were saved.
        """
        stored = self.tensors[name]
        if self._mapped_bytes > _MAPPED_BYTES:
            self.close()
        if stored.file not in self._open:
            self._open[stored.file] = _open(self.path(stored.file))
        try:
            tensor = self._open[stored.file].read(name)
        except (SafetensorError, RuntimeError, OSError, ValueError) as error:
            raise CheckpointError(f"{self.path(stored.file)}: {name} is damaged: {_first(error)}; {_AGAIN}") from error
        self._mapped_bytes += tensor.nbytes
        return tensor

    def close(self) -> None:
        """Lets go of all pages; `read` opens what it needs again."""
        self._open.clear()
        self._mapped_bytes = 0


def plan_shards(shapes: Mapping[str, tuple[int, ...]], dtype: torch.dtype, shard_bytes: int) -> dict[str, list[str]]:
    """Spreads tensors over files, in their order; only a tensor that is larger itself makes a file larger.

    Returns:
        The names in each file.
    """
    shards: list[list[str]] = []
    room = 0
    for name, shape in shapes.items():
        size = prod(shape) * dtype.itemsize
        if not shards or size > room:
            shards.append([])
            room = shard_bytes
        shards[-1].append(name)
        room -= size
    return {f"model-{i:05}-of-{len(shards):05}.safetensors": names for i, names in enumerate(shards, 1)}


def write_shard(
    path: Path,
    entries: Sequence[ShardEntry],
    dtype: torch.dtype,
    read: Callable[[str], Tensor],
    progress: Callable[[int], None],
) -> FileRecord:
    """Writes a safetensors file, a piece of a tensor at a time, and brings it to disk.

    `safetensors` itself writes only what is in memory as a whole.

    Args:
        path: The file; another one beside it is renamed to it when all is written.
        entries: The tensors, in order.
        dtype: What they become.
        read: Gives a tensor by the name that it will have.
        progress: Told how many bytes were written since it was told last.

    Raises:
        CheckpointError: If a tensor holds something that is no finite number, before or after the conversion.
    """
    unfinished = path.with_name(f"{path.name}.part")
    digest = hashlib.sha256()
    with unfinished.open("wb") as file:
        header = _header(entries, dtype)
        file.write(header)
        digest.update(header)
        for entry in entries:
            for piece in read(entry.name).reshape(-1).split(_PIECE):
                content = _converted(piece, dtype, entry.origin).view(torch.uint8).numpy().data
                file.write(content)
                digest.update(content)
                progress(len(content))
        size_bytes = file.tell()
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    return FileRecord(size_bytes=size_bytes, sha256=digest.hexdigest())


def _header(entries: Iterable[ShardEntry], dtype: torch.dtype) -> bytes:
    described: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    begin = 0
    for name, shape, _ in entries:
        end = begin + prod(shape) * dtype.itemsize
        described[name] = {"dtype": _DTYPE_NAMES[dtype], "shape": shape, "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(described, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _converted(piece: Tensor, dtype: torch.dtype, origin: str) -> Tensor:
    converted = piece.to(dtype)
    # a sum is several times faster than `isfinite`, and finite only if all that is summed is
    if converted.sum(dtype=torch.float32).isfinite() or converted.isfinite().all():
        return converted
    if piece.isfinite().all():
        raise CheckpointError(f"{origin} holds {piece.abs().max():.3g}, too large for {dtype}: choose bfloat16")
    raise CheckpointError(f"{origin} holds NaN or infinity: expected finite numbers; {_AGAIN}, or ask who trained it")


# Reading


def _files_of(source: Path) -> dict[str, Sequence[str]]:
    """The files, in order, each with the tensors that an index promises in it."""
    if not source.exists():
        raise CheckpointError(
            f"{source} does not exist: expected a folder with the shards, their index, or a single .bin or .safetensors"
        )
    if source.is_file():
        return promised_files(source) if source.name.endswith(".index.json") else {source.name: ()}
    if index := next(
        iter(sorted(source.glob("*.safetensors.index.json")) or sorted(source.glob("*.index.json"))), None
    ):
        return promised_files(index)
    for pattern in ("*.safetensors", "*.bin"):
        if files := sorted(source.glob(pattern)):
            return {file.name: () for file in files}
    raise CheckpointError(f"{source} holds no weights: expected .bin or .safetensors files, with or without an index")


def promised_files(path: Path, *, here: bool = True) -> dict[str, Sequence[str]]:
    """Reads an index of shards.

    Args:
        path: The index.
        here: Expect the shards beside it.

    Returns:
        The shards, in order, each with the tensors that it should hold.

    Raises:
        CheckpointError: If it is no index, or a shard is missing.
    """
    try:
        weight_map = _Index.model_validate_json(path.read_bytes()).weight_map
    except (OSError, ValidationError) as error:
        raise CheckpointError(f"{path} is no index of shards ({_first(error)}); {_AGAIN}") from error
    files: dict[str, list[str]] = {}
    for name, file in weight_map.items():
        files.setdefault(file, []).append(name)
    for file, names in files.items():
        if Path(file).name != file:
            raise CheckpointError(f"{path} names the shard {file!r}: expected the name of a file beside it")
        if here and not (path.parent / file).is_file():
            raise CheckpointError(
                f"{path.parent / file} is missing: {path.name} lists it with {len(names)} tensors; {_AGAIN}"
            )
    return {file: files[file] for file in sorted(files)}


def _list(path: Path) -> dict[str, StoredTensor]:
    """What a file holds, without reading it."""
    opened = _open(path)
    if isinstance(opened, _Archive):
        return {
            name: StoredTensor(path.name, tuple(tensor.shape), tensor.is_floating_point())
            for name, tensor in opened.tensors.items()
        }
    slices = {name: opened.file.get_slice(name) for name in opened.file.keys()}
    return {
        name: StoredTensor(path.name, tuple(part.get_shape()), part.get_dtype().startswith(("F", "BF")))
        for name, part in slices.items()
    }


def _open(path: Path) -> _Archive | _Safetensors:
    return _open_safetensors(path) if path.suffix == ".safetensors" else _open_archive(path)


def _open_safetensors(path: Path) -> _Safetensors:
    try:
        return _Safetensors(safe_open(path, framework="pt"))
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} ({_size(path)}) is cut off or damaged: {_first(error)}; expected a whole safetensors file; "
            f"{_AGAIN}"
        ) from error


def _open_archive(path: Path) -> _Archive:
    try:
        with zipfile.ZipFile(path) as archive:
            sums = _sums(archive)
        tensors: object = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except pickle.UnpicklingError as error:
        reason = next((line for line in str(error).splitlines() if "nsupported" in line or "blocked" in line), "")
        raise CheckpointError(
            f"{path} is refused, nothing in it was run: it holds more than tensors "
            f"({reason.strip() or _first(error)}); expected a dictionary of tensors"
        ) from error
    except (zipfile.BadZipFile, RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"{path} ({_size(path)}) is cut off or damaged: {_first(error)}; expected a whole file of torch.save (1.6 "
            f"or later); {_AGAIN}"
        ) from error
    if not isinstance(tensors, Mapping) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise CheckpointError(f"{path} is no dictionary of tensors: expected names and tensors, nothing around them")
    return _Archive(tensors, sums)


def _sums(archive: zipfile.ZipFile) -> frozenset[tuple[int, int]]:
    """Size and CRC-32 of what was saved; torch can be told not to compute them, then none."""
    infos: Iterable[zipfile.ZipInfo] = archive.infolist()
    (described,) = (info for info in infos if info.filename.endswith("/data.pkl"))
    with archive.open(described) as file:
        try:
            file.read()
        except zipfile.BadZipFile:
            return frozenset()
    return frozenset((info.file_size, info.CRC) for info in infos)


def _size(path: Path) -> str:
    return f"{path.stat().st_size:,} bytes" if path.exists() else "missing"


def _first(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
