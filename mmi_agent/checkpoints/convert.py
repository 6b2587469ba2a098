"""The released checkpoint, or any in its form, becomes a folder of ours: names, dtype, shards of bounded size.

Nothing of it is held in memory but a piece of a tensor. What is done is done: a conversion that is killed, at any
point, goes on from the shards that it had finished, after it has checked them. The work stands in a folder beside the
result, and becomes the result in one step.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from pydantic import BaseModel, JsonValue, ValidationError
from torch import Tensor

from mmi_agent.checkpoints.converted import CONFIG, MODEL, TOKENIZER, expected_shapes
from mmi_agent.checkpoints.files import MANIFEST, FileRecord, Manifest, Source, check, sha256_of, write_manifest
from mmi_agent.checkpoints.official import from_official, is_computed, official_name, read_config
from mmi_agent.checkpoints.sentencepiece_tokenizer import MARKERS, read_tokenizer
from mmi_agent.checkpoints.shards import ShardEntry, StoredTensor, WeightFiles, plan_shards, write_shard
from mmi_agent.errors import CheckpointError, ConfigError
from mmi_agent.models.mm_interleaved import MMInterleavedConfig

__all__ = [
    "DTYPES",
    "SHARD_BYTES",
    "Progress",
    "Step",
    "convert",
    "expect_place",
    "read_released_config",
    "unfinished_folder",
]

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}
SHARD_BYTES = 2_000_000_000


Stage = Literal["hashing the source", "checking what is finished", "writing"]


class Step(NamedTuple):
    """How far a stage of a conversion is."""

    stage: Stage
    done_bytes: int
    total_bytes: int


Progress = Callable[[Step], None]


def convert(
    source: Path,
    out: Path,
    *,
    config: MMInterleavedConfig,
    dtype: torch.dtype = torch.bfloat16,
    shard_bytes: int = SHARD_BYTES,
    tokenizer: Path | None = None,
    hub_name: str | None = None,
    known: Mapping[str, FileRecord] | None = None,
    progress: Progress | None = None,
) -> Manifest:
    """Converts a checkpoint in the released form.

    Args:
        source: A folder with shards and their index, the index, or a single file; see `WeightFiles`.
        out: The folder to make. If it is there already, made from the same source, nothing is done.
        config: Sizes of the model.
        dtype: One of `DTYPES`.
        shard_bytes: How large a file may become.
        tokenizer: `tokenizer.model` or `tokenizer.json`; None takes one that stands beside the weights, if any.
        hub_name: Repository, folder and commit that the source was fetched from, for the manifest.
        known: Sizes and hashes that are expected of the source's files.
        progress: Told how far it is, several times a second.

    Returns:
        The manifest of `out`.

    Raises:
        CheckpointError: If the source is not whole, holds anything else than the model's weights, or `out` cannot be
            written. What was finished stays in `unfinished_folder(out)`.
    """
    say, out = progress or _silent, out.resolve()
    expect_place(out, config, dtype)
    weights = _match(WeightFiles(source), config)
    tokenizer = tokenizer or _tokenizer_beside(source)
    text = "" if tokenizer is None else _tokenizer_text(tokenizer, config)
    try:
        with _working_beside(out) as work:
            described = _describe(source, hub_name, _hash_source(weights.files, work, known or {}, say))
            if out.exists() and any(out.iterdir()):
                return _there_already(out, described, text)
            shards = plan_shards(weights.shapes, dtype, shard_bytes)
            work.take_up([described.model_dump(mode="json"), _dumped(config), str(dtype), shard_bytes], say)
            _write_shards(work, weights, shards, dtype, say)
            if text:
                (work.content / TOKENIZER).write_text(text, encoding="utf-8")
            manifest = write_manifest(
                work.content,
                model=MODEL,
                source=described,
                config=_dumped(config),
                dtype=str(dtype).removeprefix("torch."),
                weights={name: file for file, names in shards.items() for name in names},
                known=work.state.finished,
            )
            work.content.replace(out)
            return manifest
    except OSError as error:
        kept = f"; what is finished is kept in {unfinished_folder(out)}, the same command goes on"
        is_kept = unfinished_folder(out).exists()
        raise CheckpointError(
            f"cannot write {error.filename or out}: {error.strerror or error}{kept if is_kept else ''}"
        ) from error


def expect_place(out: Path, config: MMInterleavedConfig, dtype: torch.dtype) -> None:
    """Sees beforehand whether `out` can be made, or can be what is asked for: its weights are not read.

    Raises:
        CheckpointError: If something else is there.
    """
    if out.exists() and not out.is_dir():
        raise CheckpointError(f"{out} is a file: choose a folder that is not there yet")
    if out.exists() and any(out.iterdir()):
        manifest = check(out)
        if (manifest.model, f"torch.{manifest.dtype}", manifest.config) != (MODEL, str(dtype), _dumped(config)):
            raise _taken(out, manifest)


def _taken(out: Path, manifest: Manifest) -> CheckpointError:
    return CheckpointError(
        f"{out} is there already, made from {manifest.source.name} as {manifest.dtype}, which is not what is asked "
        f"for: choose another folder, or delete it"
    )


def unfinished_folder(out: Path) -> Path:
    """Where the work on `out` stands until it is done."""
    return out.with_name(f"{out.name}.unfinished")


def read_released_config(path: Path) -> MMInterleavedConfig:
    """Reads sizes from a JSON file in the released code's terms; see `official.read_config`.

    Raises:
        ConfigError: If it cannot be read, or an entry is missing.
    """
    try:
        return read_config(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
        raise ConfigError(
            f"{path} is no configuration in the released code's terms ({error}): expected JSON with the sections llm, "
            f"clip, unet, vae, scheduler and model"
        ) from error


def _silent(_step: Step) -> None:
    """Says nothing."""


def _dumped(config: MMInterleavedConfig) -> dict[str, JsonValue]:
    return CONFIG.dump_python(config, mode="json")


# The source


@dataclass(frozen=True)
class _Weights:
    """A source in which every tensor of the model was found.

    Attributes:
        files: The source.
        released: Our name to the released one.
        shapes: Our name to shape, in the model's order.
    """

    files: WeightFiles
    released: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]

    def read(self, name: str) -> Tensor:
        (tensor,) = from_official({self.released[name]: self.files.read(self.released[name])}).values()
        return tensor

    def entry(self, name: str) -> ShardEntry:
        released = self.released[name]
        where = self.files.path(self.files.tensors[released].file)
        return ShardEntry(name, self.shapes[name], f"{where}: {released}")


def _match(files: WeightFiles, config: MMInterleavedConfig) -> _Weights:
    """Finds every tensor of the model in the source, and nothing else."""
    expected = expected_shapes(config)
    released: dict[str, str] = {}
    for name, stored in files.tensors.items():
        if not is_computed(name):
            released[_match_one(files.path(stored.file), name, stored, expected)] = name
    if missing := [official_name(name) for name in expected if name not in released]:
        raise CheckpointError(
            f"{' and '.join(map(str, map(files.path, files.files)))}: {len(missing)} of {len(expected)} tensors are "
            f"missing, the first is {missing[0]} of shape {expected[next(n for n in expected if n not in released)]}; "
            f"a shard is missing, or it is another model"
        )
    return _Weights(files, released, expected)


def _match_one(path: Path, name: str, stored: StoredTensor, expected: Mapping[str, tuple[int, ...]]) -> str:
    """Our name of a released tensor, if it is one and has the right shape."""
    try:
        ((ours, renamed),) = from_official({name: torch.empty(stored.shape, device="meta")}).items()
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}; it is another model, or not in the released form") from error
    except RuntimeError as error:
        raise CheckpointError(
            f"{path}: {name} has shape {stored.shape}, which no size of the model gives it"
        ) from error
    if ours not in expected:
        raise CheckpointError(f"{path}: {name} is not in a model of these sizes; give the right ones with --config")
    if tuple(renamed.shape) != expected[ours]:
        raise CheckpointError(
            f"{path}: {name} has shape {stored.shape}, expected {expected[ours]}; give the right sizes with --config"
        )
    if not stored.is_float:
        raise CheckpointError(f"{path}: {name} holds whole numbers, expected floating point: it is quantised already")
    return ours


def _hash_source(
    files: WeightFiles, work: "_Work", known: Mapping[str, FileRecord], say: Progress
) -> dict[str, FileRecord]:
    """Hashes the source's files that have changed since they were hashed last."""
    sizes = {file: files.path(file).stat().st_size for file in files.files}
    progress = _Counted(say, "hashing the source", sum(sizes.values()))
    for file, size in sizes.items():
        stamp = _Stamp(size_bytes=size, mtime_ns=files.path(file).stat().st_mtime_ns)
        if file in work.state.source and work.state.source[file].stamp == stamp:
            progress(size)
            continue
        work.state.source[file] = _Stamped(stamp=stamp, sha256=sha256_of(files.path(file), progress))
        work.save()
    records = {file: FileRecord(size_bytes=sizes[file], sha256=work.state.source[file].sha256) for file in sizes}
    for file, record in records.items():
        expected = known.get(file, record)
        if record != expected:
            raise CheckpointError(
                f"{files.path(file).resolve()} has {record.size_bytes} bytes and SHA-256 {record.sha256}, expected "
                f"{expected.size_bytes} and {expected.sha256}: delete it to have it fetched again"
            )
    return records


