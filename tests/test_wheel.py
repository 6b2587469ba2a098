"""What is installed from the wheel is the `mmi_*` packages, whole, and nothing else."""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_wheel_ships_the_packages_under_their_own_names(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {
        "mmi_agent",
        "mmi_gui",
        "mmi_minecraft",
    }
    for needed in (
        "mmi_agent/py.typed",
        "mmi_gui/py.typed",
        "mmi_minecraft/blocks.json",
        "mmi_minecraft/bridge/bridge.mjs",
        "mmi_minecraft/bridge/package-lock.json",
        "mmi_minecraft/server/eyes.js",
        "mmi_agent/viewer/templates/run.html.j2",
    ):
        assert needed in names
    entry_points = next(name for name in names if name.endswith("entry_points.txt"))
    assert "gui/miniwob = mmi_gui:MiniWobEnvironment" in zipfile.ZipFile(wheel).read(entry_points).decode()
