"""What operators look at, on the admin listener: slow queries, running statements, the pool, metrics. Any worker answers for
all of them.
"""

from time import time
from typing import Any
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from geosvc.database.activity import cancel_statement, running_statements
from geosvc.encode.html import write_page
from geosvc.errors import Forbidden, InvalidParameter, NotFound
from geosvc.handlers.documents import json_response, query_of, read_document_request
from geosvc.keys import OPERATIONS, SIBLINGS
from geosvc.model.media_type import HTML, JSON, MediaType
from geosvc.observe.metrics import write_metrics
from geosvc.observe.statistics import describe_statistics, merge_states
from geosvc.requests.items import refuse_unknown
from geosvc.requests.negotiation import negotiate_media_type

PAGE_TYPES = (JSON, HTML)
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# nothing from elsewhere, no script at all
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


def _page_type(request: web.Request) -> MediaType:
    """Raises: InvalidParameter, UnknownParameter, NotAcceptable."""
    values = query_of(request)
    refuse_unknown(values)
    return negotiate_media_type(values.get("f"), request.headers.get(hdrs.ACCEPT), PAGE_TYPES)


def _page(template: str, document: dict[str, Any], media_type: MediaType) -> web.Response:
    if media_type is JSON:
        return json_response(document)
    headers = {
        hdrs.CONTENT_TYPE: media_type.content_type,
        "Content-Security-Policy": CONTENT_SECURITY_POLICY,
        hdrs.CACHE_CONTROL: "no-store",
    }
    return web.Response(body=write_page(template, **document), headers=headers)


async def _collect(request: web.Request, part: str) -> tuple[dict[int, Any], dict[str, Any]]:
    """What the workers that answered tell, and how many there are and were silent."""
    answers = await request.app[SIBLINGS].collect(part)
    heard = {number: answer for number, answer in answers.items() if answer is not None}
    return heard, {"now": time(), "workers": len(answers), "silent": len(answers) - len(heard)}


async def get_slow_queries(request: web.Request) -> web.Response:
    """The slow statements since the workers started, those that cost most first."""
    media_type = _page_type(request)
    heard, counts = await _collect(request, "slow")
    document = {**counts, **describe_statistics(merge_states(heard.values()), counts["now"])}
    return _page("slow_queries.html", document, media_type)


async def get_activity(request: web.Request) -> web.Response:
    """The running statements, each with its request, and all requests."""
    media_type = _page_type(request)
    # first the statements: each is still there with its request when the workers are asked
    statements = await running_statements(request.app[OPERATIONS])
    heard, counts = await _collect(request, "live")
    requests = [{**each, "worker": number} for number, live in heard.items() for each in live]
    requests.sort(key=lambda each: -each["running_ms"])
    for each in statements:
        # the server keeps 63 bytes of a name
        wanted = each["request_id"]
        each["request"] = next((one for one in requests if wanted and one["request_id"].startswith(wanted)), None)
    return _page("activity.html", {**counts, "statements": statements, "requests": requests}, media_type)


def _refuse_other_origins(request: web.Request) -> None:
    """A page of another origin must not make an operator's browser cancel statements. Raises: Forbidden."""
    origin = request.headers.get(hdrs.ORIGIN)
    elsewhere = origin is not None and urlsplit(origin).netloc != request.host
    if elsewhere or request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
        raise Forbidden("a page of another origin may not do this")


async def cancel_activity(request: web.Request) -> web.Response:
    """Cancels a statement, if it is still the one that was seen; then back to the page for those who came from it."""
    _refuse_other_origins(request)
    form = await request.post()
    try:
        pid, started = int(request.match_info["pid"]), float(str(form.get("started", "")))
    except ValueError:
        raise InvalidParameter(
            "the statement to cancel is told by its process and, in the form field started, by when it began",
            parameter="started",
        ) from None
    if not 0 < pid < 1 << 31 or not await cancel_statement(request.app[OPERATIONS], pid, started):
        raise NotFound("that statement is not running any more")
    if "text/html" in request.headers.get(hdrs.ACCEPT, ""):
        return web.Response(status=303, headers={hdrs.LOCATION: "../../activity"})
    return json_response({"cancelled": pid})


async def get_pool(request: web.Request) -> web.Response:
    """The pools of the workers."""
    read_document_request(request, offered=(JSON,))
    heard, counts = await _collect(request, "pool")
    return json_response({**counts, "pools": [{"worker": number, **pool} for number, pool in heard.items()]})


async def get_metrics(request: web.Request) -> web.Response:
    """All metrics of all workers, for Prometheus."""
    answers = await request.app[SIBLINGS].collect("metrics")
    return web.Response(body=write_metrics(answers), headers={hdrs.CONTENT_TYPE: METRICS_TYPE})