def _describe(source: Path, hub_name: str | None, files: dict[str, FileRecord]) -> Source:
    hashes = [record.sha256 for record in files.values()]
    whole = hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
    if hub_name is None:
        return Source(kind="folder", name=source.resolve().name, sha256=whole, files=files)
    return Source(kind="hub", name=hub_name, sha256=whole, files=files)


def _tokenizer_beside(source: Path) -> Path | None:
    folder = source if source.is_dir() else source.parent
    candidates = (folder / name for name in (TOKENIZER, "tokenizer.model"))
    return next((path for path in candidates if path.is_file()), None)


def _tokenizer_text(path: Path, config: MMInterleavedConfig) -> str:
    ids = (config.begin_of_image, config.image)
    return read_tokenizer(path, tuple(zip(MARKERS, ids, strict=True))).to_str(pretty=True)


# The work


class _Stamp(BaseModel):
    """How a file is told to be as it was, without reading it."""

    size_bytes: int
    mtime_ns: int


class _Stamped(BaseModel):
    """A file of the source, when it was hashed."""

    stamp: _Stamp
    sha256: str


class _State(BaseModel):
    """What a conversion writes down as it goes.

    Attributes:
        request: Digest of all that decides what the shards become.
        source: Hashed files of the source.
        finished: Shards that are on disk.
    """

    request: str = ""
    source: dict[str, _Stamped] = {}
    finished: dict[str, FileRecord] = {}


