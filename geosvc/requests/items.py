"""The parameters of items and export, parsed into one frozen dataclass."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NoReturn

from geosvc.errors import InvalidParameter, UnknownParameter
from geosvc.model.bbox import Bbox, parse_bbox
from geosvc.model.collection import Collection
from geosvc.model.crs import CRS84, WEB_MERCATOR, WGS84, Crs, Srid, default_crs, digits_of, listed_crs, parse_crs
from geosvc.model.images import settled
from geosvc.model.number import parse_number
from geosvc.model.spatial import SpatialFilter
from geosvc.requests.cursor import Cursor, parse_cursor
from geosvc.requests.declared import DECLARED, ITEM_DECLARED, MAX_INT8, PAGING
from geosvc.requests.filters import Filter, FilterRules, parse_filter
from geosvc.requests.temporal import Interval, parse_datetime
from geosvc.requests.values import check_value

CountMode = Literal["exact", "estimated", "none"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Features of a page: when not asked for, and at the most."""

    default: int
    maximum: int


@dataclass(frozen=True, slots=True)
class ReadingRules:
    """What the settings say of reading.

    Attributes:
        limits: None where there are no pages.
        crs: EPSG codes that every collection can be had in, beside those that it has anyway.
        filters: what they may be at the most.
    """

    limits: Limits | None = None
    crs: tuple[Srid, ...] = ()
    filters: FilterRules = field(default_factory=FilterRules)


UNPAGED = ReadingRules()


@dataclass(frozen=True, slots=True)
class SortKey:
    """A column to sort by."""

    name: str
    descending: bool


@dataclass(frozen=True, slots=True)
class GeometryStyle:
    """How geometries are written.

    Attributes:
        skip: leave them out.
        precision: digits behind the point; None is what the CRS needs.
        tolerance: of a simplification in units of the storage CRS (metres for geography); None is none.
        zoom_level: the Web Mercator zoom whose pixel is the tolerance; None is none.
        crs: that they are written in.
    """

    skip: bool = False
    precision: int | None = None
    tolerance: float | None = None
    zoom_level: int | None = None
    crs: Crs = CRS84

    @property
    def digits(self) -> int:
        """Digits behind the point."""
        return digits_of(self.crs.srid) if self.precision is None else self.precision


@dataclass(frozen=True, slots=True)
class ItemsRequest:
    """Which features, in which order, and what of them.

    Attributes:
        limit: None is all (export).
        equals: (column, text) of each property that must have a value.
        arguments: (parameter, text) of a function.
        properties: the names wanted, in the order of the table; None is all.
        spatial: how features lie to a posted geometry.
        filter: what else a feature has to fulfil.
    """

    limit: int | None
    offset: int = 0
    cursor: Cursor | None = None
    bbox: Bbox | None = None
    interval: Interval | None = None
    equals: tuple[tuple[str, str], ...] = ()
    arguments: tuple[tuple[str, str], ...] = ()
    sortby: tuple[SortKey, ...] = ()
    properties: tuple[str, ...] | None = None
    geometry: GeometryStyle = GeometryStyle()
    count: CountMode = "estimated"
    bigint_as_text: bool = False
    spatial: SpatialFilter | None = None
    filter: Filter | None = None


_RESERVED = frozenset(each.name for each in DECLARED)
_OF_ITEM = frozenset(each.name for each in ITEM_DECLARED)


def _wrong(name: str, expected: str) -> NoReturn:
    raise InvalidParameter(f"{name} takes {expected}", parameter=name)


def parse_integer(name: str, text: str, minimum: int, maximum: int = MAX_INT8) -> int:
    """A whole number of ASCII digits. Raises: InvalidParameter."""
    expected = f"a whole number from {minimum}" + ("" if maximum == MAX_INT8 else f" to {maximum}")
    if not (text.isascii() and text.isdigit()) or len(text) > 30:
        _wrong(name, expected)
    number = int(text)
    if not minimum <= number <= maximum:
        _wrong(name, expected)
    return number


