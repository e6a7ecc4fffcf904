"""A feature as text, written by PostgreSQL in a media type."""

from collections.abc import Container

from geosvc.model.collection import Collection
from geosvc.query.feature_format import FeatureProjection, Projection
from geosvc.query.geometry.distances import distance_text
from geosvc.query.geometry.expressions import GeometryTest
from geosvc.query.property_columns import property_columns
from geosvc.query.sql_parts import comma_list, row_column
from geosvc.query.value_texts import printed
from geosvc.requests.items import ItemsQuery
from geosvc.sql.compose import SQL, Composable


def write_feature(
    collection: Collection,
    query: ItemsQuery,
    projection: Projection,
    geometry_test: GeometryTest = GeometryTest.EXACT,
    *,
    raising: bool = True,
) -> FeatureProjection:
    """Write the feature `t`.

    Args:
        geometry_test: how the distance to the geometry of the search is measured.
        raising: as for `Projection.write_geometry`.
    """
    metres = distance_text(collection, query.spatial, geometry_test)
    return projection.write_feature(collection, query, metres, raising)


def write_values(
    collection: Collection,
    query: ItemsQuery,
    projection: Projection,
    raw: Container[str],
    missing: Container[str],
) -> Composable:
    """Write the values of the properties as an array of texts; the distance follows in CSV.

    A NULL in the array is a null in JSON.

    Args:
        raw: names of the columns whose values are written as their type prints them.
        missing: names of the columns whose values are not read; they are NULL.
    """
    values: list[Composable] = []
    for column in property_columns(collection, query):
        if column.name in missing:
            values.append(SQL("NULL"))
        elif column.name in raw:
            values.append(printed(row_column(column.name)))
        else:
            values.append(projection.write_property(column, query))
    if projection.distance_is_property:
        metres = distance_text(collection, query.spatial, GeometryTest.SAFE)
        if metres is not None:
            values.append(metres)
    return SQL("ARRAY[{}]::text[]").format(comma_list(values))
