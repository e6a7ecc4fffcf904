"""The running statements, on the admin listener; an operator can cancel one.

A statement, and a request, is a mapping of the members that the documents show.
"""

from collections.abc import Mapping
from typing import Any

from aiohttp import hdrs, web

from geosvc.database.activity import cancel_statement, find_statement, running_statements
from geosvc.errors import InvalidParameter, NotFound
from geosvc.handlers.admin_documents import admin_page, ask_workers
from geosvc.http.cors import refuse_other_origins
from geosvc.http.documents import json_response, parse_document_query
from geosvc.http.keys import ADMIN_DATABASE, SETTINGS, TRACE
from geosvc.model.media_type import HTML
from geosvc.requests.client import Clients

Members = dict[str, Any]

_NOT_RUNNING = "that statement is not running any more"
_ACTIVITY_HREF = "../../activity"
_ROOT_HREF = "../../"
_MAX_PID = (1 << 31) - 1


async def get_activity(request: web.Request) -> web.Response:
    """The running statements, each with its request, and all requests."""
    query = parse_document_query(request)
    # the statements first: each still has its request when the workers are asked
    database = request.app[ADMIN_DATABASE]
    statements = await running_statements(database)
    live = await ask_workers(request, "live")
    requests = _longest_first(live.by_worker)
    _add_requests(statements, requests)
    document = {
        **live.counts,
        "statements": statements,
        "requests": requests,
    }
    return admin_page("activity.html", document, query.media_type)


async def confirm_cancel(request: web.Request) -> web.Response:
    """Asks whether a statement shall be cancelled, and cancels nothing."""
    query = parse_document_query(request, frozenset({"f", "started"}))
    started_text = query.values.get("started", "")
    pid, started = _parse_statement(request, started_text)
    database = request.app[ADMIN_DATABASE]
    statement = await find_statement(database, pid, started)
    if statement is None:
        return _answer_not_running(request)
    live = await ask_workers(request, "live")
    _add_requests([statement], _longest_first(live.by_worker))
    document = {"statement": statement}
    return admin_page("cancel.html", document, query.media_type, root=_ROOT_HREF)


async def cancel_activity(request: web.Request) -> web.Response:
    """Cancels a statement, if the process still runs the statement that the operator saw.

    A browser is sent back to the page of activity.
    """
    refuse_other_origins(request)
    form = await request.post()
    started_text = form.get("started", "")
    pid, started = _parse_statement(request, started_text)
    operator = _describe_operator(request)
    database = request.app[ADMIN_DATABASE]
    is_cancelled = await cancel_statement(database, pid, started, operator)
    if not is_cancelled:
        return _answer_not_running(request)
    if _is_browser(request):
        headers = {hdrs.LOCATION: _ACTIVITY_HREF}
        return web.Response(status=303, headers=headers)
    return json_response({"cancelled": pid})


def _longest_first(live: Mapping[int, Any]) -> list[Members]:
    """The requests of all workers, those that have run longest first.

    Args:
        live: the requests of each worker.
    """
    requests = []
    for worker, running in live.items():
        for each in running:
            requests.append({**each, "worker": worker})
    requests.sort(key=_running_ms, reverse=True)
    return requests


def _running_ms(running: Mapping[str, Any]) -> float:
    return float(running["running_ms"])


def _add_requests(statements: list[Members], requests: list[Members]) -> None:
    """Adds to each statement the request that it runs for; None where there is none."""
    for statement in statements:
        statement["request"] = _find_request(statement["request_id"], requests)


def _find_request(beginning: str | None, requests: list[Members]) -> Members | None:
    """The request whose id begins so: PostgreSQL keeps only 63 bytes of a name."""
    if not beginning:
        return None
    for each in requests:
        if each["request_id"].startswith(beginning):
            return each
    return None


def _parse_statement(request: web.Request, started: object) -> tuple[int, float]:
    """(process id, start time) of the statement to cancel.

    Args:
        started: the start time as text.
    Raises: InvalidParameter, NotFound.
    """
    try:
        pid = int(request.match_info["pid"])
        start_time = float(str(started))
    except ValueError:
        raise InvalidParameter(
            "a statement is named by its process id and, in started, by its start time",
            parameter="started",
        ) from None
    if not 0 < pid <= _MAX_PID:
        raise NotFound(_NOT_RUNNING)
    return pid, start_time


def _describe_operator(request: web.Request) -> Mapping[str, str | None]:
    """`client` and `user_agent` for the log, which names the operator in full."""
    trusted_proxies = request.app[SETTINGS].trusted_proxies
    trace = request[TRACE]
    clients = Clients("full", trusted_proxies)
    return clients.describe(trace.peer, trace.forwarded_for, trace.user_agent)


def _answer_not_running(request: web.Request) -> web.Response:
    """The page for a statement that has ended. Raises: NotFound for programs."""
    if not _is_browser(request):
        raise NotFound(_NOT_RUNNING)
    document = {"statement": None}
    return admin_page("cancel.html", document, HTML, root=_ROOT_HREF, status=404)


def _is_browser(request: web.Request) -> bool:
    return "text/html" in request.headers.get(hdrs.ACCEPT, "")
