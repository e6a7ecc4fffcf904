"""The statement that evaluates logged rows for subscribers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from geosvc.model.collection import Collection
from geosvc.query.conditions import query_conditions
from geosvc.query.geojson_projection import GEOJSON_PROJECTION
from geosvc.query.geometry.expressions import GeometryTest, column_value
from geosvc.query.geometry.output import written_geometry
from geosvc.query.projection import write_feature
from geosvc.query.sql_parts import all_of, relation_name
from geosvc.requests.items import GeometryStyle, ItemsQuery
from geosvc.sql.compose import SQL, Composable, Param, Statement, compose

_EVALUATE = SQL(
    "SELECT coalesce({selected}, false), {feature}, {geometry}"
    " FROM unnest({states}) WITH ORDINALITY AS logged(state, ordinal),"
    " LATERAL json_populate_record(NULL::{table}, logged.state::json) AS t"
    " ORDER BY logged.ordinal"
)
_NO_GEOMETRY = SQL("NULL::bytea")


@dataclass(frozen=True, slots=True)
class StatesPlan:
    """How logged rows are evaluated for subscribers with the same query.

    A filter may take long to plan, and many batches of rows are evaluated with it.

    Attributes:
        with_geometry, without_geometry: the statements for any rows.
    """

    collection: Collection
    query: ItemsQuery
    with_geometry: Statement
    without_geometry: Statement

    def select(self, states: Sequence[str], *, with_geometry: bool) -> Statement:
        """Find out which logged rows the query selects, and write them as features.

        A row is (whether it is selected, the feature in UTF-8, its geometry in CRS84), in the order
        of `states`.

        Args:
            states: rows of the table as JSON, as its triggers log them.
            with_geometry: whether the geometry is returned; else it is NULL.
        """
        planned = self.without_geometry
        if with_geometry:
            planned = self.with_geometry
        args = [list(states) if arg is _STATES else arg for arg in planned.args]
        return replace(planned, args=tuple(args))


_STATES: list[str] = []  # stands for the rows in the arguments of a plan


def plan_states(collection: Collection, query: ItemsQuery) -> StatesPlan:
    """Plan the evaluation of logged rows. Raises: InvalidFilter."""
    conditions = list(query_conditions(collection, query, GeometryTest.SAFE))
    if not conditions:
        conditions.append(SQL("true"))
    feature = write_feature(
        collection, query, GEOJSON_PROJECTION, GeometryTest.SAFE, raising=False
    ).feature
    value = column_value(collection.geometry)
    geometry = written_geometry(collection.geometry, GeometryStyle(), value)

    def compose_with(written: Composable) -> Statement:
        part = _EVALUATE.format(
            selected=all_of(conditions),
            feature=feature,
            geometry=written,
            states=Param(_STATES, "text[]"),
            table=relation_name(collection),
        )
        return compose("feed.states", part)

    return StatesPlan(collection, query, compose_with(geometry), compose_with(_NO_GEOMETRY))
