"""A page of features for people: a table, a form to search with, and a map."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus

from aiohttp import hdrs, web

from geosvc.database.reads.features import fetch_features
from geosvc.encode.cells import ShownFeature, read_feature
from geosvc.errors import RequestError
from geosvc.handlers.feature_query import (
    FeatureQuery,
    parse_feature_query,
    plan_page,
    reading_rules,
)
from geosvc.handlers.map_links import (
    MapTiles,
    live_stream,
    map_parameters,
    style_href,
    without_geometry,
)
from geosvc.handlers.page_members import content_crs, count_matching, describe_page
from geosvc.handlers.tilesets import known_bounds
from geosvc.http.html import html_response
from geosvc.http.keys import DATABASE, FORMATS, SETTINGS, TILE_MATRIX_SETS
from geosvc.http.links import alternate_href, item_url, query_href
from geosvc.http.validators import with_validators
from geosvc.model.collection import Collection, Column
from geosvc.model.media_type import GEOJSON, HTML
from geosvc.query.paging import PageEnd, features_before
from geosvc.query.property_columns import property_columns
from geosvc.requests.declared import PAGE_START
from geosvc.requests.form import fill_form
from geosvc.requests.form_fields import is_form, quote_name, read_form
from geosvc.requests.items import ItemsQuery, PageLimits
from geosvc.requests.style_parameters import colour_columns

MAX_ROWS = 200
"""The maximum of `limit` on a page for people; programs get as many features as they ask for."""

_HEAVY_BYTES = 2_000_000


@dataclass(frozen=True, slots=True)
class Heading:
    """The heading of a column.

    Attributes:
        sorted: ascending, descending or none; empty where the column cannot be sorted by.
        href: sorts by the column, or reverses the order.
    """

    column: Column
    sorted: str
    href: str


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of features as it is shown.

    Attributes:
        id_heading: of the ids, where they are the values of one column; the column is not shown
            again then.
        features: (href or None, feature).
        members: of the FeatureCollection beside its features.
        first: the number of the first feature among all that match, from 1; None where it is not
            known.
        previous: href of the page before; empty on the first.
        geojson_href: the same request for GeoJSON.
        map_href: the same features as GeoJSON, for the map.
        tiles: all features that the page selects, for the map; None where they are on this page,
            or tiles cannot have them.
        heavy: whether they are so large that the map asks for simplified geometries.
    """

    id_heading: Heading | None
    headings: tuple[Heading, ...]
    features: tuple[tuple[str | None, ShownFeature], ...]
    members: Mapping[str, object]
    first: int | None
    previous: str
    limit: int
    geojson_href: str
    map_href: str
    tiles: MapTiles | None
    heavy: bool
    headers: Mapping[str, str]


async def answer_items_page(
    request: web.Request,
    collection: Collection,
    values: Mapping[str, str],
) -> web.Response:
    """The page; an invalid parameter is reported beside the form. Raises: RequestError."""
    if is_form(values, collection):
        return _redirect_form(request, collection, values)
    limits = _limits(request)
    # before the features are read, so that no change is missed between
    live = live_stream(request, collection, map_parameters(values))
    listing: Listing | None = None
    problem: RequestError | None = None
    status = HTTPStatus.OK
    try:
        listing = await _read_listing(request, collection, values, limits)
    except RequestError as error:
        if error.status != HTTPStatus.BAD_REQUEST:
            raise
        problem = error
        status = HTTPStatus.BAD_REQUEST
    downloads = request.app[FORMATS].export_types
    response = html_response(
        request,
        "items.html",
        others=[(each, alternate_href(values, each)) for each in downloads],
        status=status,
        collection=collection,
        values=values,
        form=fill_form(values, collection, limits.default),
        listing=listing,
        live=live,
        problem=problem,
        downloads=downloads,
        maximum=limits.maximum,
    )
    if listing is not None:
        response.headers.update(listing.headers)
    return with_validators(request, response)


def _redirect_form(
    request: web.Request,
    collection: Collection,
    values: Mapping[str, str],
) -> web.Response:
    """The redirect to the page with the parameters that the fields of the form stand for."""
    # relative, since browsers follow a form only to the origin of the page
    href = query_href(read_form(values, collection)) or request.rel_url.raw_name
    headers = {hdrs.LOCATION: href}
    return web.Response(status=303, headers=headers)


def _limits(request: web.Request) -> PageLimits:
    settings = request.app[SETTINGS]
    return PageLimits(
        default=min(settings.limit_default, MAX_ROWS),
        maximum=min(settings.limit_max, MAX_ROWS),
    )


