"""The baseline: a request is searched for words and numbers that stand for parameters.

It knows the order in which people say things ("9 by 7", "5 high", "a gate on the south side"), and nothing of grammar.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, get_args

from mmi_minecraft.block_table import block_names
from mmi_minecraft.generators import BUILDING_BLOCKS, Family, Wood, log, parts, whole_blocks
from mmi_minecraft.requests.doubts import doubt
from mmi_minecraft.requests.reading import Reading, read_parameters

__all__ = ["KeywordReader"]

_KINDS = {
    "fence": "fence fences fencing pen paddock corral enclosure",
    "wall": "wall walls rampart",
    "path": "path pathway road walkway trail footpath",
    "stairs": "stairs staircase stairway steps",
    "bridge": "bridge footbridge",
    "tower": "tower turret watchtower",
    "hut": "hut house cabin cottage shed shack home",
}
_NOUNS = {noun: kind for kind, nouns in _KINDS.items() for noun in nouns.split()}
_SIZES = {
    "fence": ("width", "depth", "height"),
    "wall": ("length", "height", "thickness"),
    "path": ("length", "width"),
    "stairs": ("height", "width"),
    "bridge": ("length", "width", "height"),
    "tower": ("width", "width", "height"),
    "hut": ("width", "depth", "height"),
}
"""What the numbers of "9 by 7 by 3" stand for."""

_MEASURES = {
    "length": "long length",
    "width": "wide width across",
    "height": "high tall height",
    "depth": "deep depth",
    "thickness": "thick thickness",
}
_ONES = {
    word: number
    for number, words in enumerate(
        "zero one/single two/double three four five six seven eight nine ten eleven twelve/dozen thirteen fourteen "
        "fifteen sixteen seventeen eighteen nineteen twenty".split()
    )
    for word in words.split("/")
}
_TENS = {word: 10 * n for n, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)}
_NUMBERS = _ONES | _TENS
_SIDES = ("north", "east", "south", "west")
_GATE_SIDE = "south"
_WOODS = get_args(Wood)
_FAMILIES = tuple(family for group in get_args(Family) for family in get_args(group))
_OTHER_BLOCKS = [
    name for name in whole_blocks() if name not in BUILDING_BLOCKS and not name.endswith(("_wood", "_hyphae"))
]
"""Whole blocks that are not offered; who says oak wood means planks."""

_MADE = {"made", "built", "out"}
_NO_MATERIALS = {*" ".join(_MEASURES.values()).split(), *_NOUNS, "any", "size", "block", "blocks"}
_GAP = r"\b(?:river|ravine|gap|valley|canyon|stream|lake)\b[^,\d]* (\d+)(?: blocks?)? wide"
_UNKNOWN_HERE = set(
    "marble steel metal concrete plastic aluminium slate limestone plaster adobe titanium rubber paper cardboard "
    "chrome mithril adamant ebony rope straw cement asphalt tin silver wool terracotta".split()
)
"""What people ask for and the game does not have, or not without a colour."""


class KeywordReader:
    """Reads requests by keywords."""

    name = "keywords"

    def read(self, request: str) -> Reading:
        """Understands a request, or finds out what to ask."""
        text = _plain(request)
        words = text.split()
        place, kind = next(((at, _NOUNS[word]) for at, word in enumerate(words) if word in _NOUNS), (0, ""))
        if not kind:
            return Reading(question=f"What shall I build? I know: {', '.join(_KINDS)}.")
        said: dict[str, Any] = {"kind": kind, **_sizes(text, kind)}
        said |= _EXTRAS[kind](text)
        unknown = _unknown_material(text, words[place - 1] if place else "")
        if unknown and not {"material", "walls"} & said.keys():
            return Reading(question=_ask_material(kind, unknown))
        if question := doubt(request, text, said):
            return Reading(question=question)
        reading = read_parameters(said)
        if kind == "fence" and said.get("gate") == _GATE_SIDE and _GATE_SIDE not in words:
            return replace(reading, assumed=(f"gate: {_GATE_SIDE}", *reading.assumed))
        return reading


def _ask_material(kind: str, unknown: str) -> str:
    families = (*_WOODS, "nether_brick") if kind == "fence" else _FAMILIES if kind in ("stairs", "bridge") else ()
    near = get_close_matches(unknown, families or block_names(), n=3, cutoff=0.6)
    near = near or [name for name in families or BUILDING_BLOCKS if name.endswith(f"_{unknown}")][:3]
    other = "oak or birch" if families else "stone_bricks or oak_planks"
    hint = f"did you mean {' or '.join(near)}?" if near else f"name another, such as {other}."
    return f"I build no {kind} of {unknown!r}: {hint}" if families else f"I know no block called {unknown!r}: {hint}"


def _plain(request: str) -> str:
    """Lower case, numbers in figures, "9x7" taken apart; clauses end with a comma that stands alone."""
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", request.lower())
    text = re.sub(r"(\d+)\s*[x*\u00d7]\s*(?=\d)", r"\1 by ", text)
    text = re.sub(r"(\d+)\s*(?:m|met(?:er|re)s?)\b", r"\1 blocks", text)
    text = re.sub(r"(\d+)(?: blocks?)? up\b", r"\1 high", text)
    text = re.sub(r"(?<=\d)(?=[a-z])", " ", text)
    text = re.sub(r"[,;.:!?()]+", " , ", text.replace("'s", ""))
    text = re.sub(r"[^a-z0-9, ]+", " ", text)
    text = re.sub(r"\bcobble\b", "cobblestone", text)
    text = re.sub(r"\b(a|half a) dozen\b", lambda match: "6" if "half" in match[0] else "12", text)
    tens, ones = "|".join(_TENS), "|".join(word for word, number in _ONES.items() if 0 < number < 10)
    text = re.sub(rf"\b({tens}) ({ones})\b", lambda match: str(_TENS[match[1]] + _ONES[match[2]]), text)
    return " ".join(str(_NUMBERS.get(word, word)) for word in text.split())


def _sizes(text: str, kind: str) -> dict[str, int]:
    fields = set(_SIZES[kind])
    found: dict[str, int] = {}
    if kind == "wall":
        text = text.replace("across", "long")
    if kind == "bridge" and (gap := re.search(_GAP, text)):
        found["length"] = int(gap[1])
        text = text.replace(gap[0], " ")
    if match := re.search(r"\b(\d+)(?: blocks?)? by (\d+)(?: blocks?)?(?: by (\d+))?", text):
        found |= {field: int(number) for field, number in zip(_SIZES[kind], match.groups(), strict=False) if number}
    for field, names in _MEASURES.items():
        name = f"(?:{names.replace(' ', '|')})"
        match = re.search(rf"\b(\d+)(?: blocks?)?(?: in)? {name}\b", text) or re.search(
            rf"\b{name}(?: of| is| as)? (\d+)\b", text
        )
        field = _renamed(field, kind)
        if match and field in fields:
            found[field] = int(match[1])
    if kind == "stairs" and (match := re.search(r"\b(\d+)(?: [a-z]+){0,2} steps\b", text)):
        found["height"] = int(match[1])
    first = _SIZES[kind][0]
    if first not in found and (
        match := re.search(r"\b(\d+) blocks?\b(?! (?:in )?(?:wide|high|tall|thick|deep))", text)
    ):
        found[first] = int(match[1])
    return found


def _renamed(field: str, kind: str) -> str:
    """Of what has no length the width is meant, and so on."""
    if field == "length" and kind in ("fence", "hut"):
        return "width"
    return (
        "depth"
        if field == "width" and kind == "fence"
        else "thickness"
        if field == "width" and kind == "wall"
        else field
    )


def _says(text: str, *words: str) -> bool | None:
    """Whether one of the words is said, or said not to be; None if it is not said."""
    for word in words:
        if re.search(rf"\b(?:no|without|not)(?: an?| any)? (?:\w+ )?{word}", text):
            return False
        if re.search(rf"\b{word}", text):
            return True
    return None


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _named(text: str, names: Iterable[str]) -> str | None:
    """The longest of the names that is said, whether in one word or several, of one or of many."""
    for name in sorted(names, key=len, reverse=True):
        spaced = name.replace("_", " ")
        if re.search(rf"\b{spaced}(?:s|es)?\b", text) or (
            name.endswith("s") and re.search(rf"\b{spaced[:-1]}\b", text)
        ):
            return name
    return None


def _block(text: str) -> str | None:
    """The building block that is said, of a wood its planks; one that is not offered only where materials stand."""
    if other := _named(" , ".join(_material_places(text)), _OTHER_BLOCKS):
        return other
    wood = _named(text, _WOODS) or ("oak" if re.search(r"\bwood(en)?\b", text) else None)
    if wood and re.search(r"\b(logs?|trunks?|stems?)\b", text):
        return log(wood)
    return _named(text, BUILDING_BLOCKS) or (parts(wood).block if wood else None)


def _material_places(text: str) -> list[str]:
    """The words right before the building's name, and those after "of" or "from"."""
    before = re.findall(rf"((?:[a-z]+ ){{1,3}})(?:{'|'.join(_NOUNS)})\b", text)
    return [*before, *re.findall(r"\b(?:of|from)((?: [a-z]+){1,3})", text)]


