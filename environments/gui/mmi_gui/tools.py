"""What a policy can do with a page: each tool, its arguments and their meaning.

Elements are named by mark, and every tool with a mark has a twin for a point, so that no field is there in vain: a
grammar made from these schemas admits no call that would be refused for its form.
"""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from mmi_agent.tool import FunctionTool, NoArguments, element_mark
from mmi_agent.types import Effect, Outcome
from mmi_gui.hands import Direction, Hands

__all__ = ["MAX_PRESSES", "MAX_WAIT_S", "Perform", "browsing_tools", "input_tools"]

MAX_PRESSES = 100
MAX_WAIT_S = 5

Perform = Callable[[Callable[[Hands], Coroutine[Any, Any, str]]], Outcome]
"""Lets the hands do something, within a time limit, and says what came of it."""

_FIELDS = ("textbox", "searchbox", "combobox", "spinbutton", "slider", "date", "datetime", "inputtime", "color")
_SELF_MADE = ("generic", "canvas", "listbox")  # may hold text, though the page does not say so

Coordinate = Annotated[int, Field(ge=0, le=1000)]
Text = Annotated[str, Field(max_length=2000)]


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Element(_Arguments):
    mark: int = Field(ge=1, json_schema_extra=element_mark(), description="The element's mark.")


class _Point(_Arguments):
    x: Coordinate = Field(description="0..1000 of the picture's width, from the left.")
    y: Coordinate = Field(description="0..1000 of the picture's height, from the top.")


class _ClickAt(_Point):
    count: int = Field(default=1, ge=1, le=3, description="2 is a double click.")


class _TypeText(_Arguments):
    mark: int = Field(ge=1, json_schema_extra=element_mark(*_FIELDS, *_SELF_MADE), description="The field's mark.")
    text: Text = Field(description="Replaces what the field holds.")
    press_enter: bool = Field(default=False, description="Whether to press Enter afterwards.")


class _TypeFocused(_Arguments):
    text: Text = Field(description="Is added where the cursor is.")
    press_enter: bool = Field(default=False, description="Whether to press Enter afterwards.")


class _PressKeys(_Arguments):
    keys: str = Field(min_length=1, max_length=100, description="Keys with spaces between, as in 'Control+A Delete'.")
    times: int = Field(default=1, ge=1, le=MAX_PRESSES, description="How often all of them are pressed.")


class _Scroll(_Arguments):
    direction: Direction
    amount: int = Field(default=600, ge=1, le=3000, description="In thousandths of what the picture shows.")
    mark: int | None = Field(
        default=None, ge=1, json_schema_extra=element_mark(), description="Scrolls what this element lies in."
    )


class _Drag(_Arguments):
    from_mark: int = Field(ge=1, json_schema_extra=element_mark(), description="The mark of what is dragged.")
    to_mark: int = Field(ge=1, json_schema_extra=element_mark(), description="The mark of where it is dropped.")


class _DragAt(_Arguments):
    from_x: Coordinate
    from_y: Coordinate
    to_x: Coordinate
    to_y: Coordinate


class _Wait(_Arguments):
    seconds: float = Field(default=1, gt=0, le=MAX_WAIT_S)


class _OpenAddress(_Arguments):
    address: str = Field(min_length=1, max_length=2000, description="As in https://example.org/page.")


class _AcceptDialog(_Arguments):
    text: str = Field(default="", max_length=400, description="What is answered if it asks for a text.")


def input_tools(perform: Perform, act: Perform, effect: Effect) -> tuple[FunctionTool, ...]:
    """The tools that act on the page that is open.

    Args:
        perform: Runs those that merely look.
        act: Runs those that are input.
        effect: What input can do to the world behind the page.
    """
    return (
        FunctionTool(
            name="click",
            description="Click on an element, or choose an option of a list.",
            args_schema=_Element,
            run=lambda a: act(lambda hands: hands.click(a.mark)),
            effect=effect,
            told="clicked {mark}",
        ),
        FunctionTool(
            name="type_text",
            description="Type a text into a field, in place of what it holds; into a list, to choose that option.",
            args_schema=_TypeText,
            run=lambda a: act(lambda hands: hands.type(a.text, a.mark, press_enter=a.press_enter)),
            effect=effect,
            told='typed "{text}" into {mark}',
        ),
        FunctionTool(
            name="double_click",
            description="Double-click on an element.",
            args_schema=_Element,
            run=lambda a: act(lambda hands: hands.click(a.mark, count=2)),
            effect=effect,
        ),
        FunctionTool(
            name="click_at",
            description="Click on a point of the picture.",
            args_schema=_ClickAt,
            run=lambda a: act(lambda hands: hands.click((a.x, a.y), count=a.count)),
            effect=effect,
        ),
        FunctionTool(
            name="type_focused",
            description="Type a text where the cursor is.",
            args_schema=_TypeFocused,
            run=lambda a: act(lambda hands: hands.type(a.text, None, press_enter=a.press_enter)),
            effect=effect,
        ),
        FunctionTool(
            name="press_keys",
            description="Press keys, one after the other.",
            args_schema=_PressKeys,
            run=lambda a: act(lambda hands: hands.press(a.keys, times=a.times)),
            effect=effect,
        ),
        FunctionTool(
            name="drag",
            description="Drag one element onto another.",
            args_schema=_Drag,
            run=lambda a: act(lambda hands: hands.drag(a.from_mark, a.to_mark)),
            effect=effect,
        ),
        FunctionTool(
            name="drag_at",
            description="Drag from one point of the picture to another.",
            args_schema=_DragAt,
            run=lambda a: act(lambda hands: hands.drag((a.from_x, a.from_y), (a.to_x, a.to_y))),
            effect=effect,
        ),
        FunctionTool(
            name="scroll",
            description="Scroll the page, or the area that an element lies in.",
            args_schema=_Scroll,
            run=lambda a: perform(lambda hands: hands.scroll(a.direction, a.amount, a.mark)),
            effect="observe",
        ),
        FunctionTool(
            name="wait",
            description="Let some seconds pass.",
            args_schema=_Wait,
            run=lambda a: perform(lambda hands: hands.wait(a.seconds)),
            effect="observe",
        ),
    )


def browsing_tools(perform: Perform, act: Perform) -> tuple[FunctionTool, ...]:
    """The tools that lead to other pages, within the allow-list, and that agree to what a page asks.

    Args:
        perform: Runs the one that agrees.
        act: Runs those that lead away.
    """
    return (
        FunctionTool(
            name="open_address",
            description="Open an address.",
            args_schema=_OpenAddress,
            run=lambda a: act(lambda hands: hands.open(a.address)),
            effect="reversible",
        ),
        FunctionTool(
            name="go_back",
            description="Go back to the page before.",
            args_schema=NoArguments,
            run=lambda _: act(lambda hands: hands.go_back()),
            effect="reversible",
        ),
        FunctionTool(
            name="accept_dialog",
            description="Accept the next dialog that a page opens, instead of dismissing it; then repeat the action.",
            args_schema=_AcceptDialog,
            run=lambda a: perform(lambda hands: hands.accept_next_dialog(a.text)),
            effect="consequential",
        ),
    )
