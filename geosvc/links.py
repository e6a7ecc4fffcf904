"""Every href and rel. Source: OGC 17-069r4 7 and RFC 8288."""

import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, urlencode

from aiohttp import web

from geosvc.errors import InvalidParameter
from geosvc.keys import SETTINGS
from geosvc.model.collection import Collection
from geosvc.model.media_type import EVENTS, GEOJSON, HTML, ITEM_TYPES, ITEMS_TYPES, JSON, OPENAPI, SCHEMA, MediaType
from geosvc.requests.declared import PLACE_OF_PAGE

Link = dict[str, str]

REL = "http://www.opengis.net/def/rel/ogc/1.0"
_HOST = re.compile(r"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?", re.ASCII)
_MAX_PORT = 65_535


def base_url(request: web.Request) -> str:
    """The root that clients see: PUBLIC_URL, else what this request asked for.

    Raises: InvalidParameter when Host cannot be part of a URL.
    """
    public_url = request.app[SETTINGS].public_url
    if public_url is not None:
        return public_url
    match = _HOST.fullmatch(request.host)
    if match is None or int(match["port"] or 0) > _MAX_PORT:
        raise InvalidParameter("the header Host is not a host with a port")
    return f"{request.scheme}://{request.host}"


def link(href: str, rel: str, media_type: MediaType, title: str) -> Link:
    """One link object."""
    return {"href": href, "rel": rel, "type": media_type.content_type.partition("; ")[0], "title": title}


def document_links(url: str, media_type: MediaType = JSON) -> list[Link]:
    """The links of a document to itself: as JSON, and as a page."""
    return [
        link(url, "self", media_type, "This document"),
        link(f"{url}?f={HTML.short}", "alternate", HTML, "This document as HTML"),
    ]


def query_href(values: Mapping[str, str]) -> str:
    """The same resource with these parameters, relative to it; empty without any."""
    return _with_query("", values.items())


def alternate_href(values: Mapping[str, str], media_type: MediaType) -> str:
    """The same resource with the same parameters in another media type, relative to it."""
    return query_href({**values, "f": media_type.short})


def landing_links(base: str) -> list[Link]:
    """The links of the landing page."""
    return [
        *document_links(f"{base}/"),
        link(f"{base}/api", "service-desc", OPENAPI, "The API's description"),
        link(f"{base}/api.html", "service-doc", HTML, "The API's description as HTML"),
        link(f"{base}/conformance", "conformance", JSON, "Conformance classes"),
        link(f"{base}/collections", "data", JSON, "Collections"),
        link(f"{base}/functions", f"{REL}/functions", JSON, "Functions that filters may call"),
    ]


def conformance_links(base: str) -> list[Link]:
    """The links of the conformance declaration."""
    return document_links(f"{base}/conformance")


def functions_links(base: str) -> list[Link]:
    """The links of the list of functions."""
    return document_links(f"{base}/functions")


def collections_links(base: str) -> list[Link]:
    """The links of the list of collections."""
    return document_links(f"{base}/collections")


def collection_url(base: str, collection: Collection) -> str:
    """The URL of a collection."""
    return f"{base}/collections/{quote(collection.id, safe='')}"


def changes_url(base: str, collection: Collection, values: Mapping[str, str] | None = None) -> str:
    """The URL of the stream of a collection's changes."""
    return _with_query(f"{collection_url(base, collection)}/changes", (values or {}).items())


def collection_links(base: str, collection: Collection) -> list[Link]:
    """The links of a collection: itself, its features in every media type, and its changes where they are logged.

    Source: OGC 23-057r1 calls what tells of changes `hub`.
    """
    url = collection_url(base, collection)
    items = f"{url}/items"
    return [
        *document_links(url),
        link(items, "items", GEOJSON, "Features as GeoJSON"),
        *(
            link(f"{items}?f={media_type.short}", "items", media_type, f"Features as {media_type.title}")
            for media_type in ITEMS_TYPES
            if media_type is not GEOJSON
        ),
        link(f"{url}/export", "enclosure", GEOJSON, "All features as one download"),
        *([link(changes_url(base, collection), "hub", EVENTS, "Changes as they are made")] if collection.is_followed else []),
        link(f"{url}/schema/feature", "describedby", SCHEMA, "What a feature looks like as GeoJSON"),
        *(
            link(f"{url}/{name}", f"{REL}/{name}", SCHEMA, title)
            for name, title in (
                ("schema", "What features have"),
                ("queryables", "What they can be filtered by"),
                ("sortables", "What they can be sorted by"),
            )
        ),
    ]


def queryables_header(base: str, collection: Collection) -> str:
    """The header Link of whatever can be filtered. Source: OGC 19-079r2 /req/queryables/queryables-link B."""
    return f'<{collection_url(base, collection)}/queryables>; rel="{REL}/queryables"; type="{SCHEMA.content_type}"'


def _with_query(url: str, values: Iterable[tuple[str, str]]) -> str:
    query = urlencode(list(values), quote_via=quote, safe=",:/")
    return f"{url}?{query}" if query else url


def items_links(
    base: str, collection: Collection, values: Mapping[str, str], media_type: MediaType, cursor: str | None
) -> list[Link]:
    """The links of a page: itself, its other media types, the collection, and the next page if there is one.

    Args:
        values: the parameters of the request.
        cursor: of the next page.
    """
    url = f"{collection_url(base, collection)}/items"
    links = [link(_with_query(url, values.items()), "self", media_type, "This page")]
    links += [
        link(_with_query(url, {**values, "f": other.short}.items()), "alternate", other, other.title)
        for other in ITEMS_TYPES
        if other is not media_type
    ]
    links.append(link(collection_url(base, collection), "collection", JSON, "The collection"))
    if cursor is not None:
        following = {name: value for name, value in values.items() if name not in PLACE_OF_PAGE}
        links.append(link(_with_query(url, {**following, "cursor": cursor}.items()), "next", media_type, "Next page"))
    return links


def search_links(base: str, collection: Collection, media_type: MediaType, cursor: str | None) -> list[Mapping[str, object]]:
    """The links of the answer to a search: to ask again, the collection, and how the next page is asked for: the same body
    with another cursor, as STAC API words it.

    Args:
        cursor: of the next page.
    """
    url = f"{collection_url(base, collection)}/search"
    links: list[Mapping[str, object]] = [
        {**link(url, "self", media_type, "This page"), "method": "POST"},
        link(collection_url(base, collection), "collection", JSON, "The collection"),
    ]
    if cursor is not None:
        following = {"method": "POST", "body": {"cursor": cursor}, "merge": True}
        links.append({**link(url, "next", media_type, "Next page"), **following})
    return links


def item_url(base: str, collection: Collection, feature_id: str) -> str:
    """The URL of a feature."""
    return f"{collection_url(base, collection)}/items/{quote(feature_id, safe='')}"


def item_links(base: str, collection: Collection, feature_id: str | None) -> list[Link]:
    """The links of a feature; one without an id has none to itself."""
    links = [link(collection_url(base, collection), "collection", JSON, "The collection")]
    if feature_id is None:
        return links
    url = item_url(base, collection, feature_id)
    others = (each for each in ITEM_TYPES if each is not GEOJSON)
    return [
        link(url, "self", GEOJSON, "This feature"),
        *(link(f"{url}?f={each.short}", "alternate", each, f"This feature as {each.title}") for each in others),
        *links,
    ]
