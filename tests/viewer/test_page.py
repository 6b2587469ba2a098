import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mmi_agent.agent.approval import AllowListed
from mmi_agent.agent.limits import Limits
from mmi_agent.agent.runtime import Agent
from mmi_agent.agent.trajectory import Intent, ToolRecord, read_trajectory
from mmi_agent.errors import TrajectoryError
from mmi_agent.testing import EchoEnvironment, ScriptedPolicy
from mmi_agent.types import Element, Picture, Text, ToolCall
from mmi_agent.viewer import read_intact, render_run, write_text
from mmi_agent.viewer.scene import scene_of

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"' {{ 7 * 7 }} \0 \ud800 \u202e javascript:x"


class Markup(HTMLParser):
    """Collects what a browser would act on."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def run_script(folder: Path, *calls: object, **options: object) -> Path:
    policy = ScriptedPolicy(calls, usage={"read": 10, "reused": 30})  # type: ignore[arg-type]
    agent = Agent(policy, EchoEnvironment(), approver=AllowListed(["send"]), **options)  # type: ignore[arg-type]
    agent.run(seed=3, folder=folder)
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Three steps of one run: a thought and a press, a scroll, and the word sent."""
    thought = Text(text="The first word seems right.")
    return run_script(
        tmp_path / "run",
        [thought, ToolCall(name="press", arguments={"mark": 1})],
        ("scroll", {"rows": 1}),
        ("send", {}),
    )


def test_tells_every_step(run: Path) -> None:
    shown = Markup(render_run(read_trajectory(run)))
    for expected in (
        "Send the word",
        "Step 1",
        "Step 3",
        "The first word seems right.",
        "solved · reward 1.00",
        "30 reused",
    ):
        assert expected in shown.text
    assert len([a for a in shown.all("article") if a["id"] != "end"]) == 3


def test_embeds_each_picture_once_and_reaches_for_nothing(run: Path) -> None:
    page = render_run(read_trajectory(run))
    pictures = list((run / "pictures").iterdir())
    assert page.count("data:image/png;base64,") == len(pictures)
    links = [
        value for _, attributes in Markup(page).tags for name, value in attributes.items() if name in ("href", "src")
    ]
    assert all(link and (link.startswith("#") or link.startswith("data:image/png")) for link in links)


def test_draws_the_target(run: Path) -> None:
    marks = [a for a in Markup(render_run(read_trajectory(run))).all("g") if a.get("class") == "mark aimed"]
    assert [mark["id"] for mark in marks] == ["mark-1-1"]


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    folder = run_script(
        tmp_path / HOSTILE.replace("/", "").replace("\0", "")[:40].encode("ascii", "ignore").decode(),
        [Text(text=HOSTILE), ToolCall(name="type_text", arguments={"text": HOSTILE[:40]})],
        [Text(text=HOSTILE), ToolCall(name=HOSTILE, arguments={HOSTILE: {HOSTILE: HOSTILE}})],
        ("finish", {"answer": HOSTILE}),
    )
    page = render_run(read_trajectory(folder), warnings=(HOSTILE,))
    page.encode("utf-8")
    shown = Markup(page)
    assert len(shown.all("script")) == 1
    assert shown.all("img") == []
    assert not any(name.startswith("on") for _, attributes in shown.tags for name in attributes)
    assert "{{ 7 * 7 }}" in page
    assert "\0" not in page


