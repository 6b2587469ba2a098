"""MineDojo behind a pipe: runs in MineDojo's own Python, and knows nothing of mmi_agent.

A request is a line of JSON on standard input:

    {"id": 1, "method": "step", "params": {"actions": [[1, 0, 0, 12, 12, 0, 0, 0]]}}

It is answered on standard output by a line of JSON, and right behind it the bytes of its frames, one after the other:

    {"id": 1, "result": {...}, "frames": [{"name": "rgb", "shape": [360, 640, 3]}]}
    {"id": 1, "error": {"kind": "config", "message": "..."}, "frames": []}

A frame is one byte per number: rows from the top, in a row pixels from the left, in a pixel red, green and blue.
Requests are answered in order, nothing is pickled, and what packages print goes to standard error. The process ends
when its standard input does, whatever it is doing: that is when its owner ends.

    describe                                          {tasks, crafts, biomes, sizes, idle, python}
    open      port                                    a port: of a Malmo client on this machine; null: one is started
    begin     task_id seed width_px height_px rays    {prompt, guidance, judged, observation}
    step      actions                                 {reward, done, success, ticks, observation}
    close                                             ends the game that was started here

`rays` are [pitch, yaw, distance] of the lidar, in radians and blocks. `observation` is MineDojo's own, without "rgb".
The actions of a step are made until the episode is over; `reward` is what they earned together.

Kinds of errors: config (what was given is wrong), action (MineDojo refuses the action), world (the game is gone, or
did not start).
"""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from queue import SimpleQueue
from typing import Any, BinaryIO

from episodes import Simulator
from game import Fault


def main() -> None:
    """Answers requests until standard input ends."""
    wire = _take_standard_output()
    requests: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_read, args=(requests,), daemon=True).start()
    simulator = Simulator()
    while True:
        request = json.loads(requests.get())
        body, frames = _answer(simulator, request["method"], request.get("params", {}))
        described = [{"name": name, "shape": list(frame.shape)} for name, frame in frames.items()]
        wire.write(json.dumps({"id": request["id"], **body, "frames": described}).encode() + b"\n")
        for frame in frames.values():
            wire.write(frame.data)
        wire.flush()


def _take_standard_output() -> BinaryIO:
    """Keeps standard output for answers: whoever else writes to it, here or in a child, writes to standard error."""
    wire = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return wire


def _read(requests: SimpleQueue[bytes]) -> None:
    for line in sys.stdin.buffer:
        requests.put(line)
    os._exit(0)  # MineDojo's watchdog then ends the game


def _answer(simulator: Simulator, method: str, params: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        result, frames = getattr(simulator, method)(**params)
        return {"result": result}, frames
    except Fault as error:
        fault = {"kind": error.kind, "message": str(error)}
    except Exception as error:
        traceback.print_exc()
        fault = {"kind": "world", "message": f"{type(error).__name__}: {error}"[:500]}
    return {"error": fault}, {}


if __name__ == "__main__":
    main()
