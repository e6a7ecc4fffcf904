"""The running statements, on the admin listener; an operator can cancel one."""

from collections.abc import Mapping
from typing import Any

from aiohttp import hdrs, web

from geosvc.database.activity import cancel_statement, find_statement, running_statements
from geosvc.errors import InvalidParameter, NotFound
from geosvc.handlers.admin_documents import admin_page, ask_workers, page_type
from geosvc.http.cors import refuse_other_origins
from geosvc.http.documents import json_response
from geosvc.http.keys import ADMIN_DATABASE, SETTINGS, TRACE
from geosvc.model.media_type import HTML
from geosvc.requests.client import Clients

_NOT_RUNNING = "that statement is not running any more"
_MAX_PID = (1 << 31) - 1


async def get_activity(request: web.Request) -> web.Response:
    """The running statements, each with its request, and all requests."""
    _, media_type = page_type(request)
    # the statements first: each still has its request when the workers are asked
    statements = await running_statements(request.app[ADMIN_DATABASE])
    live = await ask_workers(request, "live")
    requests = _sorted_requests(live.by_worker)
    _add_requests(statements, requests)
    document = {**live.counts, "statements": statements, "requests": requests}
    return admin_page("activity.html", document, media_type)


def _sorted_requests(live: Mapping[int, Any]) -> list[dict[str, Any]]:
    """The requests of all workers, the longest first."""
    requests = []
    for worker, running in live.items():
        requests += [{**each, "worker": worker} for each in running]
    return sorted(requests, key=_negated_time)


def _negated_time(running: Mapping[str, Any]) -> float:
    return -float(running["running_ms"])


def _add_requests(statements: list[dict[str, Any]], requests: list[dict[str, Any]]) -> None:
    """Adds to each statement the request that it runs for; None where there is none."""
    for statement in statements:
        statement["request"] = _request_of(statement["request_id"], requests)


def _request_of(beginning: str | None, requests: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The request whose id begins so: PostgreSQL keeps only 63 bytes of a name."""
    if not beginning:
        return None
    for each in requests:
        if each["request_id"].startswith(beginning):
            return each
    return None


def _statement_of(request: web.Request, started: object) -> tuple[int, float]:
    """(process id, start time) of the statement to cancel. Raises: InvalidParameter, NotFound."""
    try:
        pid, start_time = int(request.match_info["pid"]), float(str(started))
    except ValueError:
        raise InvalidParameter(
            "a statement is named by its process id and, in started, by its start time",
            parameter="started",
        ) from None
    if not 0 < pid <= _MAX_PID:
        raise NotFound(_NOT_RUNNING)
    return pid, start_time


def _gone(request: web.Request) -> web.Response:
    """The page for a statement that has ended. Raises: NotFound for programs."""
    if not _is_browser(request):
        raise NotFound(_NOT_RUNNING)
    return admin_page("cancel.html", {"statement": None}, HTML, root="../../", status=404)


def _is_browser(request: web.Request) -> bool:
    return "text/html" in request.headers.get(hdrs.ACCEPT, "")


async def confirm_cancel(request: web.Request) -> web.Response:
    """Asks whether a statement shall be cancelled, and cancels nothing."""
    values, media_type = page_type(request, frozenset({"f", "started"}))
    pid, started = _statement_of(request, values.get("started", ""))
    statement = await find_statement(request.app[ADMIN_DATABASE], pid, started)
    if statement is None:
        return _gone(request)
    live = await ask_workers(request, "live")
    _add_requests([statement], _sorted_requests(live.by_worker))
    return admin_page("cancel.html", {"statement": statement}, media_type, root="../../")


async def cancel_activity(request: web.Request) -> web.Response:
    """Cancels a statement, if the process still runs the statement that the operator saw.

    A browser is sent back to the page of activity.
    """
    refuse_other_origins(request)
    form = await request.post()
    pid, started = _statement_of(request, form.get("started", ""))
    settings, trace = request.app[SETTINGS], request[TRACE]
    # the log names the operator in full
    operator = Clients("full", settings.trusted_proxies).describe(
        trace.peer, trace.forwarded_for, trace.user_agent
    )
    if not await cancel_statement(request.app[ADMIN_DATABASE], pid, started, operator):
        return _gone(request)
    if _is_browser(request):
        return web.Response(status=303, headers={hdrs.LOCATION: "../../activity"})
    return json_response({"cancelled": pid})
