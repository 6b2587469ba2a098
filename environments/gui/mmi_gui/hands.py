"""Acts on a page with the mouse and the keyboard, as a person would.

A mark is found again where it is now, not where it was seen, and only if a click there would still reach it.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from playwright.async_api import Error

from mmi_agent.errors import ActionError
from mmi_agent.types import Element, clean_text
from mmi_gui import scripts
from mmi_gui.devtools import DevTools
from mmi_gui.eyes import Sight
from mmi_gui.snapshot import Node
from mmi_gui.tabs import DialogAnswer, Tabs
from mmi_gui.transform import Transform

__all__ = ["Direction", "Hands", "Target"]

Direction = Literal["up", "down", "left", "right"]
Target = int | tuple[int, int]
"""A mark, or a point in 0..1000 of the picture."""

_TYPED_SINGLY = 200  # longer texts are inserted at once: a key press takes some milliseconds
_FORMATTED = {"date", "time", "datetime-local", "month", "week", "color", "range"}
_DRAG_STEPS = 10


@dataclass(frozen=True)
class _Spot:
    """Where the mouse goes: CSS pixels, the words for it, and the node if it is known."""

    x: float
    y: float
    words: str
    node: Node | None
    option: bool = False


class Hands:
    """The mouse and the keyboard of one episode.

    Every method returns what was done, in words.

    Raises:
        ActionError: From every method, if the target is gone or covered or cannot be used like that.
    """

    def __init__(self, tabs: Tabs, view: Transform) -> None:
        self.sight: Sight | None = None
        self._tabs = tabs
        self._view = view

    async def click(self, target: Target, *, count: int = 1) -> str:
        """Clicks, or chooses an option of a list."""
        spot = await self._find(target, chooses=True)
        if spot.option:
            return await self._choose(spot.node, spot.words)
        await self._expect_enabled(spot)
        if spot.node is not None and spot.node.tag == "select" and "multiple" not in spot.node.attributes:
            # its pop-up is a window of its own that no screenshot shows and that would swallow what comes next
            labels = ", ".join(repr(label) for _, label in await self._options(spot.node))
            return f"{spot.words} is a list. Click on one of its options or type one into it: {labels[:600]}"
        await self._tabs.page.mouse.click(spot.x, spot.y, click_count=count)
        return f"{'clicked' if count == 1 else 'double-clicked'} {spot.words}"

    async def type(self, text: str, mark: int | None, *, press_enter: bool) -> str:
        """Types a text: into an element in place of what it holds, else wherever the focus is."""
        text = clean_text(text)
        if mark is None:
            await self._write(text, press_enter=press_enter)
            return _typed(text, "where the focus is", press_enter=press_enter)
        spot = await self._find(mark)
        assert spot.node is not None
        await self._expect_enabled(spot)
        where = f"into {spot.words}"
        if spot.node.tag == "select":
            return await self._choose_by_label(spot.node, text)
        if await self._call(spot.node, scripts.IS_READ_ONLY):
            raise ActionError(f"{spot.words} is read-only: no text can be typed into it")
        if spot.node.attributes.get("type", "").lower() in _FORMATTED:
            return await self._set_value(spot.node, text, where)
        before = await self._call(spot.node, scripts.HELD)
        await self._tabs.page.mouse.click(spot.x, spot.y)
        if not await self._select_content():
            where += " (which is no text field)"
        elif not text:
            await self._tabs.page.keyboard.press("Delete")
        await self._write(text, press_enter=press_enter)
        if text.strip() and not press_enter:
            await self._expect_taken(text, spot, before)
        return _typed(text, where, press_enter=press_enter)

    async def _select_content(self) -> bool:
        """Selects all that the focused field holds; returns whether it can be one."""
        is_field = await self._tabs.page.evaluate(scripts.SELECT_CONTENT)
        if is_field is None:
            await self._tabs.page.keyboard.press("ControlOrMeta+A")
        return is_field is not False

    async def _write(self, text: str, *, press_enter: bool) -> None:
        """Types where the focus is. A new line in the text is no key: Enter would send the form before its end."""
        keyboard = self._tabs.page.keyboard
        singly = len(text) <= _TYPED_SINGLY and not {"\n", "\r"} & set(text)
        await (keyboard.type(text) if singly else keyboard.insert_text(text))
        if press_enter:
            await keyboard.press("Enter")

    async def _expect_taken(self, text: str, spot: _Spot, before: str | None) -> None:
        """Sees to it that a field made something of a text; what it made of it is the page's own affair."""
        assert spot.node is not None
        try:
            held = await self._call(spot.node, scripts.TAKEN)
        except (ActionError, Error):
            return  # the page went on by itself
        if held == "" or (held is not None and held == before and not _alike(held, text)):
            raise ActionError(f"{spot.words} took nothing of {text[:80]!r}: it holds {held[:80]!r}")

    async def press(self, keys: str, *, times: int = 1) -> str:
        """Presses keys one after the other, as often as is said: "Enter", "Control+A Delete"."""
        for key in keys.split() * times:
            try:
                await self._tabs.page.keyboard.press(key)
            except Error as error:
                if "Unknown key" not in error.message:
                    raise
                raise ActionError(f"{key!r} is no key; keys are named like Enter, ArrowDown, Control+A, a") from error
        return f"pressed {keys}" if times == 1 else f"pressed {keys} {times} times"

    async def scroll(self, direction: Direction, amount: int, mark: int | None) -> str:
        """Turns the mouse wheel over an element, else over the middle of the view; `amount` in thousandths of it."""
        spot = await self._find((500, 500) if mark is None else mark, must_be_hit=False)
        x_sign, y_sign = {"up": (0, -1), "down": (0, 1), "left": (-1, 0), "right": (1, 0)}[direction]
        page = self._tabs.page
        await page.mouse.move(spot.x, spot.y)
        before = await self._scrolled(spot)
        await page.mouse.wheel(
            x_sign * amount * self._view.width_px / 1000, y_sign * amount * self._view.height_px / 1000
        )
        if before is None:
            return f"turned the wheel {direction} over {spot.words}, in a frame of another site: look what it did"
        end = time.monotonic() + 0.3
        while not (moved := abs((await self._scrolled(spot) or 0) - before)) and time.monotonic() < end:
            await asyncio.sleep(0.02)
        if moved:
            return f"scrolled {direction} by {moved:.0f} px"
        elsewhere = await self._that_scrolls(x_sign, y_sign)
        instead = f"; {_words(elsewhere)} can be scrolled {direction}" if elsewhere else ""
        return f"nothing scrolled: no more {direction} of here{instead}"

    async def drag(self, start: Target, end: Target) -> str:
        """Drags from one target to another."""
        here, there = await self._find(start), await self._find(end, must_be_hit=False)
        mouse = self._tabs.page.mouse
        await mouse.move(here.x, here.y)
        await mouse.down()
        await mouse.move(there.x, there.y, steps=_DRAG_STEPS)
        await mouse.up()
        return f"dragged {here.words} to {there.words}"

    async def wait(self, seconds: float) -> str:
        """Lets time pass."""
        await asyncio.sleep(seconds)
        return f"waited {seconds:g} s"

    async def open(self, address: str) -> str:
        """Opens an address, if it is allowed."""
        if not self._tabs.allowed.permits_opening(address):
            raise ActionError(f"blocked: {address[:200]!r} is not allowed (allowed: {self._tabs.allowed})")
        await self._tabs.goto(address)
        return f"opened {address}"

    async def go_back(self) -> str:
        """Goes back to the page before."""
        return f"went back to {await self._tabs.go_back()}"

    async def accept_next_dialog(self, text: str) -> str:
        """Has the next question of this page accepted, up to the end of what is done next."""
        self._tabs.next_answer = DialogAnswer(self._tabs.page, self._tabs.page.url, text)
        return "if the next action has this page open a dialog, it will be accepted"

    async def _find(self, target: Target, *, must_be_hit: bool = True, chooses: bool = False) -> _Spot:
        if not isinstance(target, int):
            x, y = self._view.to_viewport(*target)
            return _Spot(x, y, f"the point {target}", await self._node_at(x, y))
        element = self._element(target)
        assert self.sight is not None
        candidate = self.sight.marked[target]
        words = _words(element)
        if candidate.kind == "option":
            if not chooses:
                raise ActionError(f"{words} is an option of a closed list, which can only be clicked")
            return _Spot(0, 0, words, candidate.node, option=True)
        x, y = await self._place_of(candidate.node, words, must_be_hit=must_be_hit)
        return _Spot(x, y, words, candidate.node)

    async def _expect_enabled(self, spot: _Spot) -> None:
        if spot.node is not None and await self._call(spot.node, scripts.IS_DISABLED):
            raise ActionError(f"{spot.words} is disabled: it takes no input before something else is done")

    def _element(self, mark: int) -> Element:
        elements = self.sight.elements if self.sight is not None else ()
        if not 1 <= mark <= len(elements):
            raise ActionError(f"there is no element {mark}: the marks go from 1 to {len(elements)}")
        return elements[mark - 1]

    async def _place_of(self, node: Node, words: str, *, must_be_hit: bool) -> tuple[float, float]:
        """A point in the view that belongs to the node now."""
        session = await self._tabs.devtools()
        try:
            quads = await self._quads(session, node)
        except Error as error:
            raise ActionError(f"{words} is gone: the page has changed, look again") from error
        points = [((quad[0] + quad[4]) / 2, (quad[1] + quad[5]) / 2) for quad in sorted(quads, key=_area, reverse=True)]
        inside = [(x, y) for x, y in points if 0 <= x < self._view.width_px and 0 <= y < self._view.height_px]
        if not inside:
            raise ActionError(f"{words} is out of view now: the page has changed, look again")
        if not must_be_hit:
            return inside[0]
        corners = _inner_corners(max(quads, key=_area))
        for x, y in [*inside, *corners]:
            if await self._reaches(session, x, y, node):
                return x, y
        raise ActionError(f"{words} is covered by something else now, look again")

    async def _quads(self, session: DevTools, node: Node) -> Sequence[Sequence[float]]:
        await session.send("DOM.scrollIntoViewIfNeeded", backendNodeId=node.backend_id)
        return (await session.send("DOM.getContentQuads", backendNodeId=node.backend_id))["quads"]

    async def _reaches(self, session: DevTools, x: float, y: float, node: Node) -> bool:
        """Whether a click at that point goes to the node, to something in it, or to what it lies in."""
        hit = await self._hit(session, x, y)
        if hit is None:
            return False
        assert self.sight is not None
        seen = self.sight.nodes.get(hit)
        if seen is not None:
            label = next((a for a in node.ancestors() if a.tag == "label"), node)
            return seen.is_within(label) or node.is_within(seen)
        return await self._call(node, scripts.CONTAINS, await self._resolve(hit))

    async def _hit(self, session: DevTools, x: float, y: float) -> int | None:
        """Chromium's id of the node at a point of the view."""
        try:
            answer = await session.send("DOM.getNodeForLocation", x=int(x), y=int(y))
        except Error:
            return None
        return answer["backendNodeId"]

    async def _node_at(self, x: float, y: float) -> Node | None:
        hit = await self._hit(await self._tabs.devtools(), x, y)
        return self.sight.nodes.get(hit) if self.sight is not None and hit is not None else None

    async def _that_scrolls(self, x_sign: int, y_sign: int) -> Element | None:
        """The first element that lies in something that can be scrolled that way."""
        elements = self.sight.elements if self.sight is not None else ()
        centers = [
            self._view.to_viewport((left + right) / 2, (top + bottom) / 2)
            for left, top, right, bottom in (e.box for e in elements)
        ]
        first = await self._tabs.page.evaluate(scripts.FIRST_SCROLLABLE, [centers, x_sign, y_sign])
        return next((element for index, element in enumerate(elements) if index == first), None)

    async def _scrolled(self, spot: _Spot) -> float | None:
        """How far all that lies under a spot is scrolled, in CSS pixels; None if the page may not know."""
        return await self._tabs.page.evaluate(scripts.SCROLLED, [spot.x, spot.y])

    async def _choose(self, option: Node | None, words: str) -> str:
        assert option is not None
        if refusal := await self._call(option, scripts.CHOOSE_OPTION):
            raise ActionError(f"{words} cannot be chosen: {refusal}")
        return f"chose {words}"

    async def _choose_by_label(self, select: Node, text: str) -> str:
        options = await self._options(select)
        wanted = text.strip().casefold()
        exact = [index for index, label in options if label.casefold() == wanted]
        near = [index for index, label in options if wanted and label.casefold().startswith(wanted)]
        if not exact and len(near) != 1:
            labels = ", ".join(repr(label) for _, label in options)
            raise ActionError(f"the list has no option {text!r}; it has {labels[:600]}")
        index = (exact or near)[0]
        refusal = await self._call(
            select, f"function(i) {{ return ({scripts.CHOOSE_OPTION}).call(this.options[i]); }}", index
        )
        if refusal:
            raise ActionError(f"{text!r} cannot be chosen: {refusal}")
        return f"chose {dict(options)[index]!r}"

    async def _options(self, select: Node) -> list[tuple[int, str]]:
        return [(index, label) for index, label in await self._call(select, scripts.OPTIONS)]

    async def _set_value(self, field: Node, text: str, where: str) -> str:
        kept = await self._call(field, scripts.SET_VALUE, text)
        if kept != text:
            raise ActionError(
                f"a field of type {field.attributes['type']} does not take {text!r}; it holds {kept!r} now"
            )
        return f"typed {text!r} {where}"

    async def _resolve(self, backend_id: int) -> dict[str, Any]:
        session = await self._tabs.devtools()
        return (await session.send("DOM.resolveNode", backendNodeId=backend_id))["object"]

    async def _call(self, node: Node, function: str, *arguments: Any) -> Any:
        """Runs a function in the page with the node as `this`; an argument may be an object of the page."""
        session = await self._tabs.devtools()
        try:
            this = await self._resolve(node.backend_id)
        except Error as error:
            raise ActionError("it is gone: the page has changed, look again") from error
        answer = await session.send(
            "Runtime.callFunctionOn",
            objectId=this["objectId"],
            functionDeclaration=function,
            arguments=[_argument(argument) for argument in arguments],
            returnByValue=True,
        )
        if "exceptionDetails" in answer:
            raise ActionError(f"the page refused: {answer['exceptionDetails'].get('text', '')}")
        return answer["result"].get("value")


def _argument(value: Any) -> dict[str, Any]:
    return {"objectId": value["objectId"]} if isinstance(value, dict) else {"value": value}


def _typed(text: str, where: str, *, press_enter: bool) -> str:
    return f"typed {text[:80]!r} {where}{' and pressed Enter' if press_enter else ''}"


def _alike(held: str, text: str) -> bool:
    """Whether a field can hold this because that was typed: digits with what a mask adds, or the beginning of it."""
    kept, typed = ("".join(filter(str.isalnum, each.casefold())) for each in (held, text))
    return typed in kept or (kept != "" and kept in typed)


def _area(quad: Sequence[float]) -> float:
    return abs(quad[4] - quad[0]) * abs(quad[5] - quad[1])


def _inner_corners(quad: Sequence[float]) -> list[tuple[float, float]]:
    left, top, right, bottom = quad[0], quad[1], quad[4], quad[5]
    return [(left + (right - left) * x, top + (bottom - top) * y) for x in (0.1, 0.9) for y in (0.1, 0.9)]


def _words(element: Element) -> str:
    return f"element {element.mark} ({element.role} {element.name[:60]!r})"
