"""The statements that read features whose geometries PostGIS may not be able to write.

They select each geometry as it is stored and each property by itself, and then write, one by one,
what can be written.
"""

from collections.abc import Container, Sequence
from dataclasses import replace

from geosvc.query.features import FeaturePage, select_features
from geosvc.query.geometry.expressions import ColumnRef, GeometryTest, column_value, in_crs
from geosvc.query.projection import write_feature, write_values
from geosvc.sql.compose import SQL, Param, Statement, compose

# The name of the geometry in the statements that write or transform one.
_GEOMETRY = ColumnRef(SQL("s.g").format())


def select_stored(
    page: FeaturePage,
    rows: int,
    raw: Container[str],
    missing: Container[str],
) -> Statement:
    """Select the features of a page with their geometries as they are stored.

    A row is (the text before the geometry, EWKB or NULL, the values of the properties as
    `write_values` writes them, the sort values). No function of PostGIS that a stored geometry can
    make fail is called.

    Args:
        rows: how many rows at most.
        raw, missing: as for `write_values`.
    """
    collection = page.collection
    query = page.query
    projection = page.format.projection
    written = write_feature(collection, query, projection, GeometryTest.SAFE)
    stored = SQL("ST_AsEWKB({})").format(column_value(collection.geometry))
    values = write_values(collection, query, projection, raw, missing)
    columns = ([written.head, stored, values], page.extra)
    select = select_features(collection, query, columns, rows, GeometryTest.SAFE)
    return compose("items.stored", select)


def write_stored(page: FeaturePage, stored: Sequence[bytes | None]) -> Statement:
    """Write each of these geometries as the page does; a row is (text), in the same order.

    Args:
        stored: EWKB.
    """
    text = page.format.projection.write_geometry(
        page.collection.geometry,
        page.query.geometry,
        _GEOMETRY,
        raising=True,
    )
    # The cast from bytea to geometry checks what geometry_in stores without a check.
    select = SQL(
        "SELECT {text} FROM unnest({stored}) WITH ORDINALITY AS stored(ewkb, ordinal),"
        " LATERAL (SELECT encode(stored.ewkb, 'hex')::geometry AS g OFFSET 0) s"
        " ORDER BY stored.ordinal"
    ).format(text=text, stored=Param(list(stored), "bytea[]"))
    return compose("items.write_stored", select)


def transform_stored(page: FeaturePage, ewkb: bytes) -> Statement:
    """Transform a geometry into the CRS of the page and do nothing else; the row is (EWKB)."""
    geometry = replace(page.collection.geometry, geography=False)
    srid = page.query.geometry.crs.srid
    select = SQL(
        "SELECT ST_AsEWKB({transformed})"
        " FROM (SELECT encode({ewkb}, 'hex')::geometry AS g OFFSET 0) s"
    ).format(
        transformed=in_crs(geometry, _GEOMETRY, srid),
        ewkb=Param(ewkb, "bytea"),
    )
    return compose("items.transform_stored", select)
