"""`mmi generate`: a Markdown page with pictures goes in, its continuation with pictures comes out."""

import json as json_format
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, cast

import typer

from mmi_agent.cli.models import (
    Bits,
    Device,
    Dtype,
    Guidance,
    Model,
    Offload,
    Scheduler,
    Steps,
    Temperature,
    TopP,
    load_model,
    need_model_extra,
    parse_sampling,
)
from mmi_agent.cli.options import Json, given_options
from mmi_agent.cli.text import printable
from mmi_agent.errors import ConfigError

if TYPE_CHECKING:
    from mmi_agent.inference.drawing import SchedulerName
    from mmi_agent.inference.page import PageRun
    from mmi_agent.inference.page_manifest import PageManifest
    from mmi_agent.inference.structure import Part

__all__ = ["generate"]


def generate(
    context: typer.Context,
    page: Annotated[
        Path | None, typer.Argument(metavar="PAGE.md", help="A Markdown file; - reads it from a pipe.")
    ] = None,
    preset: Model = "small",
    device: Device = None,
    dtype: Dtype = None,
    bits: Bits = None,
    offload: Offload = False,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="The same seed gives the same page.")] = 0,
    max_tokens: Annotated[
        int, typer.Option(metavar="N", min=1, help="No more tokens than this; a picture counts as one.")
    ] = 256,
    temperature: Temperature = 0.0,
    top_p: TopP = None,
    structure: Annotated[
        str | None,
        typer.Option(metavar="PART,PART", help='The parts that shall come, in order, as in "text,picture,text".'),
    ] = None,
    pictures: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=0, help="Exactly so many pictures; 0 for text alone.", show_default="as it likes"
        ),
    ] = None,
    steps: Steps = 12,
    guidance: Guidance = 7.5,
    scheduler: Scheduler = "dpm-solver",
    beams: Annotated[
        int, typer.Option(metavar="N", min=1, help="Search for a likely text with so many beams; it draws nothing.")
    ] = 1,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The folder to make.", show_default="the page's name and the time"),
    ] = None,
    again: Annotated[
        Path | None, typer.Option(metavar="MANIFEST", help="Repeat a run, and say whether the same comes out.")
    ] = None,
    json: Json = False,
) -> None:
    """Continue a Markdown page, in text and pictures.

    The page's pictures, as in ![a red cup](cup.png), are read where they stand. Text in the middle of a line goes on
    there; after an empty line it begins a new paragraph. Nothing is fetched from the web.

    A folder is made, whole or not at all: page.md is your page with its continuation, pictures/ holds the pictures of
    both, page.html shows them, and manifest.json holds everything that decides what comes out. With --again, a manifest
    is run once more: on the same device, the same bytes come out.

    What `small` writes is text of a small language model; it was not trained to see or to draw yet, and what it draws
    is noise until it is. A model draws where it wants to; --structure and --pictures decide instead.

    Examples:
      mmi generate story.md
      mmi generate story.md --structure text,picture,text --seed 7 --temperature 0.7
      mmi generate story.md --preset full --device cuda --pictures 2 --out story-with-pictures
      echo "The capital of France is" | mmi generate - --max-tokens 20 --pictures 0
      mmi generate --again story-20261124-154300/manifest.json

    Exits with 0; 1 after an error, or if --again gives other bytes; 130 after Ctrl-C, which leaves no folder.
    """
    need_model_extra("generate")
    if again is not None:
        if decided := given_options(context, but=("again", "out", "json", "debug")):
            raise ConfigError(f"{decided[0]} is decided by the manifest: leave it out with --again")
        _repeat(again, out, json=json)
        return
    if page is None:
        raise ConfigError("no page was named: mmi generate PAGE.md, or - for one from a pipe")

    from mmi_agent.inference.drawing import DrawSettings
    from mmi_agent.inference.page import PageRun, output_folder, read_page
    from mmi_agent.inference.page_manifest import WriteSettings
    from mmi_agent.pictures import FolderPictures

    settings = WriteSettings(
        seed=seed,
        max_tokens=max_tokens,
        sampling=parse_sampling(temperature, top_p, beams=beams),
        structure=_structure(structure, pictures),
        drawing=DrawSettings(steps=steps, guidance_scale=guidance, scheduler=cast("SchedulerName", scheduler)),
    )
    settings.check()
    path = None if str(page) == "-" else page
    target = out or _new_name(path)
    with output_folder(target) as folder:
        store = FolderPictures(folder / "pictures")
        given = read_page(path, _read(path), store)
        loaded = load_model(preset, device=device, dtype=dtype, bits=bits, draws=settings.draws, offload=offload)
        run = PageRun(loaded, given, settings, store)
        manifest = _write(run, folder, target, silent=json)
    if json:
        print(json_format.dumps(_as_json(run, manifest, target), indent=2))
    else:
        print(f"written to {printable(str(target))}: page.md, page.html, {len(manifest.outputs) - 1} drawn")
        print(f"the same again: mmi generate --again {quote(str(target))}")


