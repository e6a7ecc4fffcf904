"""One feature for people: its attributes and a map."""

from collections.abc import Mapping

from aiohttp import web

from geosvc.encode.cells import LONG_CHARACTERS, SHORT_CHARACTERS, ShownFeature, read_feature
from geosvc.handlers.feature_lookup import get_feature
from geosvc.handlers.feature_query import reading_rules
from geosvc.handlers.map_links import live_stream, map_parameters, without_geometry
from geosvc.handlers.page_members import content_crs
from geosvc.http.html import html_response
from geosvc.http.keys import FORMATS
from geosvc.http.links import alternate_href, base_url, item_url, query_href
from geosvc.http.validators import with_validators
from geosvc.model.collection import Collection
from geosvc.model.media_type import GEOJSON, HTML
from geosvc.query.property_columns import property_columns
from geosvc.requests.items import parse_item_query

_NAME_COLUMNS = (
    "name",
    "title",
    "label",
    "name_en",
    "display_name",
    "full_name",
    "name_long",
    "name:en",
)
"""Columns with the name of a feature, the likeliest first."""


async def answer_item_page(
    request: web.Request,
    collection: Collection,
    values: Mapping[str, str],
) -> web.Response:
    """The page. Raises: RequestError, NotFound among them."""
    rules = reading_rules(request, paged=False)
    query = parse_item_query(values, collection, rules)
    feature_id = request.match_info["featureId"]
    # before the feature is read, so that no change is missed between
    live = live_stream(request, collection, {"skipGeometry": "true"})
    _, text = await get_feature(request, collection, without_geometry(query), feature_id)
    feature = read_feature(text, LONG_CHARACTERS)
    item_types = request.app[FORMATS].item_types
    others = [(each, alternate_href(values, each)) for each in item_types if each is not HTML]
    of_map = {**map_parameters(values), "f": GEOJSON.short}
    response = html_response(
        request,
        "item.html",
        others,
        collection=collection,
        columns=property_columns(collection, query),
        feature=feature,
        name=name_of(collection, feature),
        map_href=query_href(of_map),
        live=live,
        url=item_url(base_url(request), collection, feature_id),
    )
    response.headers.update(content_crs(query))
    return with_validators(request, response)


def name_of(collection: Collection, feature: ShownFeature) -> str:
    """The name of a feature, by a column that is called so; empty when there is none."""
    for column_name in _likely_name_columns(collection):
        cell = feature.cells.get(column_name)
        if cell is None or cell.kind != "text" or len(cell.text) > SHORT_CHARACTERS:
            continue
        name = cell.text.strip()
        if name:
            return name
    return ""


def _likely_name_columns(collection: Collection) -> list[str]:
    """The columns that may have the name of a feature, the likeliest first."""
    by_lower_name: dict[str, str] = {}
    for column in collection.columns:
        if column.is_scalar:
            by_lower_name[column.name.lower()] = column.name
    likely = [name for name in _NAME_COLUMNS if name in by_lower_name]
    for name in sorted(by_lower_name):
        if name.endswith(("_name", " name")) and name not in likely:
            likely.append(name)
    return [by_lower_name[name] for name in likely]
