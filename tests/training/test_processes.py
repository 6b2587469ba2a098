import subprocess
import sys
from pathlib import Path

import pytest

from mmi_agent.training.log import read_log

HERE = Path(__file__).parent


def curve(folder: Path) -> list[tuple[float, float]]:
    return [
        (entry["loss"], entry["grad_norm"]) if "loss" in entry else tuple(entry["held_back"].values())[:2]
        for entry in read_log(folder)
    ]


def train(folder: Path, name: str, *options: str, processes: int) -> list[tuple[float, float]]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    command = command if processes > 1 else [sys.executable]
    done = subprocess.run(
        [*command, HERE / "shared_training.py", name, folder, *options], capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return curve(folder)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lora", "finetune"])
def test_two_processes_have_the_curve_of_one(tmp_path, name):
    alone = train(tmp_path / "one", name, processes=1)
    assert len(alone) == 3
    for options in ((), ("shard", "recompute")):
        shared = train(tmp_path / "-".join(("two", *options)), name, *options, processes=2)
        assert shared == [pytest.approx(each, rel=1e-5) for each in alone], options
