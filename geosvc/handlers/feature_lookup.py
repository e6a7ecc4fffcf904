"""Finds one feature by the id in the path."""

from aiohttp import web

from geosvc.database.reads.features import fetch_item
from geosvc.errors import InvalidValue, NotFound
from geosvc.formats import GEOJSON_FORMAT
from geosvc.http.keys import DATABASE, LOOKUPS, PRINCIPAL
from geosvc.model.collection import Collection
from geosvc.model.feature import StoredFeature
from geosvc.query.feature_format import FeatureFormat
from geosvc.query.features import select_item
from geosvc.requests.items import ItemsQuery
from geosvc.values.feature_id import parse_feature_id


async def get_feature(
    request: web.Request,
    collection: Collection,
    query: ItemsQuery,
    feature_id: str,
    feature_format: FeatureFormat = GEOJSON_FORMAT,
) -> tuple[StoredFeature, bytes]:
    """A feature, and its text in UTF-8. Raises: RequestError, NotFound among them."""
    key = parse_feature_id(feature_id, collection)
    feature: StoredFeature | None = None
    try:
        if _can_share_statement(collection):
            lookups = request.app[LOOKUPS]
            principal = request[PRINCIPAL]
            feature = await lookups.get(principal, collection, query, feature_format, key[0])
        else:
            page = select_item(collection, query, feature_format, key)
            feature = await fetch_item(request.app[DATABASE], page)
    except InvalidValue:
        if collection.parameters is not None:
            raise  # the arguments of the function may be what is invalid
        # else the key is none that the table could hold
    if feature is None or feature.text is None:
        raise NotFound(f"{collection.id} has no feature {feature_id!r}")
    return feature, feature.text


def _can_share_statement(collection: Collection) -> bool:
    """Whether one statement can find features by a list of keys."""
    if len(collection.key) != 1:
        return False
    column = collection.by_name[collection.key[0]]
    # in a list of arrays each element would become a row of its own
    is_array = column.category == "A"
    return not is_array
