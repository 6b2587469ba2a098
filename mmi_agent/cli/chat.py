"""`mmi chat`: talk with the model, show it pictures, let it draw."""

import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, cast

import typer

from mmi_agent.cli.errors import complain
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
from mmi_agent.cli.options import new_folder
from mmi_agent.cli.text import printable
from mmi_agent.errors import ConfigError, MMIError

if TYPE_CHECKING:
    from mmi_agent.inference.conversation import Conversation
    from mmi_agent.inference.drawing import SchedulerName
    from mmi_agent.inference.writing import Piece
    from mmi_agent.pictures import MemoryPictures
    from mmi_agent.types import Picture

__all__ = ["chat"]

_COMMANDS = """\
/picture PATH   show a picture; it goes with what you say next
/draw [WORDS]   have a picture drawn, to your words or to the chat so far
/again          have the latest answer given anew, with another seed
/undo           take back the latest turn, or a picture that waits
/save FILE.md   write the chat to a new file, its pictures to pictures/ beside it
/help           this
/quit           end, as does Ctrl-D; Ctrl-C stops an answer"""


def chat(
    preset: Model = "small",
    device: Device = None,
    dtype: Dtype = None,
    bits: Bits = None,
    offload: Offload = False,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Of the first answer; each one takes the next.")] = 0,
    max_tokens: Annotated[int, typer.Option(metavar="N", min=1, help="Tokens of an answer, at most.")] = 256,
    temperature: Temperature = 0.6,
    top_p: TopP = None,
    system: Annotated[
        str, typer.Option(metavar="TEXT", help="What stands before the chat, and is never dropped.")
    ] = "You are a helpful assistant.",
    steps: Steps = 12,
    guidance: Guidance = 7.5,
    scheduler: Scheduler = "dpm-solver",
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Drawings go to a new folder in here, made with the first one.")
    ] = Path("."),
    stats: Annotated[bool, typer.Option("--stats", help="Tell after each turn what it cost.")] = False,
) -> None:
    """Talk with the model, show it pictures, and let it draw.

    One line is one turn. The whole chat is one document: a turn pays for what is new. When the model's window is full,
    the oldest turns are dropped, and you are told. Lines can come through a pipe as well.

    What `small` writes is text of a small language model; it was not trained to see or to draw yet, and what it draws
    is noise until it is.

    \b
    In the chat:
      /picture PATH   show a picture; it goes with what you say next
      /draw [WORDS]   have a picture drawn, to your words or to the chat so far
      /again          have the latest answer given anew, with another seed
      /undo           take back the latest turn, or a picture that waits
      /save FILE.md   write the chat to a new file, its pictures to pictures/ beside it
      /help, /quit    Ctrl-D ends as well; Ctrl-C stops an answer

    Examples:
      mmi chat
      mmi chat --preset full --device cuda --stats
      printf 'Hello!\\n/draw a red cup\\n' | mmi chat --seed 7

    Exits with 0 when you leave, 1 if it cannot begin.
    """  # noqa: D301
    need_model_extra("chat")

    from mmi_agent.inference.conversation import Conversation
    from mmi_agent.inference.drawing import DrawSettings
    from mmi_agent.pictures import MemoryPictures

    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out {out} is a file: expected a folder for drawings")
    sampling = parse_sampling(temperature, top_p)
    drawing = DrawSettings(steps=steps, guidance_scale=guidance, scheduler=cast("SchedulerName", scheduler))
    loaded = load_model(preset, device=device, dtype=dtype, bits=bits, offload=offload)
    store = MemoryPictures()
    conversation = Conversation(
        loaded, store, instruction=system, sampling=sampling, max_tokens=max_tokens, drawing=drawing, seed=seed
    )
    print(printable(f"a chat with {loaded.name}; /help says what can be done, Ctrl-D ends it"))
    if loaded.caution:
        print(printable(loaded.caution))
    window = loaded.model.config.decoder.max_positions
    _Chat(conversation, store, out, window=window if stats else None).run(_lines())


def _lines() -> Iterator[str]:
    """What a person types, or what comes through a pipe, line by line."""
    if not sys.stdin.isatty():
        for line in sys.stdin.buffer:
            yield line.decode("utf-8", "replace").strip()
        return
    with suppress(ImportError):
        import readline  # noqa: F401  # pyright: ignore[reportUnusedImport] - `input` then edits and remembers lines
    while True:
        try:
            yield input("\nyou> ").strip()
        except KeyboardInterrupt:
            print("\n/quit or Ctrl-D ends the chat")
        except EOFError:
            print()
            return


class _Stopped(Exception):  # noqa: N818 - nothing went wrong
    """Ctrl-C came while a picture was being drawn."""


