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
from geosvc.handlers.map_links import live_stream, map_parameters, without_geometry
from geosvc.handlers.page_counts import count_matching
from geosvc.handlers.page_members import content_crs, describe_page
from geosvc.http.html import html_response
from geosvc.http.keys import DATABASE, FORMATS, SETTINGS
from geosvc.http.links import alternate_href, item_url, query_href
from geosvc.http.validators import with_validators
from geosvc.model.collection import Collection, Column
from geosvc.model.media_type import GEOJSON, HTML
from geosvc.query.paging import PageEnd, features_before
from geosvc.query.property_columns import property_columns
from geosvc.requests.declared import PLACE_OF_PAGE
from geosvc.requests.form import fill_form
from geosvc.requests.form_fields import is_form, quote_name, read_form
from geosvc.requests.items import ItemsQuery, PageLimits

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
    heavy: bool
    headers: Mapping[str, str]


async def answer_items_page(
    request: web.Request, collection: Collection, values: Mapping[str, str]
) -> web.Response:
    """The page; an invalid parameter is reported beside the form. Raises: RequestError."""
    if is_form(values, collection):
        # relative, since browsers follow a form only to the origin of the page
        href = query_href(read_form(values, collection)) or request.rel_url.raw_name
        return web.Response(status=303, headers={hdrs.LOCATION: href})
    limits = _limits(request)
    live = live_stream(request, collection, map_parameters(values))
    listing, problem, status = None, None, HTTPStatus.OK
    try:
        listing = await _read_listing(request, collection, values, limits)
    except RequestError as error:
        if error.status != HTTPStatus.BAD_REQUEST:
            raise
        problem, status = error, HTTPStatus.BAD_REQUEST
    downloads = request.app[FORMATS].export_types
    response = html_response(
        request,
        "items.html",
        [(each, alternate_href(values, each)) for each in downloads],
        status,
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


def _limits(request: web.Request) -> PageLimits:
    settings = request.app[SETTINGS]
    return PageLimits(min(settings.limit_default, MAX_ROWS), min(settings.limit_max, MAX_ROWS))


async def _read_listing(
    request: web.Request, collection: Collection, values: Mapping[str, str], limits: PageLimits
) -> Listing:
    """Raises: RequestError."""
    rules = replace(reading_rules(request), limits=limits)
    feature_query = await parse_feature_query(request, collection, values, HTML, rules)
    query = without_geometry(feature_query.query)
    feature_query = replace(feature_query, query=query)
    page = await plan_page(request, collection, query, feature_query.format)
    end = PageEnd(query.limit)
    rows = end.take(await fetch_features(request.app[DATABASE], page))
    count = await count_matching(request, feature_query, end=end)
    shown = [read_feature(row[0]) for row in rows]
    return _listing(feature_query, shown, end, describe_page(feature_query, end, count))


def _listing(
    feature_query: FeatureQuery,
    shown: list[ShownFeature],
    end: PageEnd,
    members: Mapping[str, object],
) -> Listing:
    collection, query = feature_query.collection, feature_query.query
    values, limit = feature_query.values, query.limit or 0
    key = collection.key_columns[0] if len(collection.key) == 1 else None
    columns = [column for column in property_columns(collection, query) if column is not key]
    before = features_before(query)
    is_first_known = before > 0 or query.cursor is None
    map_page = {"limit": str(query.limit), "count": "none", "f": GEOJSON.short}
    return Listing(
        id_heading=_heading(key, query, values) if key is not None else None,
        headings=tuple(_heading(column, query, values) for column in columns),
        features=tuple((_feature_href(feature_query, feature), feature) for feature in shown),
        members=members,
        first=before + 1 if is_first_known else None,
        previous=_previous(values, before, limit),
        limit=limit,
        geojson_href=alternate_href(values, GEOJSON),
        map_href=query_href({**map_parameters(values), **map_page}),
        heavy=collection.row_bytes * end.returned > _HEAVY_BYTES,
        headers=content_crs(query),
    )


def _feature_href(feature_query: FeatureQuery, feature: ShownFeature) -> str | None:
    if not feature.id:
        return feature.id
    return item_url(feature_query.base, feature_query.collection, feature.id)


def _previous(values: Mapping[str, str], before: int, limit: int) -> str:
    """The page before the one that begins after so many features.

    It is asked for by `offset`, since a cursor leads only forward.
    """
    if not before:
        return ""
    parameters = {name: value for name, value in values.items() if name not in PLACE_OF_PAGE}
    if before > limit:
        parameters["offset"] = str(before - limit)
    return query_href(parameters) or "items"


def _heading(column: Column, query: ItemsQuery, values: Mapping[str, str]) -> Heading:
    if not column.sortable:
        return Heading(column, "", "")
    direction = "none"
    if query.sortby and query.sortby[0].name == column.name:
        direction = "descending" if query.sortby[0].descending else "ascending"
    sortby = quote_name(column.name)
    if direction == "ascending":
        sortby = f"-{sortby}"
    parameters = {name: value for name, value in values.items() if name not in PLACE_OF_PAGE}
    parameters.pop("sortby", None)  # so that it becomes the last
    return Heading(column, direction, query_href({**parameters, "sortby": sortby}))
