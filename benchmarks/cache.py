"""Answers about a published table that nobody changes: from memory, and 304."""

from collections.abc import Callable, Mapping

from benchmarks.arena import CLIENTS, Arena
from benchmarks.contest import compete
from benchmarks.data import COLLECTION
from benchmarks.published import published, versioned_tag
from benchmarks.results import Result, Target
from benchmarks.rounds import Rounds
from benchmarks.servers import empty_server, geosvc_server
from benchmarks.wrk import measure_wrk

TARGET = Target(0.5)
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


def run(arena: Arena) -> list[Result]:
    """Requests a second of a page of ten features and of 304, for few clients and for more, against
    an empty handler.
    """
    kept, plain = f"/collections/{KEPT}/items", f"/collections/{PLAIN}/items"
    with (
        published(arena.url, _TABLES, _DROP, KEPT),
        geosvc_server(arena.url) as server,
        empty_server() as empty,
    ):
        known = {"If-None-Match": versioned_tag(server.url + kept)}

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
