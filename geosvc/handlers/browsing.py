"""Features for people: a page of them as a table with a form, one of them with its attributes. Programs are sent on to
`features`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus

from aiohttp import hdrs, web

from geosvc.database.features import fetch_features
from geosvc.encode.cells import LONG_CHARACTERS, ShownFeature, read_feature
from geosvc.errors import NotFound, RequestError
from geosvc.handlers import features
from geosvc.handlers.documents import collection_of, query_of
from geosvc.handlers.html import html_response, wants_page
from geosvc.handlers.pages import content_crs, count_matching, describe_page, reading_rules
from geosvc.keys import DATABASE, HUB, SETTINGS
from geosvc.links import alternate_href, base_url, changes_url, item_url, query_href
from geosvc.model.collection import Collection, Column
from geosvc.model.media_type import GEOJSON, HTML, ITEM_TYPES, ITEMS_TYPES
from geosvc.query.features import select_items
from geosvc.query.paging import PageEnd
from geosvc.query.writing import wanted_columns
from geosvc.requests.changes import select_changes
from geosvc.requests.declared import PLACE_OF_PAGE
from geosvc.requests.feature_id import parse_feature_id
from geosvc.requests.form import fill_form, is_form, quote_name, read_form
from geosvc.requests.items import ItemsRequest, Limits, parse_item_request

MAX_ROWS = 200
"""Features of a page for people at the most; programs get as many as they ask for."""

_HEAVY_BYTES = 2_000_000
_NOT_FOR_THE_MAP = ("f", "count", "crs", "skipGeometry", "simplify", "zoom-level", "precision")


@dataclass(frozen=True, slots=True)
class Live:
    """How a page follows the changes of what it shows.

    Attributes:
        href: of the stream.
        after: the id of the event to go on after: from before the page was read.
    """

    href: str
    after: str


@dataclass(frozen=True, slots=True)
class Heading:
    """The head of a column.

    Attributes:
        sorted: ascending, descending or none; empty where there is no order.
        href: sorts by it, or the other way round.
    """

    column: Column
    sorted: str
    href: str


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of features as it is shown.

    Attributes:
        members: of the FeatureCollection beside its features.
        map_href: the same features as GeoJSON, for the map.
        heavy: whether they are so large that the map asks for simpler ones.
    """

    headings: tuple[Heading, ...]
    features: tuple[tuple[str | None, ShownFeature], ...]
    members: Mapping[str, object]
    limit: int
    map_href: str
    heavy: bool
    headers: Mapping[str, str]


async def get_items(request: web.Request) -> web.StreamResponse:
    """A page of features. What is wrong with the query is told beside the form."""
    collection = await collection_of(request)
    asked = features.recall(request, collection)
    if asked is None and not wants_page(request, ITEMS_TYPES):
        asked = features.read_asked(request, collection)
    if asked is not None:
        return await features.send_items(request, asked)
    values = query_of(request)
    if is_form(values, collection):
        # relative, since browsers follow a form only to where the page is from
        href = query_href(read_form(values, collection)) or request.rel_url.raw_name
        return web.Response(status=303, headers={hdrs.LOCATION: href})
    limits = _limits(request)
    live = _live(request, collection, _for_map(values))
    listing, problem = None, None
    try:
        listing = await _read_listing(request, collection, limits)
    except RequestError as error:
        if error.status != HTTPStatus.BAD_REQUEST:
            raise
        problem = error
    form = fill_form(values, collection, limits.default)
    others = [(each, alternate_href(values, each)) for each in ITEMS_TYPES if each is not HTML]
    response = html_response(
        request,
        "items.html",
        others,
        HTTPStatus.BAD_REQUEST if problem else HTTPStatus.OK,
        collection=collection,
        values=values,
        form=form,
        listing=listing,
        live=live,
        problem=problem,
        maximum=limits.maximum,
    )
    if listing is not None:
        response.headers.update(listing.headers)
    return response


def _for_map(values: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if name not in _NOT_FOR_THE_MAP}


def _live(request: web.Request, collection: Collection, values: Mapping[str, str]) -> Live | None:
    if collection.publication is None or not collection.is_followed:
        return None
    # numbers keep their digits, as those of the map
    href = changes_url(base_url(request), collection, {**select_changes(values), "bigint": "string"})
    return Live(href, request.app[HUB].position(collection.publication.id))


def _limits(request: web.Request) -> Limits:
    settings = request.app[SETTINGS]
    return Limits(min(settings.limit_default, MAX_ROWS), min(settings.limit_max, MAX_ROWS))


def _without_geometry(wanted: ItemsRequest) -> ItemsRequest:
    """The map asks for geometries itself, so that a page is small however large they are."""
    return replace(wanted, geometry=replace(wanted.geometry, skip=True))


async def _read_listing(request: web.Request, collection: Collection, limits: Limits) -> Listing:
    """Raises: RequestError."""
    reading = features.parse_reading(request, collection, ITEMS_TYPES, replace(reading_rules(request), limits=limits))
    reading = replace(reading, wanted=_without_geometry(reading.wanted))
    wanted = reading.wanted
    page = select_items(collection, wanted, GEOJSON)
    end = PageEnd(wanted.limit)
    rows = end.take(await fetch_features(request.app[DATABASE], page))
    count = await count_matching(request, reading, end)
    shown = [read_feature(row[0]) for row in rows]
    return Listing(
        headings=tuple(_heading(column, wanted, reading.values) for column in wanted_columns(collection, wanted)),
        features=tuple((each.id and item_url(reading.base, collection, each.id), each) for each in shown),
        members=describe_page(reading, end, count),
        limit=wanted.limit or 0,
        map_href=query_href({**_for_map(reading.values), "limit": str(wanted.limit), "count": "none", "f": GEOJSON.short}),
        heavy=collection.row_bytes * len(rows) > _HEAVY_BYTES,
        headers=content_crs(wanted),
    )


def _heading(column: Column, wanted: ItemsRequest, values: Mapping[str, str]) -> Heading:
    if not column.scalar:
        return Heading(column, "", "")
    first = wanted.sortby[0] if wanted.sortby else None
    up = first is not None and first.name == column.name and not first.descending
    down = first is not None and first.name == column.name and first.descending
    following = {name: value for name, value in values.items() if name not in {*PLACE_OF_PAGE, "sortby"}}
    href = query_href({**following, "sortby": ("-" if up else "") + quote_name(column.name)})
    return Heading(column, "ascending" if up else "descending" if down else "none", href)


async def get_item(request: web.Request) -> web.Response:
    """One feature."""
    if not wants_page(request, ITEM_TYPES):
        return await features.get_item(request)
    collection, values = await collection_of(request), query_of(request)
    wanted = parse_item_request(values, collection, reading_rules(request, paged=False))
    feature_id = request.match_info["featureId"]
    key = parse_feature_id(feature_id, collection)
    live = _live(request, collection, {"skipGeometry": "true"})
    found = await features.find_feature(request, collection, _without_geometry(wanted), key)
    if found is None or found.text is None:
        raise NotFound(f"{collection.id} has no feature {feature_id!r}")
    response = html_response(
        request,
        "item.html",
        [(each, alternate_href(values, each)) for each in ITEM_TYPES if each is not HTML],
        collection=collection,
        columns=wanted_columns(collection, wanted),
        feature=read_feature(found.text, LONG_CHARACTERS),
        map_href=query_href({**_for_map(values), "f": GEOJSON.short}),
        live=live,
        url=item_url(base_url(request), collection, feature_id),
    )
    response.headers.update(content_crs(wanted))
    return response
