"""The released model, from the Hugging Face hub: what it takes is known before anything large is fetched.

The released files hold all weights, those of CLIP and of Stable Diffusion included, and the schedulers' numbers are in
our configuration. What is missing is the tokenizer, which is Vicuna's. Files go into the hub's own cache, where a
download that was stopped goes on, and where they are found if they are there already.
"""

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from mmi_agent.checkpoints.convert import Progress, convert, expect_place, unfinished_folder
from mmi_agent.checkpoints.converted import expected_shapes
from mmi_agent.checkpoints.files import FileRecord, Manifest, sha256_of
from mmi_agent.checkpoints.shards import promised_files
from mmi_agent.errors import CheckpointError
from mmi_agent.models.mm_interleaved import MMInterleavedConfig

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

__all__ = ["RELEASED", "TOKENIZER_OF", "FetchPlan", "HubFile", "fetch", "plan_fetch"]

RELEASED = ("OpenGVLab/MM-Interleaved", "mm_interleaved_pretrain")
"""Repository and folder of the weights."""

TOKENIZER_OF = ("lmsys/vicuna-13b-v1.3", "tokenizer.model")
"""Repository and file of the tokenizer."""

_BY_HAND = (
    "on a machine that reaches it run this once and copy the converted folder here, or give downloaded files to "
    "`mmi weights convert`"
)


@dataclass(frozen=True, kw_only=True)
class HubFile:
    """A file on the hub.

    Attributes:
        repository: Where it is.
        name: Its path there.
        commit: The state of the repository that it is taken from.
        size_bytes: Its size.
        sha256: Its hash, where the hub tells it: of all large files.
        cached: Whether it is in the hub's cache here.
    """

    repository: str
    name: str
    commit: str
    size_bytes: int
    sha256: str | None
    cached: bool


@dataclass(frozen=True, kw_only=True)
class FetchPlan:
    """What a fetch will do.

    Attributes:
        endpoint: Address of the hub.
        index: The index of the shards, which is here already.
        weights: The shards.
        tokenizer: The tokenizer.
        cache: The hub's cache.
        out: The folder to make.
        converted_bytes: What it will hold, about.
    """

    endpoint: str
    index: Path
    weights: tuple[HubFile, ...]
    tokenizer: HubFile
    cache: Path
    out: Path
    converted_bytes: int

    @property
    def files(self) -> tuple[HubFile, ...]:
        """All that is needed."""
        return (*self.weights, self.tokenizer)

    @property
    def download_bytes(self) -> int:
        """What is not here yet."""
        repository = self.cache / f"models--{RELEASED[0].replace('/', '--')}"
        begun = sum(path.stat().st_size for path in repository.rglob("*.incomplete"))
        return max(0, sum(file.size_bytes for file in self.files if not file.cached) - begun)

    @property
    def write_bytes(self) -> int:
        """What is not converted yet, about."""
        finished = sum(path.stat().st_size for path in unfinished_folder(self.out).rglob("*.safetensors"))
        return max(0, self.converted_bytes - finished)

    @property
    def free_bytes(self) -> tuple[int, int]:
        """Free space where files are downloaded to, and where the result is written."""
        return shutil.disk_usage(_existing(self.cache)).free, shutil.disk_usage(_existing(self.out)).free


def plan_fetch(out: Path, *, config: MMInterleavedConfig, dtype: torch.dtype = torch.bfloat16) -> FetchPlan:
    """Finds every part of the released model on the hub. Fetches nothing but the index of the shards.

    Args:
        out: The folder to make.
        config: Sizes of the model.
        dtype: What the weights will become.

    Raises:
        CheckpointError: If something else is at `out`, the hub cannot be reached, or a part is not there.
    """
    from huggingface_hub import constants

    expect_place(out, config, dtype)

    repository, folder = RELEASED
    released = _list_repository(repository)
    names = [name for name in released if name.startswith(f"{folder}/")]
    index = next((name for name in names if name.endswith(".index.json")), None)
    if index is None:
        raise CheckpointError(
            f"{repository} has no index of shards (*.index.json) in {folder} on {_endpoint()}; it holds "
            f"{', '.join(names[:10]) or 'nothing there'}"
        )
    index_path = _download(released[index])
    weights = tuple(_expect(released, f"{folder}/{file}") for file in promised_files(index_path, here=False))
    vicuna, tokenizer = TOKENIZER_OF
    size = sum(prod(shape) for shape in expected_shapes(config).values()) * dtype.itemsize
    return FetchPlan(
        endpoint=_endpoint(),
        index=index_path,
        weights=weights,
        tokenizer=_expect(_list_repository(vicuna), tokenizer),
        cache=Path(constants.HF_HUB_CACHE),
        out=out.resolve(),
        converted_bytes=size,
    )


