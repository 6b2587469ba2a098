import time
from collections.abc import Callable
from typing import Any

import pytest
from loopback import Browsing, Site
from mmi_gui import BrowserEnvironment
from mmi_gui.hands import Hands

from mmi_agent.data.readers.pointing import by_points
from mmi_agent.errors import ConfigError, EnvironmentFailure
from mmi_agent.pictures import MemoryPictures
from mmi_agent.policy import PastStep
from mmi_agent.tool import effect_of
from mmi_agent.types import Outcome, ToolCall

pytestmark = pytest.mark.browser

Browse = Callable[..., Browsing]
STEP_LIMIT_S = 12


def listed(browser: Browsing) -> list[tuple[str, str]]:
    return [(element.role, element.name) for element in browser.seen.elements]


def perform(browser: Browsing, deed: Callable[[Hands], Any]) -> Outcome:
    """Acts without a look afterwards, and in ways that no tool offers."""
    return browser.environment._perform(deed)


def test_controls_are_marked_by_what_they_are_and_hold(site: Site, browse: Browse):
    browser = browse(
        site,
        """<title>Shop</title><h1>Fruit <b>and</b> nuts</h1>
        <label>Name <input value="Ann" required></label>
        <label><input type=checkbox checked> Fresh</label> <input type=radio disabled aria-label=Dried>
        <input type=range min=0 max=10 value=4 aria-label=Ripeness>
        <button aria-expanded=false>More</button> <a href="/next">Next</a>
        <select aria-label=Colour><option>red<option selected>green</select>
        <div role=tab aria-selected=true>Pears</div> <div contenteditable aria-label=Notes>so good</div>
        <span style="cursor:pointer" onclick="1">Buy</span> <p>Plain text, <i>in one piece</i>.</p>""",
    )
    assert browser.seen.text.splitlines() == [f"Address: {site.origin}/", "Title: Shop"]
    shown = {(e.role, e.name, e.value, e.states) for e in browser.seen.elements}
    assert shown == {
        ("heading", "Fruit and nuts", "", ()),
        ("textbox", "Name", "Ann", ("required",)),
        ("checkbox", "Fresh", "", ("checked",)),
        ("radio", "Dried", "", ("disabled",)),
        ("slider", "Ripeness", "4", ()),
        ("button", "More", "", ("collapsed",)),
        ("link", "Next", "", ()),
        ("combobox", "Colour", "green", ("collapsed",)),
        ("option", "red", "", ()),
        ("option", "green", "", ("selected",)),
        ("tab", "Pears", "", ("selected",)),
        ("textbox", "Notes", "so good", ()),
        ("generic", "Buy", "", ()),
        ("text", "Plain text, in one piece .", "", ()),
    }
    assert [e.mark for e in browser.seen.elements] == list(range(1, len(browser.seen.elements) + 1))


def test_only_what_can_be_seen_is_marked(site: Site, browse: Browse):
    browser = browse(
        site,
        """<button>Seen</button> <button style="display:none">None</button>
        <button style="visibility:hidden">Hidden</button>
        <button style="position:absolute;left:-999px">Off</button> <button style="opacity:0">Clear</button>
        <div style="height:50px;overflow:auto"><p style="height:60px">Inside</p><button>Deep</button></div>
        <button style="position:absolute;left:400px;top:200px">Under</button>
        <div style="position:absolute;left:350px;top:150px;width:300px;height:200px">Over</div>
        <div style="height:3000px"></div><button>Far</button>""",
    )
    assert listed(browser) == [("button", "Seen"), ("text", "Inside"), ("text", "Over")]
    assert "Out of view: 4 more below (scroll)" in browser.seen.text


def test_boxes_and_clicks_are_right_at_any_scale(site: Site, browse: Browse):
    page = "<style>button { position: absolute; left: 300px; top: 150px; width: 60px; height: 30px }</style>"
    page += "<button>B</button>"
    page += "<script>onmousedown = e => document.title = [e.clientX, e.clientY]</script>"
    for ratio in (1, 1.5, 2):
        browser = browse(site, page, width_px=600, height_px=300, pixel_ratio=ratio)
        picture = browser.seen.pictures[0]
        assert (picture.width_px, picture.height_px) == (600 * ratio, 300 * ratio)
        assert browser.find("B").box == (500, 500, 600, 600)
        browser.click("B")
        assert "Title: 330,165" in browser.seen.text
        browser.do("click_at", x=250, y=100)
        assert "Title: 150,30" in browser.seen.text


