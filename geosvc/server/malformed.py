"""What is answered to what is no request that HTTP/1.1 allows, before any application sees it."""

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

# aiohttp quotes the line in its message; a name that RFC 9110 5.6.2 allows is a method that nobody
# here implements
_METHOD_AND_TARGET = re.compile(r"  b['\"][!#$%&'*+.^_`|~0-9A-Za-z-]+ \S+ HTTP/1\.[01]['\"]")
_OTHER_VERSION = "Invalid HTTP version"
_SPOKEN = "HTTP/1.1 and HTTP/1.0 are spoken here"


class Unacceptable(Exception):
    """A message that the parser takes and the service does not."""

    def __init__(self, error: RequestError) -> None:
        super().__init__(error.detail)
        self.error = error


def error_of(status: int, exception: BaseException | None) -> RequestError:
    """What the client is told of a request that aiohttp answers with this status; nothing that it
    sent is quoted.
    """
    if isinstance(exception, Unacceptable):
        return exception.error
    if status != 400:
        return InternalError("a request failed where no handler is")
    if isinstance(exception, BadHttpMethod) and _METHOD_AND_TARGET.search(exception.message):
        return UnknownMethod("no resource here knows this method")
    if isinstance(exception, BadStatusLine) and _OTHER_VERSION in exception.message:
        return UnknownVersion(_SPOKEN)
    if isinstance(exception, LineTooLong):
        return FieldsTooLarge("the request line or a header is longer than the service reads")
    return MalformedRequest("this is not a valid HTTP/1.1 request")


def fault_of(message: RawRequestMessage) -> Unacceptable | None:
    """What is wrong with a message that the parser takes.

    Source: RFC 9110 10.1.1 and 15.6.6, RFC 9112 6.1.
    """
    version, headers = message.version, message.headers
    if version != HttpVersion11:
        if version < HttpVersion10:  # without headers, and the answer would be without any, too
            return Unacceptable(MalformedRequest("this is not a valid HTTP/1.1 request"))
        if version > HttpVersion11:
            return Unacceptable(UnknownVersion(_SPOKEN))
        if hdrs.TRANSFER_ENCODING in headers:
            return Unacceptable(MalformedRequest("HTTP/1.0 has no Transfer-Encoding"))
    if hdrs.EXPECT in headers and headers[hdrs.EXPECT].lower() != "100-continue":
        return Unacceptable(UnknownExpectation("100-continue is all that can be expected"))
    return None
