"""What a worker reports of itself: gauges, the pool, slow queries, the requests that it handles."""

import os
import resource
from time import perf_counter
from typing import Any

from aiohttp import web

from geosvc.http.keys import (
    AREA_CACHE,
    CACHE,
    CATALOG,
    CHANGE_READER,
    DATABASE,
    HUB,
    METRICS,
    OBSERVED,
    SEND_MONITOR,
    SETTINGS,
    SLOW_QUERIES,
)
from geosvc.http.upload_limits import UPLOADS
from geosvc.observe.metrics import Gauge, Tally
from geosvc.requests.client import Clients


def gauges_of(app: web.Application) -> list[Gauge | Tally]:
    """Lists the gauges of a service; their values are read when the metrics are asked for."""
    return [
        *_database_gauges(app),
        *_request_gauges(app),
        *_change_gauges(app),
        *_process_gauges(),
        *_cache_gauges(app),
        *_tile_gauges(app),
    ]


def _database_gauges(app: web.Application) -> list[Gauge]:
    database, catalog = app[DATABASE], app[CATALOG]
    return [
        Gauge("geosvc_pool_connections", "Connections that the pool holds", lambda: database.size),
        Gauge("geosvc_pool_in_use", "Connections that statements hold", lambda: database.in_use),
        Gauge(
            "geosvc_pool_max",
            "Connections that the pool may hold",
            lambda: app[SETTINGS].pool_max_size,
        ),
        Gauge("geosvc_pool_waiting", "Those who wait for a connection", lambda: database.waiting),
        Gauge(
            "geosvc_database_up",
            "Whether the database answered when the catalog was last looked at",
            catalog.is_up,
        ),
        Gauge("geosvc_collections", "Collections that are published", catalog.size),
    ]


def _request_gauges(app: web.Application) -> list[Gauge]:
    uploads, sending = app[UPLOADS], app[SEND_MONITOR]
    return [
        Gauge(
            "geosvc_requests_in_progress",
            "Requests that are being handled",
            lambda: len(app[OBSERVED].open_requests),
        ),
        Gauge(
            "geosvc_held_bytes",
            "Memory for answers that clients have not taken yet",
            lambda: sending.held_bytes,
        ),
        Gauge(
            "geosvc_held_body_bytes",
            "Large bodies that are not done with",
            lambda: uploads.held_bytes,
        ),
        Gauge(
            "geosvc_slow_clients",
            "Connections that had something to take at the last sweep",
            lambda: sending.slow,
        ),
        Gauge(
            "geosvc_clients_cut_off",
            "Connections whose clients took too little",
            lambda: sending.cut,
            "counter",
        ),
    ]


def _change_gauges(app: web.Application) -> list[Gauge]:
    reader, hub = app[CHANGE_READER], app[HUB]
    return [
        Gauge("geosvc_feed_wanted", "Whether something is published", app[CATALOG].has_publication),
        Gauge("geosvc_feed_up", "Whether the change log is read", lambda: reader.is_up),
        Gauge(
            "geosvc_feed_listening",
            "Whether changes are listened to rather than asked for",
            lambda: reader.is_listening,
        ),
        Gauge("geosvc_feed_reads", "Reads of the change log", lambda: reader.reads, "counter"),
        Gauge(
            "geosvc_feed_changes",
            "Changes that the reads found",
            lambda: reader.changes,
            "counter",
        ),
        Gauge("geosvc_subscribers", "Streams of changes", lambda: hub.size),
        Gauge(
            "geosvc_events_told",
            "Events sent to subscribers",
            lambda: hub.counters.sent,
            "counter",
        ),
        Gauge(
            "geosvc_subscribers_dropped",
            "Subscribers cut off",
            lambda: hub.counters.dropped,
            "counter",
        ),
    ]


def _process_gauges() -> list[Gauge]:
    return [
        Gauge("geosvc_resident_memory_bytes", "Memory of the process", _resident_bytes),
        Gauge("geosvc_cpu_seconds", "CPU time of the process", _cpu_seconds, "counter"),
    ]


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system


def _cache_gauges(app: web.Application) -> list[Gauge | Tally]:
    cache = app[CACHE]
    return [
        Tally(
            "geosvc_cache_lookups",
            "Answers that were looked for in memory",
            ("kind", "outcome"),
            lambda: dict(cache.lookups.items()),
        ),
        Tally(
            "geosvc_cache_refused",
            "Answers that were not kept in memory",
            ("reason",),
            lambda: {(reason,): number for reason, number in cache.refused.items()},
        ),
        Gauge("geosvc_cache_entries", "Answers in memory", lambda: len(cache)),
        Gauge("geosvc_cache_bytes", "What they take", lambda: cache.bytes),
        Gauge("geosvc_cache_max_bytes", "What they may take", lambda: cache.max_bytes),
        Gauge(
            "geosvc_cache_evictions",
            "Answers that made room for others",
            lambda: cache.evicted,
            "counter",
        ),
        Gauge(
            "geosvc_cache_moved",
            "Answers that were dropped since their table had changed",
            lambda: cache.moved,
            "counter",
        ),
        Gauge(
            "geosvc_cache_hit_age_seconds",
            "The ages of answers that were used, summed",
            lambda: cache.hit_age_seconds,
            "counter",
        ),
    ]


def _tile_gauges(app: web.Application) -> list[Gauge | Tally]:
    cache = app[AREA_CACHE]
    return [
        Tally(
            "geosvc_tile_lookups",
            "Tiles that were looked for in memory",
            ("outcome",),
            lambda: {(outcome,): number for outcome, number in cache.lookups.items()},
        ),
        Gauge("geosvc_tile_entries", "Tiles in memory", lambda: len(cache)),
        Gauge("geosvc_tile_bytes", "What they take", lambda: cache.bytes),
        Gauge("geosvc_tile_max_bytes", "What they may take", lambda: cache.max_bytes),
        Gauge(
            "geosvc_tile_touched",
            "Tiles that were dropped since their area had changed",
            lambda: cache.touched,
            "counter",
        ),
    ]


def _resident_bytes() -> float:
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123
            return float(file.read().split()[1]) * resource.getpagesize()
    except OSError:  # not Linux: the most it ever had
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def report(app: web.Application, part: str) -> Any:
    """The answer of this worker to its siblings, and to itself, for each of siblings.PARTS."""
    if part == "metrics":
        return app[METRICS].snapshot()
    if part == "slow":
        return app[SLOW_QUERIES].statistics.state()
    if part == "pool":
        database = app[DATABASE]
        return {
            "connections": database.size,
            "in_use": database.in_use,
            "waiting": database.waiting,
            "max": app[SETTINGS].pool_max_size,
        }
    now, open_requests = perf_counter(), list(app[OBSERVED].open_requests)
    clients = Clients(app[SETTINGS].log_clients, app[SETTINGS].trusted_proxies)
    return [
        {
            "request_id": trace.request_id,
            "method": trace.method,
            "route": trace.route,
            "collection": trace.collection,
            "operation": trace.operation,
            "running_ms": round((now - trace.started) * 1000, 1),
            "pool_wait_ms": round(trace.pool_seconds * 1000, 1),
            "send_ms": round(trace.send_seconds * 1000, 1),
            "bytes": trace.bytes,
            **clients.describe(trace.peer, trace.forwarded_for, trace.user_agent),
        }
        for trace in open_requests
    ]
