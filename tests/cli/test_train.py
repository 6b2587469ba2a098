import json

import pytest
from typer.testing import CliRunner

from mmi_agent import MMInterleaved
from mmi_agent.agent.trajectory import read_trajectory
from mmi_agent.cli.app import app
from mmi_agent.policies import check_policy


def mmi(*arguments) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(map(str, arguments)), prog_name="mmi")
    return result.exit_code, result.output


@pytest.fixture
def lines(tmp_path):
    path = tmp_path / "sums.jsonl"
    lines = [
        {"parts": [{"text": f"{number} and one is "}, {"text": f"{number + 1}.", "learnt": True}]}
        for number in range(30)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in [{"parts": [{"text": "nothing to learn"}]}, *lines]))
    return path


def test_from_data_to_better_weights(lines, tmp_path):
    run, plot, weights = tmp_path / "run", tmp_path / "plot.html", tmp_path / "weights"
    asked = ("train", "--preset", "tiny", "--data", lines, "--out", run, "--steps", 8, "--batch", 8)
    code, said = mmi(*asked, "--held-back", 0.2, "--look-every", 8, "--lr", 0.01)
    assert code == 0, said
    assert "held_back_exact" in said and "nothing of it is learnt" in said

    log = (run / "log.jsonl").read_text()
    code, said = mmi("train", "--resume", run)
    assert code == 0 and (run / "log.jsonl").read_text() == log  # there is nothing to do
    assert f"{run / 'adapter'}: 8 steps" in said.replace("\n", ""), "it says where the weights are all the same"
    earlier = run / "adapter" / "manifest.json"
    earlier.write_text(earlier.read_text().replace('"steps": 8', '"steps": 5'))
    said = mmi("train", "--resume", run)[1]
    assert f"{run / 'adapter'}: 8 steps" in said.replace("\n", ""), "an adapter of before is replaced"
    code, said = mmi(*asked, "--held-back", 0.2, "--lr", 0.02)
    assert (code, "has learning_rate 0.01, asked was 0.02" in said) == (1, True), said

    code, said = mmi(*asked, "--held-back", 0.2, "--lr", 0.01, "--batch", 4, "--seed", 3)
    assert (code, "has --batch 8, asked was 4; --seed 0, asked was 3: give what it has" in said) == (1, True), said
    before = lines.read_text()
    lines.write_text(before + before.splitlines()[1] + "\n")
    code, said = mmi("train", "--resume", run)
    assert code == 1 and "has changed since" in said and "(31 samples then, 32 now): put it back" in said, said
    lines.write_text(before)

    assert mmi("train", "plot", run, "--out", plot)[0] == 0
    page = plot.read_text()
    assert page.count("<svg") >= 6 and "learning rate" in page and "http" not in page

    assert mmi("train", "export", run, "--out", weights)[0] == 0
    manifest = json.loads((weights / "manifest.json").read_text())
    assert manifest["data"][0]["samples"] == 31 and manifest["steps"] == 8
    assert manifest["figures"]["text_loss"] > 0
    assert all(record["size_bytes"] < 40_000_000 for record in manifest["files"].values())
    better, bare = (MMInterleaved.from_pretrained("tiny", weights=each) for each in (str(weights), "base"))
    assert better.fingerprint != bare.fingerprint
    _compare_with_untrained(f"tiny@{weights}", tmp_path / "eval")

    on = ("train", "--preset", "tiny", "--data", lines, "--batch", 8, "--weights", weights, "--lr", 0.01)
    code, said = mmi(*on, "--out", tmp_path / "on", "--steps", 2)
    assert code == 0 and "going on with" in said, said
    first = [json.loads(line)["text_loss"] for line in log.splitlines() if "text_loss" in line]
    went_on = json.loads((tmp_path / "on" / "log.jsonl").read_text().splitlines()[0])["text_loss"]
    assert went_on < first[0] - 0.5 * (first[0] - first[-1]), "it starts where the other run ended"
    adapter = tmp_path / "on" / "adapter"
    both = json.loads((adapter / "manifest.json").read_text())
    assert (both["base"], both["continues"][0]["steps"]) == (manifest["base"], 8), "one adapter, for the bare preset"
    assert MMInterleaved.from_pretrained("tiny", weights=str(adapter)).fingerprint != better.fingerprint
    code, said = mmi(*on, "--out", tmp_path / "other", "--steps", 2, "--rank", 4)
    assert code == 1 and "only the same is gone on with" in said, said
    assert not (tmp_path / "other").exists()


def test_what_data_says_does_not_move_the_cursor(tmp_path):
    path = tmp_path / "odd.jsonl"
    odd, good = {"parts": [{"\x1b[2J": 1}]}, {"parts": [{"text": "a", "learnt": True}]}
    path.write_text("".join(json.dumps(line) + "\n" for line in (odd, good)))
    code, said = mmi("train", "--preset", "tiny", "--data", path, "--out", tmp_path / "run", "--steps", 1, "--batch", 2)
    assert (code, "\ufffd[2J" in said, "\x1b[2J" in said) == (0, True, False), said


def _compare_with_untrained(trained, study):
    policies = ("--policy", trained, "--policy", "tiny")
    code, said = mmi("eval", "--env", "mmi_agent.testing:EchoEnvironment:kiwi", *policies, "--seeds", 1, "--out", study)
    assert code == 0, said
    results = [json.loads(line) for line in (study / "results.jsonl").read_text().splitlines()]
    decided = {each["policy"]: read_trajectory(study / each["run"]).start.policy for each in results}
    assert decided == {trained: trained.replace("@", ":decode@"), "tiny": "tiny:channel"}
    check_policy(decided[trained])  # so that `mmi resume` goes on with the same weights


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--data", "nowhere"], "error: there is no file or folder nowhere"),
        ([], "no data was given"),
        (["--recipe", "loar"], "did you mean 'lora'?"),
        (["--also", "hands"], "did you mean 'hand'?"),
        (["--recipe", "pretrain", "--rank", "4"], "has no LoRA"),
        (["--resume", "nowhere"], "--resume goes by what it was made for: leave out --preset, --out, --steps"),
        (["--try"], "--try goes by what it was made for: leave out --preset, --out, --steps"),
        (["--epochs", "2"], "1 steps and 2 epochs were asked for: give one of them"),
        (["--lr", "inf"], "learning_rate is inf: expected a finite number"),
        (["--seconds", "inf"], "seconds is inf: expected a finite number"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_line(arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, output = mmi("train", "--preset", "tiny", "--out", tmp_path / "run", "--steps", 1, *arguments)
    assert code == 1 and said in output, output
    assert "loading" not in output, "it is said before anything takes long"
    assert not (tmp_path / "run").exists()


def test_what_is_refused_leaves_no_folder(lines, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for arguments in ([], ["--data", "nowhere"], ["--data", lines, "--row-tokens", 99_999]):
        code, said = mmi("train", "--preset", "tiny", *arguments)
        assert code == 1 and not list((tmp_path / "runs/train").iterdir()), said
    assert "no run of mmi train" in mmi("train", "--resume", "nowhere", "--threads", 1)[1]
    assert mmi("train", "--preset", "tiny", "--data", lines, "--seed", "9" * 20)[0] == 2
    (tmp_path / "log.jsonl").write_bytes(b"\xff\n")
    assert "log.jsonl is not UTF-8 text" in mmi("train", "plot", tmp_path)[1]


@pytest.mark.slow
def test_the_trial_shows_that_losses_fall():
    code, said = mmi("train", "--try")
    assert code == 0 and "token loss" in said and "picture loss" in said, said
