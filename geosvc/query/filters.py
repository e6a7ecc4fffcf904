"""Conditions on properties and time."""

from collections.abc import Iterator

from geosvc.model.collection import Collection, Column, TypedName
from geosvc.query.boxes import select_by_bbox
from geosvc.query.filtering import select_by_filter
from geosvc.query.geometry import Care
from geosvc.query.moments import write_instant
from geosvc.query.spatial import select_by_geometry
from geosvc.requests.items import ItemsRequest
from geosvc.requests.temporal import Interval
from geosvc.sql.compose import SQL, Composable, Identifier, Param


def cast_text(typed: TypedName, text: str | None) -> Param:
    """A text that PostgreSQL casts to the type of `typed`, so that the comparison is the type's own."""
    return Param(text, "text", Identifier(typed.type_schema, typed.type_name))


def _edge(column: Column, interval: Interval, last: bool) -> Composable | None:
    """One end of the interval in the type of the column; timestamps without a zone are UTC."""
    instant = interval.end if last else interval.start
    if instant is None:
        return None
    return write_instant(instant.date() if column.type_name == "date" else instant, column.type_name)


def select_by_time(collection: Collection, interval: Interval) -> Composable | None:
    """A condition: the feature's time intersects the interval, or it has none (OGC 17-069r4 7.15.4, requirement C).
    An open end of a feature's own interval is unbounded.
    """
    if not collection.temporal:
        return None
    first, last = collection.by_name[collection.temporal[0]], collection.by_name[collection.temporal[-1]]
    tests = []
    if (end := _edge(first, interval, last=True)) is not None:
        tests.append(SQL("(t.{n} <= {v} OR t.{n} IS NULL)").format(n=Identifier(first.name), v=end))
    if (start := _edge(last, interval, last=False)) is not None:
        tests.append(SQL("(t.{n} >= {v} OR t.{n} IS NULL)").format(n=Identifier(last.name), v=start))
    return SQL(" AND ").join(tests) if tests else None


def conditions(collection: Collection, request: ItemsRequest, care: Care = Care.EXACTLY) -> Iterator[Composable]:
    """What a feature has to fulfil; all of it.

    Args:
        care: how geometries are compared with the box.
    """
    if request.bbox is not None:
        yield select_by_bbox(collection.geometry, request.bbox, care)
    if request.spatial is not None:
        yield select_by_geometry(collection, request.spatial, care)
    if request.interval is not None:
        by_time = select_by_time(collection, request.interval)
        if by_time is not None:
            yield by_time
    if request.filter is not None:
        yield select_by_filter(collection, request.filter.condition, care)
    for name, text in request.equals:
        yield SQL("t.{} = {}").format(Identifier(name), cast_text(collection.by_name[name], text))


def where(tests: list[Composable]) -> Composable:
    """A WHERE clause, or nothing."""
    return SQL(" WHERE {}").format(SQL(" AND ").join(tests)) if tests else SQL("")
