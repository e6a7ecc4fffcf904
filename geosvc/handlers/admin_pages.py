"""Pages for operators, on the admin listener: overview, slow queries, pool, metrics.

Any worker answers for all workers.
"""

from typing import Any

from aiohttp import hdrs, web

from geosvc.handlers.admin_documents import admin_page, ask_workers, page_type
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


async def get_overview(request: web.Request) -> web.Response:
    """The pages of the admin listener, and the state of the service."""
    _, media_type = page_type(request)
    slow = await ask_workers(request, "slow")
    live = await ask_workers(request, "live")
    statistics = describe_statistics(merge_states(slow.by_worker.values()), slow.counts["now"])
    links = []
    for href, title, description in PAGES:
        links.append({"href": href, "title": title, "description": description})
    document = {
        **slow.counts,
        "database_up": bool(request.app[CATALOG].is_up()),
        "collections": int(request.app[CATALOG].size()),
        "requests": sum(map(len, live.by_worker.values())),
        "pools": await _pools(request),
        "slow_last_hour": sum(minute["count"] for minute in statistics["minutes"]),
        "links": links,
    }
    return admin_page("overview.html", document, media_type)


async def _pools(request: web.Request) -> list[dict[str, Any]]:
    answers = await ask_workers(request, "pool")
    return [{"worker": worker, **pool} for worker, pool in answers.by_worker.items()]


async def get_slow_queries(request: web.Request) -> web.Response:
    """The slow statements since the workers started, those that cost most first."""
    _, media_type = page_type(request)
    slow = await ask_workers(request, "slow")
    statistics = describe_statistics(merge_states(slow.by_worker.values()), slow.counts["now"])
    return admin_page("slow_queries.html", {**slow.counts, **statistics}, media_type)


async def get_pool(request: web.Request) -> web.Response:
    """The connection pools of the workers."""
    _, media_type = page_type(request)
    answers = await ask_workers(request, "pool")
    document = {**answers.counts, "pools": await _pools(request)}
    return admin_page("pool.html", document, media_type)


async def get_metrics(request: web.Request) -> web.Response:
    """All metrics of all workers, for Prometheus."""
    answers = await request.app[WORKER_PEERS].collect("metrics")
    return web.Response(body=write_metrics(answers), headers={hdrs.CONTENT_TYPE: METRICS_TYPE})
