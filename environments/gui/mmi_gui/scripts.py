"""The few functions that are run inside a page. They take the element as `this` and give back plain values."""

__all__ = [
    "CHOOSE_OPTION",
    "CONTAINS",
    "FIRST_SCROLLABLE",
    "HELD",
    "IS_DISABLED",
    "IS_READ_ONLY",
    "OPTIONS",
    "SCROLLED",
    "SELECT_CONTENT",
    "SET_VALUE",
    "TAKEN",
]

CONTAINS = """function(other) {
  for (let node = other; node; node = node.parentNode || node.host) if (node === this) return true;
  return other.contains(this);
}"""
"""Whether a node lies within this one, or around it; through open shadow roots."""

IS_DISABLED = """function() {
  return Boolean(this.closest && this.closest(':is(button, input, select, textarea, option, optgroup):disabled'));
}"""
"""Whether it is, or lies in, a control that takes no input: a browser tells the page nothing of a click on it."""

IS_READ_ONLY = "function() { return this.readOnly === true; }"
"""Whether it is a field that shows a text and takes none."""

_HELD = """
  const held = field => {
    if (typeof field.select === 'function' && 'value' in field) return field.value;
    return field.isContentEditable ? field.textContent || field.innerHTML : null;
  };
"""

HELD = f"function() {{{_HELD} return held(this); }}"
"""What a field holds; null if it is no field."""

TAKEN = f"function() {{{_HELD} return this.getRootNode().activeElement === this ? held(this) : null; }}"
"""What a field holds after something was typed into it; null where the keys went, or have led on, to something else."""

CHOOSE_OPTION = """function() {
  const list = this.closest('select');
  if (this.matches(':disabled') || list.matches(':disabled')) return 'it is disabled';
  if (list.multiple) this.selected = !this.selected; else list.value = this.value, this.selected = true;
  list.dispatchEvent(new Event('input', {bubbles: true}));
  list.dispatchEvent(new Event('change', {bubbles: true}));
  return '';
}"""
"""Chooses this option of a list, as its pop-up would; returns what speaks against it."""

OPTIONS = """function() {
  return Array.from(this.options, (option, i) => [i, option.label.trim()]).filter(([i, label]) => label);
}"""
"""The options of this list: their indices and labels."""

SET_VALUE = """function(text) {
  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(this, text);
  const kept = this.value;
  this.dispatchEvent(new Event('input', {bubbles: true}));
  this.dispatchEvent(new Event('change', {bubbles: true}));
  return kept;
}"""
"""Fills a field whose value has a format of its own; returns the value that it took."""

_DEEPEST = """
  let element = document.activeElement;
  for (;;) {
    const inner = element && (element.shadowRoot || element.contentDocument);
    if (!inner || !inner.activeElement || inner.activeElement === inner.body) break;
    element = inner.activeElement;
  }
"""

SELECT_CONTENT = f"""(() => {{{_DEEPEST}
  if (!element) return false;
  if (/^I?FRAME$/.test(element.tagName) && !element.contentDocument) return null;
  if (typeof element.select === 'function' && 'value' in element) {{
    if (element.readOnly || element.disabled) return false;
    element.select();
    return true;
  }}
  if (!element.isContentEditable) return false;
  element.ownerDocument.getSelection().selectAllChildren(element);
  return true;
}})()"""
"""Selects all that the focused field holds; returns whether it is a field, null if a frame of another origin has it."""

_UNDER = """
  const under = (x, y) => {
    const found = [];
    for (let root = document; root;) {
      const top = root.elementFromPoint(x, y);
      if (!top || found.includes(top)) break;
      for (let element = top; element; element = element.parentElement) found.push(element);
      root = top.shadowRoot;
      if (top.tagName === 'IFRAME' || top.tagName === 'FRAME') {
        if (!top.contentDocument) return null;
        const box = top.getBoundingClientRect();
        [x, y, root] = [x - box.left - top.clientLeft, y - box.top - top.clientTop, top.contentDocument];
      }
    }
    return found;
  };
"""
# all elements under a point, also within frames and open shadow roots; null if a frame there is another site's

SCROLLED = f"""([x, y]) => {{{_UNDER}
  return under(x, y)?.reduce((sum, element) => sum + element.scrollLeft + element.scrollTop, 0) ?? null;
}}"""
"""How far everything under a point is scrolled, in CSS pixels; null if a frame there is another site's."""

FIRST_SCROLLABLE = f"""([points, x, y]) => {{{_UNDER}
  const scrolls = (element) => {{
    const style = getComputedStyle(element), page = element === element.ownerDocument.scrollingElement;
    const overflow = x ? style.overflowX : style.overflowY;
    if (page ? overflow === 'hidden' : !/auto|scroll/.test(overflow)) return false;
    const at = x ? element.scrollLeft : element.scrollTop;
    const most = x ? element.scrollWidth - element.clientWidth : element.scrollHeight - element.clientHeight;
    return x + y > 0 ? at < most - 1 : at > 1;
  }};
  return points.findIndex(([left, top]) => under(left, top)?.some(scrolls));
}}"""
"""Which of some points lies first on something that can be scrolled by a sign each to the right and down; -1: none."""
