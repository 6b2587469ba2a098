"""Requests in words: read by keywords, asked back where they cannot be built, and the command around it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from mmi_minecraft.formats import read_blueprint
from mmi_minecraft.generators import as_structure
from mmi_minecraft.requests import KeywordReader
from typer.testing import CliRunner

from mmi_agent.cli.app import app

PHRASINGS = Path(__file__).parents[2] / "benchmarks" / "phrasings.jsonl"


@pytest.mark.parametrize(
    ("request_", "parameters"),
    [
        ("oak fence 9 by 7 with a gate", {"kind": "fence", "width": 9, "depth": 7, "gate": "south"}),
        ("Fence, 9x7, gate on the east side", {"kind": "fence", "width": 9, "depth": 7, "gate": "east"}),
        ("a dark oak fence without a gate", {"kind": "fence", "material": "dark_oak", "gate": "none"}),
        (
            "stone brick wall, 12 long, five high",
            {"kind": "wall", "material": "stone_bricks", "length": 12, "height": 5},
        ),
        ("wooden hut", {"kind": "hut", "walls": "oak_planks"}),
        ("a wall twenty-five long and thirty two high", {"kind": "wall", "length": 25, "height": 32}),
        ("wall 12m long", {"kind": "wall", "length": 12}),
        ("one obsidian hut with glass windows", {"kind": "hut", "walls": "obsidian"}),
        ("a wall of bookshelf", {"kind": "wall", "material": "bookshelf"}),
        ("oak wood wall", {"kind": "wall", "material": "oak_planks"}),
        ("path from my house to the mine, 20 long", {"kind": "path", "length": 20}),
        ("bridge twenty long, no railing", {"kind": "bridge", "length": 20, "railing": False}),
    ],
)
def test_what_is_said_is_read_and_the_rest_has_its_default(request_: str, parameters: dict[str, object]) -> None:
    reading = KeywordReader().read(request_)
    assert reading.structure == as_structure(parameters)
    assert not reading.question


def test_what_was_chosen_is_told() -> None:
    reading = KeywordReader().read("spruce fence 5 by 5 with a gate")
    assert reading.assumed == ("gate: south", "height: 1", "gate width: 1")


@pytest.mark.parametrize(
    ("request_", "asks"),
    [
        ("make a swimming pool", "What shall I build? I know: fence, wall"),
        ("a cobblestoen wall", "no block called 'cobblestoen': did you mean cobblestone"),
        ("nether brick fence with a gate", "no gates of nether brick"),
        ("wall 500 long", "length: Input should be less than or equal to 100"),
        ("", "What shall I build?"),
        ("wall 2.5 long", "no number like '2.5'"),
        ("wall -5 long", "no number like '-5'"),
        ("a hundred block long wall", "no number like 'a hundred'"),
        ("wall 1,000 long", "length: Input should be less than or equal to 100"),
        ("a tower of 10000", "What is '10000' for?"),
        ("a wall 5ft long", "What is '5' for?"),
        ("hut of bananas", "no block called 'bananas'"),
        ("path of diamonds", "no block called 'diamonds': did you mean diamond_ore"),
        ("fence of iron 5 by 5", "no fence of 'iron': name another, such as oak"),
        ("stone fence", "no fence of 'stone'"),
        ("hut with no door", "I do not understand 'no door' of a hut"),
        ("hut without windows or doors", "I do not understand 'without windows or doors'"),
    ],
)
def test_what_cannot_be_built_is_asked_back(request_: str, asks: str) -> None:
    reading = KeywordReader().read(request_)
    assert reading.structure is None
    assert asks in reading.question


def test_the_phrasings_of_the_benchmark_can_all_be_built() -> None:
    phrasings = [json.loads(line) for line in PHRASINGS.read_text().splitlines()]
    assert sum("parameters" in each for each in phrasings) >= 60
    assert len({each["request"] for each in phrasings}) == len(phrasings)
    for each in phrasings:
        assert each.get("asks") or as_structure(each["parameters"]).blueprint().num_blocks


def test_the_command_plans_writes_and_previews(tmp_path: Path) -> None:
    out, preview = tmp_path / "fence.schem", tmp_path / "fence.html"
    command = ["minecraft", "plan", "oak fence 9 by 7 with a gate", "--out", str(out), "--preview", str(preview)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "27 oak fence\n  1 oak fence gate" in done.output
    assert read_blueprint(out).num_blocks == 28
    assert preview.read_text().startswith("<!doctype html>")
    turned = tmp_path / "turned.litematic"
    done = CliRunner().invoke(app, ["minecraft", "convert", str(out), "--turns", "1", "--out", str(turned), "--json"])
    assert json.loads(done.output)["size"] == [7, 1, 9]
    assert read_blueprint(turned).size == (7, 1, 9)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["plan", "a castle"], "error: What shall I build?"),
        (["plan", "cherry fence", "--for", "1.16.4"], "error: unknown block in Minecraft 1.16.4 'cherry_fence'"),
        (["plan", "fence", "--out", "fence.dat"], "error: fence.dat: not a form of blueprints"),
        (["plan", "fence", "--open"], "error: --open shows a page: expected --preview FILE too"),
        (["build", "cherry fence", "--for", "1.16.4"], "error: unknown block in Minecraft 1.16.4 'cherry_fence'"),
        (
            ["build", "fence", "--server", "no:1", "--at", "0 0 0", "--for", "9.9"],
            "error: --creative and --for are for a server of its own",
        ),
        (["plan", "house.schem"], "error: 'house.schem' is a file: expected a few words; mmi minecraft convert shows"),
        (["build", "house.schem"], "error: house.schem: No such file"),
        (["build", "fence 3 by 3", "--page", "/dev/null/page.html"], "error: /dev/null: "),
        (["plan", "fence 3 by 3", "--preview", "/dev/null/page.html"], "error: /dev/null: "),
        (
            ["progress", "no.nbt", "--server", "no:1", "--at", "0 0 0", "--page", "/dev/null/a.html"],
            "error: /dev/null: ",
        ),
        (["convert", "nowhere.schem"], "error: nowhere.schem: No such file"),
    ],
)
def test_the_command_fails_in_one_line(command: list[str], says: str) -> None:
    done = CliRunner().invoke(app, ["minecraft", *command])
    assert done.exit_code == 1
    assert says in done.output
    assert done.output.count("\n") == 1


def test_where_more_cells_can_be_asked_for_it_is_said_how(tmp_path: Path) -> None:
    path = str(tmp_path / "fence.nbt")
    convert = ["minecraft", "convert", path]
    CliRunner().invoke(app, ["minecraft", "plan", "fence 3 by 3", "--out", path])
    assert "; --max-cells lets it have more" in CliRunner().invoke(app, [*convert, "--max-cells", "8"]).output
    assert CliRunner().invoke(app, [*convert, "--max-cells", "9"]).exit_code == 0


def test_help_loads_nothing_of_it() -> None:
    script = (
        "import sys; from mmi_agent.cli.app import app; print('mmi_minecraft' in sys.modules, 'nbtlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_whatever_a_model_writes_can_be_checked() -> None:
    from mmi_minecraft.requests.model import ModelReader

    reader = ModelReader.load("tiny")  # its weights are random: all that is right comes from the schema
    for request in ("oak fence 9 by 7", "", "\n\nKind: {}"):
        reading = reader.read(request)
        assert bool(reading.structure) != bool(reading.question)


@pytest.mark.weights
@pytest.mark.slow
def test_the_default_model_reads_what_it_is_shown_as_it_was_shown() -> None:
    """Wordings of its own it reads badly, whatever its weights: `benchmarks/bench_phrasing.py` counts these."""
    from mmi_minecraft.requests.model import ModelReader

    reader = ModelReader.load("small")
    shown = {
        "a birch fence of 8 by 6, gate to the north": ("fence", {"width": 8, "depth": 6, "gate": "north"}),
        "granite wall 11 long, 2 high": ("wall", {"material": "granite", "length": 11, "height": 2}),
        "sand path, 9 long": ("path", {"material": "sand", "length": 9}),
        "round tower 9 high": ("tower", {"shape": "round", "height": 9}),
    }
    readings = {request: reader.read(request).structure for request in shown}
    right = [
        request
        for request, (kind, said) in shown.items()
        if (structure := readings[request]) and structure.model_dump(include={"kind", *said}) == {"kind": kind, **said}
    ]
    assert len(right) >= 3, readings
    assert not reader.read("tell me a story").structure
