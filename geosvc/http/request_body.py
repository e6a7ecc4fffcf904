"""Reads the bodies of requests: their media type, their coding, and limits of size and time."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from time import monotonic, perf_counter

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import StreamReader

from geosvc.bodies.inflating import CODINGS, CorruptBody, InflatedTooLarge, Inflater
from geosvc.errors import BodyTimeout, BodyTooLarge, InvalidBody, UnsupportedMediaType
from geosvc.http.keys import BODY, SETTINGS, TRACE
from geosvc.http.pace import BodyPace
from geosvc.http.upload_limits import HELD, UPLOADS, HeldBody
from geosvc.model.media_type import MediaType
from geosvc.settings import PREFIX

_LONG_BYTES = 1 << 18
_IDENTITY = "identity"


def media_type_of(
    request: web.Request, accepted: Sequence[MediaType], *, accept_header: str = "Accept-Post"
) -> MediaType:
    """The media type of the body, by its Content-Type.

    Args:
        accepted: the media types that the resource accepts.
        accept_header: lists them in the answer to another media type.
    Raises: InvalidBody when there is no Content-Type, UnsupportedMediaType.
    """
    if hdrs.CONTENT_TYPE not in request.headers:
        raise InvalidBody("the request has no Content-Type")
    essence, _, _ = request.headers[hdrs.CONTENT_TYPE].partition(";")
    essence = essence.strip().lower()
    names: list[str] = []
    for media_type in accepted:
        if essence in media_type.names:
            return media_type
        names += media_type.names
    detail = f"the resource takes {', '.join(names)}"
    raise UnsupportedMediaType(detail, accepted=tuple(names), header=accept_header)


def _inflater_of(coding: str, max_bytes: int) -> Inflater:
    try:
        return Inflater(coding, max_bytes)
    except ValueError:
        detail = f"the codings of bodies are {', '.join(CODINGS)}"
        raise UnsupportedMediaType(detail, accepted=CODINGS, header=hdrs.ACCEPT_ENCODING) from None


async def read_pieces(
    request: web.Request, max_bytes: int, setting: str = "MAX_BODY_BYTES"
) -> AsyncGenerator[bytes, None]:
    """The body as it arrives, inflated.

    Args:
        max_bytes: of the inflated body.
        setting: the name of the setting with `max_bytes`.
    Raises: BodyTooLarge, BodyTimeout, InvalidBody, MemoryExhausted, UnsupportedMediaType.
    """
    too_large = f"the body has more than {max_bytes} bytes, which is what {PREFIX}{setting} allows"
    coding = request.headers.get(hdrs.CONTENT_ENCODING, _IDENTITY).strip().lower()
    inflater = _inflater_of(coding, max_bytes)
    if coding == _IDENTITY and (request.content_length or 0) > max_bytes:
        raise BodyTooLarge(too_large)
    settings = request.app[SETTINGS]
    pace = BodyPace(settings.read_stall_seconds, settings.min_rate_bytes)
    held = request[HELD] = HeldBody(request.app[UPLOADS], request)
    try:
        while chunk := await _read_some(request.content, pace):
            for piece in inflater.feed(chunk):
                held.add(len(piece))
                yield piece
                if len(piece) >= _LONG_BYTES:
                    # a small body may become a large one: other requests run in between
                    await asyncio.sleep(0)
        inflater.finish()
    except InflatedTooLarge:
        raise BodyTooLarge(too_large) from None
    except CorruptBody as error:
        raise InvalidBody(str(error)) from None
    except (HttpProcessingError, web.RequestPayloadError):
        raise InvalidBody("the body ends before it should") from None


async def _read_some(content: StreamReader, pace: BodyPace) -> bytes:
    """The bytes that arrive next; none at the end. Raises: BodyTimeout."""
    if content.is_eof():
        return await content.readany()  # the rest has arrived already
    started = monotonic()
    try:
        async with asyncio.timeout(pace.left_seconds):
            data = await content.readany()
    except TimeoutError:
        raise BodyTimeout(pace.describe(monotonic() - started)) from None
    pace.took(monotonic() - started, data)
    return data


@asynccontextmanager
async def _in_time(request: web.Request) -> AsyncIterator[None]:
    """Limits the time of a body that is read as a whole before it is used. Raises: BodyTimeout."""
    if request.content.is_eof():
        yield
        return
    max_seconds = request.app[SETTINGS].body_seconds
    seconds_since_start = perf_counter() - request[TRACE].started
    try:
        async with asyncio.timeout(max_seconds - seconds_since_start):
            yield
    except TimeoutError:
        raise BodyTimeout(f"the body took longer than {max_seconds:g} seconds") from None


async def read_body(
    request: web.Request, max_bytes: int, setting: str = "MAX_FEATURE_BYTES"
) -> bytes:
    """The whole body, inflated. It is kept for a handler that runs again.

    Raises: as `read_pieces`.
    """
    pieces = read_pieces(request, max_bytes, setting)
    return await read_rest(request, b"", pieces, max_bytes)


async def read_rest(
    request: web.Request, head: bytes, rest: AsyncIterator[bytes], max_bytes: int
) -> bytes:
    """The whole body, after its head was read. Raises: as `read_pieces`."""
    if BODY in request:
        return request[BODY]
    pieces = [head]
    size = len(head)
    async with _in_time(request):
        async for piece in rest:
            pieces.append(piece)
            size += len(piece)
            if size > max_bytes:
                break
    if size > max_bytes:
        raise BodyTooLarge(
            f"one feature may have {max_bytes} bytes, as {PREFIX}MAX_FEATURE_BYTES says"
        )
    body = b"".join(pieces)
    request[BODY] = body
    return body


async def read_head(
    request: web.Request, max_bytes: int, is_enough: Callable[[bytes], Awaitable[bool]]
) -> tuple[bytes, AsyncIterator[bytes]]:
    """Reads the head of a body.

    Args:
        is_enough: whether these first bytes are enough; called each time they have doubled.
    Returns: the head, and the rest of the body.
    Raises: as `read_pieces`.
    """
    rest = read_pieces(request, max_bytes)
    head = bytearray()
    checked_bytes = 0
    async with _in_time(request):
        async for piece in rest:
            head += piece
            if len(head) >= 2 * checked_bytes:
                checked_bytes = len(head)
                if await is_enough(bytes(head)):
                    break
    return bytes(head), rest


async def chained(head: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """A body as one stream, when its head has been read already."""
    yield head
    async for piece in rest:
        yield piece
