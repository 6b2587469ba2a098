"""Reads what was predicted and what is true: JSON lines, or the JSON files of the data sets themselves."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar, cast

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from mmi_agent.errors import ConfigError

__all__ = ["Record", "by_id", "described_ids", "paired", "read_records"]

T = TypeVar("T", bound="Record")
A = TypeVar("A")
B = TypeVar("B")

_LISTS = ("annotations", "data", "results")
_NAMED = 3


class Record(BaseModel):
    """One line: an id and what belongs to it.

    Attributes:
        id: Of the picture or the question; a number counts as its digits.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: Annotated[str, BeforeValidator(str)] = Field(
        validation_alias=AliasChoices("question_id", "id", "image_id", "image")
    )


class _Placed(NamedTuple):
    where: str
    fields: dict[str, Any]


def read_records(path: Path, kind: type[T]) -> list[tuple[str, T]]:
    """Reads every record of a file, each with where it stands.

    Args:
        path: JSON lines, a JSON list, or a JSON object with the list under "annotations", "data" or "results".
        kind: What a record is.

    Raises:
        ConfigError: If the file cannot be read or holds none, or a record is not of that kind.
    """
    read: list[tuple[str, T]] = []
    for where, fields in _placed(path):
        try:
            read.append((where, kind.model_validate(fields)))
        except ValidationError as error:
            wrong = error.errors(include_url=False)[0]
            name = ".".join(map(str, wrong["loc"])) or "the record"
            raise ConfigError(f"{where}: {name}: {wrong['msg']}; see mmi metrics --help for the form") from error
    if not read:
        raise ConfigError(f"{path} holds no record")
    return read


def by_id(records: Iterable[tuple[str, T]]) -> dict[str, T]:
    """Orders records by their id.

    Raises:
        ConfigError: If an id is given twice.
    """
    found: dict[str, T] = {}
    places: dict[str, str] = {}
    for where, record in records:
        if record.id in found:
            raise ConfigError(f"{where}: the id {record.id!r} was given before, in {places[record.id]}")
        found[record.id] = record
        places[record.id] = where
    return found


def paired(
    predicted: Mapping[str, A], true: Mapping[str, B], names: tuple[object, object], *, only_predicted: bool = False
) -> list[tuple[str, A, B]]:
    """Pairs what was predicted with what is true, in the order of the latter.

    Args:
        predicted: By id.
        true: By id.
        names: What an error calls them.
        only_predicted: Whether something true may be without a prediction; it is left out.

    Raises:
        ConfigError: If one of them lacks an id of the other.
    """
    unknown = [each for each in predicted if each not in true]
    if unknown:
        raise ConfigError(f"{names[1]} lacks {described_ids(unknown, len(predicted))} of {names[0]}")
    missing = [each for each in true if each not in predicted]
    if missing and not only_predicted:
        raise ConfigError(
            f"{names[0]} lacks {described_ids(missing, len(true))} of {names[1]}: "
            "predict them too, or score the others alone with --only-predicted"
        )
    return [(each, predicted[each], theirs) for each, theirs in true.items() if each in predicted]


def described_ids(ids: Sequence[str], of: int) -> str:
    """Names the first of some ids, and says how many there are."""
    more = ", …" if len(ids) > _NAMED else ""
    return f"{len(ids)} of {of} ids ({', '.join(map(repr, ids[:_NAMED]))}{more})"


def _placed(path: Path) -> Iterable[_Placed]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"cannot read {path}: {reason}") from error
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        return _lines(path, text)
    return [
        _Placed(f"{path}: record {number}", _as_object(item, f"{path}: record {number}"))
        for number, item in enumerate(_list_in(whole), start=1)
    ]


def _list_in(whole: object) -> list[Any]:
    if isinstance(whole, dict):
        fields = cast("dict[str, Any]", whole)
        return next((fields[name] for name in _LISTS if isinstance(fields.get(name), list)), [fields])
    return cast("list[Any]", whole) if isinstance(whole, list) else [whole]


def _lines(path: Path, text: str) -> list[_Placed]:
    placed: list[_Placed] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            where = f"{path}: line {number}"
            placed.append(_Placed(where, _as_object(_parsed(line, where), where)))
    return placed


def _parsed(line: str, where: str) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where} is no JSON ({error}): expected one object a line, or one JSON list") from error


def _as_object(item: object, where: str) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise ConfigError(f"{where}: expected an object with an id, found {json.dumps(item)[:40]}")
    return cast("dict[str, Any]", item)
