"""Converts again and again, each time killed at another point with SIGKILL, and goes on; prints what came of it.

    python killed_conversions.py SOURCE FOLDER

Points are where something was just brought to disk or renamed, and some between. Every conversion is a process of its
own, forked from one that has everything imported and one thread.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmi_agent.checkpoints import convert as conversion
from mmi_agent.checkpoints.convert import Step, convert, unfinished_folder
from mmi_agent.checkpoints.converted import expected_shapes
from mmi_agent.checkpoints.files import check, verify
from mmi_agent.models.configs import tiny

CONFIG = replace(tiny(), image_decoder=None)
SHARD_BYTES = 600_000
STEPS_BETWEEN = 150  # of progress, from one point to the next


class Points:
    """Counts points, and dies at one."""

    def __init__(self, die_at: int) -> None:
        self.die_at, self.count, self.steps = die_at, 0, 0
        self.found_bytes = self.done_bytes = 0

    def reach(self) -> None:
        if self.count == self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.count += 1

    def step(self, step: Step) -> None:
        self.steps += 1
        if self.steps % STEPS_BETWEEN == 0:
            self.reach()
        if step.stage == "writing":
            self.found_bytes = self.found_bytes if self.done_bytes else step.done_bytes
            self.done_bytes = step.done_bytes

    def after(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any) -> Any:
            result = function(*arguments)
            self.reach()
            return result

        return wrapped


def in_child(source: Path, out: Path, die_at: int) -> dict[str, int] | None:
    """Converts in a process of its own; None if it died."""
    reader, writer = os.pipe()
    if not (child := os.fork()):
        points = Points(die_at)
        os.fsync, Path.replace = points.after(os.fsync), points.after(Path.replace)
        convert(source, out, config=CONFIG, shard_bytes=SHARD_BYTES, progress=points.step)
        os.write(
            writer,
            json.dumps({"points": points.count, "written_bytes": points.done_bytes - points.found_bytes}).encode(),
        )
        os._exit(0)
    os.close(writer)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reader) as file:
        answer = file.read()
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return None
    assert status == 0, "a conversion failed"
    return json.loads(answer)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def main() -> None:
    source, folder = Path(sys.argv[1]), Path(sys.argv[2])
    shapes = expected_shapes(CONFIG)

    def known_shapes(_config: object) -> dict[str, tuple[int, ...]]:
        return shapes

    conversion.expected_shapes = known_shapes
    whole = in_child(source, folder / "whole", -1)
    assert whole is not None
    expected = contents(folder / "whole")
    fewest = whole["written_bytes"]
    for point in range(whole["points"]):
        out = folder / f"killed-{point}"
        assert in_child(source, out, point) is None
        if out.exists():
            check(out)  # if it is there it is whole
        resumed = in_child(source, out, -1)
        assert resumed is not None
        assert contents(out) == expected, point
        assert not unfinished_folder(out).exists()
        fewest = min(fewest, resumed["written_bytes"])
        verify(out)
    print(json.dumps({"points": whole["points"], "all_bytes": whole["written_bytes"], "fewest_bytes": fewest}))


if __name__ == "__main__":
    main()
