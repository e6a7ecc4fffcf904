"""The functions that filters may call. Source: OGC 19-079r2 8.4."""

from typing import Any

from aiohttp import web

from geosvc.http.documents import document_response, parse_document_query
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
    query = parse_document_query(request)
    functions: list[dict[str, Any]] = []
    for function in request.app[FUNCTIONS].by_name.values():
        arguments = []
        for kind in function.takes:
            arguments.append({"title": kind.value, "type": [_TYPES[kind]]})
        functions.append(
            {
                "name": function.name,
                "description": function.description,
                "arguments": arguments,
                "returns": [_TYPES[function.returns]],
            }
        )
    document = {
        "functions": functions,
        "links": functions_links(base_url(request)),
    }
    return document_response(request, query, document, "functions.html")