def fetch(
    plan: FetchPlan,
    *,
    config: MMInterleavedConfig,
    dtype: torch.dtype = torch.bfloat16,
    shard_bytes: int,
    progress: Progress | None = None,
) -> Manifest:
    """Downloads what is not here, checks it, and converts it; see `convert`.

    Raises:
        CheckpointError: If there is too little space, a download fails, or a file is not what the hub says it is.
            What was downloaded and converted so far is found the next time.
    """
    _expect_space(plan)
    paths = [_download(file) for file in plan.files]
    tokenizer = paths[-1]
    if plan.tokenizer.sha256 not in (None, found := sha256_of(tokenizer)):
        raise CheckpointError(
            f"{tokenizer.resolve()} has SHA-256 {found}, expected {plan.tokenizer.sha256}: delete it to have it "
            f"fetched again"
        )
    repository, folder = RELEASED
    return convert(
        plan.index,
        plan.out,
        config=config,
        dtype=dtype,
        shard_bytes=shard_bytes,
        tokenizer=tokenizer,
        hub_name=f"{repository}/{folder}@{plan.weights[0].commit}",
        known={
            Path(file.name).name: FileRecord(size_bytes=file.size_bytes, sha256=file.sha256)
            for file in plan.weights
            if file.sha256
        },
        progress=progress,
    )


def _endpoint() -> str:
    from huggingface_hub import constants

    return os.environ.get("HF_ENDPOINT") or constants.ENDPOINT


def _list_repository(repository: str) -> dict[str, HubFile]:
    from huggingface_hub import HfApi, try_to_load_from_cache

    try:
        info: ModelInfo = HfApi(endpoint=_endpoint()).model_info(repository, files_metadata=True)
    except Exception as error:  # the hub's client lets its HTTP library's errors through, whichever that is
        raise CheckpointError(
            f"{repository} cannot be looked up on {_endpoint()} ({_reason(error)}): {_BY_HAND}"
        ) from error
    files: dict[str, HubFile] = {}
    for sibling in info.siblings or ():
        files[sibling.rfilename] = HubFile(
            repository=repository,
            name=sibling.rfilename,
            commit=info.sha or "main",
            size_bytes=sibling.size or 0,
            sha256=sibling.lfs.sha256 if sibling.lfs else None,
            cached=isinstance(try_to_load_from_cache(repository, sibling.rfilename, revision=info.sha), str),
        )
    return files


def _expect(files: dict[str, HubFile], name: str) -> HubFile:
    if name not in files:
        known: Iterable[str] = sorted(files)
        raise CheckpointError(f"the hub has no {name} in the repository: expected it among {', '.join(known)[:300]}")
    return files[name]


def _download(file: HubFile) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        path: Any = hf_hub_download(file.repository, file.name, revision=file.commit, endpoint=_endpoint())
    except Exception as error:  # as above
        raise CheckpointError(
            f"{file.name} of {file.repository} cannot be fetched from {_endpoint()} ({_reason(error)}): what "
            f"came so far is kept, the same command goes on"
        ) from error
    return Path(path)


def _expect_space(plan: FetchPlan) -> None:
    downloads, results = plan.free_bytes
    needed = {plan.cache: (plan.download_bytes, downloads), plan.out.parent: (plan.write_bytes, results)}
    if _existing(plan.cache).stat().st_dev == _existing(plan.out).stat().st_dev:
        needed = {plan.out.parent: (plan.download_bytes + plan.write_bytes, results)}
    for folder, (needed_bytes, free_bytes) in needed.items():
        if needed_bytes > free_bytes:
            raise CheckpointError(
                f"{folder} has {free_bytes / 1e9:.1f} GB free, {needed_bytes / 1e9:.1f} GB are needed: free some "
                f"space, or name other disks with HF_HOME and --out"
            )


def _existing(path: Path) -> Path:
    """The folder itself, or the nearest one above it that is there."""
    return next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())


def _reason(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
