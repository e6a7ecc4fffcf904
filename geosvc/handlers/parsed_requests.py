"""Requests for features that were parsed before.

A request that comes again is found by its text and is not parsed again.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from aiohttp import hdrs, web

from geosvc.caching.cache_key import CacheKey
from geosvc.handlers.cached_answer import cache_key_of, tag_of_version
from geosvc.handlers.feature_query import FeatureQuery
from geosvc.http.keys import PRINCIPAL
from geosvc.model.collection import Collection
from geosvc.model.media_type import MediaType
from geosvc.model.principal import Principal
from geosvc.query.feature_format import FeatureFormat
from geosvc.requests.items import ItemsQuery

MAX_CHARACTERS = 1 << 18  # of all keys; a parsed filter takes about sixty times as much
_MAX_KEY_CHARACTERS = 1 << 11
_KEY_CHARACTERS = 64  # that a key takes beside its texts

RequestKey = tuple[Principal, int, str, str, str, str]
"""Everything that decides what a request means: (principal, id() of the collection, the part of the
request line that is parsed, Accept, host, scheme).

The parsed request holds the collection, so no other can get its id() as long as the entry is kept;
after a change of the catalog it is another object.
"""

_T = TypeVar("_T")


@dataclass(slots=True)
class ParsedPageRequest:
    """A request for a page, parsed.

    Attributes:
        headers: of every answer to it.
        large: whether the answer is streamed.
        cache_key: None when the answers have no version.
    """

    feature_query: FeatureQuery
    headers: Mapping[str, str]
    large: bool
    cache_key: CacheKey | None
    _version: int | None = None
    _etag: str = ""

    def etag(self, version: int) -> str:
        """The weak ETag of the answer at a version."""
        if version != self._version and self.cache_key is not None:
            self._version = version
            self._etag = tag_of_version(self.cache_key, version)
        return self._etag


@dataclass(frozen=True, slots=True)
class ParsedItemRequest:
    """A request for one feature, parsed but for the id.

    Attributes:
        item_types: all media types of a feature.
        shared_key: the part of the cache key that all features share; None when they have no
            version.
    """

    collection: Collection
    query: ItemsQuery
    format: FeatureFormat
    item_types: tuple[MediaType, ...]
    base: str
    shared_key: CacheKey | None

    def cache_key(self, feature_id: str) -> CacheKey | None:
        """The cache key of the answer about a feature; None when it has no version."""
        shared = self.shared_key
        if shared is None:
            return None
        return CacheKey(shared.kind, shared.publication, f"{shared.digest} {feature_id}")


class ParsedRequestCache(Generic[_T]):
    """The requests that were parsed last."""

    def __init__(self) -> None:
        self._entries: OrderedDict[RequestKey, _T] = OrderedDict()
        self._characters = 0

    def find(self, key: RequestKey) -> _T | None:
        """The parsed request, if it was parsed before."""
        parsed = self._entries.get(key)
        if parsed is not None:
            self._entries.move_to_end(key)
        return parsed

    def keep(self, key: RequestKey, parsed: _T) -> None:
        """Keeps a parsed request; those used longest ago make room for it."""
        size = _size(key)
        if size > _MAX_KEY_CHARACTERS or key in self._entries:
            return
        self._entries[key] = parsed
        self._characters += size
        while self._characters > MAX_CHARACTERS:
            oldest, _ = self._entries.popitem(last=False)
            self._characters -= _size(oldest)


PARSED_PAGES = web.AppKey("parsed_pages", ParsedRequestCache[ParsedPageRequest])
PARSED_ITEMS = web.AppKey("parsed_items", ParsedRequestCache[ParsedItemRequest])


def _size(key: RequestKey) -> int:
    return _KEY_CHARACTERS + sum(map(len, key[2:]))


def request_key(request: web.Request, collection: Collection, text: str) -> RequestKey:
    """The key of a request for features.

    Args:
        text: the part of the request line that is parsed.
    """
    accept = request.headers.get(hdrs.ACCEPT, "")
    return request[PRINCIPAL], id(collection), text, accept, request.host, request.scheme


def page_cache_key(request: web.Request, feature_query: FeatureQuery) -> CacheKey | None:
    """The cache key of a page; None when it has no version.

    A page has no version when the collection is not published, and when the filter depends on the
    time of day. `f` is a part of it, since the links of a page repeat it.
    """
    query = feature_query.query
    if query.filter is not None and not query.filter.is_immutable:
        return None
    return cache_key_of(
        request,
        "page",
        feature_query.collection,
        query,
        feature_query.media_type.essence,
        feature_query.values.get("f"),
        feature_query.base,
    )
