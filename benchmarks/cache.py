"""Answers about a published table that nobody changes: from memory, and 304."""

import asyncio
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter, sleep

from benchmarks.arena import CLIENTS, Arena
from benchmarks.contest import compete
from benchmarks.data import COLLECTION, run_sql
from benchmarks.results import Result, Target
from benchmarks.rounds import Rounds
from benchmarks.servers import empty_server, geosvc_server
from benchmarks.wrk import measure_wrk
from geosvc.database.changefeed.publishing import publish, unpublish
from geosvc.database.migrations import migrate_up
from geosvc.errors import StartError
from geosvc.settings import load_settings

TARGET = Target(0.5)
PATIENCE_SECONDS = 10.0
MORE_CLIENTS = 64
KEPT, PLAIN = (
    "cache_kept",
    "cache_plain",
)  # in the schema public, which is not that of a role called geosvc
_DROP = f"DROP TABLE IF EXISTS public.{KEPT}, public.{PLAIN}"
_TABLES = ";".join(
    f"CREATE TABLE public.{table} (LIKE {COLLECTION} INCLUDING ALL);"
    f"INSERT INTO public.{table} SELECT * FROM {COLLECTION} LIMIT 1000;"
    f"ANALYZE public.{table}"
    for table in (KEPT, PLAIN)
)


@contextmanager
def _published(arena: Arena) -> Iterator[None]:
    settings = load_settings(database_url=arena.url)
    migrate_up(settings, arena.url)
    run_sql(arena.url, f"{_DROP};{_TABLES}")
    asyncio.run(publish(settings, arena.url, KEPT))
    yield
    asyncio.run(unpublish(settings, arena.url, KEPT))
    run_sql(arena.url, _DROP)


def _etag(url: str) -> str:
    """The ETag of a page. There is none until the change log is read, a moment after the start.

    Raises: StartError when none comes.
    """
    until = perf_counter() + PATIENCE_SECONDS
    while perf_counter() < until:
        with urllib.request.urlopen(url) as answer:
            if answer.headers["ETag"] is not None:
                return str(answer.headers["ETag"])
        sleep(0.05)
    raise StartError("no page has an ETag")


def run(arena: Arena) -> list[Result]:
    """Requests a second of a page of ten features and of 304, for few clients and for more, against
    an empty handler.
    """
    kept, plain = f"/collections/{KEPT}/items", f"/collections/{PLAIN}/items"
    with _published(arena), geosvc_server(arena.url) as server, empty_server() as empty:
        known = {"If-None-Match": _etag(server.url + kept)}

        def measured(
            url: str, path: str, clients: int, headers: Mapping[str, str] | None = None
        ) -> Callable[[float], float]:
            return lambda seconds: measure_wrk(url, [path], clients, seconds, headers=headers).rate

        rates = compete(
            {
                f"{what} {clients}": measure
                for clients in (CLIENTS, MORE_CLIENTS)
                for what, measure in (
                    ("page", measured(server.url, kept, clients)),
                    ("304", measured(server.url, kept, clients, known)),
                    ("plain", measured(server.url, plain, clients)),
                    ("empty", measured(empty.url, "/", clients)),
                )
            },
            arena.effort,
        )
    return [
        each
        for clients in (CLIENTS, MORE_CLIENTS)
        for each in (
            _result("page from memory", rates, "page", "empty", clients),
            _result("304", rates, "304", "empty", clients),
            _result("page from memory", rates, "page", "plain", clients),
        )
    ]


def _result(what: str, rates: dict[str, Rounds], name: str, peer: str, clients: int) -> Result:
    against, target = (
        ("empty aiohttp handler", TARGET)
        if peer == "empty"
        else ("the same page, unpublished", None)
    )
    rate, limit = rates[f"{name} {clients}"], rates[f"{peer} {clients}"]
    return Result("cache", f"{what}, {clients} clients", rate, "req/s", against, limit, target)
