"""One process that serves: the listeners, and a stop that lets running requests end."""

import asyncio
import gc
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from multiprocessing import parent_process
from typing import Any

from aiohttp import web

from geosvc.allocator import give_memory_back
from geosvc.app import build_admin_app, build_app
from geosvc.descriptors import ADMIN_CONNECTIONS, connections, raise_limit, report_limit
from geosvc.events import ServerStarted, ServerStopping, UnknownSetting, WritableByAnyone, emit
from geosvc.http.keys import (
    ADMIN_DATABASE,
    DATABASE,
    SEND_MONITOR,
    SETTINGS,
    STOP,
    TRACE,
    WRITE_DATABASE,
)
from geosvc.http.middleware import Handler
from geosvc.http.request_end import RequestEnds
from geosvc.http.send_monitor import watch_clients
from geosvc.observe.log import start_log
from geosvc.observe.tracing import note_request, start_tracing
from geosvc.server.connections import Runner
from geosvc.server.listening import bind
from geosvc.server.loops import new_loop
from geosvc.settings import Settings, unknown_variables
from geosvc.signals import stop_signals
from geosvc.stopping import Stop
from geosvc.worker_peers import WorkerSlot

KEEPALIVE_SECONDS = 75.0
GC_THRESHOLDS = (50_000, 20, 100)


def runner_arguments(settings: Settings) -> dict[str, Any]:
    """How aiohttp serves, on every listener."""
    return {
        "handle_signals": False,
        "access_log": logging.getLogger(__name__)
        if settings.telemetry or settings.access_log
        else None,
        "access_log_class": RequestEnds,
        "shutdown_timeout": settings.shutdown_grace_seconds,
        "keepalive_timeout": KEEPALIVE_SECONDS,
        # `bodies.inflating` notices what is cut off, and bounds what it inflates
        "auto_decompress": False,
        "max_line_size": settings.max_url_bytes,
        "max_field_size": settings.max_url_bytes,
    }


def _runner(app: web.Application, settings: Settings) -> Runner:
    return Runner(app, handler_cancellation=True, **runner_arguments(settings))


async def _start(settings: Settings, service: Runner, admin: Runner, *, shared: bool) -> None:
    # the service first: its start opens what the admin listener looks into
    head_seconds = settings.read_stall_seconds
    url = await service.listen(
        bind(settings.host, settings.port, shared=shared), connections(settings), head_seconds
    )
    admin_sockets = bind(settings.admin_host, settings.admin_port, shared=shared)
    admin_url = await admin.listen(admin_sockets, ADMIN_CONNECTIONS, head_seconds)
    emit(ServerStarted(url=url, admin_url=admin_url, pid=os.getpid()))


async def _end(starting: "asyncio.Task[None]") -> None:
    """Ends a start that a signal came before; a database that does not answer holds it up for
    seconds.
    """
    starting.cancel()
    with suppress(asyncio.CancelledError):
        await starting


@web.middleware
async def _traced(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Tells which request the current span is of."""
    note_request(request[TRACE])
    return await handler(request)


async def serve(settings: Settings, slot: WorkerSlot | None = None) -> None:
    """Serves until SIGTERM, SIGINT or SIGHUP, then lets running requests end within the grace time.

    Args:
        place: of this worker among others that listen on the same ports.
    Raises: StartError when a port is taken.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in stop_signals():
        loop.add_signal_handler(number, stopped.set)
    _stop_with_supervisor(loop, stopped)
    app = build_app(settings, slot)
    if settings.otel:
        app.middlewares.append(_traced)
    service, admin, stop = (
        _runner(app, settings),
        _runner(build_admin_app(app), settings),
        app[STOP],
    )
    watching = asyncio.create_task(
        watch_clients(
            app[SEND_MONITOR], settings.write_stall_seconds, transports_of(service, admin)
        )
    )
    try:
        shared = settings.reuse_port or slot is not None
        starting = asyncio.create_task(_start(settings, service, admin, shared=shared))
        stopping = asyncio.create_task(stopped.wait())
        await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            await stopping
        stop.begun = True
        emit(
            ServerStopping(
                delay_seconds=settings.shutdown_delay_seconds,
                grace_seconds=settings.shutdown_grace_seconds,
            )
        )
        if starting.done():
            await asyncio.sleep(settings.shutdown_delay_seconds)
        await _end(starting)
    finally:
        stop.start_grace(settings.shutdown_grace_seconds)
        await _stop(service, admin, stop)
        watching.cancel()


def _stop_with_supervisor(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    """Stops a worker when its supervisor is gone, killed perhaps: the end of a pipe tells, also of
    one that died before.
    """
    supervisor = parent_process()
    if supervisor is None:
        return
    pipe = supervisor.sentinel

    def stop() -> None:
        loop.remove_reader(pipe)
        stopped.set()

    loop.add_reader(pipe, stop)


async def _stop(service: Runner, admin: Runner, stop: Stop) -> None:
    """Ends requests, then what they need.

    The admin listener tells of the stop until the last request has ended.
    """
    await service.stop_listening()
    if service.app[SETTINGS].reuse_port:  # who takes over answers there
        await admin.stop_listening()
    await service.end(stop)
    await admin.stop_listening()
    await admin.end(stop)
    await admin.cleanup()
    closing = asyncio.ensure_future(service.cleanup())
    await asyncio.wait((closing,), timeout=stop.left())
    if not closing.done():  # the database does not answer
        for pool in (DATABASE, WRITE_DATABASE, ADMIN_DATABASE):
            service.app[pool].terminate()
    await closing


def transports_of(*runners: Runner) -> Callable[[], Iterator[asyncio.Transport | None]]:
    """Tells those of all connections that are open."""

    def tell() -> Iterator[asyncio.Transport | None]:
        for runner in runners:
            if runner.server is not None:
                yield from (connection.transport for connection in runner.server.connections)

    return tell


def run(settings: Settings, slot: WorkerSlot | None = None) -> None:
    """Serves in this process, on the event loop of the settings."""
    stop_log = start_log(settings)
    if slot is None:
        report_settings(settings)
    stop_tracing = start_tracing(settings)
    # rows come by the thousand and live for a page: with Python's thresholds, looking for cycles
    # among them and among everything that was imported takes a fifth of the time
    sys.setswitchinterval(0.001)
    give_memory_back()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        with asyncio.Runner(loop_factory=partial(new_loop, settings.loop)) as runner:
            runner.run(serve(settings, slot))
    finally:
        stop_tracing()
        stop_log()


def report_settings(settings: Settings) -> None:
    """Says which GEOSVC_ variables do nothing, what lets strangers write, and what there are too
    few descriptors for.
    """
    raise_limit()
    report_limit(settings)
    for variable, meant in unknown_variables():
        emit(UnknownSetting(variable=variable, did_you_mean=meant))
    if settings.writable and not is_loopback(settings.host):
        emit(WritableByAnyone(host=settings.host, writable=", ".join(settings.writable)))


def is_loopback(host: str) -> bool:
    """Whether this machine alone reaches it."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
