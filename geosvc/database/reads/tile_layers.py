"""Reads layers of tiles so that no stored geometry fails a tile (docs/decisions/0005).

If PostgreSQL refuses a layer, the geometries of the tile are tried in lists; a list that is refused
is halved. The single geometries that remain are left out, and reported.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from geosvc.database.pool import Database
from geosvc.database.reads.halving import read_in_halves
from geosvc.database.reads.unwritable_values import is_refusal
from geosvc.errors import RequestError
from geosvc.events import GeometriesRefused, emit
from geosvc.model.row import Row
from geosvc.query.tiles.layer import LayerPlan
from geosvc.sql.compose import Statement


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of a tile.

    Attributes:
        body: as ST_AsMVT writes it; empty without features.
        features: how many it has.
    """

    body: bytes
    features: int


async def fetch_layer(database: Database, plan: LayerPlan, statement: Statement) -> Layer:
    """Fetch one layer of a tile.

    Args:
        statement: of the plan.
    Raises: RequestError.
    """
    try:
        return _layer(await database.fetch(statement))
    except RequestError as error:
        if not is_refusal(error):
            raise
    return await _fetch_without_refused(database, plan)


async def _fetch_without_refused(database: Database, plan: LayerPlan) -> Layer:
    """Fetch a layer without the geometries that PostgreSQL refuses.

    Raises: RequestError, also where a failure has another cause than a geometry.
    """
    rows = await database.fetch(plan.select_geometries())
    stored: list[bytes] = [row[0] for row in rows]
    reasons: list[str] = []

    async def try_them(some: Sequence[bytes]) -> list[bytes]:
        await database.fetch(plan.statement(only=some))
        return []

    async def refuse(one: bytes, error: RequestError) -> list[bytes]:
        reasons.append(error.reason or error.detail)
        return [one]

    refused = await read_in_halves(stored, try_them, is_refusal, refuse)
    layer = _layer(await database.fetch(plan.statement(without=refused)))
    if refused:
        collection = plan.collection.id
        emit(GeometriesRefused(collection, len(refused), reasons[0]))
    return layer


def _layer(rows: Sequence[Row]) -> Layer:
    body, features = rows[0]
    return Layer(bytes(body or b""), features)
