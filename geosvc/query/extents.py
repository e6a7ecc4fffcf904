"""The statements that find the extent of a collection."""

from collections.abc import Sequence

from geosvc.model.collection import Collection
from geosvc.query.geometry.expressions import column_value
from geosvc.query.geometry.output import written_geometry
from geosvc.query.sql_parts import relation_name, row_column
from geosvc.requests.items import GeometryStyle
from geosvc.sql.compose import REQUEST_TAG, SQL, Composable, Param, Statement, compose
from geosvc.sql.files import load_statement


def select_estimated_extents(collections: Sequence[Collection]) -> Statement:
    """Select the extents of some collections from statistics; no table is read.

    A row is (position of the collection from 1, xmin, ymin, xmax, ymax), storage CRS. A collection
    without statistics has no row.
    """
    schemas = []
    tables = []
    columns = []
    for collection in collections:
        schemas.append(collection.schema)
        tables.append(collection.name)
        columns.append(collection.geometry.name)
    return load_statement("estimated_extents", (schemas, tables, columns))


def select_exact_extent(collection: Collection) -> Statement:
    """Select the extent of a collection; every row is read.

    The row is (xmin, ymin, xmax, ymax, first time, last time), CRS84, degrees, times as text. A
    geometry that is not finite does not count: `&&` is false for NaN, `@` for infinity.
    """
    value = column_value(collection.geometry)
    srid = Param(int(collection.geometry.srid), "int4")
    first, last = _first_and_last_time(collection)
    part = SQL(
        "SELECT ST_XMin(e), ST_YMin(e), ST_XMax(e), ST_YMax(e), first, last"
        " FROM (SELECT ST_Extent({written})"
        " FILTER (WHERE {value} && {all} AND {value} @ {all}) AS e,"
        " {first} AS first, {last} AS last FROM {source} t WHERE {tag}) x"
    ).format(
        written=written_geometry(collection.geometry, GeometryStyle(), value),
        value=value,
        all=SQL("ST_MakeEnvelope(-1e30, -1e30, 1e30, 1e30, {})").format(srid),
        first=first,
        last=last,
        source=relation_name(collection),
        tag=REQUEST_TAG,
    )
    return compose("collection.exact_extent", part)


def _first_and_last_time(collection: Collection) -> tuple[Composable, Composable]:
    if not collection.temporal:
        return SQL("NULL::text"), SQL("NULL::text")
    start = row_column(collection.temporal[0])
    end = row_column(collection.temporal[-1])
    first = SQL("to_json(min({})) #>> '{{}}'").format(start)
    last = SQL("to_json(max({})) #>> '{{}}'").format(end)
    return first, last