def test_a_click_by_mark_follows_what_has_moved_and_refuses_what_is_gone_or_covered(site: Site, browse: Browse):
    browser = browse(
        site,
        """<button id=b onclick="document.title='hit'">Go</button><button id=c>Cover</button><button id=d>Drop</button>
        <script>
        c.onclick = () => { const o = document.createElement('div'); document.body.append(o);
                            o.style = 'position:fixed;inset:0;background:#fffa'; o.onclick = () => o.remove() };
        d.onclick = () => b.remove();
        setTimeout(() => b.style.marginLeft = '300px', 500)</script>""",
    )
    stale = browser.seen
    browser.do("wait", seconds=0.6)
    browser.look()
    assert stale.element(1) != browser.seen.element(1)
    assert "there is no element 99" in browser.do("click", mark=99).text
    assert "clicked element 1 (button 'Go')" in browser.click("Go").text
    assert "Title: hit" in browser.seen.text
    go = browser.find("Go").mark
    perform(browser, lambda hands: hands.click(browser.find("Cover").mark))
    assert "covered" in browser.do("click", mark=go).text
    browser.do("click_at", x=900, y=900)
    go = browser.find("Go").mark
    perform(browser, lambda hands: hands.click(browser.find("Drop").mark))
    outcome = browser.do("click", mark=go)
    assert outcome.status == "failed"
    assert "is gone" in outcome.text


@pytest.mark.parametrize("held", ["", "old words"])
def test_runs_on_elements_are_told_by_points_as_the_browser_tells_it(site: Site, browse: Browse, held: str):
    browser = browse(site, f'<input value="{held}"><button onclick="document.title=\'done\'">Ok</button>')
    field, ok = browser.find("").mark, browser.find("Ok").mark
    calls = [
        ToolCall(name="type_text", arguments={"mark": field, "text": "new", "press_enter": True}),
        ToolCall(name="click", arguments={"mark": ok}),
        ToolCall(name="double_click", arguments={"mark": ok}),
        ToolCall(name="drag", arguments={"from_mark": ok, "to_mark": field}),
    ]
    steps = [PastStep(observation=browser.seen, blocks=(), call=call, outcome=Outcome()) for call in calls]
    told = list(by_points(steps, browser.environment.tools))
    for step in told:
        assert step.call is not None
        assert browser.do(step.call.name, **step.call.arguments).text == step.outcome.text
    assert len(told) == 5
    assert browser.seen.elements[0].value == "new"
    assert "Title: done" in browser.seen.text


def test_what_is_disabled_is_not_said_to_have_been_used(site: Site, browse: Browse):
    browser = browse(
        site,
        """<button disabled onclick="document.title='hit'"><b>Agree</b></button> <input aria-label=Name disabled>
        <fieldset disabled><textarea aria-label=Notes></textarea> <a href="#on">More</a></fieldset>
        <button onclick="document.querySelectorAll('[disabled]').forEach(e => e.disabled = false)">Ready</button>""",
    )
    assert "(button 'Agree') is disabled" in browser.click("Agree").text
    assert "(textbox 'Name') is disabled" in browser.do("type_text", mark=browser.find("Name").mark, text="Ann").text
    assert "(textbox 'Notes') is disabled" in browser.click("Notes").text
    assert "clicked" in browser.click("More").text, "a link is no control of the form"
    lists = browse(
        site,
        """<fieldset disabled><select><option>red<option>green</select></fieldset>
        <select><optgroup disabled label=Old><option>1999</optgroup><option>2024<option>2025</select>
        <select size=3><optgroup disabled label=Far><option>Mars</optgroup><option>Rome</select>""",
        path="/lists",
    )
    for name in ("green", "1999"):
        assert f"(option '{name}') cannot be chosen: it is disabled" in lists.click(name, "option").text
    assert "(option 'Mars') is disabled" in lists.click("Mars", "option").text
    assert "chose" in lists.click("2025", "option").text and "clicked" in lists.click("Rome", "option").text
    browser.click("Ready")
    assert "clicked" in browser.click("Agree").text and "Title: hit" in browser.seen.text
    assert "typed 'Ann'" in browser.do("type_text", mark=browser.find("Name").mark, text="Ann").text


