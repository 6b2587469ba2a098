"""Tasks of mail and posts: find the one that is asked for, scrolling to it, and do something with it."""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from mmi_agent.types import Element
from mmi_gui.experts.clicking import submit
from mmi_gui.experts.page import Act, Page, click, first, scroll, type_text

__all__ = ["inbox", "inbox_freely_told", "post", "posts"]

_MOST_SCROLLS = 12


class _Errand(NamedTuple):
    """What is to be done with an email: `text` is the reply, or whom it is forwarded to."""

    deed: Literal["delete", "star", "reply", "forward"]
    sender: str
    text: str = ""


def inbox(page: Page) -> Iterator[Act]:
    """Does what the instruction says in one of the few forms of the plain inbox."""
    sender = page.asked("email by (.*?)(?: and |$)")
    if " reply to them with the text " in page.instruction:
        return _done(page, _Errand("reply", sender, page.quoted[0].strip()))
    if " forward that email to " in page.instruction:
        return _done(page, _Errand("forward", sender, page.asked(r"forward that email to (.*?)\.?$")))
    return _done(page, _Errand("delete" if "trash" in page.instruction else "star", sender))


def inbox_freely_told(page: Page) -> Iterator[Act]:
    """Does what the instruction says in anybody's words; what they mean is asked of the page."""
    told: dict[str, str] = page.ask("core.currentFields")
    deed = told.get("task", "forward")
    assert deed in ("delete", "star", "reply", "forward")
    return _done(page, _Errand(deed, told["by"], told.get("to") or told.get("message") or ""))


def _done(page: Page, errand: _Errand) -> Iterator[Act]:
    """Opens the email, and does the errand there."""
    yield from _scrolled_to(page, errand.sender)
    yield click(page.one("generic", name=errand.sender), f'the email by "{errand.sender}"', verb="Open")
    if errand.deed == "delete":
        yield click(page.one("generic", name="trash"), 'the icon "trash"')
    elif errand.deed == "star":
        yield click(page.one("generic", name="star"), 'the icon "star"')
    elif errand.deed == "reply":
        yield click(page.one("generic", name="Reply"))
        yield type_text(page.one("textbox"), errand.text, "the reply")
        yield click(page.one("generic", name="send-reply"), 'the icon "send-reply"')
    else:
        yield click(page.one("generic", name="Forward"))
        yield type_text(page.one("textbox"), errand.text, 'the text field "to"')
        yield click(page.one("generic", name="send-forward"), 'the icon "send-forward"')


def _scrolled_to(page: Page, sender: str) -> Iterator[Act]:
    for _ in range(_MOST_SCROLLS):
        if page.sees("generic", name=sender):
            return
        yield scroll("down", f'Scroll down to find the email by "{sender}".', mark=page.all("generic")[2].mark)


def post(page: Page) -> Iterator[Act]:
    """Uses a control of the post of one user; some are in a menu."""
    user, deed = page.asked(r"For the user (@\S+?),"), page.quoted[0].strip()
    icon = deed.lower() if deed in ("Reply", "Retweet", "Like") else "more"
    while (found := _control(page, user, icon)) is None:
        yield scroll("down", f'Scroll down to find the post by "{user}".', mark=page.all("generic")[0].mark)
    if icon != "more":
        for _ in range(3):  # the first click only has the icon's other picture loaded
            yield click(_control(page, user, icon) or found, f'"{icon}" of the post by "{user}"')
        return
    while not _entry(page, deed):
        control = _control(page, user, "more")
        if _menu_is_open(page) or control is None:
            yield scroll("down", f'Scroll down to find "{deed}".', mark=page.all("generic")[0].mark, amount=300)
        else:
            yield click(control, f'"more" of the post by "{user}"')
    entry = _entry(page, deed)
    assert entry
    yield click(entry)


def _menu_is_open(page: Page) -> bool:
    return any(e.name.startswith(("Share via", "Copy link", "Embed", "Mute")) for e in page.elements)


def _entry(page: Page, deed: str) -> Element | None:
    """The entry of the menu; those of two actions go on with the user's name."""
    return next((e for e in page.elements if re.fullmatch(rf"{deed}( @\S+)?", e.name) and e.role != "text"), None)


def _control(page: Page, user: str, icon: str) -> Element | None:
    """The icon of the first post in view by that user that has not been clicked."""
    owner = ""
    for element in page.elements:
        if element.role == "text" and (named := re.search(r"@\S+", element.name)):
            owner = named[0]
        elif owner == user and element.name == icon:
            return element
    return None


def posts(page: Page) -> Iterator[Act]:
    """Clicks a control of several posts of a user, or of all, and submits."""
    user, icon = page.asked(r"by (@\S+)"), page.quoted[0].strip().lower()
    count = re.search(r"on (\d+) posts?", page.instruction)
    left = int(count[1]) if count else 99
    for _ in range(40):
        control = _control(page, user, icon) if left else None
        if control:
            before = _clicked(page, icon)
            yield click(control, f'"{icon}" of the post by "{user}"')
            left -= _clicked(page, icon) - before
        elif page.sees("button", name="Submit"):
            break
        else:
            goal = f'another post by "{user}"' if left else 'the button "Submit"'
            yield scroll("down", f"Scroll down to find {goal}.", mark=first(page.all("generic"), "icon").mark)
    yield submit(page)


def _clicked(page: Page, icon: str) -> int:
    return len(page.all("generic", name=f"{icon} active"))
