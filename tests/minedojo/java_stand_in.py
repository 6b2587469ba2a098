"""Stands in for Java 8 and the game: MineDojo's own launch script runs it, and it speaks Malmo.

What it cannot stand in for is the game.
"""

import re
import sys
import time
from pathlib import Path

if "-version" in sys.argv:
    print('openjdk version "1.8.0_402"', file=sys.stderr)
    sys.exit()

sys.path.insert(0, str(Path(__file__).resolve().parent))
from malmo_server import MalmoServer, StillWorld

if "--refuses" in sys.argv:
    print("* What went wrong:\nCould not resolve all dependencies for configuration ':classpath'.", flush=True)
    sys.exit(1)
configured = Path("run/config/malmomodCLIENT.cfg").read_text()
found = re.search(r"portOverride=(\d+)", configured)
assert found
server = MalmoServer(StillWorld(), int(found[1]))
print(f"***** Start MalmoEnvServer on port {server.port}\nCLIENT enter state: DORMANT", flush=True)
time.sleep(600)
