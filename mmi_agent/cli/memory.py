"""`mmi memory`: what the agent remembers belongs to its owner, who can see, correct and remove all of it."""

import json as json_format
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmi_agent.cli.options import Json
from mmi_agent.cli.text import printable, shortened
from mmi_agent.errors import ActionError, ConfigError, MemoryStoreError, TrajectoryError

if TYPE_CHECKING:
    from mmi_agent.memory import Kind, Memory, MemoryItem, Recalled, Trust
    from mmi_agent.memory.recollection import Recollector

__all__ = [
    "Examples",
    "MemoryFolder",
    "add_item",
    "edit_item",
    "export_items",
    "forget_items",
    "import_items",
    "learn_runs",
    "list_items",
    "open_recollector",
    "rebuild_memory",
    "recall_items",
    "show_item",
]

MemoryFolder = Annotated[
    Path | None,
    typer.Option(
        "--memory",
        metavar="DIR",
        help="Recall from this memory, and remember the run in it; made where there is none.",
        show_default=False,
    ),
]
Examples = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=0,
        help="At most so many remembered runs are shown as examples; 0 leaves the facts, which small reads better.",
    ),
]
_Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The memory's folder.")]
_Id = Annotated[str, typer.Argument(metavar="ID", help="An item's id, or its beginning.")]
_Kind = Annotated[
    list[str] | None, typer.Option("--kind", metavar="episode|fact|skill", help="Only these.", show_default="all")
]
_Trust = Annotated[
    list[str] | None, typer.Option("--trust", metavar="user|agent|screen", help="Only these.", show_default="all")
]


@contextmanager
def open_recollector(folder: Path | None, examples: int) -> "Generator[Recollector | None]":
    """Opens the memory that `--memory` names, to show so many worked examples of it; None where it names none."""
    if folder is None:
        yield None
        return
    from mmi_agent.memory.recollection import Recollector

    with _opened(folder, make=True) as memory:
        yield Recollector(memory=memory, max_examples=examples)


def list_items(
    memory: _Folder,
    kind: _Kind = None,
    trust: _Trust = None,
    env: Annotated[str | None, typer.Option(metavar="NAME", help="Only about this world.", show_default="all")] = None,
    superseded: Annotated[bool, typer.Option("--all", help="Also those in whose place others stand.")] = False,
    json: Json = False,
) -> None:
    """Name every item in a line, newest first: its id, its time, its kind, whose words it holds, and how it begins.

    Examples:
      mmi memory list memory
      mmi memory list memory --kind fact --trust screen
      mmi memory list memory --json | jq .text
    """
    with _opened(memory) as opened:
        found = opened.list(kinds=_kinds(kind), trusts=_trusts(trust), superseded=superseded)
        _print_items([item for item in found if env is None or item.environment == env], json)


def show_item(memory: _Folder, id: _Id, json: Json = False) -> None:
    """Show all that is known of an item: its text whole, where it came from, what it stands in place of.

    Examples:
      mmi memory show memory 3f2a
    """
    with _opened(memory) as opened:
        item = opened.get(opened.resolve(id))
        if json:
            print(item.model_dump_json())
            return
        source = item.source
        lines = {
            "id": item.id,
            "kind": item.kind,
            "trust": item.trust + (" (quoted as data, like everything that is recalled)" if item.tainted else ""),
            "time": item.time,
            "world": item.environment,
            "success": "" if item.success is None else "yes" if item.success else "no",
            "run": source.run + ("" if source.step is None else f", step {source.step}"),
            "supersedes": ", ".join(item.supersedes),
            "current": "yes" if opened.is_current(item.id) else "no: another item stands in its place",
            "found by": item.cue,
        }
        print("\n".join(f"{name}: {shortened(value, 2000)}" for name, value in lines.items() if value))
        for picture in item.pictures:
            print(f"picture: {opened.pictures.path(picture.digest)}")
        print(f"\n{printable(item.text)}")


def recall_items(
    memory: _Folder,
    text: Annotated[str, typer.Argument(metavar="[TEXT]", help="What is looked for.")] = "",
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A picture of what is looked for.", show_default=False)
    ] = None,
    kind: _Kind = None,
    trust: _Trust = None,
    env: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only these worlds.", show_default="all")
    ] = None,
    count: Annotated[int, typer.Option("-k", metavar="N", min=1, help="At most so many.")] = 5,
    json: Json = False,
) -> None:
    """Show what comes to mind, best first, as a run would recall it.

    Examples:
      mmi memory recall memory "where are the invoices?"
      mmi memory recall memory --picture screen.png --kind skill -k 3
    """
    from mmi_agent.memory import Query

    query = Query(
        text=text,
        picture=picture.read_bytes() if picture else None,
        kinds=_kinds(kind),
        trusts=_trusts(trust),
        environments=tuple(env) if env else None,
    )
    with _opened(memory) as opened:
        _print_recalled(opened.recall(query, count), json)


