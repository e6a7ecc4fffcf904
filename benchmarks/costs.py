"""Rates together with what a request costs the processor, in the service and in PostgreSQL."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter, sleep

import asyncpg

from benchmarks.contest import Effort
from benchmarks.cpu import seconds_of_family, seconds_of_server
from benchmarks.rounds import Rounds
from benchmarks.servers import Server
from benchmarks.wrk import measure_wrk

_EDGE_SECONDS = 1.0
_QUICK_EDGE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Contender:
    """Something that is measured.

    Attributes:
        pid: the first process of the service; None where there is none.
        rate: runs it so many seconds, and returns its requests a second.
    """

    pid: int | None
    rate: Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Cost:
    """Of a request, in microseconds of the processor, round by round.

    Attributes:
        service: all processes of the service.
        postgresql: all processes of PostgreSQL.
    """

    service: Rounds
    postgresql: Rounds


@dataclass(frozen=True, slots=True)
class Measured:
    """Requests a second, and what one costs."""

    rate: Rounds
    cost: Cost


@dataclass(frozen=True, slots=True)
class _Round:
    rate: float
    service: float
    postgresql: float


def asking(server: Server, paths: Sequence[str], clients: int) -> Contender:
    """A service that wrk asks for random ones of `paths`."""

    def rate(seconds: float) -> float:
        return measure_wrk(server.url, paths, clients, seconds).rate

    return Contender(server.pid, rate)


@contextmanager
def open_session(url: str) -> Iterator[int]:
    """A session that stays open. Returns: the process that serves it."""
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(url))
        yield connection.get_server_pid()
        runner.run(connection.close())


def measure_costs(
    contenders: Mapping[str, Contender], effort: Effort, backend: int
) -> dict[str, Measured]:
    """Measures contenders in turns. A short run of each comes first and does not count.

    Args:
        backend: the process of any session of PostgreSQL.
    """
    rounds: dict[str, list[_Round]] = {name: [] for name in contenders}
    for contender in contenders.values():
        contender.rate(1)
    for _ in range(effort.rounds):
        for name, contender in contenders.items():
            rounds[name].append(_measure(contender, effort, backend))
    return {name: _together(measured) for name, measured in rounds.items()}


def _together(rounds: Sequence[_Round]) -> Measured:
    service = Rounds(tuple(each.service for each in rounds))
    postgresql = Rounds(tuple(each.postgresql for each in rounds))
    return Measured(Rounds(tuple(each.rate for each in rounds)), Cost(service, postgresql))


def _measure(contender: Contender, effort: Effort, backend: int) -> _Round:
    """The processor time in the middle of a run, when all sessions are open."""
    edge = _QUICK_EDGE_SECONDS if effort.is_quick else _EDGE_SECONDS
    middle = max(effort.seconds - 2 * edge, 1)
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(contender.rate, middle + 2 * edge)
        sleep(edge)
        started = perf_counter()
        service, server = _used(contender.pid), seconds_of_server(backend)
        sleep(middle)
        service, server = _used(contender.pid) - service, seconds_of_server(backend) - server
        window = perf_counter() - started
        rate = running.result()
    microseconds = 1e6 / (rate * window)
    return _Round(rate, service * microseconds, server * microseconds)


def _used(pid: int | None) -> float:
    if pid is None:
        return 0.0
    return seconds_of_family(pid)