def _family(text: str) -> str | None:
    stone = "cobblestone" if re.search(r"\bstone\b", text) else "oak" if re.search(r"\bwood(en)?\b", text) else None
    return _named(text, _FAMILIES) or stone


def _side(text: str, thing: str) -> str | None:
    """The side on which a thing is said to be."""
    sides = "|".join(_SIDES)
    before = re.search(rf"\b({sides})(?:ern)?(?: side| facing)? {thing}", text)
    after = re.search(rf"\b{thing}s?\b(?: \w+){{0,6}}? ({sides})", text)
    found = before or after
    return found[1] if found else None


def _fence(text: str) -> Mapping[str, Any]:
    gate = _says(text, "gate", "entrance", "opening", "get in\\b")
    side = _side(text, "gate") or _side(text, "entrance") or _side(text, "in from") or _GATE_SIDE
    wide = 2 if re.search(r"\b2 (?:wide )?gates?\b|\b2 wide gate", text) else None
    line = 1 if re.search(r"\b(?:straight|line)\b", text) else None
    return _given(
        material=_named(text, (*_WOODS, "nether_brick")) or ("oak" if "wood" in text else None),
        gate=None if gate is None else side if gate else "none",
        gate_width=wide if gate else None,
        depth=line,
    )


def _wall(text: str) -> Mapping[str, Any]:
    return _given(material=_block(text), battlements=_says(text, "battlement", "crenel", "merlon"))


