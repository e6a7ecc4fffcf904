"""Turns what handlers and aiohttp's router raise into responses."""

from contextlib import suppress

from aiohttp import hdrs, web

from geosvc.errors import InvalidParameter, MethodNotAllowed, NotFound, RequestError
from geosvc.events import RequestFailed, emit
from geosvc.http.html import ERROR_TYPES, problem_page, wants_page
from geosvc.http.keys import CATALOG, PRINCIPAL, TRACE
from geosvc.http.methods import READING_METHODS, item_methods, items_methods
from geosvc.http.mounting import parts_of
from geosvc.http.problem import problem_response


def error_response(
    request: web.Request, error: RequestError, stack: str | None = None
) -> web.Response:
    """The problem as JSON or as an HTML page. An error of the service is reported too.

    Args:
        stack: of an unexpected exception, without values of the request.
    """
    if error.status >= 500:
        _report(request, error, stack)
    if wants_page(request, ERROR_TYPES):
        with suppress(InvalidParameter):  # a Host that cannot be part of a link
            return problem_page(request, error)
    return problem_response(error, request[TRACE].request_id)


def _report(request: web.Request, error: RequestError, stack: str | None) -> None:
    detail = error.detail
    if error.reason:
        detail = f"{detail}: {error.reason}"
    trace = request[TRACE]
    emit(
        RequestFailed(
            method=request.method,
            route=trace.route,
            collection=trace.collection,
            status=error.status,
            slug=error.slug,
            detail=detail,
            traceback=stack,
        )
    )


def router_response(request: web.Request, error: web.HTTPException) -> web.Response:
    """The response to a request that aiohttp's router refuses.

    It answers an OPTIONS that no handler takes.
    """
    if isinstance(error, web.HTTPMethodNotAllowed):
        known = error.allowed_methods | {hdrs.METH_OPTIONS}
        allowed = sorted(_allowed(request, known))
        if request.method == hdrs.METH_OPTIONS:
            return web.Response(headers={hdrs.ALLOW: ", ".join(allowed)})
        detail = f"{request.method} is not for this resource"
        return error_response(request, MethodNotAllowed(detail, allowed=allowed))
    if isinstance(error, web.HTTPNotFound):
        return error_response(request, NotFound("there is nothing at this path"))
    return error_response(request, InvalidParameter(error.reason))


def _allowed(request: web.Request, methods: set[str]) -> set[str]:
    """Of the methods that the router knows for a path, those that the collection allows."""
    match parts_of(request):
        case ("collections", collection_id, "items"):
            methods_of = items_methods
        case ("collections", collection_id, "items", *_):
            methods_of = item_methods
        case _:
            return methods
    catalog = request.app[CATALOG].current_for(request[PRINCIPAL])
    if catalog is None or collection_id not in catalog.collections:
        return methods & set(READING_METHODS)
    collection = catalog.collections[collection_id]
    return methods & set(methods_of(collection))
