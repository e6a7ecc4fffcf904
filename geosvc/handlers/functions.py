"""The functions that filters may call. Source: OGC 19-079r2 8.4."""

from typing import Any

from aiohttp import web

from geosvc.http.documents import document_response, read_document_request
from geosvc.http.keys import FUNCTIONS
from geosvc.http.links import base_url, functions_links
from geosvc.http.validators import validated
from geosvc.model.queryables import ValueKind

_TYPES = {
    ValueKind.TEXT: "string",
    ValueKind.NUMBER: "number",
    ValueKind.BOOLEAN: "boolean",
    ValueKind.DATE: "datetime",
    ValueKind.TIMESTAMP: "datetime",
}


@validated
async def get_functions(request: web.Request) -> web.Response:
    """The names, arguments and results of the functions."""
    read_document_request(request)
    functions: list[dict[str, Any]] = []
    for function in request.app[FUNCTIONS].by_name.values():
        arguments = [{"title": kind.value, "type": [_TYPES[kind]]} for kind in function.takes]
        functions.append(
            {
                "name": function.name,
                "description": function.description,
                "arguments": arguments,
                "returns": [_TYPES[function.returns]],
            }
        )
    document = {"functions": functions, "links": functions_links(base_url(request))}
    return document_response(request, document, "functions.html")
