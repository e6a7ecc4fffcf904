"""Small requests against other services on the same tables, each with two processes."""

import asyncio
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from random import Random

from benchmarks.answers import compare_answers
from benchmarks.arena import CLIENTS, Arena
from benchmarks.boxes import Box, find_small_boxes
from benchmarks.costs import Measured, asking, measure_costs, open_session
from benchmarks.data import COLLECTION, ROWS
from benchmarks.peer_servers import PEERS, WORKERS, Paths, peer_server
from benchmarks.points import POINTS, SCHEMA, make_points, points_table, random_box_of_points
from benchmarks.results import Result, Target
from benchmarks.servers import Server, geosvc_server
from geosvc.errors import StartError

Requests = Mapping[str, Sequence[str]]

ITEM, PAGE = "item by id", "page of 10 polygons"
BOX, BOX_OF_POINTS = "box of up to 100 polygons", "box of some 60 points"
TARGETS = {
    ("tipg", ITEM): Target(5),
    ("tipg", PAGE): Target(8),
    ("tipg", BOX): Target(6),
    ("tipg", BOX_OF_POINTS): Target(6),
    ("FastAPI + asyncpg", ITEM): Target(3),
}
OF_A_QUICK_RUN = ("tipg", "FastAPI + asyncpg")  # those that have targets
_GEOSVC = "geosvc"
_SIZE = "150,000"
_ITEMS, _BOXES, _CHECKED = 20_000, 500, 5
_PATHS = Paths(
    f"/collections/{COLLECTION}/items/{{id}}",
    f"/collections/{COLLECTION}/items?{{query}}",
    f"/collections/{points_table(POINTS[_SIZE])}/items?{{query}}",
)


@dataclass(frozen=True, slots=True)
class _Sample:
    """What is asked for: the same of every service."""

    ids: Sequence[int]
    boxes: Sequence[Box]
    boxes_of_points: Sequence[Box]

    def requests(self, paths: Paths) -> Requests:
        """The paths of each request."""
        queries = [f"bbox={box}&limit=100" for box in self.boxes]
        queries_of_points = [f"bbox={box}&limit=100" for box in self.boxes_of_points]
        return {
            ITEM: [paths.item.format(id=each) for each in self.ids],
            PAGE: [paths.buildings.format(query="limit=10")],
            BOX: [paths.buildings.format(query=each) for each in queries],
            BOX_OF_POINTS: [paths.points.format(query=each) for each in queries_of_points],
        }


@dataclass(frozen=True, slots=True)
class _Entrant:
    """A service that listens, and what it is asked."""

    server: Server
    requests: Requests


def run(arena: Arena) -> list[Result]:
    """Requests a second, and what one costs the processor, of item, page and boxes."""
    make_points(arena)
    sample = _choose(arena.url)
    with ExitStack() as stack, open_session(arena.url) as backend:
        entrants = _enter(arena, sample, stack)
        measured = {
            request: _measure(arena, request, entrants, backend)
            for request in (ITEM, PAGE, BOX, BOX_OF_POINTS)
        }
    return list(_results(measured))


def _choose(url: str) -> _Sample:
    chosen = Random(ROWS)
    ids = [chosen.randint(1, ROWS) for _ in range(_ITEMS)]
    boxes_of_points = [random_box_of_points(chosen, POINTS[_SIZE]) for _ in range(_BOXES)]
    return _Sample(ids, asyncio.run(find_small_boxes(url, _BOXES)), boxes_of_points)


def _enter(arena: Arena, sample: _Sample, stack: ExitStack) -> dict[str, _Entrant]:
    """Geosvc, and the peers that can be started and give the same answers."""
    settings = {"GEOSVC_WORKERS": str(WORKERS), "GEOSVC_SCHEMAS": f"public,{SCHEMA}"}
    server = stack.enter_context(geosvc_server(arena.url, **settings))
    geosvc = _Entrant(server, sample.requests(_PATHS))
    entrants = {_GEOSVC: geosvc}
    for name in OF_A_QUICK_RUN if arena.effort.is_quick else PEERS:
        try:
            peer = stack.enter_context(peer_server(name, arena.url))
            entrant = _Entrant(peer, sample.requests(PEERS[name].paths))
            _check(geosvc, entrant)
        except StartError as error:
            arena.say(f"peers: without {name}: {error}")
        else:
            entrants[name] = entrant
    return entrants


def _check(geosvc: _Entrant, peer: _Entrant) -> None:
    """Raises: StartError when the peer answers with other features than geosvc."""
    for request, paths in geosvc.requests.items():
        for own, others in list(zip(paths, peer.requests[request], strict=True))[:_CHECKED]:
            ours = _read(geosvc.server.url + own)
            difference = compare_answers(ours, _read(peer.server.url + others))
            if difference is not None:
                raise StartError(f"{others}: {difference}")


def _read(url: str) -> bytes:
    """Raises: StartError when the answer is no success."""
    try:
        with urllib.request.urlopen(url) as answer:
            return bytes(answer.read())
    except urllib.error.URLError as error:
        raise StartError(f"{url}: {error}") from error


def _measure(
    arena: Arena, request: str, entrants: Mapping[str, _Entrant], backend: int
) -> dict[str, Measured]:
    arena.say(f"peers: {request} …")
    contenders = {
        name: asking(entrant.server, entrant.requests[request], CLIENTS)
        for name, entrant in entrants.items()
    }
    return measure_costs(contenders, arena.effort, backend)


def _results(measured: Mapping[str, Mapping[str, Measured]]) -> Iterator[Result]:
    for request, services in measured.items():
        geosvc = services[_GEOSVC]
        for name, peer in services.items():
            if name != _GEOSVC:
                yield Result(
                    "peers",
                    request,
                    geosvc.rate,
                    "req/s",
                    name,
                    peer.rate,
                    TARGETS.get((name, request)),
                    geosvc.cost,
                    peer.cost,
                )
