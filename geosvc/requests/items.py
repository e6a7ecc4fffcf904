"""The parameters of items and export, parsed into one frozen dataclass."""

import math
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Literal, cast, get_args

from geosvc.errors import InvalidParameter, UnknownParameter
from geosvc.model.bbox import Bbox, parse_bbox
from geosvc.model.collection import Collection, Column
from geosvc.model.crs import CRS84, WEB_MERCATOR, WGS84, Crs, Srid, digits_of, parse_crs
from geosvc.model.number import parse_number
from geosvc.model.offered_crs import default_crs, listed_crs
from geosvc.model.reprojected_bbox import clip_to_domain
from geosvc.model.similar_names import did_you_mean
from geosvc.model.spatial import SpatialFilter
from geosvc.requests.cursor import Cursor, parse_cursor
from geosvc.requests.declared import DECLARED, ITEM_DECLARED, PAGING
from geosvc.requests.filters import Filter, FilterRules, parse_filter
from geosvc.requests.parameter_values import (
    parse_choice,
    parse_integer,
    refuse_unknown,
    refuse_value,
    split_names,
)
from geosvc.requests.query_string import Values
from geosvc.values.parsing import check_value
from geosvc.values.temporal import Interval, parse_datetime

CountMode = Literal["exact", "estimated", "none"]
NamedTexts = tuple[tuple[str, str], ...]
"""(name, text) of each property or parameter."""


@dataclass(frozen=True, slots=True)
class PageLimits:
    """How many features a page has: by default, and at most."""

    default: int
    maximum: int


@dataclass(frozen=True, slots=True)
class ReadingRules:
    """The settings that concern reading.

    Attributes:
        limits: None where there are no pages.
        crs: EPSG codes in which every collection is available, besides its own.
        filters: the limits of filters.
        escapes_formulas: whether CSV cells that a spreadsheet would run are escaped.
    """

    limits: PageLimits | None = None
    crs: tuple[Srid, ...] = ()
    filters: FilterRules = field(default_factory=FilterRules)
    escapes_formulas: bool = False


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
        precision: digits behind the point; None: what the CRS needs.
        tolerance: of the simplification, in units of the storage CRS (metres for geography);
            None: no simplification.
        zoom_level: the Web Mercator zoom whose pixel is the tolerance; None: no simplification.
        crs: the CRS of the coordinates that are written.
    """

    skip: bool = False
    precision: int | None = None
    tolerance: float | None = None
    zoom_level: int | None = None
    crs: Crs = CRS84

    @property
    def digits(self) -> int:
        """Digits behind the point."""
        if self.precision is not None:
            return self.precision
        return digits_of(self.crs.srid)


CONDITIONS = ("bbox", "interval", "equals", "spatial", "filter")
"""The fields of ItemsQuery that are conditions: a feature must fulfil all of them.

