"""Bodies of requests: their media type and coding, read as they arrive, within the limits of size and time."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from geosvc.errors import BodyTimeout, BodyTooLarge, InvalidBody, UnsupportedMediaType
from geosvc.keys import SETTINGS
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


def _coding_of(request: web.Request) -> str:
    coding = request.headers.get(hdrs.CONTENT_ENCODING, "identity").strip().lower().removeprefix("x-")
    if coding not in (*CODINGS, "identity"):
        known = ", ".join(CODINGS)
        raise UnsupportedMediaType(f"the codings of bodies are {known}", accepted=CODINGS, header=hdrs.ACCEPT_ENCODING)
    return coding


async def read_pieces(request: web.Request, max_bytes: int) -> AsyncGenerator[bytes, None]:
    """The body as it arrives, inflated.

    Raises: BodyTooLarge, BodyTimeout, InvalidBody, UnsupportedMediaType.
    """
    too_large = f"the body has more than {max_bytes} bytes"
    coding = _coding_of(request)
    if coding == "identity" and (request.content_length or 0) > max_bytes:
        raise BodyTooLarge(too_large)
    inflater = Inflater(coding, max_bytes)
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
    """The whole body, inflated. Raises: as `read_pieces`."""
    if hdrs.CONTENT_ENCODING not in request.headers and request.content.is_eof() and request.content.total_bytes <= max_bytes:
        return await request.content.read()  # it arrived with the head
    return b"".join([piece async for piece in read_pieces(request, max_bytes)])
