"""The validators of documents: a strong ETag of the content, and 304.

Source: RFC 9110 8.8 and 13.1.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from hashlib import blake2b

from aiohttp import hdrs, web

from geosvc.encode.compression import CODINGS, COMPRESS_FROM_BYTES
from geosvc.errors import PreconditionFailed
from geosvc.requests.negotiation import negotiate_coding
from geosvc.requests.preconditions import reading_outcome, tag_of_coding

Handler = Callable[[web.Request], Awaitable[web.Response]]

CACHE_CONTROL = "no-cache"
"""Clients may keep an answer and revalidate it each time: the catalog follows the database."""

_TAG_BYTES = 16


def validated(handler: Handler) -> Handler:
    """Gives the answers of a handler an ETag, whatever their media type."""

    @wraps(handler)
    async def answer(request: web.Request) -> web.Response:
        return with_validators(request, await handler(request))

    return answer


def coding_of(request: web.Request, body: bytes) -> str | None:
    """The content coding in which a body is sent as a whole; None for none."""
    if len(body) < COMPRESS_FROM_BYTES:
        return None
    return negotiate_coding(request.headers.get(hdrs.ACCEPT_ENCODING), CODINGS)


def refuse_preconditions(request: web.Request) -> None:
    """Refuses the conditions that an answer without validators cannot meet.

    Raises: PreconditionFailed, InvalidParameter.
    """
    not_modified(request, None)


def not_modified(
    request: web.Request,
    etag: str | None,
    modified: float | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response | None:
    """The 304 for a client that has this representation; None for a client that needs it.

    Args:
        etag: as a 200 has it.
        modified: time of the last change, seconds since 1970.
        headers: further headers of a 200 that the 304 repeats.
    Raises: PreconditionFailed, InvalidParameter.
    """
    outcome = reading_outcome(request.headers, etag, modified)
    if outcome is None:
        return None
    if outcome == PreconditionFailed.status:
        raise PreconditionFailed(
            "the resource does not match If-Match or If-Unmodified-Since, or not any more"
        )
    all_headers = {hdrs.CACHE_CONTROL: CACHE_CONTROL, **(headers or {})}
    if etag is not None:
        all_headers["ETag"] = etag
    return web.Response(status=304, headers=all_headers)


def with_validators(request: web.Request, response: web.Response) -> web.Response:
    """A whole document with its ETag; 304 when the client has it.

    The ETag covers the media type, so that two representations never have the same one.

    Raises: PreconditionFailed, InvalidParameter.
    """
    if response.status != 200 or not isinstance(response.body, bytes):
        return response
    content_type = response.headers[hdrs.CONTENT_TYPE].encode()
    key = blake2b(content_type).digest()
    tag = blake2b(response.body, digest_size=_TAG_BYTES, key=key).hexdigest()
    etag = f'"{tag}"'
    coding = coding_of(request, response.body)
    sent_etag = etag
    if coding is not None:
        sent_etag = tag_of_coding(etag, coding)
    unchanged = not_modified(request, sent_etag)
    if unchanged is not None:
        return unchanged
    response.headers.update({"ETag": etag, hdrs.CACHE_CONTROL: CACHE_CONTROL})
    return response
