"""Finds out whether a tile, or one below it, has features."""

from geosvc.database.reads.runner import Reads
from geosvc.database.reads.unwritable_values import is_refusal
from geosvc.errors import RequestError
from geosvc.model.crs import WEB_MERCATOR, WGS84
from geosvc.query.geometry.expressions import GeometryTest
from geosvc.query.tiles.layer import LayerPlan
from geosvc.query.tiles.occupancy import select_occupancy

_SAFELY_COMPARED = (WGS84, WEB_MERCATOR)


async def is_occupied(reads: Reads, plan: LayerPlan) -> bool:
    """Whether a feature is in the area of a tile.

    If PostGIS refuses a geometry there, geometries are compared safely. In other CRS this could
    select every feature of the table for every tile far from them, and the pyramid would have no
    end: then the answer is no, and the tile counts as one that lacks features.

    Raises: RequestError.
    """
    try:
        return bool(await reads.fetch(select_occupancy(plan, GeometryTest.EXACT)))
    except RequestError as error:
        if not is_refusal(error):
            raise
    if plan.collection.geometry.srid not in _SAFELY_COMPARED:
        return False
    return bool(await reads.fetch(select_occupancy(plan, GeometryTest.SAFE)))
