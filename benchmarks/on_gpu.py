"""Everything about the model that wants a GPU, one benchmark after the other, what matters most first.

    python benchmarks/on_gpu.py --out results.jsonl [--size full] [--device cuda] [--seconds 700]

Each benchmark is a process of its own with its own limit of time, and adds its results to the file as it has them; what
failed, or came too late, adds what it printed last. The next one imports its libraries while one measures, and touches
the GPU when it is its turn. `--size toy --device cpu` goes through the list without one, to see that all of it runs.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, NamedTuple

_TAIL = 3000  # characters


class Item(NamedTuple):
    """A benchmark to run."""

    command: str
    """Its script, without `bench_`, and its options."""
    limit_s: float
    """How long it may take."""


def items(*, on_cpu: bool) -> list[Item]:
    """All benchmarks, in order; on a CPU no more of each than it takes to see that it runs."""
    if on_cpu:
        return [
            Item("deformable --rounds 1 --dtypes float32 bfloat16", 60),
            Item("memory --dtype bfloat16", 60),
            Item("decode --rounds 2 --modes eager recorded --batches 1 8 --profile", 60),
            Item("pictures --rounds 2", 60),
            Item("turn --profile", 60),
            Item("train --rounds 1 --rows 1 --tokens 64 --profile", 60),
            Item("draw --steps 2 --dtype bfloat16 --profile", 60),
            Item("memory --bits 8 --offload", 60),
            Item("memory --bits 4", 60),
            Item("decode --rounds 2 --modes half --batches 1", 60),
        ]
    return [
        Item("deformable --dtypes float32 bfloat16", 100),
        Item("memory", 60),
        Item("decode --modes eager recorded fused compiled --profile", 200),
        Item("pictures", 60),
        Item("turn --rounds 5 --profile", 60),
        Item("train --layers 8 --rows 4 --profile", 80),
        Item("memory --bits 8 --limit-gb 24", 60),
        Item("memory --bits 4 --offload --limit-gb 16", 60),
        Item("draw --compiled --recorded --rounds 3 --profile", 200),
        Item("decode --modes int4 int8 --profile", 200),
        Item("memory --bits 4 --limit-gb 16", 60),
        Item("memory --bits 8 --offload --limit-gb 16", 60),
    ]


class Running:
    """A benchmark that has been started, and waits for its turn."""

    def __init__(self, item: Item, options: argparse.Namespace) -> None:
        self.item, self._out = item, options.out
        name, *rest = item.command.split()
        script = Path(__file__).with_name(f"bench_{name}.py")
        common = ["--size", options.size, "--device", options.device, "--out", str(options.out), "--wait"]
        common += [] if options.device == "cpu" else ["--threads", "8"]
        self._printed: tuple[IO[str], IO[str]] = (tempfile.TemporaryFile("w+"), tempfile.TemporaryFile("w+"))
        root = str(Path(__file__).parents[1])
        self._process = subprocess.Popen(
            [sys.executable, str(script), *rest, *common],
            stdin=subprocess.PIPE,
            stdout=self._printed[0],
            stderr=self._printed[1],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))},
            text=True,
            start_new_session=True,  # compilers are processes too
        )

    def go(self, seconds: float) -> bool:
        """Lets it measure, for so long at most; returns whether it did well."""
        began, code = time.perf_counter(), None
        try:
            self._process.communicate("\n", timeout=min(seconds, self.item.limit_s))
            code = self._process.returncode
        except subprocess.TimeoutExpired:
            pass
        self.stop()
        line: dict[str, object] = {"item": self.item.command, "code": code, "seconds": time.perf_counter() - began}
        if code != 0:
            line["failed"] = "out of time" if code is None else "see below"
            line["stdout"], line["stderr"] = map(_tail, self._printed)
        with self._out.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(f"{line['seconds']:6.1f} s  {line.get('failed', 'done'):12}  {self.item.command}", flush=True)
        if code != 0:
            print(line["stderr"], flush=True)
        return code == 0

    def stop(self) -> None:
        """Ends it, and what it started."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def _tail(file: IO[str]) -> str:
    file.seek(0)
    return file.read()[-_TAIL:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="full")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=700.0, help="for all of it")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="of the scripts, without `bench_`")
    options = parser.parse_args()
    options.out = options.out.resolve()
    ends = time.perf_counter() + options.seconds
    chosen = items(on_cpu=options.device == "cpu")
    if options.only:
        chosen = [item for item in chosen if item.command.split()[0] in options.only]
    failed, waiting = 0, Running(chosen[0], options)
    for following in [*chosen[1:], None]:
        running, waiting = waiting, None
        try:
            waiting = Running(following, options) if following else None
            failed += not running.go(max(ends - time.perf_counter(), 0.0))
        except BaseException:
            if waiting:
                waiting.stop()
            running.stop()
            raise
        if waiting is None:
            break
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
