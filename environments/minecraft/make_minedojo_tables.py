"""Writes `mmi_minecraft/minedojo/tables.json`: MineDojo 0.1's names of tasks, of what is made, and of biomes.

python environments/minecraft/make_minedojo_tables.py
"""

import json
from pathlib import Path

from mmi_minecraft.minedojo.boundary import SimulatorProcess
from mmi_minecraft.minedojo.installation import minedojo_python

TABLES = Path(__file__).parent / "mmi_minecraft" / "minedojo" / "tables.json"


def main() -> None:
    """Asks MineDojo itself."""
    simulator = SimulatorProcess(minedojo_python(print))
    try:
        described = simulator.request("describe", timeout_s=120).result
    finally:
        simulator.close()
    tables = {name: described[name] for name in ("tasks", "crafts", "biomes", "sizes", "idle")}
    TABLES.write_text(json.dumps(tables, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