class _Work:
    """The folder in which a conversion works: what will be the result, and how far it is."""

    def __init__(self, folder: Path) -> None:
        self.content = folder / "content"
        self._state_file = folder / "state.json"
        try:
            self.state = _State.model_validate_json(self._state_file.read_bytes())
        except (FileNotFoundError, ValidationError):
            self.state = _State()

    def save(self) -> None:
        """Brings to disk how far the work is."""
        unfinished = self._state_file.with_suffix(".part")
        with unfinished.open("w", encoding="utf-8") as file:
            file.write(self.state.model_dump_json(indent=2))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self._state_file)

    def take_up(self, facts: list[object], say: Progress) -> None:
        """Keeps shards that were finished for the same request and are still what they were; removes all else."""
        self.content.mkdir(exist_ok=True)
        request = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        claimed = self.state.finished if self.state.request == request else {}
        progress = _Counted(say, "checking what is finished", sum(record.size_bytes for record in claimed.values()))
        self.state.request, self.state.finished = request, {}
        for file, record in claimed.items():
            path = self.content / file
            if path.is_file() and sha256_of(path, progress) == record.sha256:
                self.state.finished[file] = record
        for path in self.content.iterdir():
            if path.name not in self.state.finished:
                path.unlink()
        self.save()


class _Counted:
    """Adds up bytes, and says so."""

    def __init__(self, say: Progress, stage: Stage, total: int) -> None:
        self._stage: Stage = stage
        self._say, self._total, self._done = say, total, 0

    def __call__(self, more_bytes: int) -> None:
        self._done += more_bytes
        self._say(Step(self._stage, self._done, self._total))


@contextmanager
def _working_beside(out: Path) -> Generator[_Work]:
    """Gives the folder to work in, to one process at a time; removed when all is done, or nothing is."""
    folder = unfinished_folder(out)
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CheckpointError(
                f"another process is converting into {out}: wait for it, or choose another folder"
            ) from error
        work = _Work(folder)
        try:
            yield work
        except (CheckpointError, OSError):
            if not work.state.finished:
                shutil.rmtree(folder)
            raise
        shutil.rmtree(folder)
    finally:
        os.close(handle)


def _write_shards(
    work: _Work, weights: _Weights, shards: Mapping[str, list[str]], dtype: torch.dtype, say: Progress
) -> None:
    sizes = {file: sum(prod(weights.shapes[name]) for name in names) * dtype.itemsize for file, names in shards.items()}
    to_do = {file: names for file, names in shards.items() if file not in work.state.finished}
    needed, free = sum(sizes[file] for file in to_do), shutil.disk_usage(work.content).free
    if needed > free:
        raise CheckpointError(
            f"{work.content.parent.parent} has {free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB are needed: free some "
            f"space, or choose a folder on another disk"
        )
    progress = _Counted(say, "writing", sum(sizes.values()))
    progress(sum(sizes.values()) - needed)
    for file, names in to_do.items():
        entries = [weights.entry(name) for name in names]
        work.state.finished[file] = write_shard(work.content / file, entries, dtype, weights.read, progress)
        work.save()
    weights.files.close()


def _there_already(out: Path, source: Source, tokenizer: str) -> Manifest:
    """Sees whether `out`, in its place by `expect_place`, is of this source; a tokenizer that it lacks is added."""
    manifest = check(out)
    if manifest.source.files != source.files:
        raise _taken(out, manifest)
    if not tokenizer or TOKENIZER in manifest.files:
        return manifest
    (out / TOKENIZER).write_text(tokenizer, encoding="utf-8")
    record = FileRecord(size_bytes=(out / TOKENIZER).stat().st_size, sha256=sha256_of(out / TOKENIZER))
    manifest = manifest.model_copy(update={"files": manifest.files | {TOKENIZER: record}})
    unfinished = out / f"{MANIFEST}.part"
    unfinished.write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    unfinished.replace(out / MANIFEST)
    return manifest
