"""`mmi data`: what there is to learn from, shown and checked."""

import json as json_format
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mmi_agent.cli.models import need_model_extra
from mmi_agent.cli.opening import open_page
from mmi_agent.cli.options import Json
from mmi_agent.cli.text import printable
from mmi_agent.errors import DataError

if TYPE_CHECKING:
    from mmi_agent.data.measuring import Report

__all__ = ["check_data", "show_data", "write_data"]

_Form = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="trajectory, parts, interleaved, stories, segmentation, grounding, pairs or screens.",
        show_default="found out from the data",
    ),
]
_Preset = Annotated[
    str | None,
    typer.Option(
        metavar="tiny|small|full",
        help="The model that is to learn from it: its tokens, its sizes of pictures, what it sees of runs.",
        show_default="small if its tokenizer is here, else tiny",
    ),
]
_Window = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="Tokens after which a sample is cut off, as --row-tokens of mmi train.",
        show_default="2048, or the model's window",
    ),
]
_Look = Annotated[
    Literal["elements", "picture", "both"],
    typer.Option(help="Of runs: what is seen of their screens; picture tells by points what was done to elements."),
]
_TrainingLook = Annotated[
    Literal["elements", "picture", "both"] | None,
    typer.Option(
        metavar="elements|picture|both",
        help="Of runs: what is seen of their screens; picture tells by points what was done to elements.",
        show_default="as in training: both if the preset sees, else elements",
    ),
]
_Runs = Annotated[
    Literal["successful", "finished", "all"],
    typer.Option(help="Which runs are learnt from: finished also takes those that nobody judged."),
]


def show_data(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A file or a folder.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where the page is written.", show_default="DATA's name .html")
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="At most so many samples.")] = 20,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Choose them by chance.", show_default="the first ones")
    ] = None,
    form: _Form = None,
    preset: _Preset = None,
    window: _Window = None,
    look: _TrainingLook = None,
    runs: _Runs = "successful",
    open_it: Annotated[bool, typer.Option("--open", help="Open the page in your browser.")] = False,
    json: Json = False,
) -> None:
    """Make one self-contained HTML page of training samples, as the model gets them.

    Every piece in order: text as it stands, markers as chips, pictures in the sizes in which they are read and drawn.
    What is learnt is coloured; all else is only read. At the top: how many samples there are, and what is broken.

    Examples:
      mmi data show runs/
      mmi data show docs_shard_0.jsonl --limit 50 --seed 1 --open
      mmi data show shard-000.tar --preset tiny --out pairs.html
    """
    need_model_extra("data")
    from mmi_agent.data.measuring import Yardstick
    from mmi_agent.data.readers import open_data
    from mmi_agent.data.show import render_samples
    from mmi_agent.viewer import write_text

    yardstick = Yardstick.of(preset)
    reader = open_data(data, form=form, look=look or yardstick.look, runs=runs)
    text = render_samples(reader, yardstick, window=window, limit=limit, seed=seed)
    page = out or Path(f"{data.resolve().name}.html")
    write_text(text, page)
    print(json_format.dumps({"page": str(page), "form": reader.form, "samples": len(reader)}) if json else page)
    if open_it:
        open_page(page)


def check_data(
    data: Annotated[list[Path], typer.Argument(metavar="DATA...", help="Files or folders.")],
    form: _Form = None,
    preset: _Preset = None,
    window: _Window = None,
    look: _TrainingLook = None,
    runs: _Runs = "successful",
    json: Json = False,
) -> None:
    """Read training data through, and say how much there is and what of it is broken.

    Exits with 1 if one of them has no sample that can be learnt from.

    Examples:
      mmi data check runs/
      mmi data check shards/ captions.tar --window 8192
    """
    need_model_extra("data")
    from rich.console import Console
    from rich.markup import escape

    from mmi_agent.data.measuring import Yardstick, examine
    from mmi_agent.data.readers import open_data

    yardstick = Yardstick.of(preset)
    limit = window or yardstick.row_tokens
    reports: list[Report] = []
    try:
        for path in data:
            with Console(stderr=True).status(f"reading {escape(str(path))}"):
                reader = open_data(path, form=form, look=look or yardstick.look, runs=runs)
                reports.append(examine(reader, yardstick, window=limit))
            if not json:
                _tell(reports[-1], yardstick.name, limit)
    finally:  # what was read is told, whatever is wrong with the next
        if json:
            print(json_format.dumps([_as_json(report, yardstick.name, limit) for report in reports], indent=2))
    if hopeless := next((report for report in reports if not report.lengths), None):
        told = f"; {hopeless.left_out}" if hopeless.left_out else ""
        raise DataError(f"{hopeless.name}: none of its {hopeless.num_broken} samples can be learnt from{told}")