def add_item(
    memory: _Folder,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What is to be remembered; - reads it from stdin.")],
    kind: Annotated[str, typer.Option(metavar="episode|fact|skill", help="What it is.")] = "fact",
    cue: Annotated[str, typer.Option(metavar="TEXT", help="What it is found by.", show_default="its text")] = "",
    picture: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="A picture; can be repeated.", show_default=False)
    ] = None,
    env: Annotated[str, typer.Option(metavar="NAME", help="The world that it is about.", show_default="any")] = "",
) -> None:
    """Remember something, as you say it; prints its id.

    Examples:
      mmi memory add memory "The invoices are under Reports."
      mmi memory add memory "Press Save twice." --kind skill --cue "save the form" --env gui/browser
    """
    files = [path.read_bytes() for path in picture or ()]
    with _opened(memory, make=True) as opened:
        store = _in_memory(files)
        item = _item(kind=kind, text=_given(text), cue=cue, environment=env, trust="user", pictures=store[1])
        print(opened.remember(item, pictures=store[0]))


def edit_item(
    memory: _Folder,
    id: _Id,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What it says from now on; - reads it from stdin.")],
    cue: Annotated[str, typer.Option(metavar="TEXT", help="What it is found by.", show_default="its text")] = "",
) -> None:
    """Put a corrected item in the place of one; prints the new id. The old one is kept, and never recalled again.

    To be rid of the old one as well, forget the new one and add it again.

    Examples:
      mmi memory edit memory 3f2a "The invoices are under Billing."
    """
    with _opened(memory) as opened:
        old, said = opened.get(opened.resolve(id)), _given(text)
        _item(kind=old.kind, text=said, cue=cue, trust="user", pictures=old.pictures)  # says what is wrong with it
        print(opened.edit(old.id, text=said, cue=cue).id)


def forget_items(
    memory: _Folder,
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of items, or their beginnings.")],
) -> None:
    """Remove items, and what they stand in place of: from the file, the vectors, the index and the pictures.

    Examples:
      mmi memory forget memory 3f2a 91c0
    """
    with _opened(memory) as opened:
        gone = opened.forget(*(opened.resolve(id) for id in ids))
    print(f"forgotten: {gone} {'item' if gone == 1 else 'items'}")


def export_items(
    memory: _Folder,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The ZIP file to write.")],
) -> None:
    """Write everything into one file: the items as JSON lines, and the pictures. No vectors: an import makes them.

    Examples:
      mmi memory export memory memory.zip
    """
    from mmi_agent.memory.portable import export_memory

    with _opened(memory) as opened:
        count = export_memory(opened, file)
    print(f"exported: {count} items to {file}")


def import_items(
    memory: _Folder,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What mmi memory export wrote.")],
    trust: Annotated[
        str | None,
        typer.Option(
            metavar="user|agent|screen",
            help="What all of it counts as; screen, for a stranger's file.",
            show_default="what the file says",
        ),
    ] = None,
) -> None:
    """Take in what an export wrote, all or nothing; what is there already stays as it is.

    Examples:
      mmi memory import memory memory.zip
      mmi memory import memory from-a-stranger.zip --trust screen
    """
    from mmi_agent.memory.portable import import_memory

    with _opened(memory, make=True) as opened:
        found = import_memory(opened, file, trust=_one_trust(trust))
    print(f"imported: {found.added} items; {found.there} were there already")


def learn_runs(
    memory: _Folder,
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Runs, or folders that hold some at any depth.")],
) -> None:
    """Remember recorded runs: each step, what worked as a whole, and what was answered. A run is remembered once.

    A damaged run is named and left out. Exits with 1 if there was one.

    Examples:
      mmi memory learn memory runs/20261123-201502-click-test
      mmi memory learn memory demos
    """
    from rich.console import Console

    from mmi_agent.data.readers.trajectories import find_runs
    from mmi_agent.memory.recollection import Recollector

    found = sorted({path.parent for run in runs for path in find_runs(run)})
    if not found:
        raise ConfigError(f"there is no run in {', '.join(map(str, runs))}")
    with _opened(memory, make=True) as opened, Console(stderr=True).status("") as status:
        recollector, count, damaged = Recollector(memory=opened), 0, 0
        for number, folder in enumerate(found):
            status.update(f"run {number + 1} of {len(found)}")
            try:
                count += recollector.keep(folder)
            except (TrajectoryError, ActionError) as error:
                damaged += 1
                line = " ".join(printable(f"left out {folder}: {error}").split())
                status.console.print(line, markup=False, highlight=False, soft_wrap=True)
    print(f"learnt: {count} items from {len(found) - damaged} runs")
    if damaged:
        raise TrajectoryError(f"of {len(found)} runs {damaged} could not be read and were left out")


