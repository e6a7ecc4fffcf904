"""The form of the items page: what it sends becomes the parameters of items, so that the address which is left is one that
programs can ask for too; and the parameters of a request become what stands in the form.

The fields of the form begin with `form.`; a browser without JavaScript can then send what no single input holds.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from geosvc.errors import InvalidParameter
from geosvc.model.collection import Collection, Parameter
from geosvc.model.crs import CRS84_URI
from geosvc.model.queryables import Queryable, ValueKind, queryables
from geosvc.requests.declared import DECLARED, PLACE_OF_PAGE
from geosvc.requests.items import split_names

CORNERS = ("west", "south", "east", "north")
MAX_CHOICES = 100
"""Columns that are chosen by a tick; of more, the names are typed, since a request has only so many parameters."""

_FIELD = re.compile(r"form\.(?:(?:west|south|east|north)|(?:property|operator|value|column)\.[0-9]{1,3})", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
_PARAMETERS = frozenset(each.name for each in DECLARED)
_OWN_FIELDS = frozenset({"bbox", "datetime", "limit", "sortby", "properties", "filter", *PLACE_OF_PAGE})
_TRUTH = {"true": "TRUE", "false": "FALSE"}
OPERATORS = {
    "=": "is",
    "<>": "is not",
    "<": "is less than",
    "<=": "is at most",
    ">": "is more than",
    ">=": "is at least",
    "LIKE": "is like (% is anything)",
    "IS NULL": "has no value",
    "IS NOT NULL": "has a value",
}


@dataclass(frozen=True, slots=True)
class Condition:
    """A line of the form that a property is compared in."""

    number: int
    property: str = ""
    operator: str = "="
    value: str = ""


@dataclass(frozen=True, slots=True)
class Form:
    """What stands in the form.

    Attributes:
        corners: west, south, east, north as text.
        corners_crs: the CRS of the corners when it is not CRS84.
        columns: (name, whether it is shown); empty where there are too many to choose from.
        filter: None while there is no such parameter.
        arguments: (parameter, its value) of a function.
        hidden: the parameters that the form has no field for.
    """

    corners: tuple[str, str, str, str]
    corners_crs: str
    datetime: str
    conditions: Sequence[Condition]
    operators: Mapping[str, str]
    choices: Sequence[str]
    columns: Sequence[tuple[str, bool]]
    properties: str
    sortby: str
    limit: str
    filter: str | None
    arguments: Sequence[tuple[Parameter, str]]
    hidden: Sequence[tuple[str, str]]


def has_filter() -> bool:
    """Whether items takes CQL2."""
    return "filter" in _PARAMETERS


def quote_name(name: str) -> str:
    """A name as lists of names hold it."""
    return '"' + name.replace('"', '""') + '"' if "," in name or name.startswith('"') else name


def _literal(queryable: Queryable | None, text: str) -> str:
    """A value in CQL2 text. What is none of its kind is quoted: the filter then says what is wrong."""
    kind = queryable.kind if queryable is not None else ValueKind.TEXT
    quoted = "'" + text.replace("'", "''") + "'"
    if kind is ValueKind.NUMBER and _NUMBER.fullmatch(text.strip()):
        return text.strip()
    if kind is ValueKind.BOOLEAN and text.strip().lower() in _TRUTH:
        return _TRUTH[text.strip().lower()]
    if kind is ValueKind.DATE:
        return f"DATE({quoted})"
    return f"TIMESTAMP({quoted})" if kind is ValueKind.TIMESTAMP else quoted


def _comparison(condition: Condition, known: Mapping[str, Queryable]) -> str:
    name = '"' + condition.property.replace('"', '""') + '"'
    if condition.operator.startswith("IS "):
        return f"{name} {condition.operator}"
    return f"{name} {condition.operator} {_literal(known.get(condition.property), condition.value)}"


def is_form(values: Mapping[str, str], collection: Collection) -> bool:
    """Whether a request comes from the form."""
    return any(_FIELD.fullmatch(name) and name not in collection.by_name for name in values)


def read_form(values: Mapping[str, str], collection: Collection) -> dict[str, str]:
    """The parameters of items that the fields of the form stand for; what was left empty is left out."""
    fields = {name: value for name, value in values.items() if _FIELD.fullmatch(name) and name not in collection.by_name}
    kept = {name: value for name, value in values.items() if name not in fields}
    corners = [fields.get(f"form.{corner}", "").strip() for corner in CORNERS]
    query = {"bbox": ",".join(corners)} if any(corners) else {}
    query |= {name: value for name, value in kept.items() if name not in PLACE_OF_PAGE and (value or name not in _OWN_FIELDS)}
    known, composed = queryables(collection), []
    arguments = {parameter.name for parameter in collection.parameters or ()}
    for condition in _conditions(fields):
        plain = condition.operator == "=" and condition.property not in query
        if plain and condition.property not in _PARAMETERS | arguments:
            query[condition.property] = condition.value
        else:
            composed.append(_comparison(condition, known))
    if composed:
        given = query.get("filter")
        query["filter"] = " AND ".join([f"({given})"] * bool(given) + composed)
    ticked = [value for name, value in fields.items() if name.startswith("form.column.")]
    if ticked and len(ticked) < len(collection.columns):
        query["properties"] = ",".join(map(quote_name, ticked))
    return query


def _conditions(values: Mapping[str, str]) -> list[Condition]:
    found = []
    for name, chosen in values.items():
        number = name.removeprefix("form.property.")
        if number == name or not number.isdigit() or not chosen:
            continue
        operator = values.get(f"form.operator.{number}", "=")
        found.append(
            Condition(int(number), chosen, operator if operator in OPERATORS else "=", values.get(f"form.value.{number}", ""))
        )
    return found


def fill_form(values: Mapping[str, str], collection: Collection, limit: int) -> Form:
    """The form as the parameters of a request fill it, and an empty line to compare one more property.

    Args:
        limit: features of the page.
    """
    numbers = values.get("bbox", "").split(",")
    if len(numbers) == 6:
        numbers = [*numbers[:2], *numbers[3:5]]
    west, south, east, north = (*numbers, *[""] * 4)[:4]
    parameters = {parameter.name: parameter for parameter in collection.parameters or ()}
    own = _PARAMETERS | parameters.keys()
    choices = [each.name for each in collection.columns if each.scalar]
    compared = [(name, value) for name, value in values.items() if name in choices and name not in own]
    conditions = [Condition(number, name, "=", value) for number, (name, value) in enumerate(compared)]
    shown = set(_names(values.get("properties"))) or {each.name for each in collection.columns}
    ticks = [(each.name, each.name in shown) for each in collection.columns] if len(collection.columns) <= MAX_CHOICES else []
    in_fields = parameters.keys() | _OWN_FIELDS
    return Form(
        corners=(west, south, east, north),
        corners_crs="" if values.get("bbox-crs", "") in ("", CRS84_URI) else values["bbox-crs"],
        datetime=values.get("datetime", ""),
        conditions=[*conditions, Condition(len(conditions))],
        operators=OPERATORS if has_filter() else {"=": OPERATORS["="]},
        choices=choices,
        columns=ticks,
        properties=values.get("properties", ""),
        sortby=values.get("sortby", ""),
        limit=values.get("limit", str(limit)),
        filter=values.get("filter", "") if has_filter() else None,
        arguments=[(parameter, values.get(name, "")) for name, parameter in parameters.items()],
        hidden=[(name, value) for name, value in values.items() if name in own and name not in in_fields],
    )


def _names(text: str | None) -> list[str]:
    try:
        return split_names("properties", text or "")
    except InvalidParameter:  # told beside the form
        return []