The counts and the names of statements take all conditions from here. Two others have a line for
each: `geosvc/query/conditions.py` turns it into SQL, and `digest_of` in `geosvc/query/paging.py`
makes it a part of cursors.
"""


STYLE = ("sortby", "properties", "geometry", "bigint_as_text", "trusts_key", "escapes_formulas")
"""The fields of ItemsQuery that decide how features are written and in which order."""
_style_of = attrgetter(*STYLE)


@dataclass(frozen=True, slots=True)
class ItemsQuery:
    """Which features, in which order, and which parts of them; without collection and client.

    Attributes:
        limit: features of a page; None: all (export).
        limited: whether the request has a greater limit than the maximum, which is `limit` then.
        equals: (column, text) of each property that must have a value.
        arguments: (parameter, text) of a function.
        properties: names of the properties to return, in the order of the table; None: all.
        spatial: the spatial relation to a posted geometry.
        filter: a CQL2 filter.
        escapes_formulas: whether CSV cells that a spreadsheet would run are escaped.
        trusts_key: whether the key alone orders the rows, although no constraint makes it unique.
    """

    limit: int | None
    offset: int = 0
    cursor: Cursor | None = None
    bbox: Bbox | None = None
    interval: Interval | None = None
    equals: NamedTexts = ()
    arguments: NamedTexts = ()
    sortby: tuple[SortKey, ...] = ()
    properties: tuple[str, ...] | None = None
    geometry: GeometryStyle = GeometryStyle()
    count: CountMode = "estimated"
    bigint_as_text: bool = False
    spatial: SpatialFilter | None = None
    filter: Filter | None = None
    limited: bool = False
    trusts_key: bool = False
    escapes_formulas: bool = False

    def conditions(self) -> dict[str, object]:
        """The conditions that the request has, by the name of their field."""
        conditions = {}
        for name in CONDITIONS:
            condition = getattr(self, name)
            if condition:
                conditions[name] = condition
        return conditions

    @property
    def values_decide_plan(self) -> bool:
        """Whether it has conditions or arguments: their values decide which plan is the best."""
        return bool(self.arguments or self.conditions())

    def style(self) -> "ItemsQuery":
        """The part of the query that decides how features are written and in which order.

        It has no value of a condition or of a page. Queries of one `style_key` have the same.
        """
        limit = None
        if self.limit is not None:
            limit = 1
        values = dict(zip(STYLE, _style_of(self), strict=True))
        return ItemsQuery(limit, **values)

    def style_key(self) -> tuple[object, ...]:
        """What tells styles apart."""
        return (self.limit is None, *_style_of(self))

    def selection(self) -> "ItemsQuery":
        """The part of the query that decides which features match, and how they are counted."""
        conditions: dict[str, Any] = self.conditions()
        return ItemsQuery(limit=None, arguments=self.arguments, count=self.count, **conditions)


_RESERVED = frozenset(parameter.name for parameter in DECLARED)
_OF_ITEM = frozenset(parameter.name for parameter in ITEM_DECLARED)


def parse_items_query(
    values: Values, collection: Collection, rules: ReadingRules = UNPAGED
) -> ItemsQuery:
    """Parses the parameters of items; without limits those of export, which has no pages.

    Raises: InvalidFilter, InvalidParameter, UnknownParameter.
    """
    _refuse_paging_of_export(values, rules.limits)
    cursor = None
    if "cursor" in values:
        cursor = parse_cursor(values["cursor"])
    offset = _parse_offset(values, cursor)
    limit, limited = _parse_limit(values.get("limit"), rules.limits)
    bbox = _parse_bbox(values, collection, rules)
    interval = None
    if "datetime" in values:
        interval = parse_datetime(values["datetime"])
    return ItemsQuery(
        limit=limit,
        limited=limited,
        offset=offset,
        cursor=cursor,
        bbox=bbox,
        interval=interval,
        equals=_parse_equals(values, collection),
        arguments=_parse_arguments(values, collection),
        sortby=_parse_sortby(values.get("sortby", ""), collection),
        properties=_parse_properties(values.get("properties"), collection),
        geometry=_parse_geometry_style(values, _parse_crs(values, "crs", collection, rules)),
        count=_parse_count(values),
        bigint_as_text=_parse_bigint_as_text(values),
        filter=parse_filter(
            values, _parse_crs(values, "filter-crs", collection, rules), rules.filters
        ),
        escapes_formulas=rules.escapes_formulas,
    )


def parse_item_query(
    values: Values, collection: Collection, rules: ReadingRules = UNPAGED
) -> ItemsQuery:
    """Parses the parameters of one item: which parts of it, and how they are written.

    Raises: InvalidParameter, UnknownParameter.
    """
    refuse_unknown(values, _OF_ITEM | _argument_names(collection))
    return ItemsQuery(
        limit=1,
        arguments=_parse_arguments(values, collection),
        properties=_parse_properties(values.get("properties"), collection),
        geometry=_parse_geometry_style(values, _parse_crs(values, "crs", collection, rules)),
        bigint_as_text=_parse_bigint_as_text(values),
    )


def _argument_names(collection: Collection) -> frozenset[str]:
    """The names of the parameters of the function behind a collection."""
    return frozenset(parameter.name for parameter in collection.parameters or ())


def _refuse_paging_of_export(values: Values, limits: PageLimits | None) -> None:
    if limits is not None:
        return
    paging = PAGING & values.keys()
    if paging:
        raise UnknownParameter("an export has no pages", parameter=min(paging))


def _parse_offset(values: Values, cursor: Cursor | None) -> int:
    """The value of `offset` or `startindex`, of which a request may have one."""
    name = "offset"
    if "startindex" in values:
        name = "startindex"
        if "offset" in values:
            raise InvalidParameter("offset and startindex exclude each other", parameter=name)
    if name not in values:
        return 0
    if cursor is not None:
        raise InvalidParameter(f"{name} and cursor exclude each other", parameter=name)
    return parse_integer(name, values[name], 0)


def _parse_limit(text: str | None, limits: PageLimits | None) -> tuple[int | None, bool]:
    """The limit, and whether the request has a greater one.

    Source: OGC 17-069r4 7.15.2, fc-limit-response-1.
    """
    if limits is None:
        return None, False
    if text is None:
        return limits.default, False
    requested = parse_integer("limit", text, 1)
    return min(requested, limits.maximum), requested > limits.maximum


def _parse_crs(values: Values, name: str, collection: Collection, rules: ReadingRules) -> Crs:
    if name in values:
        listed = listed_crs(collection, rules.crs)
        return parse_crs(values[name], listed, name)
    if name == "crs":
        return default_crs(collection)
    return CRS84


def _parse_bbox(values: Values, collection: Collection, rules: ReadingRules) -> Bbox | None:
    """The box, clipped to the domain of its CRS where it has to be transformed.

    bbox-crs is checked also without a bbox.
    """
    crs = _parse_crs(values, "bbox-crs", collection, rules)
    if "bbox" not in values:
        return None
    bbox = parse_bbox(values["bbox"], crs)
    if crs.srid in (WGS84, WEB_MERCATOR, collection.geometry.srid):
        return bbox
    return clip_to_domain(bbox)


def _parse_equals(values: Values, collection: Collection) -> NamedTexts:
    """The parameters that are names of properties. Source: OGC 17-069r4 7.15.5."""
    taken = _RESERVED | _argument_names(collection)
    equals = []
    for name, text in values.items():
        if name in taken:
            continue
        column = collection.by_name.get(name)
        if column is None:
            near = did_you_mean(name, (*taken, *collection.by_name))
            raise UnknownParameter(
                f"{collection.id} has no parameter {name!r}{near}", parameter=name
            )
        if not column.sortable:
            raise UnknownParameter(
                f"{_type_of(column)}, which no parameter can be compared with"
                f"{_outside_search_path(column)}",
                parameter=name,
            )
        check_value(column, text, name)
        equals.append((name, text))
    return tuple(equals)


def _parse_arguments(values: Values, collection: Collection) -> NamedTexts:
    """The arguments of the function behind a collection."""
    arguments = []
    for parameter in collection.parameters or ():
        name = parameter.name
        if name in values:
            check_value(parameter, values[name], name)
            arguments.append((name, values[name]))
        elif parameter.required:
            raise InvalidParameter(f"{collection.id} needs the parameter {name}", parameter=name)
    return tuple(arguments)


def _parse_sortby(text: str, collection: Collection) -> tuple[SortKey, ...]:
    keys: dict[str, SortKey] = {}
    for part in split_names("sortby", text):
        sign, name = "+", part
        if part[:1] in ("+", "-", " "):  # an unencoded + arrives as a blank
            sign, name = part[0], part[1:]
        column = collection.by_name.get(name)
        if column is None:
            raise _no_such_property("sortby", name, collection)
        if not column.sortable:
            raise InvalidParameter(
                f"sortby: {_type_of(column)}, which has no order{_outside_search_path(column)}",
                parameter="sortby",
            )
        # The first key of a name decides: to sort by it once more changes nothing.
        keys.setdefault(name, SortKey(name, descending=sign == "-"))
    return tuple(keys.values())


def _type_of(column: Column) -> str:
    return f"the type of {column.name!r} is {column.type}"


def _outside_search_path(column: Column) -> str:
    """Why a scalar type has no order: PostgreSQL does not find its operators."""
    if not column.is_scalar:
        return ""
    return f": the operators of {column.type} are outside the search path"


def _parse_properties(text: str | None, collection: Collection) -> tuple[str, ...] | None:
    if text is None:
        return None
    requested = set(split_names("properties", text))
    unknown = requested - collection.by_name.keys()
    if unknown:
        raise _no_such_property("properties", min(unknown), collection)
    return tuple(column.name for column in collection.columns if column.name in requested)


def _no_such_property(parameter: str, name: str, collection: Collection) -> InvalidParameter:
    near = did_you_mean(name, collection.by_name)
    return InvalidParameter(
        f"{parameter}: {collection.id} has no property {name!r}{near}", parameter=parameter
    )


def _parse_geometry_style(values: Values, crs: Crs) -> GeometryStyle:
    tolerance = _parse_tolerance(values)
    skip = parse_choice(values, "skipGeometry", ("true", "false"), "false") == "true"
    precision = zoom_level = None
    if "precision" in values:
        precision = parse_integer("precision", values["precision"], 0, 15)
    if "zoom-level" in values:
        zoom_level = parse_integer("zoom-level", values["zoom-level"], 0, 30)
    return GeometryStyle(skip, precision, tolerance, zoom_level, crs)


def _parse_tolerance(values: Values) -> float | None:
    """The tolerance of a simplification; None: no simplification."""
    if "simplify" not in values:
        return None
    try:
        tolerance = parse_number(values["simplify"])
    except ValueError:
        refuse_value("simplify", "a number")
    if not math.isfinite(tolerance) or tolerance < 0:
        refuse_value("simplify", "a finite number from 0")
    if "zoom-level" in values:
        raise InvalidParameter("zoom-level and simplify exclude each other", parameter="zoom-level")
    return tolerance or None


def _parse_count(values: Values) -> CountMode:
    count = parse_choice(values, "count", get_args(CountMode), "estimated")
    return cast("CountMode", count)


def _parse_bigint_as_text(values: Values) -> bool:
    return parse_choice(values, "bigint", ("number", "string"), "number") == "string"