def test_typing_replaces_appends_and_submits(site: Site, browse: Browse):
    browser = browse(
        site,
        """<form onsubmit="document.title='sent '+f.value; return false"><input id=f value=old></form>
        <textarea>old</textarea><div contenteditable>old</div><input type=date aria-label=day><input aria-label=long>
        <select><option>One<option>Two<option value=3>Three<option>Thrice</select>""",
    )
    assert "typed 'new' into element 1" in browser.do("type_text", mark=1, text="new").text
    assert browser.seen.elements[0].value == "new"
    browser.do("type_focused", text="er", press_enter=True)
    assert "Title: sent newer" in browser.seen.text
    for mark in (2, 3):
        browser.do("type_text", mark=mark, text="nu ✓")
        assert browser.seen.elements[mark - 1].value == "nu ✓"
    browser.do("type_text", mark=2, text="")
    assert browser.seen.elements[1].value == ""
    day = browser.find("day").mark
    assert browser.do("type_text", mark=day, text="tomorrow").status == "failed"
    assert browser.do("type_text", mark=day, text="2024-02-29").text.startswith("typed '2024-02-29'")
    browser.do("type_text", mark=browser.find("long").mark, text="x" * 2000)
    assert len(browser.find("long").value) == 1000, "what is shown of a value is cut"
    chosen = browser.seen.elements[5]
    assert chosen.role == "combobox"
    assert "has no option 'thr'" in browser.do("type_text", mark=chosen.mark, text="thr").text
    assert browser.do("type_text", mark=chosen.mark, text="three").text == "chose 'Three'"
    assert "Click on one of its options" in browser.do("click", mark=chosen.mark).text
    browser.click("Two", "option")
    assert browser.seen.elements[5].value == "Two"
    option = browser.find("Two", "option").mark
    assert "closed list" in browser.do("type_text", mark=option, text="x").text
    assert "closed list" in browser.do("drag", from_mark=option, to_mark=1).text


def test_a_new_line_in_a_text_presses_no_enter(site: Site, browse: Browse):
    browser = browse(
        site,
        """<form onsubmit="document.title='sent'; return false"><input aria-label=line><textarea aria-label=area>
        </textarea></form><div contenteditable aria-label=note>old</div>""",
    )
    line = browser.find("line").mark
    for text, kept in (("x\ny", "x y"), ("x\r\ny", "x y"), ("x\n" + "y" * 300, "x " + "y" * 300)):
        browser.do("type_text", mark=line, text=text)
        assert browser.find("line").value == kept
    browser.do("type_focused", text="!\n?")
    assert browser.find("line").value.endswith("y! ?")
    for name in ("area", "note"):
        assert browser.do("type_text", mark=browser.find(name).mark, text="x\ny").status == "done"
        assert browser.find(name).value == "x\ny"
    assert "sent" not in browser.told
    browser.do("type_text", mark=line, text="x\ny", press_enter=True)
    assert "Title: sent" in browser.seen.text


def test_a_field_that_takes_nothing_is_not_said_to_have_been_typed_into(site: Site, browse: Browse):
    browser = browse(
        site,
        """<input type=number aria-label=count> <input type=number aria-label=full value=5>
        <input readonly aria-label=code value=K7> <input type=date readonly aria-label=day value=2024-02-29>
        <input aria-label=deaf value=old onkeydown="event.preventDefault()">
        <div contenteditable aria-label=note onbeforeinput="event.preventDefault()">old</div>""",
    )
    for name, text, held in (("count", "abc", ""), ("full", "abc", ""), ("deaf", "new", "old"), ("note", "new", "old")):
        outcome = browser.do("type_text", mark=browser.find(name).mark, text=text)
        assert outcome.status == "failed" and f"took nothing of '{text}': it holds '{held}'" in outcome.text, name
    for name, held in (("code", "K7"), ("day", "2024-02-29")):
        outcome = browser.do("type_text", mark=browser.find(name).mark, text="2025-01-01")
        assert outcome.status == "failed" and "is read-only" in outcome.text
        assert browser.find(name).value == held
    assert browser.do("type_text", mark=browser.find("count").mark, text="12").status == "done"


