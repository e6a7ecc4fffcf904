"""The errors for messages that HTTP/1.1 does not allow. They are found before any handler runs."""

import re

from aiohttp import hdrs
from aiohttp.http import HttpVersion10, HttpVersion11, RawRequestMessage
from aiohttp.http_exceptions import BadHttpMethod, BadStatusLine, LineTooLong

from geosvc.errors import (
    FieldsTooLarge,
    InternalError,
    MalformedRequest,
    RequestError,
    UnknownExpectation,
    UnknownMethod,
    UnknownVersion,
)

# A request line as aiohttp quotes it in its message. If the method is a token (RFC 9110 5.6.2), the
# line is valid, and the service does not implement the method.
_METHOD_AND_TARGET = re.compile(r"  b['\"][!#$%&'*+.^_`|~0-9A-Za-z-]+ \S+ HTTP/1\.[01]['\"]")
_OTHER_VERSION = "Invalid HTTP version"
_SUPPORTED = "HTTP/1.1 and HTTP/1.0 are spoken here"


class Unacceptable(Exception):
    """A message that aiohttp's parser accepts and the service refuses."""

    def __init__(self, error: RequestError) -> None:
        super().__init__(error.detail)
        self.error = error


def error_of(status: int, exception: BaseException | None) -> RequestError:
    """The error for a message that aiohttp answers with this status. It quotes nothing of it."""
    if isinstance(exception, Unacceptable):
        return exception.error
    if status != 400:
        return InternalError("a request failed where no handler is")
    if isinstance(exception, BadHttpMethod) and _METHOD_AND_TARGET.search(exception.message):
        return UnknownMethod("no resource here knows this method")
    if isinstance(exception, BadStatusLine) and _OTHER_VERSION in exception.message:
        return UnknownVersion(_SUPPORTED)
    if isinstance(exception, LineTooLong):
        return FieldsTooLarge("the request line or a header is longer than the service reads")
    return MalformedRequest("this is not a valid HTTP/1.1 request")


def fault_of(message: RawRequestMessage) -> Unacceptable | None:
    """The fault of a message that aiohttp's parser accepts; None if there is none.

    Source: RFC 9110 10.1.1 and 15.6.6, RFC 9112 6.1.
    """
    headers = message.headers
    if message.version != HttpVersion11:
        error = _error_of_version(message)
        if error is not None:
            return Unacceptable(error)
    if hdrs.EXPECT in headers and headers[hdrs.EXPECT].lower() != "100-continue":
        return Unacceptable(UnknownExpectation("100-continue is all that can be expected"))
    return None


def _error_of_version(message: RawRequestMessage) -> RequestError | None:
    """The error of a message of another version than HTTP/1.1."""
    if message.version < HttpVersion10:  # it has no headers, and its answer would have none
        return MalformedRequest("this is not a valid HTTP/1.1 request")
    if message.version > HttpVersion11:
        return UnknownVersion(_SUPPORTED)
    if hdrs.TRANSFER_ENCODING in message.headers:
        return MalformedRequest("HTTP/1.0 has no Transfer-Encoding")
    return None
