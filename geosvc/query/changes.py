"""What a subscriber sees of logged rows: whether each is selected, and as which feature."""

from collections.abc import Sequence

from geosvc.model.collection import Collection
from geosvc.model.media_type import GEOJSON
from geosvc.query.filters import conditions
from geosvc.query.geometry import Care, column_value, written_geometry
from geosvc.query.writing import write_feature
from geosvc.requests.items import GeometryStyle, ItemsRequest
from geosvc.sql.compose import SQL, Composable, Identifier, Param, Statement, compose


def select_states(collection: Collection, request: ItemsRequest, states: Sequence[str], *, shapes: bool) -> Statement:
    """(whether it is selected, the feature in UTF-8, its geometry in CRS84) of each of these rows, in order.

    Args:
        states: rows of the table as JSON, as its triggers log them.
        shapes: whether the geometry is wanted; else it is NULL.
    """
    tests: list[Composable] = list(conditions(collection, request, Care.CAUTIOUSLY))
    shape: Composable = SQL("NULL::bytea")
    if shapes:
        shape = written_geometry(collection.geometry, GeometryStyle(), column_value(collection.geometry))
    part = SQL(
        "SELECT coalesce({selected}, false), {feature}, {shape}"
        " FROM unnest({states}) WITH ORDINALITY AS logged(state, place),"
        " LATERAL json_populate_record(NULL::{table}, logged.state::json) AS t ORDER BY logged.place"
    ).format(
        selected=SQL(" AND ").join(tests) if tests else SQL("true"),
        feature=write_feature(collection, request, GEOJSON, Care.CAUTIOUSLY).feature,
        shape=shape,
        states=Param(list(states), "text[]"),
        table=Identifier(collection.schema, collection.name),
    )
    return compose("feed.states", part)
