"""The only map from errors to HTTP: RFC 9457 problem details."""

import orjson
from aiohttp import web

from geosvc.errors import MethodNotAllowed, RequestError, UnsupportedMediaType
from geosvc.model.media_type import PROBLEM

PROBLEM_TYPE = "urn:geosvc:problem:"


def describe_problem(error: RequestError, request_id: str) -> dict[str, object]:
    """What went wrong, for the client; a 500 says only the request id."""
    body: dict[str, object] = {
        "type": f"{PROBLEM_TYPE}{error.slug}",
        "title": error.title(),
        "status": error.status,
        "detail": error.detail if error.status != 500 or error.slug != "internal-error" else "see the log",
        "request_id": request_id,
    }
    for member in ("parameter", "pointer", "position", "index", "constraint"):
        if (value := getattr(error, member)) is not None:
            body[member] = value
    return body


def problem_headers(error: RequestError) -> dict[str, str]:
    """What goes with it in headers."""
    headers = {"Cache-Control": "no-store"}
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(error.retry_after_seconds)
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = ", ".join(error.allowed)
    if isinstance(error, UnsupportedMediaType):
        headers[error.header] = ", ".join(error.accepted)
    return headers


def problem_response(error: RequestError, request_id: str) -> web.Response:
    """The response that tells a client what went wrong."""
    body = orjson.dumps(describe_problem(error, request_id))
    return web.Response(status=error.status, body=body, content_type=PROBLEM.content_type, headers=problem_headers(error))
