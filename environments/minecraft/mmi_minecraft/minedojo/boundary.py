"""The process boundary to MineDojo: this side of the pipe that `simulator/__main__.py` describes.

The process ends with this one, however that ends, and whatever it is doing. Knows nothing of what is asked.
"""

import json
import os
import signal
import subprocess
import tempfile
import weakref
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import IO, Literal

from pydantic import BaseModel, JsonValue

from mmi_agent.errors import ActionError, ConfigError, EnvironmentFailure, MMIError

__all__ = ["Answer", "Frame", "SimulatorProcess"]

_CLOSE_TIMEOUT_S = 10
_MAX_FRAME_BYTES = 1 << 28
_ERRORS: dict[str, type[MMIError]] = {
    "config": ConfigError,
    "action": ActionError,
    "world": EnvironmentFailure,
}


@dataclass(frozen=True)
class Frame:
    """A picture as it comes: rows from the top, one byte for each of red, green and blue.

    Attributes:
        width_px: Its width.
        height_px: Its height.
        rgb: Its bytes, `3 * width_px * height_px` of them.
    """

    width_px: int
    height_px: int
    rgb: bytes


@dataclass(frozen=True)
class Answer:
    """What a request brought.

    Attributes:
        result: As the method says.
        frames: By name.
    """

    result: dict[str, JsonValue]
    frames: dict[str, Frame] = field(default_factory=dict[str, Frame])


class _Described(BaseModel):
    name: str
    shape: tuple[int, int, Literal[3]]

    @property
    def size_bytes(self) -> int:
        height, width, channels = self.shape
        return height * width * channels


class _Fault(BaseModel):
    kind: str
    message: str


class _Head(BaseModel):
    id: int
    result: dict[str, JsonValue] = {}
    error: _Fault | None = None
    frames: list[_Described] = []


class SimulatorProcess:
    """MineDojo in a process of its own.

    Args:
        python: An interpreter that can import MineDojo.

    Raises:
        EnvironmentFailure: If it cannot be started.
    """

    def __init__(self, python: Path) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="mmi-minedojo-", ignore_cleanup_errors=True)
        program = str(Path(__file__).with_name("simulator"))
        try:
            self._process = subprocess.Popen(
                [str(python), "-s", "-E", program],  # nothing of the environment that this process runs in
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=self._folder.name,  # the game, its log files and its watchdog's stand in there
                env={**os.environ, "TMPDIR": self._folder.name},
                start_new_session=True,  # Ctrl-C is for the agent, which closes the game when it is done
            )
        except OSError as error:
            raise EnvironmentFailure(f"MineDojo's Python {python} cannot be run: {error.strerror}") from error
        stdin, stdout, stderr = self._process.stdin, self._process.stdout, self._process.stderr
        assert stdin and stdout and stderr
        self._stdin = stdin
        self._said: deque[str] = deque(maxlen=50)
        self._answers: SimpleQueue[tuple[_Head, Answer] | None] = SimpleQueue()
        self._asked = 0
        self._listen = Thread(target=_listen, args=(stdout, self._answers), daemon=True)
        self._overhear = Thread(target=_overhear, args=(stderr, self._said), daemon=True)
        self._listen.start()
        self._overhear.start()
        self._end = weakref.finalize(self, _end, self._process, self._folder)

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def request(self, method: str, *, timeout_s: float, **params: JsonValue) -> Answer:
        """Asks for something and waits for it.

        Args:
            method: What, as `simulator/__main__.py` lists it.
            timeout_s: How long it may take; the process is ended after that.
            params: The method's.

        Raises:
            ConfigError: If what was given is wrong.
            ActionError: If MineDojo refuses an action.
            EnvironmentFailure: If the game or the process is gone, or does not answer in time.
        """
        self._asked += 1
        line = json.dumps({"id": self._asked, "method": method, "params": params})
        try:
            self._stdin.write(line.encode() + b"\n")
            self._stdin.flush()
        except (OSError, ValueError) as error:
            raise EnvironmentFailure(f"MineDojo's process is gone{self._last_words()}") from error
        return self._wait(method, timeout_s)

    def close(self) -> None:
        """Ends the game and the process; a second call does nothing."""
        if self._end.alive and self._process.poll() is None:
            with suppress(MMIError):
                self.request("close", timeout_s=_CLOSE_TIMEOUT_S)
        self._end()

    def _wait(self, method: str, timeout_s: float) -> Answer:
        while True:
            try:
                answered = self._answers.get(timeout=timeout_s)
            except Empty as error:
                self._end()
                raise EnvironmentFailure(
                    f"MineDojo did not {method} within {timeout_s:g} s{self._last_words()}"
                ) from error
            if answered is None:
                self._end()
                raise EnvironmentFailure(f"MineDojo's process has ended{self._last_words()}")
            head, answer = answered
            if head.id != self._asked:
                continue  # the answer to a request that Ctrl-C interrupted
            if head.error:
                raise _ERRORS.get(head.error.kind, EnvironmentFailure)(head.error.message)
            return answer

    def _last_words(self) -> str:
        self._overhear.join(timeout=1 if self._process.poll() is not None else 0)
        said = [line for line in self._said if line.strip() and not line.startswith(" ")]
        return f"; it said: {said[-1].strip()[:300]}" if said else ""


def _listen(stdout: IO[bytes], answers: "SimpleQueue[tuple[_Head, Answer] | None]") -> None:
    """Reads answers until the process ends, or says something that is none."""
    with suppress(OSError, ValueError):  # ValueError: closed meanwhile, and the parent of ValidationError
        for line in stdout:
            head = _Head.model_validate_json(line)
            frames = {each.name: _frame(each, stdout) for each in head.frames}
            answers.put((head, Answer(head.result, frames)))
    answers.put(None)


def _frame(described: _Described, stdout: IO[bytes]) -> Frame:
    height, width, _ = described.shape
    if described.size_bytes > _MAX_FRAME_BYTES:
        raise ValueError(f"a frame of {described.size_bytes} bytes")
    rgb = stdout.read(described.size_bytes)
    if len(rgb) != described.size_bytes:
        raise ValueError("a frame that breaks off")
    return Frame(width, height, rgb)


def _overhear(stderr: IO[bytes], said: deque[str]) -> None:
    with suppress(OSError, ValueError):
        for line in stderr:
            said.append(line.decode(errors="replace").rstrip())


def _end(process: subprocess.Popen[bytes], folder: tempfile.TemporaryDirectory[str]) -> None:
    """Ends the process and what it started in its session; the game itself is ended by MineDojo's watchdog."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        with suppress(OSError):
            if pipe:
                pipe.close()
    folder.cleanup()
