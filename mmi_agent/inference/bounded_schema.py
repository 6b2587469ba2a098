"""JSON schemas with an end: whatever is written by one is finite, and how long it can get is known beforehand.

A schema as pydantic makes it allows endless strings, lists, numbers and nesting. `bounded` narrows it to texts that
pydantic still accepts, in a form without references; `extent` measures it. Neither knows about tokens or grammars.

What no schema states cannot be kept: validators in Python, a `Decimal` given as text, `dict` keys that are not text,
times that must be in the past. Where a schema says something that cannot be kept, `bounded` refuses it.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from mmi_agent.errors import ConfigError

__all__ = ["Bounds", "Extent", "Schema", "bounded", "extent"]

Schema = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What is filled in where a schema sets no bound; bounds that it does set are kept.

    Attributes:
        characters: Of a string.
        pattern_characters: Of a string that follows a pattern.
        items: Of a list or a mapping.
        magnitude: Of a number.
        decimals: Digits after the point; more where the allowed range is narrower than 1.
        nesting: How often a type may stand inside itself.
    """

    characters: int = 200
    pattern_characters: int = 64
    items: int = 8
    magnitude: int = 10**9
    decimals: int = 3
    nesting: int = 2


class Extent(NamedTuple):
    """Lengths in bytes, which no number of tokens exceeds.

    Attributes:
        longest: Of the longest text.
        closing: From any place in any text to its end, by way of whatever is allowed next.
    """

    longest: int
    closing: int


class _Format(NamedTuple):
    pattern: str | None
    characters: int


_DAY = r"(19|20)[0-9]{2}-((0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)"
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
_HOST = r"[a-z][a-z0-9-]{0,19}[a-z0-9](\.[a-z]{2,6}){1,2}"
_BYTE = r"(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"

