"""The command `mmi`, whose preset `full` has the sizes of the toy, and whose downloads are kept by small pieces.

With MMI_STOP_AT=N in the environment the process sends itself SIGINT when N bytes of the result are written.
"""

import os
import signal

from huggingface_hub import constants

from mmi_agent.checkpoints import convert
from mmi_agent.cli import main
from mmi_agent.models import configs

configs.PRESETS["full"] = configs.tiny
constants.DOWNLOAD_CHUNK_SIZE = 100_000
stop_at = int(os.environ.get("MMI_STOP_AT", "0"))
report = convert._Counted.__call__


def report_and_stop(self: convert._Counted, more_bytes: int) -> None:
    report(self, more_bytes)
    if stop_at and self._stage == "writing" and self._done > stop_at:
        os.kill(os.getpid(), signal.SIGINT)


convert._Counted.__call__ = report_and_stop
main()