def test_only_the_named_script_and_style_may_run(run: Path) -> None:
    page = render_run(read_trajectory(run))
    policy = next(a["content"] for a in Markup(page).all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert not re.search(r"<[^>]+ style=", page)


def test_a_picture_that_is_missing_or_changed_is_told(run: Path) -> None:
    first, second, *_ = sorted((run / "pictures").iterdir())
    first.unlink()
    second.write_bytes(second.read_bytes() + b"\0")
    shown = Markup(render_run(read_trajectory(run))).text
    assert f"The picture {first.name[:12]} is missing" in shown
    assert f"The picture {second.name[:12]} was changed after the run" in shown


def test_a_run_that_did_not_end_is_shown(run: Path) -> None:
    path = run / "trajectory.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:4]) + lines[4][:20])
    shown = Markup(render_run(read_trajectory(run))).text
    assert "not ended" in shown
    assert "in doubt" in shown
    assert "torn (20 bytes)" in shown


def test_a_resumed_run_says_so(tmp_path: Path) -> None:
    folder = run_script(tmp_path / "run", ("scroll", {"rows": 1}), limits=Limits(max_steps=1))
    Agent(ScriptedPolicy([("press", {"mark": 1})]), EchoEnvironment()).resume(folder, answer="<b>go on</b>")
    shown = Markup(render_run(read_trajectory(folder))).text
    assert "begun anew" in shown
    assert "The person answered: <b>go on</b>" in shown


def test_reads_the_lines_before_the_damage(run: Path) -> None:
    path = run / "trajectory.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], lines[3].replace(b"scroll", b"scrawl"), *lines[4:]]))
    intact, damage = read_intact(run)
    assert "line 4" in damage
    assert intact.folder == run
    assert len(intact.steps) == 1
    assert damage in Markup(render_run(intact, warnings=(damage,))).text


def test_nothing_intact_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "trajectory.jsonl").write_text("no JSON\n")
    with pytest.raises(TrajectoryError, match="line 1"):
        read_intact(tmp_path)
    with pytest.raises(TrajectoryError, match="there is no run in"):
        read_intact(tmp_path / "nowhere")


def test_writes_whole_or_not_at_all(tmp_path: Path) -> None:
    write_text("one", tmp_path / "deep" / "page.html")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["page.html"]
    (tmp_path / "file").touch()
    with pytest.raises(TrajectoryError, match="cannot write"):
        write_text("two", tmp_path / "file" / "page.html")


def picture(width_px: int = 200, height_px: int = 100) -> Picture:
    return Picture(digest="0" * 64, width_px=width_px, height_px=height_px)


def intent(call: ToolCall, target: Element | None = None) -> Intent:
    return Intent.model_validate(
        {
            "time": "2026-01-01T00:00:00+00:00",
            "previous": "",
            "step": 0,
            "observation": {},
            "call": call,
            "target": target,
            "approval": {"allowed": True, "by": "effect"},
            "observe_ms": 0,
            "decide_ms": 0,
        }
    )


def test_points_stand_in_pixels_of_the_picture() -> None:
    drag = ToolCall(name="drag_at", arguments={"from_x": 0, "from_y": 1000, "to_x": 500, "to_y": 250})
    points = scene_of(picture(), (), intent(drag)).points
    assert [(point.label, point.x, point.y) for point in points] == [("from", 0, 100), ("to", 100, 25)]


@pytest.mark.parametrize("arguments", [{"x": 5}, {"x": "5", "y": "6"}, {"x": True, "y": 1}, {"x": 1001, "y": 1}])
def test_what_is_no_point_is_not_drawn(arguments: dict[str, object]) -> None:
    assert scene_of(picture(), (), intent(ToolCall(name="f", arguments=arguments))).points == ()  # type: ignore[arg-type]


def test_every_mark_of_a_call_is_aimed_at() -> None:
    elements = [
        Element(mark=mark, role="button", name="", box=(mark * 100, 0, mark * 100 + 50, 1000), source="dom")
        for mark in (1, 2, 3)
    ]
    tool = ToolRecord(
        name="drag",
        description="",
        parameters={"properties": {"from_mark": {"x-refers-to": "element"}, "to_mark": {"x-refers-to": "element"}}},
        effect="reversible",
    )
    call = ToolCall(name="drag", arguments={"from_mark": 1, "to_mark": 3})
    scene = scene_of(picture(), elements, intent(call, elements[0]), [tool])
    assert [mark.element.mark for mark in scene.marks if mark.aimed] == [1, 3]
    assert (scene.marks[-1].x, scene.marks[-1].width, scene.marks[-1].height) == (60, 10, 100)
