"""The landing page and the conformance declaration. Source: OGC 17-069r4 7.2 and 7.4."""

from collections.abc import Sequence

from aiohttp import web

from geosvc.about import About
from geosvc.encode.snippets import Snippet, write_snippets
from geosvc.errors import DatabaseUnavailable
from geosvc.handlers.conformance_classes import conformance
from geosvc.http.documents import document_response, read_document_request
from geosvc.http.html import wants_page
from geosvc.http.keys import ADDED_CONFORMANCE, CATALOG, EXTENTS, SETTINGS
from geosvc.http.links import base_url, conformance_links, landing_links, legal_links
from geosvc.http.validators import validated
from geosvc.model.collection import Collection
from geosvc.model.media_type import DOCUMENT_TYPES


@validated
async def get_landing_page(request: web.Request) -> web.Response:
    """The landing page, with links to everything else."""
    read_document_request(request)
    base, about = base_url(request), request.app[SETTINGS].about
    collections = request.app[CATALOG].collections()
    example: Collection | None = None
    snippets: Sequence[Snippet] = ()
    if collections:
        example = collections[0]
        snippets = write_snippets(base, example, await _known_bbox(request, example))
    return document_response(
        request,
        _describe(base, about),
        "landing.html",
        collections=collections,
        example=example,
        snippets=snippets,
    )


def _describe(base: str, about: About) -> dict[str, object]:
    document: dict[str, object] = {"title": about.title, "description": about.description}
    if about.contact is not None:
        document["contact"] = about.contact.model_dump(exclude_none=True)
    document["links"] = [*landing_links(base), *legal_links(about)]
    return document


async def _known_bbox(request: web.Request, collection: Collection) -> Sequence[float] | None:
    """The extent that is known without reading any row; only a page shows it."""
    if not wants_page(request, DOCUMENT_TYPES):
        return None
    try:
        extents = await request.app[EXTENTS].estimated([collection])
    except DatabaseUnavailable:  # the page does without it
        return None
    return extents[collection.id].bbox


@validated
async def get_conformance(request: web.Request) -> web.Response:
    """The conformance classes that hold."""
    read_document_request(request)
    added = request.app[ADDED_CONFORMANCE]
    classes = conformance(request.app[CATALOG].collections(), added)
    document = {"conformsTo": classes, "links": conformance_links(base_url(request))}
    return document_response(request, document, "conformance.html")
