import json
from pathlib import Path

import pytest
import torch
from cli_answers import Mmi

from mmi_agent.checkpoints.official import to_official
from mmi_agent.models import configs
from mmi_agent.models.mm_interleaved import MMInterleavedModel


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A toy checkpoint in one file, of the sizes that the preset `full` has here."""
    monkeypatch.setitem(configs.PRESETS, "full", configs.tiny)
    torch.save(to_official(MMInterleavedModel.build(configs.tiny()).state_dict()), tmp_path / "toy.bin")
    return tmp_path / "toy.bin"


def test_convert_then_verify(mmi: Mmi, source: Path) -> None:
    code, out, err = mmi("weights", "convert", str(source), "--out", "toy", "--shard-gb", "0.001", "--json")
    assert code == 0, err
    told = json.loads(out)
    assert (told["model"], told["source"], told["dtype"]) == ("MM-Interleaved", "toy.bin", "bfloat16")
    assert told["files"] == 2 and told["bytes"] == sum(path.stat().st_size for path in Path("toy").glob("model-*"))
    code, out, _ = mmi("weights", "verify", "toy")
    assert (code, out) == (0, "toy: MM-Interleaved from toy.bin, bfloat16, 0.002 GB, whole\n")

    shard = Path("toy", "model-00002-of-00002.safetensors")
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    code, _, err = mmi("weights", "verify", "toy")
    assert code == 1
    assert "error: toy/model-00002-of-00002.safetensors has SHA-256" in err
    code, _, err = mmi("weights", "verify", ".")
    assert code == 1
    assert "error: manifest.json is missing: expected a folder that mmi weights convert made" in err


def test_errors_are_one_line_and_name_file_and_tensor(mmi: Mmi, source: Path, tmp_path: Path) -> None:
    (tmp_path / "sizes.json").write_text("{}")
    code, _, err = mmi("weights", "convert", str(source), "--out", "toy", "--config", "sizes.json")
    assert (code, err.count("\n")) == (1, 1)
    assert "sizes.json is no configuration in the released code's terms (the released configuration has no" in err
    state = torch.load(source, weights_only=True)
    state["soi_token"][0, 3] = torch.inf
    torch.save(state, source)
    code, _, err = mmi("weights", "convert", str(source), "--out", "toy")
    assert code == 1
    (line,) = (line for line in err.splitlines() if line.startswith("error: "))
    assert "toy.bin: soi_token holds NaN or infinity: expected finite numbers" in line
    assert not Path("toy").exists()
    code, _, err = mmi("weights", "convert", "nowhere", "--out", "toy")
    assert code == 1
    assert "error: nowhere does not exist: expected a folder with the shards" in err


def test_a_target_that_is_taken_is_said_at_once(mmi: Mmi, source: Path) -> None:
    Path("p.md").write_text("my own")
    code, _, err = mmi("weights", "convert", str(source), "--out", "p.md")
    assert code == 1
    assert err.endswith("p.md is a file: choose a folder that is not there yet\n")
    code, _, err = mmi("weights", "verify", "p.md")
    assert code == 1
    assert "p.md/manifest.json is not the manifest of converted weights" in err and "delete" not in err
    assert sorted(path.name for path in Path().iterdir()) == ["p.md", "toy.bin"]
    for option in (("--out", "w"), ("--dtype", "float16"), ("--shard-gb", "1")):
        code, _, err = mmi("weights", "fetch", "small", *option)
        assert code == 1
        assert err == f"error: {option[0]} is for full alone: small is kept where the preset looks for it\n"


def test_doctor_says_beforehand_what_fits(mmi: Mmi) -> None:
    code, out, _ = mmi("doctor", "--preset", "tiny", "--json")
    assert code == 0
    told = json.loads(out)
    rows = {row["precision"]: row for row in told["precisions"]}
    assert list(rows) == ["float32", "bfloat16", "int8", "int4"]
    assert rows["float32"]["weights_bytes"] == 4 * sum(told["parameters"].values())
    assert rows["int4"]["fits_memory"]
    code, out, _ = mmi("doctor", "--preset", "full")
    assert "14,868 M parameters" in out
    for card in ("80 GB", "40 GB", "24 GB", "16 GB"):
        assert card in out
    assert "to fetch and convert, 29.7 GB to keep" in out
    code, _, err = mmi("doctor", "--preset", "ful")
    assert (code, err) == (1, "error: unknown preset 'ful': did you mean 'full'?\n")