def rebuild_memory(
    memory: _Folder,
    embed: Annotated[
        bool, typer.Option("--embed", help="Make all vectors anew as well, with the embedders of now.")
    ] = False,
    json: Json = False,
) -> None:
    """Keep every whole item, set damaged lines aside, and build the index anew.

    Examples:
      mmi memory rebuild memory
      mmi memory rebuild memory --embed
    """
    from rich.console import Console

    from mmi_agent.memory.upkeep import rebuild

    with Console(stderr=True).status("") as status:
        done = rebuild(memory, embed=embed, progress=status.update)
    if json:
        print(json_format.dumps({**vars(done), "aside": str(done.aside) if done.aside else None}))
        return
    print(f"rebuilt: {done.items} items, {done.embedded} of them with new vectors")
    if done.damaged:
        print(f"{done.damaged} damaged lines are now in {done.aside}")
    if done.pictures_lost:
        print(f"{done.pictures_lost} pictures were missing; their items were kept without them")


# ---- what these share


@contextmanager
def _opened(folder: Path, *, make: bool = False) -> "Generator[Memory]":
    """Opens a memory; one that is only looked into is not made."""
    from mmi_agent.memory import Memory
    from mmi_agent.memory.journal import holds_memory

    if not make and not holds_memory(folder):
        raise MemoryStoreError(f"{folder} holds no memory: mmi memory add {folder} TEXT begins one")
    with Memory.open(folder) as memory:
        yield memory


def _item(**fields: Any) -> "MemoryItem":
    """Makes an item of what the person gave.

    Raises:
        ConfigError: If something of it is wrong.
    """
    from pydantic import ValidationError

    from mmi_agent.memory import MemoryItem

    try:
        item = MemoryItem(**fields)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, f['loc']))}: {f['msg']}" for f in error.errors(include_url=False))
        raise ConfigError(f"this cannot be remembered: {faults}") from error
    if not (item.text.strip() or item.pictures):
        raise ConfigError("this cannot be remembered: it has neither a text nor a picture")
    return item


def _in_memory(files: Sequence[bytes]) -> tuple[Any, tuple[Any, ...]]:
    from mmi_agent.pictures import MemoryPictures

    store = MemoryPictures()
    return store, tuple(store.put(data) for data in files)


def _given(text: str) -> str:
    return sys.stdin.read() if text == "-" else text


def _kinds(names: Sequence[str] | None) -> "tuple[Kind, ...] | None":
    from mmi_agent.memory import KINDS

    return _chosen("--kind", names, KINDS)


def _trusts(names: Sequence[str] | None) -> "tuple[Trust, ...] | None":
    from mmi_agent.memory import TRUSTS

    return _chosen("--trust", names, TRUSTS)


def _one_trust(name: str | None) -> "Trust | None":
    found = _trusts([name] if name else None)
    return found[0] if found else None


def _chosen(option: str, names: Sequence[str] | None, known: tuple[Any, ...]) -> tuple[Any, ...] | None:
    if wrong := next((name for name in names or () if name not in known), None):
        raise ConfigError(f"{option} {wrong!r} is none of {', '.join(known)}")
    return tuple(names) if names else None


def _print_items(items: "Sequence[MemoryItem]", json: bool) -> None:
    for item in items:
        if json:
            print(item.model_dump_json())
        else:
            named = f"{_beginning(item.id, 34):34} {_beginning(item.time, 16)}"
            print(f"{named} {item.kind:7} {item.trust:6} {shortened(item.text, 80)}")


def _print_recalled(found: "Sequence[Recalled]", json: bool) -> None:
    for each in found:
        text, picture = each.text_similarity, each.picture_similarity
        if json:
            scores = {"score": each.score, "text_similarity": text, "picture_similarity": picture}
            print(json_format.dumps({**scores, "item": each.item.model_dump(mode="json")}))
        else:
            alike = f"text {text:.2f}" if text is not None else "text -"
            alike += f", picture {picture:.2f}" if picture is not None else ""
            named = f"{each.item.kind} {_beginning(each.item.id, 34)}"
            print(f"{each.score:.3f} ({alike}) {named} {shortened(each.item.text, 80)}")


def _beginning(text: str, limit: int) -> str:
    """At most so many characters of a stranger's text, printable, and as one writes them to name the item."""
    return shortened(text, limit + 1)[:limit]
