"""The statements that geosvc's own planner composes, and the sessions it runs them in, for peers
without geosvc.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pydantic import SecretStr

from geosvc.catalog.collections import Catalog
from geosvc.database.catalog import load_catalog, served_collections
from geosvc.database.pool import Database
from geosvc.formats import GEOJSON_FORMAT
from geosvc.query.features import select_item, select_items
from geosvc.query.tiles.layer import LayerPlan
from geosvc.requests.items import (
    ItemsQuery,
    PageLimits,
    ReadingRules,
    parse_item_query,
    parse_items_query,
)
from geosvc.requests.search import parse_search
from geosvc.settings import Settings
from geosvc.settings.tile_limits import TileSettings
from geosvc.sql.compose import Statement
from geosvc.tile_matrix_sets import load_tile_matrix_sets

_TAG = re.compile(r"\(SELECT set_config\('application_name', \$\d+::text, true\)\) IS NOT NULL")
_PLANNED_BY_VALUES = re.compile(r"\(\$\d+::bool OR \(SELECT count\(\*\) FROM [^)]*\)\) > 0\)")
_SESSION = Statement(
    "session", "SELECT name, current_setting(name) FROM pg_settings WHERE source = 'session'"
)


def _untagged(statement: Statement) -> Statement:
    """Without the condition that tells the server the request's id: what that costs is geosvc's
    own.
    """
    text, tags = _TAG.subn("true", statement.text)
    assert tags, statement.text
    return replace(statement, text=text)


SEARCHING = ReadingRules(PageLimits(10, 10_000))


@dataclass(frozen=True, slots=True)
class Planner:
    """Statements for the requests of the benchmarks.

    Attributes:
        session: what geosvc sets in its sessions; plans depend on it, so the peers set the same.
    """

    catalog: Catalog
    session: Mapping[str, str]

    def page(self, collection_id: str, bbox: str, limit: int) -> Statement:
        """Of `/items?bbox=…&limit=…`."""
        collection = self.catalog[collection_id]
        values = {"bbox": bbox, "limit": str(limit)}
        wanted = parse_items_query(values, collection, ReadingRules(PageLimits(limit, limit)))
        return _untagged(select_items(collection, wanted, GEOJSON_FORMAT).statement)

    def items(self, collection_id: str, values: Mapping[str, str]) -> Statement:
        """Of `/items` with these parameters."""
        collection = self.catalog[collection_id]
        return _untagged(
            select_items(
                collection, parse_items_query(values, collection, SEARCHING), GEOJSON_FORMAT
            ).statement
        )

    def export(self, collection_id: str) -> Statement:
        """Of `/export`."""
        collection = self.catalog[collection_id]
        return _untagged(
            select_items(collection, parse_items_query({}, collection), GEOJSON_FORMAT).statement
        )

    def item(self, collection_id: str, feature_id: str) -> Statement:
        """Of `/items/{featureId}`, as a look-up of one feature."""
        collection = self.catalog[collection_id]
        statement = _untagged(
            select_item(
                collection, parse_item_query({}, collection), GEOJSON_FORMAT, (feature_id,)
            ).statement
        )
        # look-ups of several features, which geosvc runs instead, are planned once
        return replace(statement, text=_PLANNED_BY_VALUES.sub("true", statement.text))

    def tile(self, collection_id: str, address: tuple[int, int, int]) -> Statement:
        """Of a tile of WebMercatorQuad, (zoom, row, column)."""
        zoom, row, column = map(str, address)
        mercator = load_tile_matrix_sets(["WebMercatorQuad"]).find("WebMercatorQuad")
        query = ItemsQuery(limit=TileSettings().tile_max_features)
        plan = LayerPlan(self.catalog[collection_id], query, mercator.tile(zoom, row, column))
        return _untagged(plan.full())

    def search(self, collection_id: str, body: bytes) -> Statement:
        """Of `POST /search`."""
        collection = self.catalog[collection_id]
        return _untagged(
            select_items(
                collection, parse_search(body, collection, SEARCHING, 1_000), GEOJSON_FORMAT
            ).statement
        )


async def make_planner(url: str) -> Planner:
    """What geosvc plans with in this database."""
    settings = Settings(database_url=SecretStr(url))
    database = Database(settings, url)
    await database.open()
    try:
        catalog = await load_catalog(database, served_collections(settings), "", "")
        session = {row[0]: row[1] for row in await database.fetch(_SESSION)}
    finally:
        await database.close()
    return Planner(catalog, session)
