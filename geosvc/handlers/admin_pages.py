"""Pages for operators, on the admin listener: overview, slow queries, pool, metrics.

Any worker answers for all workers.
"""

from typing import Any

from aiohttp import hdrs, web

from geosvc.handlers.admin_documents import WorkerAnswers, admin_page, ask_workers
from geosvc.http.documents import parse_document_query
from geosvc.http.keys import CATALOG, WORKER_PEERS
from geosvc.observe.metrics import write_metrics
from geosvc.observe.statistics import describe_statistics, merge_states

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

PAGES = (
    ("slow-queries", "Slow queries", "which statements took too long, why, and what would help"),
    ("activity", "Activity", "what runs now, who asked, who waits for whom; cancel a statement"),
    ("pool", "Pool", "the connections of each worker"),
    ("metrics", "Metrics", "for Prometheus"),
    ("readyz", "Ready", "200 when the database answers and the catalog is loaded"),
    ("livez", "Alive", "200 while the process turns"),
)
"""(href, title, description) of each page."""


async def get_overview(request: web.Request) -> web.Response:
    """The pages of the admin listener, and the state of the service."""
    query = parse_document_query(request)
    slow = await ask_workers(request, "slow")
    live = await ask_workers(request, "live")
    pools = await ask_workers(request, "pool")
    catalog = request.app[CATALOG]
    number_of_requests = sum(map(len, live.by_worker.values()))
    slow_last_hour = 0
    for minute in _describe_slow(slow)["minutes"]:
        slow_last_hour += minute["count"]
    document = {
        **slow.counts,
        "database_up": catalog.is_up(),
        "collections": catalog.size(),
        "requests": number_of_requests,
        "pools": _list_pools(pools),
        "slow_last_hour": slow_last_hour,
        "links": _list_links(),
    }
    return admin_page("overview.html", document, query.media_type)


async def get_slow_queries(request: web.Request) -> web.Response:
    """The slow statements since the workers started, those that cost most first."""
    query = parse_document_query(request)
    slow = await ask_workers(request, "slow")
    document = {
        **slow.counts,
        **_describe_slow(slow),
    }
    return admin_page("slow_queries.html", document, query.media_type)


async def get_pool(request: web.Request) -> web.Response:
    """The connection pools of the workers."""
    query = parse_document_query(request)
    pools = await ask_workers(request, "pool")
    document = {
        **pools.counts,
        "pools": _list_pools(pools),
    }
    return admin_page("pool.html", document, query.media_type)


async def get_metrics(request: web.Request) -> web.Response:
    """All metrics of all workers, for Prometheus."""
    answers = await request.app[WORKER_PEERS].collect("metrics")
    body = write_metrics(answers)
    headers = {hdrs.CONTENT_TYPE: METRICS_TYPE}
    return web.Response(body=body, headers=headers)


def _describe_slow(slow: WorkerAnswers) -> dict[str, Any]:
    statistics = merge_states(slow.by_worker.values())
    return describe_statistics(statistics, slow.counts["now"])


def _list_pools(pools: WorkerAnswers) -> list[dict[str, Any]]:
    listed = []
    for worker, pool in pools.by_worker.items():
        listed.append({"worker": worker, **pool})
    return listed


def _list_links() -> list[dict[str, str]]:
    links = []
    for href, title, description in PAGES:
        links.append({"href": href, "title": title, "description": description})
    return links
