"""Every href and rel. Source: OGC 17-069r4 7 and RFC 8288."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from urllib.parse import quote, urlencode

from aiohttp import web

from geosvc.about import About
from geosvc.errors import InvalidParameter
from geosvc.http.keys import SETTINGS
from geosvc.http.mounting import prefix_of
from geosvc.model.collection import Collection
from geosvc.model.feature import IDS_WITHOUT_URL
from geosvc.model.media_type import (
    EVENTS,
    GEOJSON,
    HTML,
    JSON,
    OPENAPI,
    SCHEMA,
    MediaType,
)
from geosvc.requests.declared import PAGE_START

Link = dict[str, str]

REL = "http://www.opengis.net/def/rel/ogc/1.0"
_HOST = re.compile(r"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?", re.ASCII)
_MAX_PORT = 65_535
_SCHEMA_LINKS = (
    ("schema/feature", "describedby", "JSON Schema of a feature as GeoJSON"),
    ("schema", f"{REL}/schema", "Schema of the properties"),
    ("queryables", f"{REL}/queryables", "Queryables: what a filter may name"),
    ("sortables", f"{REL}/sortables", "Sortables: what sortby may name"),
)
"""The schemas of a collection: (path, rel, title)."""


def base_url(request: web.Request) -> str:
    """The root URL that clients see: PUBLIC_URL, or the URL to which the request was sent.

    Raises: InvalidParameter when Host cannot be part of a URL.
    """
    public_url = request.app[SETTINGS].public_url
    if public_url is not None:
        return public_url
    match = _HOST.fullmatch(request.host)
    if match is None or int(match["port"] or 0) > _MAX_PORT:
        raise InvalidParameter("the header Host is not a host with a port")
    return f"{request.scheme}://{request.host}{prefix_of(request)}"


def link(href: str, rel: str, media_type: MediaType, title: str) -> Link:
    """One link object."""
    content_type, _, _ = media_type.content_type.partition("; ")
    return {"href": href, "rel": rel, "type": content_type, "title": title}


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
        link(f"{base}/functions", f"{REL}/functions", JSON, "Functions for filters"),
    ]


def legal_links(about: About) -> list[Link]:
    """The links to the licence of the data and to the terms of service.

    Source: OGC 17-069r4 /rec/core/fc-md-license; IANA's link relations license and
    terms-of-service.
    """
    links = []
    licence = about.license
    if licence is not None and licence.url is not None:
        links.append(link(licence.url, "license", HTML, licence.name))
    if about.terms is not None:
        links.append(link(about.terms, "terms-of-service", HTML, "Terms of service"))
    return links


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
    return f"{base}/collections/{_quote_id(collection.id)}"


@lru_cache(maxsize=4096)
def _quote_id(collection_id: str) -> str:
    return quote(collection_id, safe="")


def items_url(base: str, collection: Collection) -> str:
    """The URL of the features of a collection."""
    return f"{collection_url(base, collection)}/items"


def changes_url(base: str, collection: Collection, values: Mapping[str, str] | None = None) -> str:
    """The URL of the stream of the changes of a collection."""
    return _with_query(f"{collection_url(base, collection)}/changes", (values or {}).items())


def collection_links(
    base: str, collection: Collection, items_types: Iterable[MediaType]
) -> list[Link]:
    """The links of a collection: itself, its features in each media type, its schemas, and its
    changes where they are logged.

    Args:
        items_types: the media types of its features.
    Source: OGC 23-057r1 for the rel `hub` of the changes.
    """
    url = collection_url(base, collection)
    links = document_links(url)
    links += _links_to_items(url, items_types)
    links.append(link(f"{url}/export", "enclosure", GEOJSON, "All features as one download"))
    if collection.has_change_stream:
        changes = changes_url(base, collection)
        links.append(link(changes, "hub", EVENTS, "Stream of changes"))
    return links + _links_to_schemas(url)


def _links_to_schemas(collection_href: str) -> list[Link]:
    links: list[Link] = []
    for path, rel, title in _SCHEMA_LINKS:
        links.append(link(f"{collection_href}/{path}", rel, SCHEMA, title))
    return links


def _links_to_items(collection_href: str, items_types: Iterable[MediaType]) -> list[Link]:
    items = f"{collection_href}/items"
    links = [link(items, "items", GEOJSON, "Features as GeoJSON")]
    for media_type in items_types:
        if media_type is GEOJSON:
            continue
        title = f"Features as {media_type.title}"
        links.append(link(f"{items}?f={media_type.short}", "items", media_type, title))
    return links


def queryables_header(base: str, collection: Collection) -> str:
    """The header Link of a resource that can be filtered.

    Source: OGC 19-079r2 /req/queryables/queryables-link B.
    """
    url = f"{collection_url(base, collection)}/queryables"
    return f'<{url}>; rel="{REL}/queryables"; type="{SCHEMA.content_type}"'


def _with_query(url: str, values: Iterable[tuple[str, str]]) -> str:
    query = urlencode(list(values), quote_via=quote, safe=",:/")
    if not query:
        return url
    return f"{url}?{query}"


def items_links(
    base: str,
    collection: Collection,
    values: Mapping[str, str],
    media_types: Sequence[MediaType],
) -> list[Link]:
    """The links of a page: itself, its other media types, and the collection.

    Args:
        values: the parameters of the request.
        media_types: that of this page first, then all others that it has.
    """
    collection_href = collection_url(base, collection)
    url = f"{collection_href}/items"
    media_type, *others = media_types
    this_page = _with_query(url, values.items())
    without_format = dict(values)
    without_format.pop("f", None)
    alternates = _with_query(url, without_format.items())
    separator = "&" if without_format else "?"
    links = [link(this_page, "self", media_type, "This page")]
    for other in others:
        href = f"{alternates}{separator}f={other.short}"
        links.append(link(href, "alternate", other, other.title))
    links.append(link(collection_href, "collection", JSON, "The collection"))
    return links


def next_pages_url(base: str, collection: Collection, values: Mapping[str, str]) -> str:
    """The URL of all pages after this one, up to the cursor: the same parameters."""
    parameters: list[tuple[str, str]] = []
    for name, value in values.items():
        if name not in PAGE_START:
            parameters.append((name, value))
    return _with_query(items_url(base, collection), [*parameters, ("cursor", "")])


def search_links(
    base: str, collection: Collection, media_type: MediaType
) -> list[Mapping[str, object]]:
    """The links of the answer to a search: to the search, and to the collection."""
    collection_href = collection_url(base, collection)
    return [
        {**link(f"{collection_href}/search", "self", media_type, "This page"), "method": "POST"},
        link(collection_href, "collection", JSON, "The collection"),
    ]


def next_search_link(
    base: str, collection: Collection, media_type: MediaType, cursor: str
) -> Mapping[str, object]:
    """The link to the next page of a search, in the words of the STAC API.

    It is the same body with another cursor.
    """
    url = f"{collection_url(base, collection)}/search"
    post = {"method": "POST", "body": {"cursor": cursor}, "merge": True}
    return {**link(url, "next", media_type, "Next page"), **post}


def item_url(base: str, collection: Collection, feature_id: str) -> str:
    """The URL of a feature."""
    return f"{items_url(base, collection)}/{quote(feature_id, safe='')}"


def item_links(
    base: str,
    collection: Collection,
    feature_id: str | None,
    media_type: MediaType,
    item_types: Iterable[MediaType],
) -> list[Link]:
    """The links of a feature. A feature without an id has no link to itself.

    Args:
        item_types: all media types of the feature.
    """
    collection_href = collection_url(base, collection)
    to_collection = link(collection_href, "collection", JSON, "The collection")
    if feature_id is None or feature_id in IDS_WITHOUT_URL:
        return [to_collection]
    url = f"{collection_href}/items/{quote(feature_id, safe='')}"
    links = [link(url, "self", media_type, "This feature")]
    for other in item_types:
        if other is media_type:
            continue
        title = f"This feature as {other.title}"
        links.append(link(f"{url}?f={other.short}", "alternate", other, title))
    return [*links, to_collection]
