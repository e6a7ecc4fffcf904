"""The only map from errors to HTTP: RFC 9457 problem details."""

import orjson
from aiohttp import web

from geosvc.errors import MethodNotAllowed, RequestError, UnsupportedMediaType
from geosvc.model.media_type import PROBLEM

PROBLEM_TYPE = "urn:geosvc:problem:"
_INTERNAL_ERROR = "internal-error"
_LOCATION_MEMBERS = ("parameter", "pointer", "property", "position", "index", "constraint")


def describe_problem(error: RequestError, request_id: str) -> dict[str, object]:
    """The problem details of an error.

    Those of an internal error name only the request id: its text is for the log.

    Args:
        request_id: empty for a request that could not be parsed.
    """
    detail = error.detail
    if error.status == 500 and error.slug == _INTERNAL_ERROR:
        detail = "see the log"
    body: dict[str, object] = {
        "type": f"{PROBLEM_TYPE}{error.slug}",
        "title": error.title(),
        "status": error.status,
        "detail": detail,
    }
    if request_id:
        body["request_id"] = request_id
    return body | members_of(error)


def members_of(error: RequestError) -> dict[str, object]:
    """The members that say where the error is, as far as it is known."""
    members: dict[str, object] = {}
    for name in _LOCATION_MEMBERS:
        value = getattr(error, name)
        if value is not None:
            members[name] = value
    if len(error.properties) > 1:
        members["properties"] = list(error.properties)
    return members


def problem_headers(error: RequestError) -> dict[str, str]:
    """The headers of a problem."""
    headers = {"Cache-Control": "no-store", **error.headers}
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(error.retry_after_seconds)
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = ", ".join(error.allowed)
    if isinstance(error, UnsupportedMediaType):
        headers[error.header] = ", ".join(error.accepted)
    return headers


def problem_response(error: RequestError, request_id: str) -> web.Response:
    """The response with the problem details of an error."""
    return web.Response(
        status=error.status,
        body=orjson.dumps(describe_problem(error, request_id)),
        content_type=PROBLEM.content_type,
        headers=problem_headers(error),
    )