def _path(text: str) -> Mapping[str, Any]:
    edge = re.search(
        r"\b(?:bordered|border|edged|edging|lined)(?: with| of| by| in| made of)(?: an?)?(?: \w+){1,3}", text
    )
    edge = edge or re.search(r"(?:[a-z]+ ){1,3}(?:border|edge|edging)\b", text)
    border = _block(edge[0]) if edge else None
    rest = text.replace(edge[0], "") if edge else text
    ground = _named(rest, ("dirt_path", "gravel", "coarse_dirt", "sand"))
    turn = re.search(r"(?:turn|bend|curv)\w*(?: \w+){0,2}? (left|right)", text)
    return _given(
        material=ground or _block(rest),
        border=border,
        turn=turn[1] if turn else None,
        lights=_says(text, "torch", "light", "lit\\b", "lamp"),
    )


def _stairs(text: str) -> Mapping[str, Any]:
    facing = re.search(rf"(?:facing|to the|towards?|up|heading|going)(?: the)? ({'|'.join(_SIDES)})", text)
    hollow = _says(text, "solid", "filled")
    return _given(
        material=_family(text),
        facing=facing[1] if facing else None,
        filled=False if re.search(r"\b(hollow|open|floating|unfilled|nothing (?:under|below)\w*)\b", text) else hollow,
        railing=_says(text, "railing", "rail", "banister", "handrail"),
    )


