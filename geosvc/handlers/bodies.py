"""Bodies of requests: their media type and coding, read as they arrive, within the limits of size and time."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from geosvc.errors import BodyTimeout, BodyTooLarge, InvalidBody, UnsupportedMediaType
from geosvc.keys import BODY, SETTINGS
from geosvc.model.media_type import MediaType
from geosvc.requests.inflating import CODINGS, CorruptBody, InflatedTooLarge, Inflater


def media_type_of(request: web.Request, taken: Sequence[MediaType], *, accept_header: str = "Accept-Post") -> MediaType:
    """What the body says it is.

    Raises: InvalidBody when it does not say, UnsupportedMediaType.
    """
    if hdrs.CONTENT_TYPE not in request.headers:
        raise InvalidBody("the request has no Content-Type")
    essence = request.headers[hdrs.CONTENT_TYPE].partition(";")[0].strip().lower()
    for media_type in taken:
        if essence in (media_type.essence, *media_type.posted_as):
            return media_type
    accepted = tuple(media_type.essence for media_type in taken)
    raise UnsupportedMediaType(f"the resource takes {', '.join(accepted)}", accepted=accepted, header=accept_header)


async def read_pieces(request: web.Request, max_bytes: int) -> AsyncGenerator[bytes, None]:
    """The body as it arrives, inflated.

    Raises: BodyTooLarge, BodyTimeout, InvalidBody, UnsupportedMediaType.
    """
    too_large = f"the body has more than {max_bytes} bytes"
    coding = request.headers.get(hdrs.CONTENT_ENCODING, "identity").strip().lower()
    try:
        inflater = Inflater(coding, max_bytes)
    except ValueError:
        known = ", ".join(CODINGS)
        raise UnsupportedMediaType(
            f"the codings of bodies are {known}", accepted=CODINGS, header=hdrs.ACCEPT_ENCODING
        ) from None
    if coding == "identity" and (request.content_length or 0) > max_bytes:
        raise BodyTooLarge(too_large)
    stall_seconds = request.app[SETTINGS].read_stall_seconds
    try:
        while True:
            async with asyncio.timeout(stall_seconds):
                chunk = await request.content.readany()
            if not chunk:
                break
            for piece in inflater.feed(chunk):
                yield piece
        inflater.finish()
    except InflatedTooLarge:
        raise BodyTooLarge(too_large) from None
    except CorruptBody as error:
        raise InvalidBody(str(error)) from None
    except TimeoutError:
        raise BodyTimeout(f"nothing arrived for {stall_seconds:g} seconds") from None
    except (HttpProcessingError, web.RequestPayloadError):
        raise InvalidBody("the body ends before it should") from None


async def read_body(request: web.Request, max_bytes: int) -> bytes:
    """The whole body, inflated; it is kept for a handler that runs again. Raises: as `read_pieces`."""
    return await read_rest(request, b"", read_pieces(request, max_bytes), max_bytes)


async def read_rest(request: web.Request, head: bytes, rest: AsyncIterator[bytes], max_bytes: int) -> bytes:
    """The whole body, of which the head is read. Raises: as `read_pieces`."""
    if BODY in request:
        return request[BODY]
    pieces, size = [head], len(head)
    async for piece in rest:
        pieces.append(piece)
        size += len(piece)
        if size > max_bytes:
            break
    if size > max_bytes:
        raise BodyTooLarge(f"one feature may have {max_bytes} bytes")
    body = request[BODY] = b"".join(pieces)
    return body


async def read_head(
    request: web.Request, max_bytes: int, enough: Callable[[bytes], bool]
) -> tuple[bytes, AsyncIterator[bytes]]:
    """The begin of a body, as much as is `enough`, and what follows it. Raises: as `read_pieces`."""
    rest = read_pieces(request, max_bytes)
    head, looked_at = bytearray(), 0
    async for piece in rest:
        head += piece
        if len(head) >= 2 * looked_at:
            looked_at = len(head)
            if enough(bytes(head)):
                break
    return bytes(head), rest


async def chained(head: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """A body whose head was read already."""
    yield head
    async for piece in rest:
        yield piece
