"""Which expert solves which task, and which tasks are never learnt from."""

from collections.abc import Mapping

from mmi_gui.experts import clicking as c
from mmi_gui.experts import forms as f
from mmi_gui.experts import mail as m
from mmi_gui.experts import picking as p
from mmi_gui.experts import planning
from mmi_gui.experts import reading as r
from mmi_gui.experts.page import Expert

__all__ = ["EXPERTS", "HELD_OUT"]

HELD_OUT = frozenset(
    {
        "choose-date",
        "click-button-sequence",
        "click-collapsible-2",
        "click-tab",
        "click-test-2",
        "email-inbox-important",
        "email-inbox-star-reply",
        "enter-password",
        "enter-text-dynamic",
        "form-sequence-2",
        "sign-agreement",
        "simple-algebra",
    }
)
"""Twelve tasks that were drawn by chance. Variants with the same page have no expert, so they are not learnt either."""

EXPERTS: Mapping[str, Expert] = {
    "click-test": c.only_button,
    "click-button": c.click_button('"(.*)"'),
    "unicode-test": c.click_button('"(.*)"'),
    "click-link": c.click_link,
    "click-dialog": c.dialog,
    "click-dialog-2": c.dialog_button,
    "click-tab-2-easy": c.click_tab,
    "click-tab-2-medium": c.click_tab,
    "click-tab-2": c.click_tab,
    "click-tab-2-hard": c.click_tab,
    "click-option": c.option,
    "click-checkboxes": c.checkboxes,
    "click-checkboxes-transfer": c.checkboxes,
    "click-checkboxes-large": c.checkboxes,
    "click-checkboxes-soft": c.similar_words,
    "click-collapsible": c.collapsible,
    "click-widget": c.widget,
    "focus-text": c.focus,
    "focus-text-2": c.focus,
    "enter-text": f.enter_text,
    "enter-text-2": f.enter_text,
    "login-user": f.login("Login"),
    "login-user-popup": f.login("OK"),
    "multi-layouts": f.movie_search,
    "multi-orderings": f.movie_search,
    "navigate-tree": c.tree,
    "choose-list": c.list_choice,
    "click-scroll-list": c.scroll_list,
    "click-menu": c.menu,
    "click-menu-2": c.menu_item,
    "search-engine": f.search_engine,
    "phone-book": f.phone_book,
    "use-autocomplete": f.autocomplete,
    "use-autocomplete-nodelay": f.autocomplete,
    "number-checkboxes": c.number_checkboxes,
    "email-inbox-delete": m.inbox,
    "email-inbox-noscroll": m.inbox,
    "email-inbox": m.inbox,
    "email-inbox-reply": m.inbox,
    "email-inbox-forward": m.inbox,
    "email-inbox-forward-nl": m.inbox_freely_told,
    "email-inbox-nl-turk": m.inbox_freely_told,
    "social-media": m.post,
    "social-media-some": m.posts,
    "social-media-all": m.posts,
    "enter-date": p.date_field,
    "enter-time": p.time_field,
    "choose-date-easy": p.calendar,
    "choose-date-medium": p.calendar,
    "use-slider": p.slider,
    "use-slider-2": p.sliders,
    "use-spinner": p.spinner,
    "form-sequence": p.slider_and_checkbox,
    "form-sequence-3": p.dropdown,
    "odd-or-even": r.odd_or_even,
    "simple-arithmetic": r.arithmetic,
    "text-transform": r.letters,
    "read-table": r.read_table,
    "read-table-2": r.read_table,
    "find-word": r.find_word,
    "find-greatest": r.greatest,
    "copy-paste": r.copy_text,
    "copy-paste-2": r.copy_text,
    "grid-coordinate": r.grid_point,
    "order-food": r.order_food,
    "buy-ticket": r.buy_ticket,
    "ascending-numbers": r.ascending_numbers,
    "scroll-text": r.last_word,
    "scroll-text-2": r.scroll_text,
    "daily-calendar": planning.create_event,
    "book-flight-nodelay": planning.book_flight,
    "choose-date": p.calendar,
    "click-button-sequence": c.button_sequence,
    "click-collapsible-2": c.find_in_sections,
    "click-tab": c.open_tab,
    "click-test-2": c.click_button("Click button (.*?)\\.?$"),
    "email-inbox-important": m.inbox,
    "email-inbox-star-reply": m.inbox,
    "enter-password": f.new_password,
    "enter-text-dynamic": f.enter_text,
    "form-sequence-2": f.radio_and_number,
    "sign-agreement": f.agreement,
    "simple-algebra": r.algebra,
}
"""An expert for each task that is demonstrated; those that are held out show only that they can be solved."""