def test_what_a_page_makes_of_a_text_is_its_own_affair(site: Site, browse: Browse):
    browser = browse(
        site,
        """<input aria-label=card value="12 34" oninput="value = value.replace(/ /g, '').replace(/(..)(?=.)/g, '$1 ')">
        <input aria-label=short maxlength=3 value=abc> <input aria-label=loud oninput="value = value.toUpperCase()">
        <input aria-label=tag onkeydown="if (event.key == 'Enter') value = ''">
        <input aria-label=digit maxlength=1 oninput="nextElementSibling.focus(); value = ''"><input aria-label=last>
        <span tabindex=0 onfocus="this.outerHTML = '<input aria-label=cell>'; document.querySelector(
          '[aria-label=cell]').focus()">Edit</span>
        <input aria-label=gone oninput="location = '/next'">""",
    )
    site.pages["/next"] = "<h1>Next</h1>"
    for name, text, held in (
        ("card", "1234", "12 34"),
        ("short", "abcd", "abc"),
        ("loud", "hi", "HI"),
        ("digit", "12", ""),
    ):
        assert browser.do("type_text", mark=browser.find(name).mark, text=text).status == "done", name
        assert browser.find(name).value == held
    assert browser.do("type_text", mark=browser.find("tag").mark, text="a", press_enter=True).status == "done"
    assert browser.do("type_text", mark=browser.find("Edit").mark, text="kiwi").status == "done"
    assert browser.find("cell").value == "kiwi"
    assert browser.do("type_text", mark=browser.find("gone").mark, text="a").status == "done"
    assert browser.find("Next")


def test_typing_replaces_also_in_a_frame_of_another_origin(site: Site, elsewhere: Site, browse: Browse):
    elsewhere.pages["/form"] = "<input aria-label=inner value=old><input type=number aria-label=count>"
    browser = browse(site, f'<iframe src="{elsewhere.origin}/form"></iframe>', allow=[elsewhere.origin])
    for text in ("new", ""):
        assert browser.do("type_text", mark=browser.find("inner").mark, text=text).text.endswith("(textbox 'inner')")
        assert browser.find("inner").value == text
    assert "took nothing of 'abc'" in browser.do("type_text", mark=browser.find("count").mark, text="abc").text


def test_keys_double_clicks_drags_and_scrolls(site: Site, browse: Browse):
    browser = browse(
        site,
        """<body style="margin:0;height:3000px"><div id=a draggable=true style="width:90px">Drag</div>
        <div style="width:200px" ondrop="document.title='dropped'" ondragover="event.preventDefault()">Drop</div>
        <button ondblclick="document.title='twice'">Twice</button>
        <input onkeydown="document.title=event.key+event.ctrlKey">
        <div id=s style="height:100px;width:200px;overflow:auto"><p style="height:400px">Inner</p></div>""",
    )
    browser.do("drag", from_mark=browser.find("Drag").mark, to_mark=browser.find("Drop").mark)
    assert "Title: dropped" in browser.seen.text
    browser.do("double_click", mark=browser.find("Twice").mark)
    assert "Title: twice" in browser.seen.text
    browser.click("", "textbox")
    browser.do("press_keys", keys="a Control+b")
    assert "Title: btrue" in browser.seen.text
    assert browser.do("press_keys", keys="x ArrowLeft", times=3).text == "pressed x ArrowLeft 3 times"
    assert browser.find("", "textbox").value == "axxx"
    assert "no key" in browser.do("press_keys", keys="Entre").text
    assert (
        browser.do("scroll", direction="down", mark=browser.find("Inner").mark, amount=100).text
        == "scrolled down by 72 px"
    )
    assert browser.do("scroll", direction="down", amount=500).text == "scrolled down by 360 px"
    assert "above" in browser.seen.text
    assert browser.do("scroll", direction="right").text == "nothing scrolled: no more right of here"


