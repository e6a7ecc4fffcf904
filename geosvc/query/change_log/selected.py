"""The statement that evaluates logged rows for subscribers."""

from collections.abc import Sequence

from geosvc.model.collection import Collection
from geosvc.query.conditions import conditions
from geosvc.query.geojson_projection import GEOJSON_PROJECTION
from geosvc.query.geometry.expressions import GeometryTest, column_value
from geosvc.query.geometry.output import written_geometry
from geosvc.query.projection import write_feature
from geosvc.requests.items import GeometryStyle, ItemsQuery
from geosvc.sql.compose import SQL, Composable, Identifier, Param, Statement, compose


def select_states(
    collection: Collection, query: ItemsQuery, states: Sequence[str], *, with_geometry: bool
) -> Statement:
    """Find out which logged rows a query selects, and write them as features.

    A row is (whether it is selected, the feature in UTF-8, its geometry in CRS84), in the order of
    `states`.

    Args:
        states: rows of the table as JSON, as its triggers log them.
        with_geometry: whether the geometry is returned; else it is NULL.
    """
    tests = list(conditions(collection, query, GeometryTest.SAFE))
    if not tests:
        tests.append(SQL("true"))
    geometry: Composable = SQL("NULL::bytea")
    if with_geometry:
        value = column_value(collection.geometry)
        geometry = written_geometry(collection.geometry, GeometryStyle(), value)
    feature = write_feature(
        collection, query, GEOJSON_PROJECTION, GeometryTest.SAFE, raising=False
    ).feature
    part = SQL(
        "SELECT coalesce({selected}, false), {feature}, {geometry}"
        " FROM unnest({states}) WITH ORDINALITY AS logged(state, place),"
        " LATERAL json_populate_record(NULL::{table}, logged.state::json) AS t"
        " ORDER BY logged.place"
    ).format(
        selected=SQL(" AND ").join(tests),
        feature=feature,
        geometry=geometry,
        states=Param(list(states), "text[]"),
        table=Identifier(collection.schema, collection.name),
    )
    return compose("feed.states", part)