def _choice(values: Mapping[str, str], name: str, choices: Sequence[str], default: str) -> str:
    chosen = values.get(name, default)
    if chosen not in choices:
        _wrong(name, f"one of: {', '.join(choices)}")
    return chosen


def _parse_geometry_style(values: Mapping[str, str], crs: Crs) -> GeometryStyle:
    tolerance = None
    if "simplify" in values:
        try:
            tolerance = parse_number(values["simplify"])
        except ValueError:
            _wrong("simplify", "a number")
        if not math.isfinite(tolerance) or tolerance < 0:
            _wrong("simplify", "a finite number from 0")
        if "zoom-level" in values:
            raise InvalidParameter("zoom-level and simplify exclude each other", parameter="zoom-level")
    return GeometryStyle(
        skip=_choice(values, "skipGeometry", ("true", "false"), "false") == "true",
        precision=parse_integer("precision", values["precision"], 0, 15) if "precision" in values else None,
        tolerance=tolerance or None,
        zoom_level=parse_integer("zoom-level", values["zoom-level"], 0, 30) if "zoom-level" in values else None,
        crs=crs,
    )


def _parse_crs(values: Mapping[str, str], name: str, collection: Collection, rules: ReadingRules) -> Crs:
    if name in values:
        return parse_crs(values[name], listed_crs(collection, rules.crs), name)
    return default_crs(collection) if name == "crs" else CRS84


def _parse_box(values: Mapping[str, str], collection: Collection, rules: ReadingRules) -> Bbox | None:
    """A bbox-crs is looked at even where there is no box."""
    crs = _parse_crs(values, "bbox-crs", collection, rules)
    if "bbox" not in values:
        return None
    box = parse_bbox(values["bbox"], crs)
    return box if crs.srid in (WGS84, WEB_MERCATOR, collection.geometry.srid) else settled(box)


def split_names(name: str, text: str) -> list[str]:
    """Names with commas between them; a name that holds a comma itself is in double quotes, with `""` for a quote. A sign
    may stand before the quotes.
    """
    names: list[str] = []
    rest = text
    while rest:
        sign = rest[0] if rest[:2] in ('+"', '-"', ' "') else ""
        rest = rest[len(sign) :]
        if rest.startswith('"'):
            end = 1
            while (end := rest.find('"', end)) >= 0 and rest[end : end + 2] == '""':
                end += 2
            if end < 0:
                _wrong(name, "names with closed quotes")
            names.append(sign + rest[1:end].replace('""', '"'))
            _, comma, rest = rest[end + 1 :].partition(",")
        else:
            each, comma, rest = rest.partition(",")
            names.append(each)
        if comma and not rest:
            names.append("")
    return names


def _parse_sortby(text: str, collection: Collection) -> tuple[SortKey, ...]:
    keys: list[SortKey] = []
    for part in split_names("sortby", text):
        # an unencoded + arrives as a blank
        sign, name = (part[0], part[1:]) if part[:1] in ("+", "-", " ") else ("+", part)
        column = collection.by_name.get(name)
        if column is None:
            raise InvalidParameter(f"sortby: {collection.id} has no property {name!r}", parameter="sortby")
        if not column.scalar:
            raise InvalidParameter(f"sortby: {name!r} is {column.type}, which has no order", parameter="sortby")
        if all(key.name != name for key in keys):  # to sort by it once more would change nothing
            keys.append(SortKey(name, sign == "-"))
    return tuple(keys)


def _parse_arguments(values: Mapping[str, str], collection: Collection) -> tuple[tuple[str, str], ...]:
    arguments = []
    for parameter in collection.parameters or ():
        if parameter.name in values:
            check_value(parameter, values[parameter.name], parameter.name)
            arguments.append((parameter.name, values[parameter.name]))
        elif parameter.required:
            raise InvalidParameter(f"{collection.id} needs the parameter {parameter.name}", parameter=parameter.name)
    return tuple(arguments)


