"""The statements that find the extent of a collection."""

from collections.abc import Sequence

from geosvc.model.collection import Collection
from geosvc.query.geometry import column_value, written_geometry
from geosvc.requests.items import GeometryStyle
from geosvc.sql.compose import REQUEST_TAG, SQL, Composable, Identifier, Statement, compose
from geosvc.sql.files import load_statement


def select_estimated_extents(collections: Sequence[Collection]) -> Statement:
    """(place from 1, xmin, ymin, xmax, ymax), storage CRS, of those for which something is known. No table is read."""
    return load_statement(
        "estimated_extents",
        (
            [collection.schema for collection in collections],
            [collection.name for collection in collections],
            [collection.geometry.name for collection in collections],
        ),
    )


def select_exact_extent(collection: Collection) -> Statement:
    """One row: xmin, ymin, xmax, ymax (CRS84, degrees), the first and the last time as text. Every row is read."""
    written = written_geometry(collection.geometry, GeometryStyle(), column_value(collection.geometry))
    times: tuple[Composable, Composable] = (SQL("NULL::text"), SQL("NULL::text"))
    if collection.temporal:
        ends = (("min", collection.temporal[0]), ("max", collection.temporal[-1]))
        first, last = (SQL(function + "(t.{})").format(Identifier(name)) for function, name in ends)
        times = (SQL("to_json({}) #>> '{{}}'").format(first), SQL("to_json({}) #>> '{{}}'").format(last))
    part = SQL(
        "SELECT ST_XMin(e), ST_YMin(e), ST_XMax(e), ST_YMax(e), first, last"
        " FROM (SELECT ST_Extent({written}) AS e, {first} AS first, {last} AS last FROM {source} t WHERE {tag}) x"
    ).format(
        written=written,
        first=times[0],
        last=times[1],
        source=Identifier(collection.schema, collection.name),
        tag=REQUEST_TAG,
    )
    return compose("collection.exact_extent", part)
