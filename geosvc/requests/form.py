"""The form of the items page: what its fields contain for the parameters of a request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from geosvc.errors import InvalidParameter
from geosvc.model.collection import Collection, Column, Parameter
from geosvc.model.crs import CRS84_URI
from geosvc.model.queryables import ValueKind, queryables
from geosvc.requests.form_fields import (
    CORNERS,
    NUMBER,
    OPERATORS,
    OWN_FIELDS,
    PARAMETERS,
    Condition,
)
from geosvc.requests.parameter_values import split_names

MAX_CHOICES = 100
"""The most columns that have a checkbox each.

Of a table with more columns a user types the names, since a request has a limited number of
parameters.
"""

_KEYWORDS = frozenset(
    {
        *("and", "or", "not", "in", "is", "like", "between", "null", "true", "false", "div"),
        *("date", "timestamp"),
    }
)


@dataclass(frozen=True, slots=True)
class Form:
    """The contents of the form.

    Attributes:
        corners: the numbers of the box as text: west, south, east, north in CRS84.
        corners_crs: the CRS of the corners when it is not CRS84; their order is then that of its
            axes.
        faults: what is wrong with a corner, by its name.
        heights: bottom and top of the box; empty when it has none.
        columns: (name, whether it is shown); empty where there are more than MAX_CHOICES.
        arguments: (parameter, its value) of a function.
        hidden: the parameters that the form has no field for.
        filter_example: a filter of this collection.
        sort_example: a sort order of its features.
    """

    corners: tuple[str, str, str, str]
    corners_crs: str
    faults: Mapping[str, str]
    heights: Sequence[str]
    datetime: str
    conditions: Sequence[Condition]
    operators: Mapping[str, str]
    choices: Sequence[str]
    columns: Sequence[tuple[str, bool]]
    properties: str
    sortby: str
    limit: str
    filter: str
    arguments: Sequence[tuple[Parameter, str]]
    hidden: Sequence[tuple[str, str]]
    filter_example: str
    sort_example: str


def fill_form(values: Mapping[str, str], collection: Collection, limit: int) -> Form:
    """The form with the parameters of a request, and an empty line for one more condition.

    Args:
        limit: features of the page, where the request does not have that parameter.
    """
    corners, heights = _split_bbox(values.get("bbox", ""))
    corners_crs = values.get("bbox-crs", "")
    if corners_crs == CRS84_URI:
        corners_crs = ""
    arguments = {parameter.name: parameter for parameter in collection.parameters or ()}
    filter_example, sort_example = _examples(collection)
    return Form(
        corners=corners,
        corners_crs=corners_crs,
        faults=_corner_faults(corners),
        heights=heights,
        datetime=values.get("datetime", ""),
        conditions=_conditions(values, collection),
        operators=OPERATORS,
        choices=[column.name for column in collection.columns if column.sortable],
        columns=_ticks(values.get("properties", ""), collection),
        properties=values.get("properties", ""),
        sortby=values.get("sortby", ""),
        limit=values.get("limit", str(limit)),
        filter=values.get("filter", ""),
        arguments=[(parameter, values.get(name, "")) for name, parameter in arguments.items()],
        hidden=_hidden(values, collection),
        filter_example=filter_example,
        sort_example=sort_example,
    )


def _conditions(values: Mapping[str, str], collection: Collection) -> list[Condition]:
    """A line for each property parameter, and an empty one."""
    reserved = PARAMETERS | {parameter.name for parameter in collection.parameters or ()}
    conditions: list[Condition] = []
    for name, value in values.items():
        column = collection.by_name.get(name)
        if column is not None and column.sortable and name not in reserved:
            conditions.append(Condition(len(conditions), name, "=", value))
    conditions.append(Condition(len(conditions)))
    return conditions


def _ticks(properties: str, collection: Collection) -> list[tuple[str, bool]]:
    """(name, whether it is shown) of each column; empty where there are more than MAX_CHOICES."""
    if len(collection.columns) > MAX_CHOICES:
        return []
    try:
        shown = split_names("properties", properties)
    except InvalidParameter:  # the page reports it beside the form
        shown = []
    return [(column.name, not shown or column.name in shown) for column in collection.columns]


def _hidden(values: Mapping[str, str], collection: Collection) -> list[tuple[str, str]]:
    """The parameters that the form has no field for."""
    arguments = {parameter.name for parameter in collection.parameters or ()}
    without_field = PARAMETERS - OWN_FIELDS - arguments
    return [(name, value) for name, value in values.items() if name in without_field]


def _split_bbox(text: str) -> tuple[tuple[str, str, str, str], Sequence[str]]:
    """Corners and heights of the parameter bbox, whether it is valid or not."""
    numbers = [part.strip() for part in text.split(",")]
    if len(numbers) == 6:
        first, second, bottom, third, fourth, top = numbers
        return (first, second, third, fourth), [bottom, top]
    numbers += [""] * 4  # there may be too few
    first, second, third, fourth = numbers[:4]
    return (first, second, third, fourth), []


def _corner_faults(corners: Sequence[str]) -> dict[str, str]:
    """What is wrong with a corner, by its name; nothing where all are empty."""
    faults: dict[str, str] = {}
    if not any(corners):
        return faults
    for corner, text in zip(CORNERS, corners, strict=True):
        if not text:
            faults[corner] = "is missing"
        elif not NUMBER.fullmatch(text):
            faults[corner] = "is not a number"
    return faults


def _examples(collection: Collection) -> tuple[str, str]:
    """A filter that this collection takes, and a sort order, of columns with plain names."""
    known = queryables(collection)
    # columns of the key come last
    columns = sorted(
        filter(_is_plain, collection.columns),
        key=lambda column: column.name in collection.key,
    )
    number = text = other = ""
    for column in columns:
        name = column.name
        if name not in known:
            continue
        kind = known[name].kind
        if kind is ValueKind.NUMBER:
            number = number or f"{name} > 100"
        elif kind is ValueKind.TEXT and column.enum is None:
            text = text or f"{name} LIKE 'A%'"
        other = other or f"{name} IS NOT NULL"
    filter_example = " AND ".join(filter(None, (number, text))) or other
    sort_example = f"-{columns[0].name}" if columns else ""
    return filter_example, sort_example


def _is_plain(column: Column) -> bool:
    """Whether the name of a column needs no quotes, neither in a filter nor in sortby."""
    name = column.name
    is_word = name.isascii() and name.isidentifier() and name.lower() not in _KEYWORDS
    return column.sortable and is_word