def test_what_fades_in_is_seen_however_late_its_frames_come(site: Site, browse: Browse):
    browser = browse(
        site,
        """<script>const soon = requestAnimationFrame
        window.requestAnimationFrame = (draw) => setTimeout(() => soon(draw), 150)</script>
        <p style="opacity:0">March 2016</p>
        <button onclick="requestAnimationFrame(() => requestAnimationFrame(fade))">Open</button>
        <script>const fade = () => { document.querySelector('p').style.opacity = 0.1 }</script>""",
    )
    browser.click("Open")
    assert browser.find("March 2016", "text")


def test_who_scrolls_what_does_not_is_told_what_does(site: Site, browse: Browse):
    browser = browse(
        site,
        """<body style="overflow:hidden"><button>Agree</button>
        <textarea style="display:block;height:50px" aria-label="Terms">1\n2\n3\n4\n5\n6\n7\n8</textarea>
        <div style="height:4000px">""",
    )
    agree, terms = browser.find("Agree").mark, browser.find("Terms").mark
    told = f"nothing scrolled: no more down of here; element {terms} (textbox 'Terms') can be scrolled down"
    assert browser.do("scroll", direction="down", mark=agree).text == told
    assert browser.do("scroll", direction="up", mark=agree).text == "nothing scrolled: no more up of here"
    assert "scrolled down by" in browser.do("scroll", direction="down", mark=terms, amount=3000).text
    assert browser.do("scroll", direction="down", mark=terms).text == "nothing scrolled: no more down of here"
    assert "; element" in browser.do("scroll", direction="up", mark=agree).text


def test_frames_are_part_of_the_page(site: Site, elsewhere: Site, browse: Browse):
    site.pages["/inner"] = (
        "<body style='margin:0'><p style='height:900px'>Top</p><button onclick='this.append(`!`)'>In</button>"
    )
    elsewhere.pages["/other"] = "<button onclick='this.append(`!`)'>Other</button>"
    browser = browse(
        site,
        f"""<div style="height:100px"></div><iframe src="/inner" width=300 height=200></iframe>
        <iframe src="{elsewhere.origin}/other" style="border:9px solid"></iframe>""",
        allow=[elsewhere.origin],
    )
    browser.click("Other")
    assert browser.find("Other!")
    assert ("button", "In") not in listed(browser)
    assert "wheel" in browser.do("scroll", direction="down", mark=browser.find("Other!").mark).text
    inner = browser.do("scroll", direction="down", mark=browser.find("Top").mark, amount=2000)
    assert inner.text.startswith("scrolled down by ")
    browser.click("In")
    assert browser.find("In!")


def test_dialogs_are_told_and_answered(site: Site, browse: Browse):
    browser = browse(
        site,
        """<button onclick="alert('careful')">Alert</button>
        <button onclick="document.title=confirm('sure?')">Ask</button>
        <button onclick="document.title=prompt('who?')">Who</button>""",
    )
    assert "a dialog (alert) appeared: 'careful'" in browser.click("Alert").text
    assert "a dialog (confirm) appeared: 'sure?' and was dismissed" in browser.click("Ask").text
    assert "Title: false" in browser.seen.text
    browser.do("accept_dialog", text="me")
    assert "was accepted" in browser.click("Who").text
    assert "Title: me" in browser.seen.text
    assert "dismissed" in browser.click("Ask").text, "one answer is for one dialog"


def test_an_answer_is_for_the_page_and_the_act_that_it_was_given_for(site: Site, browse: Browse):
    site.pages["/pay"] = "<script>confirm('at once?')</script><button onclick=\"confirm('PAY 999?')\">Pay</button>"
    site.pages["/other"] = "<script>setTimeout(() => confirm('other?'), 50)</script>"
    page = """<button>Nothing</button> <button onclick="alert('hi'); confirm('delete all?')">Both</button>
        <button onclick="window.open('/other')">Other tab</button>
        <button onclick="location='#on'">Further</button>
        <script>addEventListener('hashchange', () => confirm('on?'))</script>"""
    browser = browse(site, page)
    browser.do("accept_dialog")
    browser.do("wait", seconds=0.1)
    assert "'delete all?' and was accepted" in browser.click("Both").text, "an alert asks nothing"
    browser.do("accept_dialog")
    assert "'on?' and was accepted" in browser.click("Further").text, "it is the same page"
    browser.do("accept_dialog")
    browser.click("Nothing")
    assert "'delete all?' and was dismissed" in browser.click("Both").text
    browser.do("accept_dialog")
    assert "'at once?' and was dismissed" in browser.do("open_address", address=f"{site.origin}/pay").text
    assert "'PAY 999?' and was dismissed" in browser.click("Pay").text
    browser.do("go_back")
    browser.do("accept_dialog")
    browser.click("Other tab")
    browser.do("wait", seconds=0.3)
    assert "'other?' and was dismissed" in browser.told