def _bridge(text: str) -> Mapping[str, Any]:
    return _given(
        material=_family(text),
        railing=_says(text, "railing", "rail", "handrail"),
        pillars=_says(text, "pillar", "support", "column"),
        lights=_says(text, "torch", "light", "lit\\b", "lamp"),
    )


def _tower(text: str) -> Mapping[str, Any]:
    shape = re.search(r"\b(round|circular|square)\b", text)
    door = re.sub(r"(\w+ )?\w+ door\b", "", text)
    return _given(
        material=_block(door),
        shape=None if not shape else "square" if shape[1] == "square" else "round",
        door=_side(text, "door") or _side(text, "entrance"),
        wood=_door_wood(text),
        windows=_says(text, "window"),
        battlements=_says(text, "battlement", "crenel", "merlon"),
    )


def _door_wood(text: str) -> str | None:
    door = re.search(r"((?:\w+ ){0,2})door\b", text)
    return _named(door[1], _WOODS) if door else None


def _hut(text: str) -> Mapping[str, Any]:
    roof = re.search(r"((?:\w+ ){0,3})roof(?: (?:of|from|made of) (\w+(?: \w+)?))?", text)
    words = f"{roof[1]} {roof[2] or ''}" if roof else ""
    shape = re.search(r"\b(flat|gabled?|pyramid\w*|hipped|hip|pointed|pointy|slanted)\b", text)
    shapes = {"f": "flat", "g": "gable", "s": "gable", "p": "pyramid", "h": "pyramid"}
    floor = re.search(r"((?:\w+ ){1,2})floor", text)
    walls = text
    for taken in (roof and roof[0], floor and floor[0], re.search(r"((?:\w+ ){1,2})door\b", text)):
        walls = walls.replace(taken if isinstance(taken, str) else taken[0], " ") if taken else walls
    number = re.search(r"\b(\d+) windows?\b", text)
    windows = _says(text, "window")
    return _given(
        walls=_block(walls),
        roof=_family(words) if words else None,
        roof_shape=shapes[shape[1][0]] if shape else None,
        floor=_block(floor[1]) if floor else None,
        door=_side(text, "door") or _side(text, "entrance"),
        door_wood=_door_wood(text),
        windows=int(number[1]) if number else 0 if windows is False else None,
        light=_says(text, "torch", "light", "lamp"),
    )


_EXTRAS: dict[str, Callable[[str], Mapping[str, Any]]] = {
    "fence": _fence,
    "wall": _wall,
    "path": _path,
    "stairs": _stairs,
    "bridge": _bridge,
    "tower": _tower,
    "hut": _hut,
}


def _unknown_material(text: str, before: str) -> str:
    """A material that is asked for and was not found: after "out of", or right before the building's name."""
    known = {part for name in block_names() for part in name.split("_")}
    known |= {f"{part}s" for part in known} | {part.rstrip("s") for part in known}
    for before_it, word, material in re.findall(r"\b(?:(\w+) )?(from|of)(?: an?| the| some)? ([a-z]+)\b", text):
        is_made_of = before_it in _MADE or (before_it in _NOUNS and word == "of")
        if (is_made_of and material not in _NO_MATERIALS) or material in _UNKNOWN_HERE - known:
            return material
    if {before, f"{before}_block"} & {*whole_blocks()}:
        return before
    misspelt = before not in known and before not in _NOUNS and get_close_matches(before, known, n=1, cutoff=0.85)
    return before if before in _UNKNOWN_HERE or (misspelt and len(before) > 4) else ""
