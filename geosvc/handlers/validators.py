"""The validators of documents: a strong ETag of what they say, and 304 for those who have it. Source: RFC 9110 8.8 and 13.1."""

from collections.abc import Awaitable, Callable
from functools import wraps
from hashlib import blake2b

from aiohttp import hdrs, web

from geosvc.requests.preconditions import cached_tag, parse_preconditions

Handler = Callable[[web.Request], Awaitable[web.Response]]

CACHE_CONTROL = "no-cache"
"""May be kept, and is asked after every time: the catalog follows the database."""
_TAG_BYTES = 16


def validated(handler: Handler) -> Handler:
    """Gives the answers of a handler an ETag, whatever their media type."""

    @wraps(handler)
    async def answer(request: web.Request) -> web.Response:
        return with_validators(request, await handler(request))

    return answer


def with_validators(request: web.Request, response: web.Response) -> web.Response:
    """A whole document with its ETag, which tells its media types apart; 304 when the client has it.

    Raises: InvalidParameter.
    """
    if response.status != 200 or not isinstance(response.body, bytes):
        return response
    content_type = response.headers[hdrs.CONTENT_TYPE].encode()
    version = blake2b(response.body, digest_size=_TAG_BYTES, key=blake2b(content_type).digest()).hexdigest()
    none_match = parse_preconditions(request.headers).none_match
    if none_match is not None and (none_match == "*" or version in none_match):
        own = cached_tag(version, request.headers[hdrs.IF_NONE_MATCH])
        return web.Response(status=304, headers={"ETag": own, hdrs.CACHE_CONTROL: CACHE_CONTROL})
    response.headers.update({"ETag": f'"{version}"', hdrs.CACHE_CONTROL: CACHE_CONTROL})
    return response