def test_downloads_are_stopped(site: Site, browse: Browse):
    site.pages["/file"] = (200, {"Content-Disposition": "attachment; filename=evil.sh"}, "#!")
    browser = browse(site, '<a href="/file">Get</a>')
    browser.click("Get")
    browser.do("wait", seconds=0.3)
    assert "a download was stopped: 'evil.sh'" in browser.told
    assert browser.find("Get")


def test_new_tabs_are_shown_and_closed_ones_left(site: Site, browse: Browse):
    site.pages["/second"] = "<button onclick='window.close()'>Leave</button>"
    browser = browse(site, '<a href="/second" target=_blank rel=opener>More</a>')
    assert "a new tab was opened and is shown now" in browser.click("More").text
    browser.click("Leave")
    browser.do("wait", seconds=0.3)
    assert "the tab was closed" in browser.told
    assert browser.find("More")


def test_going_to_an_address_and_back(site: Site, browse: Browse):
    site.pages["/second"] = "<h1>Second</h1>"
    browser = browse(site, "<h1>First</h1>")
    assert "no page to go back to" in browser.do("go_back").text
    assert browser.do("open_address", address=f"{site.origin}/second").status == "done"
    assert browser.find("Second")
    assert browser.do("go_back").text == f"went back to {site.origin}/"
    assert browser.find("First")


def test_a_crashed_page_comes_back(site: Site, browse: Browse):
    browser = browse(site, "<h1>Here</h1>")

    async def crash(hands: Hands) -> str:
        await hands._tabs.goto("chrome://crash")
        return ""

    outcome = perform(browser, crash)
    assert "the page crashed and was opened again" in outcome.text
    browser.look()
    assert browser.find("Here")


@pytest.mark.parametrize(
    "trap",
    [
        "<button onclick='for(;;);'>Go</button>",
        "<button onclick='for(;;)alert(1)'>Go</button>",
        "<button onclick='location=`/forever`'>Go</button>",
        "<button onclick='location=`/hang`'>Go</button>",
        "<button onclick='location=`/busy`'>Go</button>",
        "<button onclick='setInterval(()=>open(`/forever`),1)'>Go</button>",
    ],
)
def test_no_page_holds_the_agent_up(trap: str, site: Site, browse: Browse):
    site.pages["/forever"] = "<script>location.reload()</script><h1>Again</h1>"
    site.pages["/hang"] = (302, {"Location": "/hang"}, "")
    site.pages["/busy"] = "<h1>Busy</h1><script>for(;;);</script>"
    browser = browse(site, trap)
    for tool, arguments in (
        ("click", {"mark": 1}),
        ("wait", {"seconds": 0.1}),
        ("open_address", {"address": site.origin}),
    ):
        start = time.monotonic()
        browser.do(tool, **arguments)
        assert time.monotonic() - start < STEP_LIMIT_S
    assert browser.seen.pictures


def test_strange_text_and_sizes_do_no_harm(site: Site, browse: Browse):
    browser = browse(
        site, "<title>\\0</title><script>document.title='a\\ud800\\0b'; document.write('<p>x\\udfff\\0</p>')</script>"
    )
    assert "Title: a\ufffd" in browser.seen.text
    assert "x\ufffd" in browser.find("x").name
    tiny = browse(site, "<button>B</button>", width_px=1, height_px=1)
    assert (tiny.seen.pictures[0].width_px, tiny.seen.pictures[0].height_px) == (1, 1)
    tiny.do("click_at", x=1000, y=1000)
    site.pages["/huge"] = "<body style='margin:0'><div style='width:20000px;height:20000px;background:red'>Huge</div>"
    huge = browse(site, "", path="/huge", width_px=8192, height_px=4000)
    assert huge.find("Huge")


