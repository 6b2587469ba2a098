"""`RUN/log.jsonl`: a line for every step, and one for every look at the samples that are held back."""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from mmi_agent.errors import CheckpointError, ConfigError
from mmi_agent.whole_file import write_whole

__all__ = ["LOG", "Log", "cut_off", "read_log"]

LOG = "log.jsonl"


class Log:
    """The log of a run that is under way.

    Args:
        folder: The run's.
        step: Steps done: lines of later ones are of a run that was killed, and are dropped.

    Raises:
        CheckpointError: If it cannot be written.
    """

    def __init__(self, folder: Path, *, step: int) -> None:
        self.path = folder / LOG
        try:
            kept = [line for line in read_log(folder) if line["step"] <= step] if self.path.exists() else []
            write_whole(self.path, "".join(_line(each) for each in kept).encode())
            self._file: TextIO = self.path.open("a", encoding="utf-8")
        except OSError as error:
            raise CheckpointError(f"cannot write {self.path}: {error.strerror}") from error

    def write(self, entry: Mapping[str, Any]) -> None:
        """Adds a line, there for others to read when this returns.

        Raises:
            CheckpointError: If it cannot be written, as on a full disk.
        """
        try:
            self._file.write(_line(entry))
            self._file.flush()
        except OSError as error:
            raise CheckpointError(
                f"cannot write {self.path}: {error.strerror}; free some space and give the same command again"
            ) from error

    def close(self) -> None:
        """Lets go of the file."""
        self._file.close()


def read_log(folder: Path) -> Iterator[dict[str, Any]]:
    """Reads the lines of a run's log; a last one that was cut off by a kill is left out.

    Raises:
        ConfigError: If there is no log, or a line is none.
    """
    path = folder / LOG
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text: expected the log of a run of mmi train") from error
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; expected the folder of a run of mmi train") from error
    for number, line in enumerate(lines, start=1):
        try:
            entry: Any = json.loads(line)
            entry["step"]
        except (ValueError, TypeError, KeyError) as error:
            if number == len(lines):
                return
            raise ConfigError(f"{path}: line {number} is no line of a training log") from error
        yield entry


def cut_off(folder: Path) -> str:
    """Says how many samples of a run were longer than a row, and what they lost; empty where none was.

    Raises:
        ConfigError: As `read_log`.
    """
    entries = [entry for entry in read_log(folder) if "samples" in entry]
    cut, lost, samples = (sum(entry.get(name, 0) for entry in entries) for name in ("cut", "lost", "samples"))
    if not cut:
        return ""
    return (
        f"{cut} of {samples} samples that were read are longer than a row and lost their ends, {lost} tokens together: "
        "a larger --row-tokens keeps them, and takes more memory"
    )


def _line(entry: Mapping[str, Any]) -> str:
    """Without what JSON cannot say, and without lists that are empty."""
    plain = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in entry.items()
        if value != ()
    }
    return json.dumps(plain) + "\n"