def _repeat(path: Path, out: Path | None, *, json: bool) -> None:
    """Runs a manifest once more and compares."""
    from mmi_agent.inference.page import PageRun, copy_pictures, output_folder
    from mmi_agent.inference.page_manifest import differences, read_page_manifest
    from mmi_agent.pictures import FolderPictures

    before = read_page_manifest(path)
    home = path if path.is_dir() else path.parent
    with output_folder(out) if out else _scratch() as folder:
        store = FolderPictures(folder / "pictures")
        copy_pictures(before.page, FolderPictures(home / "pictures"), store)
        setup = before.setup
        loaded = load_model(
            setup.model,
            device=setup.device,
            dtype=setup.dtype,
            bits=setup.bits,
            draws=before.settings.draws,
            offload=setup.offload,
        )
        setup.prepare(loaded)
        now = _write(PageRun(loaded, before.page, before.settings, store), folder, out, silent=json)
    differing, changes = differences(before, now), setup.changes(now.setup)
    if json:
        report = {"same": not differing, "differing": differing, "changes": changes, "outputs": len(now.outputs)}
        print(json_format.dumps(report, indent=2))
    elif differing:
        print(printable(f"not the same: {', '.join(differing)}"))
        for change in changes:
            print(printable(f"  {change}"))
    else:
        print(f"the same: page.md and {len(now.outputs) - 1} drawn, byte for byte")
    raise typer.Exit(1 if differing else 0)


@contextmanager
def _scratch() -> Generator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _structure(structure: str | None, pictures: int | None) -> "tuple[Part, ...] | int | None":
    if structure is None:
        return pictures
    if pictures is not None:
        raise ConfigError("--pictures and --structure were given: the structure says how many pictures there are")
    from mmi_agent.inference.structure import Structure

    parts = cast("tuple[Part, ...]", tuple(part.strip() for part in structure.split(",")))
    Structure.of(parts)  # says in a line what is wrong with them
    return parts


def _new_name(page: Path | None) -> Path:
    """A name that no folder has yet: the page's, and the time."""
    stem = f"{page.stem if page else 'page'}-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    names = (Path(stem if number == 1 else f"{stem}-{number}") for number in range(1, 1000))
    return next(name for name in names if not name.exists())


def _read(page: Path | None) -> bytes:
    if page is None:
        return sys.stdin.buffer.read()
    try:
        return page.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read the page {page}: {error.strerror}") from error


def _write(run: "PageRun", folder: Path, target: Path | None, *, silent: bool) -> "PageManifest":
    """Continues the page in its folder, before somebody's eyes.

    Args:
        run: The page.
        folder: Where it is written.
        target: What the folder becomes; None where it goes again.
        silent: Whether nothing is shown.
    """
    from mmi_agent.cli.writing import Live
    from mmi_agent.viewer.written_page import render_written_page

    warnings = [run.caution] if run.caution else []
    with Live(silent=silent) as live:
        for warning in warnings:
            live.note(warning)
        for piece in run.pieces(live.drawing):
            live.show(
                piece, str(target / "pictures" / f"{piece.picture.digest}.png") if piece.picture and target else ""
            )
        if run.dropped.positions:
            warnings.append(
                f"the page did not fit the model's window: {run.dropped.positions} positions and "
                f"{len(run.dropped.pictures)} pictures from its beginning were dropped"
            )
            live.note(warnings[-1])
    manifest = run.save(folder)
    html = render_written_page(
        manifest.page.name,
        run.given,
        run.written,
        run.pictures,
        facts={
            "model": manifest.setup.model,
            "seed": str(manifest.settings.seed),
            "drawings": f"{manifest.settings.drawing.steps} steps of {manifest.settings.drawing.scheduler}",
            "device": f"{manifest.setup.device} ({manifest.setup.hardware}), {manifest.setup.dtype}",
            "weights": manifest.setup.fingerprint[:12],
        },
        warnings=warnings,
    )
    (folder / "page.html").write_text(html, encoding="utf-8")
    return manifest


def _as_json(run: "PageRun", manifest: "PageManifest", target: Path) -> dict[str, object]:
    return {
        "folder": str(target),
        "page": str(target / "page.md"),
        "written": [block.model_dump(mode="json") for block in run.written],
        "dropped": manifest.dropped,
        "outputs": [output.model_dump(mode="json") for output in manifest.outputs],
    }
