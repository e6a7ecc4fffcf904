"""Requests for features that were parsed before.

A request that comes again is found by its text and is not parsed again.
"""

from collections import OrderedDict
from typing import Generic, TypeVar

from aiohttp import hdrs, web

from geosvc.http.keys import PRINCIPAL
from geosvc.model.collection import Collection
from geosvc.model.principal import Principal

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


def _size(key: RequestKey) -> int:
    return _KEY_CHARACTERS + sum(map(len, key[2:]))


def request_key(request: web.Request, collection: Collection, text: str) -> RequestKey:
    """The key of a request for features.

    Args:
        text: the part of the request line that is parsed.
    """
    accept = request.headers.get(hdrs.ACCEPT, "")
    return request[PRINCIPAL], id(collection), text, accept, request.host, request.scheme
