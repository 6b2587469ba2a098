"""A Node process that is asked by lines of JSON; `bridge/bridge.mjs` describes the form.

It ends when its standard input does: with `close`, or with this process, however that ends.
"""

import json
import subprocess
import time
import weakref
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from threading import Condition, Thread
from typing import IO, Any, Literal, NamedTuple, cast

from mmi_agent.errors import ActionError, ConfigError, EnvironmentFailure
from mmi_minecraft.server.node import BRIDGE, Progress, bridge_packages, find_node

__all__ = ["Bridge", "BridgeEvent", "Refused"]

_EVENTS_KEPT = 200
_LINES_KEPT = 20
_CLOSE_TIMEOUT_S = 2


class BridgeEvent(NamedTuple):
    """Something that happened unasked.

    Attributes:
        name: What kind of thing.
        data: Of it; from the game, so never to be trusted.
    """

    name: str
    data: dict[str, Any]


class Refused(ActionError):  # noqa: N818 - as `EnvironmentFailure`
    """The world refuses.

    Attributes:
        helpers: Empty cells: a block in one of them would make it possible.
    """

    def __init__(self, message: str, helpers: list[tuple[int, int, int]]) -> None:
        super().__init__(message)
        self.helpers = helpers


class Bridge:
    """A program of the folder `bridge` in a process of its own. One request at a time; not for several threads.

    Args:
        program: The program's file.
        progress: Is told if its packages have to be fetched first.

    Raises:
        MissingDependencyError: If Node.js is missing or too old, or the packages cannot be fetched.
    """

    def __init__(
        self, program: Literal["bridge.mjs", "server.mjs"] = "bridge.mjs", *, progress: Progress | None = None
    ):
        node, packages = find_node(), bridge_packages(progress)
        self._process = _start(node, BRIDGE / program, packages)
        self._pipe = _Pipe(self._process)
        self._last_id = 0
        self.close = weakref.finalize(self, _stop, self._process)

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    def ask(self, method: str, *, timeout_s: float, **params: Any) -> Any:
        """Makes a request and waits for the answer.

        Args:
            method: One of the program's.
            timeout_s: A process that has not answered by then is ended.
            params: Of the method, as JSON.

        Raises:
            Refused: If the world says no; something else may be tried.
            ConfigError: If what was given is wrong.
            EnvironmentFailure: If the game is gone, the process is, or it does not answer.
        """
        self._last_id += 1
        line = json.dumps({"id": self._last_id, "method": method, "params": params})
        try:
            cast("IO[str]", self._process.stdin).write(f"{line}\n")
            cast("IO[str]", self._process.stdin).flush()
        except (OSError, ValueError) as error:
            raise EnvironmentFailure(f"the Minecraft bridge has ended{self._pipe.last_words()}") from error
        answer = self._pipe.answer(self._last_id, time.monotonic() + timeout_s)
        if answer is None:
            ended = self.ended or not self._pipe.is_open
            self.close()
            state = "has ended" if ended else f"did not answer to {method!r} within {timeout_s:g} s and was ended"
            raise EnvironmentFailure(f"the Minecraft bridge {state}{self._pipe.last_words()}")
        if "error" in answer:
            raise _error(answer["error"])
        return answer["result"]

    def take_events(self) -> list[BridgeEvent]:
        """What happened unasked since the last time, oldest first; at most the last 200."""
        return self._pipe.take_events()


def _start(node: str, program: Path, packages: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [node, "--max-old-space-size=2048", str(program), str(packages)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,  # Ctrl-C is for the agent, which closes the bridge when it has written its last line
    )


def _stop(process: subprocess.Popen[str]) -> None:
    if process.stdin:
        try:
            process.stdin.close()
        except OSError:
            pass  # it is gone
    try:
        process.wait(_CLOSE_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _error(error: Mapping[str, Any]) -> Exception:
    message = str(error["message"])
    match error["kind"]:
        case "refused":
            data = cast("dict[str, list[tuple[int, int, int]]]", error.get("data", {}))
            return Refused(message, [(x, y, z) for x, y, z in data.get("helpers", ())])
        case "config":
            return ConfigError(message)
        case "lost":
            return EnvironmentFailure(message)
        case _:
            return EnvironmentFailure(f"the Minecraft bridge failed: {message}")


class _Pipe:
    """Reads what a process says, on threads of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._changed = Condition()
        self._answers: dict[int, dict[str, Any]] = {}
        self._events: deque[BridgeEvent] = deque(maxlen=_EVENTS_KEPT)
        self._errors: deque[str] = deque(maxlen=_LINES_KEPT)
        self._open = True
        Thread(target=self._read, args=(process.stdout,), name="mmi-minecraft", daemon=True).start()
        Thread(target=self._read_errors, args=(process.stderr,), name="mmi-minecraft-errors", daemon=True).start()

    @property
    def is_open(self) -> bool:
        """Whether more may be said."""
        return self._open

    def answer(self, number: int, until_s: float) -> dict[str, Any] | None:
        """Waits for an answer; None if none comes."""
        with self._changed:
            self._changed.wait_for(
                lambda: number in self._answers or not self._open, max(0.0, until_s - time.monotonic())
            )
            answer = self._answers.pop(number, None)
            self._answers.clear()  # those of requests that nobody waits for any more
            return answer

    def take_events(self) -> list[BridgeEvent]:
        with self._changed:
            events = list(self._events)
            self._events.clear()
            return events

    def last_words(self) -> str:
        said = next((line for line in reversed(self._errors) if "Error" in line), "")
        return f": {said.strip()[:300]}" if said else ""

    def _read(self, lines: IO[str]) -> None:
        try:
            for line in lines:
                self._hear(json.loads(line))
        except json.JSONDecodeError:
            pass  # it ended in the middle of a line
        finally:
            with self._changed:
                self._open = False
                self._changed.notify_all()

    def _hear(self, message: dict[str, Any]) -> None:
        with self._changed:
            if "event" in message:
                self._events.append(BridgeEvent(message["event"], message["data"]))
            else:
                self._answers[message["id"]] = message
                self._changed.notify_all()

    def _read_errors(self, lines: IO[str]) -> None:
        self._errors.extend(line for line in lines if line.strip())
