import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toy_checkpoint import INDEX, SHARDS, released_state, toy_model, train_pieces, write_released
from toy_hub import COMMIT, ToyHub, serving

from mmi_agent.checkpoints.converted import load_converted, load_converted_tokenizer
from mmi_agent.checkpoints.files import verify
from mmi_agent.checkpoints.hub import fetch, plan_fetch
from mmi_agent.errors import CheckpointError
from mmi_agent.models.configs import tiny

HERE = Path(__file__).parent
Mmi = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub")
    (folder / "OpenGVLab" / "MM-Interleaved").mkdir(parents=True)
    (folder / "lmsys" / "vicuna-13b-v1.3").mkdir(parents=True)
    write_released(folder / "OpenGVLab" / "MM-Interleaved" / "mm_interleaved_pretrain", released_state(toy_model()))
    train_pieces(folder / "lmsys" / "vicuna-13b-v1.3" / "tokenizer.model", vocab_size=tiny().begin_of_image)
    return folder


@pytest.fixture
def hub(released: Path, tmp_path: Path) -> Generator[ToyHub]:
    shutil.copytree(released, tmp_path / "hub")
    with serving(tmp_path / "hub") as hub:
        yield hub


@pytest.fixture
def mmi(tmp_path: Path, request: pytest.FixtureRequest) -> Mmi:
    """Runs `mmi` in a process of its own, with a hub's cache and a cache of ours that are empty at first."""

    def run(*arguments: str, address: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        own = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "hf"), "MMI_CACHE": str(tmp_path / "cache")}
        own |= {"HF_HUB_DISABLE_XET": "1", "COLUMNS": "200"} | environment
        command = [sys.executable, str(HERE / "mmi_with_toy_full.py"), *arguments]
        return subprocess.run(command, env=os.environ | own, cwd=tmp_path, capture_output=True, text=True)

    return run


def test_everything_is_fetched_checked_and_converted(hub: ToyHub, mmi: Mmi, tmp_path: Path) -> None:
    hub.cut_after = 1_000_000  # each shard once: the client takes up where it was cut
    done = mmi("weights", "fetch", "full", "--json", "--dtype", "float32", address=hub.address)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    out = tmp_path / "cache" / "mm-interleaved"
    assert told["folder"] == str(out)
    for line in (f"mm_interleaved_pretrain/{SHARDS[1]}  (from {hub.address})", "GB free", "to download", "to write"):
        assert line in done.stderr
    manifest = verify(out)
    assert manifest.source.kind == "hub"
    assert manifest.source.name == f"OpenGVLab/MM-Interleaved/mm_interleaved_pretrain@{COMMIT}"
    theirs = toy_model().state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in load_converted(out).state_dict().items())
    assert load_converted_tokenizer(out).token_to_id("<|image|>") == tiny().image
    folder = hub.folder / "OpenGVLab" / "MM-Interleaved" / "mm_interleaved_pretrain"
    assert [hub.sent_bytes[file] for file in SHARDS] == [(folder / file).stat().st_size for file in SHARDS]

    hub.sent_bytes.clear()
    again = mmi("weights", "fetch", "full", "--dtype", "float32", address="http://127.0.0.1:9")  # needs no hub any more
    assert (again.returncode, again.stdout) == (0, f"{out}: MM-Interleaved from {manifest.source.name}, float32, "
    f"{told['bytes'] / 1e9:.3f} GB, whole\n")  # fmt: skip
    other = mmi("weights", "fetch", "full", "--out", "other", address=hub.address)
    assert other.returncode == 0, other.stderr
    assert f"{SHARDS[0]}  (here already)" in other.stderr
    assert not set(SHARDS) & hub.sent_bytes.keys()