class _Chat:
    """Carries out line after line.

    Args:
        conversation: The chat.
        store: Its pictures.
        out: Where the folder of drawings is made.
        window: Positions of the model's window, where each turn's cost is to be told.
    """

    def __init__(self, conversation: "Conversation", store: "MemoryPictures", out: Path, *, window: int | None) -> None:
        self._conversation, self._store = conversation, store
        self._out, self._window = out, window
        self._drawings: Path | None = None
        self._num_drawn = 0
        self._waiting: list[Picture] = []

    def run(self, lines: Iterator[str]) -> None:
        """Goes on until the lines end, or one says so."""
        for line in lines:
            if line in ("/quit", "/exit"):
                return
            try:
                self._obey(line)
            except BrokenPipeError:
                raise
            except (MMIError, OSError) as error:
                complain(str(error))
            except Exception as error:  # a conversation is worth more than the line that broke
                complain(f"this should not happen: {type(error).__name__}: {error}")

    def _obey(self, line: str) -> None:
        name, _, rest = line.partition(" ")
        rest = rest.strip()
        match name:
            case "":
                pass
            case "/help":
                print(_COMMANDS)
            case "/picture":
                self._show_picture(rest)
            case "/draw":
                self._turn(lambda progress: self._conversation.draw(rest, self._waiting, progress=progress))
            case "/again":
                self._turn(lambda progress: self._conversation.again(progress=progress), takes_waiting=False)
            case "/undo":
                self._undo()
            case "/save":
                self._save(rest)
            case _ if name.startswith("/"):
                raise ConfigError(f"there is no {name}: /help lists what there is")
            case _:
                self._turn(lambda progress: self._conversation.say(line, self._waiting, progress=progress))

    def _show_picture(self, path: str) -> None:
        from mmi_agent.pictures import open_png

        if not path:
            raise ConfigError("/picture takes a path, as in /picture cup.png")
        file = Path(path).expanduser()
        if not file.is_file():
            raise ConfigError(f"there is no picture {path!r}: expected a file")
        data = file.read_bytes()
        open_png(data)  # a damaged one would break every turn from here on
        picture = self._store.put(data)
        self._waiting.append(picture)
        size = f"{picture.width_px} x {picture.height_px} px"
        print(printable(f"[{path}, {size}: goes with what you say next]"), flush=True)

    def _turn(
        self,
        begin: "Callable[[Callable[[int, int], None]], Generator[Piece]]",
        *,
        takes_waiting: bool = True,
    ) -> None:
        from mmi_agent.cli.writing import Live

        before, overlooked, began = self._conversation.dropped, self._conversation.overlooked, time.perf_counter()
        tokens = 0
        with Live() as live, _stoppable() as is_stopped:

            def progress(done: int, steps: int) -> None:
                live.drawing(done, steps)
                if is_stopped():
                    raise _Stopped

            try:
                pieces = begin(progress)
                for piece in pieces:
                    tokens += len(piece.ids)
                    live.show(piece, str(self._keep(piece.picture)) if piece.picture else "")
                    if is_stopped():
                        pieces.close()
                        live.line("[stopped]")
                        break
            except _Stopped:
                live.line("[stopped; the drawing is forgotten]")
                return
        if takes_waiting:
            self._waiting = []
        self._tell(before.positions, len(before.pictures), overlooked, tokens, time.perf_counter() - began)

    def _tell(self, dropped: int, pictures: int, overlooked: int, tokens: int, seconds: float) -> None:
        now = self._conversation.dropped
        if now.positions > dropped:
            what = f"{now.positions - dropped} positions, {len(now.pictures) - pictures} pictures of them"
            print(f"[the window is full: the oldest turns were dropped, {what}]")
        if self._conversation.overlooked > overlooked:
            print(f"[many pictures: the {self._conversation.overlooked} oldest are no longer looked at in detail]")
        if self._window is not None:
            read = self._conversation.exchanges[-1].read
            print(
                f"[{read.reused} positions reused, {read.read} read, {tokens} tokens written in {seconds:.1f} s; "
                f"{self._conversation.length} of {self._window} taken]"
            )
        sys.stdout.flush()

    def _keep(self, picture: "Picture") -> Path:
        """Writes a drawing to the folder of this chat."""
        self._drawings = self._drawings or new_folder(self._out, "chat")
        self._num_drawn += 1
        path = self._drawings / f"drawn-{self._num_drawn}.png"
        try:
            path.write_bytes(self._store.get(picture.digest))
        except OSError as error:
            raise ConfigError(f"cannot write {path}: {error.strerror}") from error
        return path

    def _undo(self) -> None:
        if self._waiting:
            self._waiting.pop()
            print("[the latest picture that waited is gone]", flush=True)
            return
        self._conversation.undo()
        left = len(self._conversation.exchanges)
        print(f"[taken back; {left} {'turn is' if left == 1 else 'turns are'} left]", flush=True)

    def _save(self, name: str) -> None:
        from mmi_agent.pictures import FolderPictures
        from mmi_agent.types import Picture

        if not name:
            raise ConfigError("/save takes a file, as in /save chat.md")
        file = Path(name).expanduser()
        pictures = FolderPictures(file.parent / "pictures")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("x", encoding="utf-8") as page:
                page.write(self._conversation.transcript())
        except FileExistsError:
            raise ConfigError(f"{name} is there already and is not written over: name another file") from None
        except OSError as error:
            raise ConfigError(f"cannot write {name}: {error.strerror}") from error
        for exchange in self._conversation.exchanges:
            for block in (*exchange.asked, *exchange.answer):
                if isinstance(block, Picture):
                    pictures.put(self._store.get(block.digest))
        print(printable(f"[saved to {name}]"), flush=True)


@contextmanager
def _stoppable() -> Generator[Callable[[], bool]]:
    """Remembers the first Ctrl-C, so that it tears nothing; a second one is a KeyboardInterrupt."""
    stopped = False

    def remember(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopped
        if stopped:
            raise KeyboardInterrupt
        stopped = True

    if threading.current_thread() is not threading.main_thread():
        yield lambda: stopped
        return
    before = signal.signal(signal.SIGINT, remember)
    try:
        yield lambda: stopped
    finally:
        signal.signal(signal.SIGINT, before)
