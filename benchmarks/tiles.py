"""Vector tiles: made at each request, from memory, 304, and the first picture of large tables."""

import shutil
import socket
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from time import perf_counter, sleep
from urllib.error import URLError

from benchmarks.arena import CLIENTS, Arena
from benchmarks.contest import compete, repeat
from benchmarks.data import COLLECTION
from benchmarks.literals import pgbench_script
from benchmarks.pgbench import Sessions, measure_pgbench
from benchmarks.published import published, versioned_tag
from benchmarks.results import Result, Target
from benchmarks.rounds import Rounds
from benchmarks.servers import START_SECONDS, Server, empty_server, geosvc_server, running
from benchmarks.wrk import measure_wrk

# of WebMercatorQuad, (zoom, row, column): a thousand polygons and more, in the centre of Helsinki
ADDRESSES = ((12, 1185, 2331), (12, 1184, 2332), (13, 2369, 4664), (13, 2371, 4663))
SMALL = (17, 37939, 74620)  # with some buildings
KEPT = "tiles_kept"
FIRST_PICTURES: Mapping[str, tuple[str, float]] = {
    "140,000 polygons": (COLLECTION, 0.5),
    "69,472 points": ("cities", 0.5),
}
_DROP = f"DROP TABLE IF EXISTS public.{KEPT}"
_TABLE = (
    f"CREATE TABLE public.{KEPT} (LIKE {COLLECTION} INCLUDING ALL);"
    f"INSERT INTO public.{KEPT} SELECT * FROM {COLLECTION};"
    f"ANALYZE public.{KEPT}"
)


def run(arena: Arena) -> list[Result]:
    """Tiles against the same SQL in pgbench, against martin where it is installed, and against an
    empty handler.
    """
    plain = [_path(COLLECTION, address) for address in ADDRESSES]
    kept = [_path(KEPT, address) for address in ADDRESSES]
    scripts = [pgbench_script(arena.planner.tile(COLLECTION, address)) for address in ADDRESSES]
    sessions = Sessions(arena.url, arena.planner.session, CLIENTS)
    with (
        published(arena.url, _TABLE, _DROP, KEPT),
        geosvc_server(arena.url) as server,
        empty_server() as empty,
        _martin(arena) as martin,
    ):
        known = {"If-None-Match": versioned_tag(server.url + kept[0])}
        contenders: dict[str, Callable[[float], float]] = {
            "made": _wrk(server.url, plain),
            "pgbench": lambda seconds: measure_pgbench(sessions, scripts, seconds, "extended"),
            "kept": _wrk(server.url, [_path(KEPT, SMALL)]),
            "304": _wrk(server.url, kept[:1], known),
            "empty": _wrk(empty.url, ["/"]),
        }
        if martin is not None:
            xyz = [f"/{COLLECTION}/{zoom}/{column}/{row}" for zoom, row, column in ADDRESSES]
            contenders["martin"] = _wrk(martin, xyz)
        rates = compete(contenders, arena.effort)
        firsts = [_first_picture(server, name, arena) for name in FIRST_PICTURES]
    what = "tile of some 1,000 polygons"
    results = [
        Result(
            "tiles",
            what,
            rates["made"],
            "req/s",
            "pgbench, same SQL",
            rates["pgbench"],
            Target(0.85),
        )
    ]
    if "martin" in rates:
        against = ("martin, no cache", rates["martin"], Target(1))
        results.append(Result("tiles", what, rates["made"], "req/s", *against))
    limit = ("empty aiohttp handler", rates["empty"], Target(0.5))
    results.append(Result("tiles", "tile from memory", rates["kept"], "req/s", *limit))
    results.append(Result("tiles", "304", rates["304"], "req/s", *limit))
    return [*results, *firsts]


def _path(collection: str, address: tuple[int, int, int]) -> str:
    zoom, row, column = address
    return f"/collections/{collection}/tiles/WebMercatorQuad/{zoom}/{row}/{column}"


def _wrk(
    url: str, paths: list[str], headers: Mapping[str, str] | None = None
) -> Callable[[float], float]:
    return lambda seconds: measure_wrk(url, paths, CLIENTS, seconds, headers=headers).rate


def _first_picture(server: Server, name: str, arena: Arena) -> Result:
    """The time of the tile of the whole world."""
    collection, most = FIRST_PICTURES[name]
    url = server.url + _path(collection, (0, 0, 0))

    def seconds() -> float:
        started = perf_counter()
        with urllib.request.urlopen(url) as answer:
            answer.read()
        return perf_counter() - started

    measured: Rounds = repeat(seconds, 2 * arena.effort.rounds + 1)
    return Result("tiles", f"zoom 0 of {name}", measured, "s", target=Target(most, at_most=True))


@contextmanager
def _martin(arena: Arena) -> Iterator[str | None]:
    """Martin without its cache; None where it is not installed."""
    program = shutil.which("martin")
    if program is None:
        arena.say("martin is not installed, so it is left out")
        with nullcontext():
            yield None
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    options = ("--listen-addresses", address, "--workers", "1", "--cache-size", "0")
    with running((program, *options, arena.url), {"PATH": "/usr/bin:/bin"}) as started:
        url = f"http://{address}"
        while started.is_awaited():
            if _answers(f"{url}/health"):
                break
            sleep(0.05)
        else:
            raise started.failure()
        yield url


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=START_SECONDS):
            return True
    except URLError:
        return False