def test_after_ctrl_c_the_same_command_goes_on(hub: ToyHub, mmi: Mmi, tmp_path: Path) -> None:
    command = ("weights", "fetch", "full", "--out", "out", "--shard-gb", "0.001")
    stopped = mmi(*command, address=hub.address, MMI_STOP_AT="1500000")
    assert stopped.returncode == 130
    assert f"what is finished is kept in {tmp_path / 'out.unfinished'}, the same command goes on" in stopped.stderr
    finished = list((tmp_path / "out.unfinished").rglob("*.safetensors"))
    assert len(finished) == 1 and not (tmp_path / "out").exists()
    kept = finished[0].stat().st_mtime_ns
    hub.sent_bytes.clear()
    done = mmi(*command, address=hub.address)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / finished[0].name).stat().st_mtime_ns == kept
    assert not hub.sent_bytes
    verify(tmp_path / "out")


def _expect_one_line(done: "subprocess.CompletedProcess[str]", *said: str) -> None:
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "Traceback" not in done.stderr
    for each in said:
        assert each in errors[0]


def test_a_hub_that_cannot_be_reached(mmi: Mmi, tmp_path: Path) -> None:
    done = mmi("weights", "fetch", "full", address="http://127.0.0.1:9")
    _expect_one_line(done, "OpenGVLab/MM-Interleaved cannot be looked up on http://127.0.0.1:9", "copy the converted")
    assert not (tmp_path / "cache").exists()


@pytest.fixture
def here(hub: ToyHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ToyHub:
    """The hub that this process asks."""
    monkeypatch.setenv("HF_ENDPOINT", hub.address)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf"))
    return hub


@pytest.mark.parametrize("part", ["repository", "shard", "index", "tokenizer"])
def test_a_part_that_is_missing_is_said_before_anything_large_is_fetched(
    here: ToyHub, tmp_path: Path, part: str
) -> None:
    weights = here.folder / "OpenGVLab" / "MM-Interleaved" / "mm_interleaved_pretrain"
    missing, said = {
        "repository": (weights.parent, "OpenGVLab/MM-Interleaved cannot be looked up"),
        "shard": (weights / SHARDS[1], f"the hub has no mm_interleaved_pretrain/{SHARDS[1]}"),
        "index": (weights / INDEX, r"has no index of shards \(\*\.index\.json\) in mm_interleaved_pretrain"),
        "tokenizer": (here.folder / "lmsys" / "vicuna-13b-v1.3" / "tokenizer.model", "the hub has no tokenizer.model"),
    }[part]
    shutil.rmtree(missing) if missing.is_dir() else missing.unlink()
    with pytest.raises(CheckpointError, match=said):
        plan_fetch(tmp_path / "out", config=tiny())
    assert not set(SHARDS) & here.sent_bytes.keys()


@pytest.mark.parametrize("file", [SHARDS[1], "tokenizer.model"])
def test_what_is_not_as_the_hub_says_is_refused(here: ToyHub, tmp_path: Path, file: str) -> None:
    plan = plan_fetch(tmp_path / "out", config=tiny())
    lie = {"sha256": "f" * 64}
    weights = tuple(replace(each, **lie) if each.name.endswith(file) else each for each in plan.weights)
    tokenizer = replace(plan.tokenizer, **lie) if plan.tokenizer.name == file else plan.tokenizer
    with pytest.raises(
        CheckpointError, match=r"/blobs/\w+ has .*SHA-256 \w+, expected .*f{64}: delete it to have it fe"
    ):
        fetch(replace(plan, weights=weights, tokenizer=tokenizer), config=tiny(), shard_bytes=10**9)
    assert not (tmp_path / "out").exists()


def test_a_disk_that_is_too_small(here: ToyHub, tmp_path: Path) -> None:
    plan = plan_fetch(tmp_path / "out", config=tiny())
    with pytest.raises(
        CheckpointError, match=r"GB free, 1000000\.0 GB are needed: free some space, or name other disks"
    ):
        fetch(replace(plan, converted_bytes=10**15), config=tiny(), shard_bytes=10**9)
    assert not set(SHARDS) & here.sent_bytes.keys()


def test_unknown_names(mmi: Mmi) -> None:
    _expect_one_line(mmi("weights", "fetch", "ful", address=""), "unknown preset with weights 'ful': did you mean")