async def _read_listing(
    request: web.Request,
    collection: Collection,
    values: Mapping[str, str],
    limits: PageLimits,
) -> Listing:
    """Raises: RequestError."""
    rules = replace(reading_rules(request), limits=limits)
    feature_query = await parse_feature_query(request, collection, values, HTML, rules)
    query = without_geometry(feature_query.query)
    feature_query = replace(feature_query, query=query)
    page = await plan_page(request, feature_query)
    end = PageEnd(query.limit)
    fetched = await fetch_features(request.app[DATABASE], page)
    shown = [read_feature(row[0]) for row in end.take(fetched)]
    count = await count_matching(request, feature_query, end=end)
    members = describe_page(feature_query, end, count)
    tiles = await _tiles_of(request, feature_query, end)
    return _listing(feature_query, shown, end, members, tiles)


async def _tiles_of(
    request: web.Request, feature_query: FeatureQuery, end: PageEnd
) -> MapTiles | None:
    """The tiles of a page; None where all features are on it, or tiles cannot have them."""
    query = feature_query.query
    begins_later = query.cursor is not None or features_before(query) > 0
    if not begins_later and not end.more:
        return None
    collection = feature_query.collection
    matrix_sets = request.app[TILE_MATRIX_SETS]
    href = style_href(collection, feature_query.values, matrix_sets)
    if not href:
        return None
    extent = None
    if not query.values_decide_plan:
        extent = await known_bounds(request, [collection])
    return MapTiles(href, extent, [column.name for column in colour_columns(collection)])


def _listing(
    feature_query: FeatureQuery,
    shown: list[ShownFeature],
    end: PageEnd,
    members: Mapping[str, object],
    tiles: MapTiles | None,
) -> Listing:
    collection = feature_query.collection
    query = feature_query.query
    values = feature_query.values
    limit = query.limit or 0
    id_heading, headings = _headings(feature_query)
    before = features_before(query)
    return Listing(
        id_heading,
        headings,
        features=tuple((_feature_href(feature_query, feature), feature) for feature in shown),
        members=members,
        first=_first(query, before),
        previous=_previous(values, before, limit),
        limit=limit,
        geojson_href=alternate_href(values, GEOJSON),
        map_href=_map_href(values, limit),
        tiles=tiles,
        heavy=collection.row_bytes * end.returned > _HEAVY_BYTES,
        headers=content_crs(query),
    )


def _headings(feature_query: FeatureQuery) -> tuple[Heading | None, tuple[Heading, ...]]:
    """The heading of the ids, where they are the values of one column, and of the other columns."""
    collection = feature_query.collection
    query = feature_query.query
    values = feature_query.values
    key: Column | None = None
    id_heading: Heading | None = None
    if len(collection.key) == 1:
        key = collection.key_columns[0]
        id_heading = _heading(key, query, values)
    headings = []
    for column in property_columns(collection, query):
        if column is not key:
            headings.append(_heading(column, query, values))
    return id_heading, tuple(headings)


def _first(query: ItemsQuery, before: int) -> int | None:
    """The number of the first feature among all that match; None where it is not known.

    Args:
        before: how many features the pages before have; 0 also for a cursor that does not tell.
    """
    if before == 0 and query.cursor is not None:
        return None
    return before + 1


def _map_href(values: Mapping[str, str], limit: int) -> str:
    """The features of the page as GeoJSON, for the map."""
    parameters = map_parameters(values)
    parameters |= {"limit": str(limit), "count": "none", "f": GEOJSON.short}
    return query_href(parameters)


def _feature_href(feature_query: FeatureQuery, feature: ShownFeature) -> str | None:
    if not feature.id:
        return feature.id
    return item_url(feature_query.base, feature_query.collection, feature.id)


def _previous(values: Mapping[str, str], before: int, limit: int) -> str:
    """The page before the one that begins after so many features.

    It is asked for by `offset`, since a cursor leads only forward.
    """
    if before == 0:
        return ""
    parameters = _without_place(values)
    if before > limit:
        parameters["offset"] = str(before - limit)
    return query_href(parameters) or "items"


def _without_place(values: Mapping[str, str]) -> dict[str, str]:
    """The parameters without those that say where the page starts."""
    parameters = dict(values)
    for name in PAGE_START:
        parameters.pop(name, None)
    return parameters


def _heading(column: Column, query: ItemsQuery, values: Mapping[str, str]) -> Heading:
    if not column.sortable:
        return Heading(column, "", "")
    direction = _direction(column, query)
    sortby = quote_name(column.name)
    if direction == "ascending":
        sortby = f"-{sortby}"
    parameters = _without_place(values)
    parameters.pop("sortby", None)  # so that it becomes the last
    parameters["sortby"] = sortby
    return Heading(column, direction, query_href(parameters))


def _direction(column: Column, query: ItemsQuery) -> str:
    """How the page is sorted by a column: ascending, descending or none."""
    if not query.sortby:
        return "none"
    first_key = query.sortby[0]
    if first_key.name != column.name:
        return "none"
    if first_key.descending:
        return "descending"
    return "ascending"
