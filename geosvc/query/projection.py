"""A feature as text, written by PostgreSQL in a media type."""

from collections.abc import Container, Mapping

from geosvc.model.collection import Collection, GeometryColumn
from geosvc.model.media_type import CSV, GEOJSON, GEOJSONSEQ, MediaType
from geosvc.model.spatial import SpatialFilter
from geosvc.query.csv_projection import CsvProjection
from geosvc.query.feature_projection import FeatureProjection, Projection
from geosvc.query.geojson_projection import GeoJsonProjection
from geosvc.query.geometry.distances import distance_of
from geosvc.query.geometry.expressions import GeometryTest
from geosvc.query.geometry.search_geometry import is_nearest
from geosvc.query.property_columns import property_columns
from geosvc.query.value_texts import printed
from geosvc.requests.items import GeometryStyle, ItemsQuery
from geosvc.sql.compose import SQL, Composable, Identifier

_GEOJSON = GeoJsonProjection()

PROJECTIONS: Mapping[MediaType, Projection] = {
    GEOJSON: _GEOJSON,
    GEOJSONSEQ: _GEOJSON,
    CSV: CsvProjection(),
}
"""How SQL writes each media type; `geosvc.formats` has the rest of a format."""


def write_feature(
    collection: Collection,
    query: ItemsQuery,
    media_type: MediaType,
    geometry_test: GeometryTest = GeometryTest.EXACT,
    *,
    raising: bool = True,
) -> FeatureProjection:
    """Write the feature `t` in a media type of items.

    Args:
        geometry_test: how the distance to the posted geometry is measured.
        raising: as for `write_geometry`.
    """
    metres = _metres(collection, query.spatial, geometry_test)
    return PROJECTIONS[media_type].write_feature(collection, query, metres, raising)


def write_geometry(
    geometry: GeometryColumn,
    style: GeometryStyle,
    media_type: MediaType,
    value: Composable,
    *,
    raising: bool = True,
) -> Composable:
    """Write a value of a geometry column in a media type of items; it is never NULL.

    Args:
        raising: whether the statement raises for a geometry that the media type does not allow, so
            that the page is read again and each geometry is checked. Otherwise the geometry is
            null.
    """
    return PROJECTIONS[media_type].write_geometry(geometry, style, value, raising)


def write_values(
    collection: Collection,
    query: ItemsQuery,
    media_type: MediaType,
    raw: Container[str],
    missing: Container[str],
) -> Composable:
    """Write the values of the properties as an array of texts; the distance follows in CSV.

    A NULL in the array is a null in JSON.

    Args:
        raw: names of the columns whose values are written as their type prints them.
        missing: names of the columns whose values are not read; they are NULL.
    """
    projection = PROJECTIONS[media_type]
    values: list[Composable] = []
    for column in property_columns(collection, query):
        if column.name in missing:
            values.append(SQL("NULL"))
        elif column.name in raw:
            values.append(printed(SQL("t.{}").format(Identifier(column.name))))
        else:
            values.append(projection.write_property(column, query))
    if projection.distance_is_property:
        metres = _metres(collection, query.spatial, GeometryTest.SAFE)
        if metres is not None:
            values.append(metres)
    return SQL("ARRAY[{}]::text[]").format(SQL(", ").join(values))


def _metres(
    collection: Collection, spatial: SpatialFilter | None, geometry_test: GeometryTest
) -> Composable | None:
    """Write the distance to the posted geometry as text, with millimetres; None without one."""
    if spatial is None or not spatial.has_distances:
        return None
    metres: Composable = SQL("d.metres")
    if not is_nearest(spatial):
        metres = distance_of(collection, spatial, geometry_test)
    return SQL("trim_scale(round(({})::numeric, 3))::text").format(metres)
