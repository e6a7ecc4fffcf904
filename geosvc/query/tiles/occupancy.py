"""The statement that finds out whether a tile has features at all.

An empty layer does not tell: PostGIS leaves out what is smaller than a pixel, and deeper tiles show
it.
"""

from dataclasses import replace

from geosvc.query.conditions import query_conditions
from geosvc.query.features import source_of
from geosvc.query.geometry.boxes import bbox_condition
from geosvc.query.geometry.expressions import GeometryTest
from geosvc.query.sql_parts import all_of
from geosvc.query.tiles.layer import LayerPlan
from geosvc.sql.compose import PLANNED_BY_VALUES, REQUEST_TAG, SQL, Statement, compose

NAME = "items.tile_occupancy"


def select_occupancy(plan: LayerPlan, geometry_test: GeometryTest) -> Statement:
    """Select one row if a feature is in the area of a tile with its buffer.

    No row: neither this tile nor one below it has a feature. The buffers of deeper tiles lie within
    that of this one.
    """
    collection, query = plan.collection, plan.query
    box = plan.tile.buffered_bbox
    within = bbox_condition(collection.geometry, box, geometry_test, matches_null=False)
    others = query_conditions(collection, replace(query, bbox=None), geometry_test)
    part = SQL("SELECT 1 FROM {source} t WHERE {conditions} LIMIT 1").format(
        source=source_of(collection, query),
        conditions=all_of([REQUEST_TAG, PLANNED_BY_VALUES, within, *others]),
    )
    return compose(NAME, part)