def _parse_equals(values: Mapping[str, str], collection: Collection, taken: frozenset[str]) -> tuple[tuple[str, str], ...]:
    equals = []
    for name, text in values.items():
        if name in taken:
            continue
        column = collection.by_name.get(name)
        if column is None:
            raise UnknownParameter(f"{collection.id} knows no parameter {name!r}", parameter=name)
        if not column.scalar:
            raise UnknownParameter(f"{name!r} is {column.type}, which no parameter can be compared with", parameter=name)
        check_value(column, text, name)
        equals.append((name, text))
    return tuple(equals)


def parse_items_request(values: Mapping[str, str], collection: Collection, rules: ReadingRules = UNPAGED) -> ItemsRequest:
    """The parameters of items; without limits those of export, which has no pages.

    Raises: InvalidParameter, UnknownParameter.
    """
    limits = rules.limits
    if limits is None and (paging := PAGING & values.keys()):
        raise UnknownParameter("an export has no pages", parameter=min(paging))
    arguments = frozenset(parameter.name for parameter in collection.parameters or ())
    cursor = parse_cursor(values["cursor"]) if "cursor" in values else None
    offset = _parse_offset(values, cursor)
    return ItemsRequest(
        limit=None if limits is None else _parse_limit(values.get("limit"), limits),
        offset=offset,
        cursor=cursor,
        bbox=_parse_box(values, collection, rules),
        interval=parse_datetime(values["datetime"]) if "datetime" in values else None,
        equals=_parse_equals(values, collection, _RESERVED | arguments),
        arguments=_parse_arguments(values, collection),
        sortby=_parse_sortby(values["sortby"], collection) if values.get("sortby") else (),
        properties=_parse_properties(values.get("properties"), collection),
        geometry=_parse_geometry_style(values, _parse_crs(values, "crs", collection, rules)),
        count=_choice(values, "count", ("exact", "estimated", "none"), "estimated"),  # type: ignore[arg-type]
        bigint_as_text=_choice(values, "bigint", ("number", "string"), "number") == "string",
        filter=parse_filter(values, _parse_crs(values, "filter-crs", collection, rules), rules.filters),
    )


def _parse_offset(values: Mapping[str, str], cursor: Cursor | None) -> int:
    """By either of its names."""
    name = "startindex" if "startindex" in values else "offset"
    if name not in values:
        return 0
    if name == "startindex" and "offset" in values:
        raise InvalidParameter("offset and startindex exclude each other", parameter=name)
    if cursor is not None:
        raise InvalidParameter(f"{name} and cursor exclude each other", parameter=name)
    return parse_integer(name, values[name], 0)


def _parse_limit(text: str | None, limits: Limits) -> int:
    return limits.default if text is None else min(parse_integer("limit", text, 1), limits.maximum)


def _parse_properties(text: str | None, collection: Collection) -> tuple[str, ...] | None:
    if text is None:
        return None
    wanted = set(split_names("properties", text))
    for name in sorted(wanted - collection.by_name.keys()):
        raise InvalidParameter(f"properties: {collection.id} has no property {name!r}", parameter="properties")
    return tuple(column.name for column in collection.columns if column.name in wanted)


def parse_item_request(values: Mapping[str, str], collection: Collection, rules: ReadingRules = UNPAGED) -> ItemsRequest:
    """The parameters of one item: what of it, and how it is written.

    Raises: InvalidParameter, UnknownParameter.
    """
    refuse_unknown(values, _OF_ITEM | {parameter.name for parameter in collection.parameters or ()})
    return ItemsRequest(
        limit=1,
        arguments=_parse_arguments(values, collection),
        properties=_parse_properties(values.get("properties"), collection),
        geometry=_parse_geometry_style(values, _parse_crs(values, "crs", collection, rules)),
        bigint_as_text=_choice(values, "bigint", ("number", "string"), "number") == "string",
    )


def refuse_unknown(values: Mapping[str, str], known: frozenset[str] = frozenset({"f"})) -> None:
    """Raises: UnknownParameter for the first name that is not known."""
    for name in values:
        if name not in known:
            raise UnknownParameter(f"there is no parameter {name!r} here", parameter=name)