def test_thousands_of_elements_are_cut_to_what_a_policy_can_read(site: Site, browse: Browse):
    browser = browse(site, "".join(f"<a href='#{i}'>l{i}</a> " for i in range(3000)))
    assert len(browser.seen.elements) == 400
    assert "not listed" in browser.seen.text
    assert "more below" in browser.seen.text


def test_a_page_may_nest_deeper_than_python_calls(site: Site, browse: Browse):
    browser = browse(
        site,
        """<div id=b style="cursor:pointer"></div><label id=l><input aria-label=Field></label><script>
        for (const start of [b, l]) {
          let inner = start;
          for (let i = 0; i < 1500; i++) inner = inner.appendChild(document.createElement('div'));
          inner.innerHTML = 'Deep <i>down</i> there'
        }</script>""",
    )
    assert [name for _, name in listed(browser)] == ["Deep down there", "Field"]


def test_a_page_too_large_to_be_read_in_time_is_still_seen(site: Site, browse: Browse, monkeypatch: pytest.MonkeyPatch):
    browser = browse(site, "".join(f"<a href='#{i}'>l{i}</a> " for i in range(3000)))
    monkeypatch.setattr("mmi_gui.web._LOOK_TIMEOUT_S", 0.05)
    browser.look()
    assert browser.seen.pictures
    assert not browser.seen.elements
    assert "too large to be read" in browser.seen.text


def test_what_the_user_gave_is_checked_first(site: Site):
    with pytest.raises(ConfigError, match="no address"):
        BrowserEnvironment(address="ftp://example.org")
    with pytest.raises(ConfigError, match="names no host"):
        BrowserEnvironment(address="")
    with pytest.raises(ConfigError, match="1 to 8192 px"):
        BrowserEnvironment(width_px=0)
    with pytest.raises(ConfigError, match="--at ADDRESS"):
        BrowserEnvironment().reset("look around", pictures=MemoryPictures())
    with pytest.raises(ConfigError, match="needs a task"):
        BrowserEnvironment(address=site.origin).reset(pictures=MemoryPictures())
    with pytest.raises(EnvironmentFailure, match="reset comes first"):
        BrowserEnvironment(address=site.origin).observe()


@pytest.mark.parametrize(
    ("origins", "effect"),
    [
        (["http://127.0.0.1:8000/a", "http://[::1]", "http://app.localhost"], "reversible"),
        (["http://127.0.0.1:8000", "https://example.org"], "consequential"),
        (["http://127.0.0.1.example.org"], "consequential"),
    ],
)
def test_input_is_asked_about_on_machines_of_others(origins: list[str], effect: str):
    browser = BrowserEnvironment(address=origins[0], allow=origins[1:])
    assert effect_of(next(tool for tool in browser.tools if tool.name == "click")) == effect


def test_an_unreachable_address_is_one_line(site: Site, browse: Browse):
    site.close()
    with pytest.raises(
        EnvironmentFailure, match=r"cannot open http://127.0.0.1:\d+/: Connect call failed|refused"
    ) as caught:
        browse(site, "")
    assert "\n" not in str(caught.value)


def test_a_link_to_nowhere_leads_back_and_says_so(site: Site, elsewhere: Site, browse: Browse):
    elsewhere.close()
    browser = browse(site, f'<a href="{elsewhere.origin}/gone">Go</a>', allow=[elsewhere.origin])
    browser.click("Go")
    browser.do("wait", seconds=0.3)
    assert f"{elsewhere.origin}/gone could not be opened" in browser.told
    assert browser.find("Go")


def test_a_browser_that_was_killed_is_a_failure_and_can_be_begun_again(chromium: str, site: Site):
    site.pages["/"] = "<h1>Here</h1>"
    with BrowserEnvironment(address=site.origin) as environment:
        pictures = MemoryPictures()
        environment.reset("look", pictures=pictures)
        running = environment._chromium
        assert running is not None
        running.background.run(running.browser.close(), timeout_s=10)
        with pytest.raises(EnvironmentFailure):
            environment.observe()
        assert environment.reset("look", pictures=pictures).elements[0].name == "Here"
