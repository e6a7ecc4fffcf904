"""The fields of the form on the items page, turned into parameters of items.

The names of the fields begin with `form.`. A browser without JavaScript can send them; the page
then redirects to an address with parameters only, which programs can request too.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from geosvc.model.collection import Collection
from geosvc.model.queryables import Queryable, ValueKind, queryables
from geosvc.requests.declared import DECLARED, PAGE_START
from geosvc.requests.parameter_values import double_quoted

CORNERS = ("west", "south", "east", "north")
HEIGHTS = ("bottom", "top")
NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
PARAMETERS = frozenset(parameter.name for parameter in DECLARED)
"""The names of the parameters of items, which no property parameter can have."""
OWN_FIELDS = frozenset({"bbox", "datetime", "limit", "sortby", "properties", "filter", *PAGE_START})
"""The parameters that the form has fields for."""
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

_FIELD = re.compile(
    r"form\.(?:west|south|east|north|bottom|top"
    r"|(?:property|operator|value|column)\.[0-9]{1,3})",
    re.ASCII,
)
_BOOLEANS = {"true": "TRUE", "false": "FALSE"}


@dataclass(frozen=True, slots=True)
class Condition:
    """A line of the form that compares a property with a value."""

    number: int
    property: str = ""
    operator: str = "="
    value: str = ""


def quote_name(name: str) -> str:
    """A name as `split_names` reads it: in double quotes where it needs them."""
    if "," in name or name.startswith('"'):
        return double_quoted(name)
    return name


def is_form(values: Mapping[str, str], collection: Collection) -> bool:
    """Whether the parameters of a request are fields of the form."""
    return any(_is_field(name, collection) for name in values)


def read_form(values: Mapping[str, str], collection: Collection) -> dict[str, str]:
    """The parameters of items that the fields of the form stand for. Empty fields are left out."""
    fields: dict[str, str] = {}
    parameters: dict[str, str] = {}
    for name, value in values.items():
        if _is_field(name, collection):
            fields[name] = value
        else:
            parameters[name] = value

    query: dict[str, str] = {}
    bbox = _bbox_of(fields)
    if bbox:
        query["bbox"] = bbox
    for name, value in parameters.items():
        is_empty_field = not value and name in OWN_FIELDS
        if name not in PAGE_START and not is_empty_field:
            query[name] = value
    _add_conditions(query, fields, collection)
    ticked = [value for name, value in fields.items() if name.startswith("form.column.")]
    if 0 < len(ticked) < len(collection.columns):
        query["properties"] = ",".join(map(quote_name, ticked))
    return query


def _is_field(name: str, collection: Collection) -> bool:
    return _FIELD.fullmatch(name) is not None and name not in collection.by_name


def _bbox_of(fields: Mapping[str, str]) -> str:
    """The parameter bbox of the fields for corners and heights; empty where all corners are."""
    west, south, east, north = (fields.get(f"form.{corner}", "").strip() for corner in CORNERS)
    bottom, top = (fields.get(f"form.{height}", "").strip() for height in HEIGHTS)
    if not (west or south or east or north):
        return ""
    if bottom or top:
        return f"{west},{south},{bottom},{east},{north},{top}"
    return f"{west},{south},{east},{north}"


def _add_conditions(
    query: dict[str, str], fields: Mapping[str, str], collection: Collection
) -> None:
    """Adds conditions to a query: an equality as a property parameter, others to the filter."""
    known = queryables(collection)
    reserved = PARAMETERS | {parameter.name for parameter in collection.parameters or ()}
    comparisons: list[str] = []
    for condition in _conditions(fields):
        name = condition.property
        is_parameter = name not in query and name not in reserved
        if condition.operator == "=" and is_parameter:
            query[name] = condition.value
        else:
            comparisons.append(_comparison(condition, known.get(name)))
    if comparisons:
        if query.get("filter"):
            comparisons.insert(0, f"({query['filter']})")
        query["filter"] = " AND ".join(comparisons)


def _conditions(fields: Mapping[str, str]) -> list[Condition]:
    """The lines of the form in which a property is chosen."""
    conditions = []
    for field, chosen in fields.items():
        number = field.removeprefix("form.property.")
        if number == field or not number.isdigit() or not chosen:
            continue
        operator = fields.get(f"form.operator.{number}", "=")
        if operator not in OPERATORS:
            operator = "="
        value = fields.get(f"form.value.{number}", "")
        conditions.append(Condition(int(number), chosen, operator, value))
    return conditions


def _comparison(condition: Condition, queryable: Queryable | None) -> str:
    """A condition in CQL2 text."""
    name = double_quoted(condition.property)
    if condition.operator.startswith("IS "):
        return f"{name} {condition.operator}"
    return f"{name} {condition.operator} {_literal(queryable, condition.value)}"


def _literal(queryable: Queryable | None, text: str) -> str:
    """A value in CQL2 text.

    A text that is no value of the type is quoted, so that the filter reports what is wrong.
    """
    stripped = text.strip()
    quoted = "'" + text.replace("'", "''") + "'"
    match queryable.kind if queryable is not None else ValueKind.TEXT:
        case ValueKind.NUMBER if NUMBER.fullmatch(stripped):
            return stripped
        case ValueKind.BOOLEAN if stripped.lower() in _BOOLEANS:
            return _BOOLEANS[stripped.lower()]
        case ValueKind.DATE:
            return f"DATE({quoted})"
        case ValueKind.TIMESTAMP:
            return f"TIMESTAMP({quoted})"
    return quoted
