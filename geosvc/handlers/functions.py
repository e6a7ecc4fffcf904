"""The functions that filters may call. Source: OGC 19-079r2 8.4."""

from aiohttp import web

from geosvc.handlers.documents import document_response, read_document_request
from geosvc.handlers.validators import validated
from geosvc.links import base_url, functions_links
from geosvc.model.queryables import ValueKind
from geosvc.query.functions import FUNCTIONS

_TYPES = {
    ValueKind.TEXT: "string",
    ValueKind.NUMBER: "number",
    ValueKind.BOOLEAN: "boolean",
    ValueKind.DATE: "datetime",
    ValueKind.TIMESTAMP: "datetime",
}


@validated
async def get_functions(request: web.Request) -> web.Response:
    """Their names, what they take and what they give."""
    read_document_request(request)
    described = [
        {
            "name": function.name,
            "description": function.description,
            "arguments": [{"title": kind.value, "type": [_TYPES[kind]]} for kind in function.takes],
            "returns": [_TYPES[function.returns]],
        }
        for function in FUNCTIONS.values()
    ]
    return document_response(request, {"functions": described, "links": functions_links(base_url(request))}, "functions.html")