# narrower than the standards, so that every text is accepted by pydantic: no leap days, UTC only, plain addresses
_FORMATS = {
    "binary": _Format(None, 0),
    "password": _Format(None, 0),
    "path": _Format(r"^[^\n\r\t]+$", 200),
    "date": _Format(f"^{_DAY}$", 10),
    "time": _Format(f"^{_TIME}Z$", 9),
    "date-time": _Format(f"^({_DAY})T{_TIME}Z$", 20),
    "duration": _Format(r"^P[0-9]{1,3}DT(1?[0-9]|2[0-3])H[1-5]?[0-9]M[1-5]?[0-9]S$", 15),
    "uuid": _Format(r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$", 36),
    "uuid4": _Format(r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$", 36),
    "uri": _Format(rf"^https://{_HOST}(/[A-Za-z0-9._~-]{{0,40}}){{0,2}}$", 128),
    "email": _Format(rf"^[a-z][a-z0-9]{{0,19}}@{_HOST}$", 64),
    "ipv4": _Format(rf"^{_BYTE}(\.{_BYTE}){{3}}$", 15),
    "ipv6": _Format(r"^[0-9a-f]{1,4}(:[0-9a-f]{1,4}){7}$", 39),
}
_KEY_PATTERN, _KEY_CHARACTERS = r"^[A-Za-z0-9_ -]{1,32}$", 32
_UNSPEAKABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
_SCALARS: Schema = {"type": ["string", "integer", "number", "boolean", "null"]}

_ANNOTATIONS = frozenset(
    "title description default examples deprecated readOnly writeOnly discriminator $schema $id $comment $defs".split()
)
_KEYWORDS = {
    "string": {"minLength", "maxLength", "pattern", "format"},
    "integer": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
    "boolean": set[str](),
    "null": set[str](),
    "array": {"items", "prefixItems", "minItems", "maxItems", "uniqueItems"},
    "object": {
        "properties",
        "required",
        "additionalProperties",
        "patternProperties",
        "propertyNames",
        "minProperties",
        "maxProperties",
    },
}
_SCHEMA, _COUNT, _NUMBER = (dict, bool), (int,), (int, float)
_SHAPES: dict[str, tuple[type, ...]] = {
    "$ref": (str,),
    "type": (str, list),
    "enum": (list,),
    "allOf": (list,),
    "anyOf": (list,),
    "oneOf": (list,),
    "format": (str,),
    "pattern": (str,),
    "items": _SCHEMA,
    "prefixItems": (list,),
    "properties": (dict,),
    "patternProperties": (dict,),
    "additionalProperties": _SCHEMA,
    "propertyNames": (dict,),
    "required": (list,),
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"), _COUNT),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), _NUMBER),
}
_NOT_EMPTY = ("enum", "anyOf", "oneOf", "type")
_CALLED = {
    str: "text",
    list: "a list",
    dict: "an object",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
}
_LEAST, _MOST = -(2**63), 2**64 - 1


class _TooDeepError(Exception):
    """A type stands inside itself once more than is allowed: drop what is optional around it."""


def bounded(schema: Mapping[str, Any], bounds: Bounds | None = None) -> Schema:
    """Narrows a schema until its texts are finite.

    Mappings take plain keys; values of any type become scalars; a set is a list that may repeat itself; a type that
    contains itself is written out to a limited depth.

    Raises:
        ConfigError: Naming the place of a keyword or a format that cannot be kept, or that is malformed.
    """
    try:
        return _Bounder(schema.get("$defs", {}), bounds or Bounds()).bound(dict(schema), "", ())
    except _TooDeepError:
        raise ConfigError("the schema contains itself without end: make the inner one optional") from None


class _Bounder:
    def __init__(self, definitions: Mapping[str, Schema], bounds: Bounds) -> None:
        self._definitions = definitions
        self._bounds = bounds

    def bound(self, given: Schema | bool, path: str, inside: tuple[str, ...]) -> Schema:
        """Bounds one schema; `inside` holds the names of the definitions that are being written out around it."""
        if given is False:
            raise ConfigError(f"{path or 'the schema'} allows nothing")
        schema = _merged(_keywords(given, path), path)
        if "enum" in schema or "const" in schema:
            return _one_of_values(schema, path)
        if (reference := schema.pop("$ref", None)) is not None:
            _refuse_others(schema, (), path)
            return self._reference(reference, path, inside)
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                _refuse_others(schema, {keyword, "type"}, path)
                found = self._any_of(schema[keyword], path, inside)
                return _of_types(found, _types(schema["type"], path), path) if "type" in schema else found
        kind = schema.pop("type", None) or _guess(schema)
        kinds = _types(kind, path)
        _refuse_others(schema, {keyword for each in kinds for keyword in _KEYWORDS[each]}, path)
        if isinstance(kind, list):
            each = [{"type": k} | {key: v for key, v in schema.items() if key in _KEYWORDS[k]} for k in kinds]
            return self._any_of(each, path, inside)
        match kind:
            case "string":
                return self._string(schema, path)
            case "integer" | "number":
                return self._number(kind, schema, path)
            case "array":
                return self._array(schema, path, inside)
            case "object":
                return self._object(schema, path, inside)
            case _:
                return {"type": kind}

    def _reference(self, reference: str, path: str, inside: tuple[str, ...]) -> Schema:
        name = reference.removeprefix("#/$defs/").replace("~1", "/").replace("~0", "~")
        if name not in self._definitions:
            raise ConfigError(f"{path or 'the schema'} refers to {reference!r}, which $defs does not hold")
        if inside.count(name) > self._bounds.nesting:
            raise _TooDeepError
        return self.bound(self._definitions[name], path, (*inside, name))

    def _any_of(self, branches: Iterable[Schema | bool], path: str, inside: tuple[str, ...]) -> Schema:
        fitting: list[Schema] = []
        for branch in branches:
            try:
                fitting.append(self.bound(branch, path, inside))
            except _TooDeepError:
                continue
        if not fitting:
            raise _TooDeepError
        return {"anyOf": fitting}

    def _string(self, schema: Schema, path: str) -> Schema:
        name = schema.pop("format", None)
        if name is not None and name not in _FORMATS:
            raise ConfigError(f"{path}: the format {name!r} cannot be kept; give a pattern instead")
        if name is not None and _FORMATS[name].pattern:
            if "pattern" in schema:
                raise ConfigError(f"{path}: the format {name!r} and a pattern cannot both be kept; leave one out")
            pattern, characters = _FORMATS[name]
            return {"type": "string", "pattern": pattern, "maxLength": min(characters, schema.get("maxLength", 2048))}
        if "pattern" in schema and re.search(r"\\[DWSBbpP]|\[\^[^]]*\\[dws]", schema["pattern"]):
            # the grammar's classes are ASCII, pydantic's Unicode: the negated ones allow what pydantic refuses
            raise ConfigError(
                f"{path}: the pattern {schema['pattern']!r} cannot be kept; write \\D, \\W, \\b... as sets"
            )
        usual = self._bounds.pattern_characters if "pattern" in schema else self._bounds.characters
        return {"type": "string", "maxLength": max(usual, schema.get("minLength", 0))} | schema

    def _number(self, kind: str, schema: Schema, path: str) -> Schema:
        if wrong := next((name for name, value in schema.items() if not _LEAST <= value <= _MOST), None):
            raise ConfigError(f"{path or 'the schema'}: {wrong} cannot be kept: expected {_LEAST} to {_MOST}")
        low = schema.get("minimum", schema.get("exclusiveMinimum"))
        high = schema.get("maximum", schema.get("exclusiveMaximum"))
        span = self._bounds.magnitude
        if (step := schema.get("multipleOf", 1)) % 1:
            span = min(span, int(1e6 * step) + 1)  # further out pydantic's remainder loses its precision
        if low is None:
            low = schema["minimum"] = -span if high is None else max(_LEAST, min(-span, math.floor(high) - span))
        if high is None:
            high = schema["maximum"] = min(_MOST, max(span, math.ceil(low) + span))
        if kind == "integer" or "multipleOf" in schema or low == high:
            return {"type": kind} | schema
        decimals = max(self._bounds.decimals, self._bounds.decimals - math.floor(math.log10(abs(high - low) or 1)))
        return {"type": kind, "multipleOf": float(f"1e-{decimals}")} | schema

    def _array(self, schema: Schema, path: str, inside: tuple[str, ...]) -> Schema:
        least = schema.get("minItems", 0)
        if schema.get("uniqueItems") and least > 1:
            raise ConfigError(f"{path}: {least} different items cannot be kept; ask for one at least")
        if "prefixItems" in schema:
            items = [self.bound(item, f"{path}[{i}]", inside) for i, item in enumerate(schema["prefixItems"])]
            return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
        most = schema.get("maxItems", max(self._bounds.items, least))
        try:
            return {
                "type": "array",
                "items": self.bound(schema.get("items", True), f"{path}[]", inside),
                "minItems": least,
                "maxItems": most,
            }
        except _TooDeepError:
            if least:
                raise
            return {"type": "array", "maxItems": 0}

    def _object(self, schema: Schema, path: str, inside: tuple[str, ...]) -> Schema:
        has_keys = "patternProperties" in schema or schema.get("additionalProperties") is not False
        if has_keys and "properties" not in schema:
            return self._mapping(schema, path, inside)
        required = set(schema.get("required", ()))
        properties: dict[str, Schema] = {}
        _refuse_unspeakable(schema.get("properties", ()), path)
        for name, value in schema.get("properties", {}).items():
            try:
                properties[name] = self.bound(value, f"{path}.{name}" if path else name, inside)
            except _TooDeepError:
                if name in required:
                    raise
        if absent := sorted(required - properties.keys()):
            raise ConfigError(f"{path or 'the schema'} requires {absent[0]!r} without saying what it is")
        return {
            "type": "object",
            "properties": properties,
            "required": [name for name in properties if name in required],
            "additionalProperties": False,
        }

    def _mapping(self, schema: Schema, path: str, inside: tuple[str, ...]) -> Schema:
        least = schema.get("minProperties", 0)
        if least > 1:
            raise ConfigError(f"{path}: {least} different keys cannot be kept; ask for one at least")
        patterns: Mapping[str, Any] = schema.get("patternProperties") or {
            self._key_pattern(schema, path): schema.get("additionalProperties", True)
        }
        empty: Schema = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
        try:
            values = {pattern: self.bound(value, f"{path}{{}}", inside) for pattern, value in patterns.items()}
        except _TooDeepError:
            if least:
                raise
            return empty
        count = {"minProperties": least, "maxProperties": schema.get("maxProperties", self._bounds.items)}
        return {"type": "object", "patternProperties": values, "additionalProperties": False} | count

    def _key_pattern(self, schema: Schema, path: str) -> str:
        if "propertyNames" not in schema:
            return _KEY_PATTERN
        stated: Schema = schema["propertyNames"]
        names = self.bound(stated if "$ref" in stated else {"type": "string"} | stated, f"{path}{{}}", ())
        if "enum" in names:
            return "^(" + "|".join(re.escape(name) for name in names["enum"]) + ")$"
        return names.get("pattern", _KEY_PATTERN)


def _keywords(given: Any, path: str) -> Schema:
    """What of a schema says something, each of the right shape."""
    if not isinstance(given, _SCHEMA):
        raise ConfigError(f"{path or 'the schema'} is {given!r}: expected a schema")
    if isinstance(given, bool):
        return {}
    schema = {keyword: value for keyword, value in cast(Schema, given).items() if not _is_annotation(keyword)}
    for keyword, kinds in _SHAPES.items():
        if keyword not in schema:
            continue
        value = schema[keyword]
        if type(value) not in kinds or (keyword in _NOT_EMPTY and not value):
            expected = " or ".join(_CALLED[kind] for kind in kinds) + " that is not empty" * (not value)
            raise ConfigError(f"{path or 'the schema'}: {keyword} is {value!r}: expected {expected}")
    return schema


def _merged(schema: Schema, path: str) -> Schema:
    """A schema with the only part of its `allOf` in it; more than one cannot be kept."""
    if len(parts := schema.get("allOf", ())) != 1:
        return schema
    rest = {keyword: value for keyword, value in schema.items() if keyword != "allOf"}
    part = _keywords(parts[0], path)
    if both := sorted(keyword for keyword in rest.keys() & part.keys() if rest[keyword] != part[keyword]):
        raise ConfigError(f"{path or 'the schema'}: {both[0]!r} stands beside allOf and in it, which cannot be kept")
    return _merged(rest | part, path)


def _one_of_values(schema: Schema, path: str) -> Schema:
    _refuse_others(schema, ("enum", "const", "type"), path)
    values: list[Any] = schema.get("enum", [schema.get("const")])
    if "const" in schema:
        values = [value for value in values if value == schema["const"]]
    _refuse_unspeakable(values, path)
    return _of_types({"enum": values}, _types(schema.get("type", [*_KEYWORDS]), path), path)


def _types(kind: Any, path: str) -> list[str]:
    kinds = cast(list[str], kind if isinstance(kind, list) else [kind])
    if wrong := [each for each in kinds if each not in [*_KEYWORDS]]:
        raise ConfigError(f"{path or 'the schema'} has the type {wrong[0]!r}: expected one of {', '.join(_KEYWORDS)}")
    return kinds


def _of_types(schema: Schema, kinds: Sequence[str], path: str) -> Schema:
    """What is left of a bounded schema where only some types are allowed."""
    if left := _only(schema, {*kinds} | ({"integer"} if "number" in kinds else set())):
        return left
    raise ConfigError(f"{path or 'the schema'} allows nothing: no choice fits")


def _only(schema: Schema, kinds: set[str]) -> Schema | None:
    if "anyOf" in schema:
        branches = [left for branch in schema["anyOf"] if (left := _only(branch, kinds))]
        return {"anyOf": branches} if branches else None
    if "enum" in schema:
        values = [value for value in schema["enum"] if _type_of(value) in kinds]
        return {"enum": values} if values else None
    return schema if schema["type"] in kinds else None


def _type_of(value: object) -> str:
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "integer" if value.is_integer() else "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "null" if value is None else "object"


def _is_annotation(keyword: str) -> bool:
    return keyword in _ANNOTATIONS or keyword.startswith("x-")


def _refuse_others(schema: Schema, known: Iterable[str], path: str) -> None:
    if unknown := sorted(schema.keys() - set(known)):
        raise ConfigError(f"{path or 'the schema'}: the keyword {unknown[0]!r} cannot be kept")


def _refuse_unspeakable(values: Iterable[Any], path: str) -> None:
    """Refuses control and half characters: they need escapes in JSON that no grammar of ours allows."""
    for value in values:
        if isinstance(value, str) and _UNSPEAKABLE.search(value):
            raise ConfigError(
                f"{path or 'the schema'}: the text {value!r} cannot be kept; remove its control characters"
            )


def _guess(schema: Schema) -> str | list[str]:
    """The type of a schema that does not say it."""
    fitting = [kind for kind, keywords in _KEYWORDS.items() if schema and schema.keys() <= keywords]
    return fitting[0] if fitting else _SCALARS["type"]


def extent(schema: Schema) -> Extent:
    """Measures a schema that `bounded` returned."""
    if "enum" in schema:
        length = max(len(json.dumps(value).encode()) for value in schema["enum"])
        return Extent(length, length)
    if "anyOf" in schema:
        longest, closing = zip(*(extent(branch) for branch in schema["anyOf"]), strict=True)
        return Extent(max(longest), max(closing))
    match schema["type"]:
        case "string":
            return _string_extent(schema)
        case "integer" | "number":
            return _number_extent(schema)
        case "array":
            return _array_extent(schema)
        case "object":
            return _object_extent(schema)
        case _:
            return Extent(len("false"), len("false"))


def _string_extent(schema: Schema) -> Extent:
    longest = 2 + 4 * schema["maxLength"]  # quotes; a character has four bytes at most
    # a plain string can be closed as soon as it is long enough and its last character is whole
    return Extent(longest, longest if "pattern" in schema else 2 + 4 + schema.get("minLength", 0))


def _number_extent(schema: Schema) -> Extent:
    limits = (schema.get(key, 0) for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"))
    digits = max(len(f"{abs(limit):.0f}") for limit in limits)
    step = schema.get("multipleOf", 1)
    decimals = 0 if schema["type"] == "integer" else len(f"{step:.17f}".rstrip("0").partition(".")[2])
    length = len("-") + digits + (len(".") + decimals if decimals else 0) + 1
    return Extent(length, length)


def _array_extent(schema: Schema) -> Extent:
    if "prefixItems" in schema:
        parts = [extent(item) for item in schema["prefixItems"]]
        return Extent(2 + sum(p.longest + 1 for p in parts), 2 + sum(p.closing + 1 for p in parts))
    if schema["maxItems"] == 0:
        return Extent(2, 2)
    item = extent(schema["items"])
    return Extent(2 + schema["maxItems"] * (item.longest + 1), 2 + (schema["minItems"] + 1) * (item.closing + 1))


def _object_extent(schema: Schema) -> Extent:
    if "patternProperties" in schema:
        values = [extent(value) for value in schema["patternProperties"].values()]
        key = 4 + 4 * _KEY_CHARACTERS
        longest = 2 + schema["maxProperties"] * (key + max(v.longest for v in values))
        return Extent(longest, 2 + 2 * (key + max(v.closing for v in values)))
    parts = [(len(json.dumps(name)) + 2, extent(value)) for name, value in schema["properties"].items()]
    return Extent(2 + sum(key + p.longest for key, p in parts), 2 + sum(key + p.closing for key, p in parts))