def write_data(
    data: Annotated[list[Path], typer.Argument(metavar="DATA...", help="Files or folders.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="JSON lines of parts; compressed if it ends in .gz.")],
    side: Annotated[
        int | None,
        typer.Option(metavar="PX", min=16, max=16383, help="Scale pictures to this side.", show_default="as they are"),
    ] = None,
    next_screens: Annotated[
        bool, typer.Option("--next-screens", help="Of runs: have every screen but the first learnt, to be drawn.")
    ] = False,
    form: _Form = None,
    look: _Look = "both",
    runs: _Runs = "successful",
    json: Json = False,
) -> None:
    """Write training data into one file, pictures within: to be taken to another machine.

    Examples:
      mmi data write demos --look elements --out demos.jsonl.gz
      mmi data write runs docs.jsonl --side 256 --out all.jsonl.gz
    """
    need_model_extra("data")
    from itertools import chain

    from rich.console import Console

    from mmi_agent.data.readers import open_data
    from mmi_agent.data.readers.next_screens import NextScreens
    from mmi_agent.data.writing import expect_other_file, write_parts

    expect_other_file(out, data)
    readers = [open_data(path, form=form, look=look, runs=runs) for path in data]
    readers = [NextScreens(reader) for reader in readers] if next_screens else readers
    with Console(stderr=True).status(f"writing {sum(map(len, readers))} samples"):
        written = write_parts(chain.from_iterable(readers), out, side_px=side)
    if json:
        found = {
            "file": str(out),
            "samples": written.samples,
            "broken": len(written.broken),
            "bytes": written.size_bytes,
        }
        print(json_format.dumps(found))
        return
    print(f"{out}: {written.samples} samples, {len(written.broken)} broken, {written.size_bytes / 1e6:.1f} MB")
    for each in written.broken[:3]:
        print(printable(f"  broken: {each.source}: {each.reason}"))


def _tell(report: "Report", preset: str, window: int) -> None:
    print(f"{report.name}: {report.form}, {len(report.lengths)} samples, {report.num_broken} broken")
    if report.lengths:
        totals, count = report.totals, len(report.lengths)
        print(
            f"  tokens of {preset}: {totals.tokens / count:.0f} a sample, 95 % have at most {report.tokens_at(0.95)}, "
            f"the longest {report.tokens_at(1)}; {report.beyond_window} are longer than {window} and lose their ends"
        )
        print(f"  learnt: {totals.learnt} of {totals.tokens} tokens, {totals.drawn} of {totals.pictures} pictures")
    if report.left_out:
        print(printable(f"  left out: {report.left_out}"))
    for kind in report.by_count():
        print(printable(f"  {kind.count} broken, as {kind.example.source}: {kind.example.reason}"))
    sys.stdout.flush()


def _as_json(report: "Report", preset: str, window: int) -> dict[str, object]:
    totals, count = report.totals, len(report.lengths)
    return {
        "data": report.name,
        "form": report.form,
        "samples": count,
        "broken": [
            {"count": kind.count, "source": kind.example.source, "reason": kind.example.reason}
            for kind in report.by_count()
        ],
        "left_out": report.left_out,
        "preset": preset,
        "tokens": totals.tokens,
        "tokens_learnt": totals.learnt,
        "tokens_mean": totals.tokens / count if count else 0.0,
        "tokens_p95": report.tokens_at(0.95),
        "tokens_max": report.tokens_at(1),
        "window": window,
        "beyond_window": report.beyond_window,
        "pictures": totals.pictures,
        "pictures_learnt": totals.drawn,
    }
