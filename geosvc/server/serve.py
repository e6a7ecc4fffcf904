"""One process that serves: it starts the listeners, and lets running requests end at a stop."""

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
from geosvc.http.response_end import RequestEnds
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
    """The arguments of aiohttp's runner, for every listener."""
    access_log: logging.Logger | None = None
    if settings.telemetry or settings.access_log:
        access_log = logging.getLogger(__name__)
    return {
        "handle_signals": False,
        "access_log": access_log,
        "access_log_class": RequestEnds,
        "shutdown_timeout": settings.shutdown_grace_seconds,
        "keepalive_timeout": KEEPALIVE_SECONDS,
        # `bodies.inflating` inflates bodies: it notices truncated ones and limits their size
        "auto_decompress": False,
        "max_line_size": settings.max_url_bytes,
        "max_field_size": settings.max_url_bytes,
    }


def _runner(app: web.Application, settings: Settings) -> Runner:
    return Runner(app, handler_cancellation=True, **runner_arguments(settings))


async def _start(settings: Settings, service: Runner, admin: Runner, *, shared: bool) -> None:
    head_seconds = settings.read_stall_seconds
    # the service first: its start opens the components that the admin listener describes
    sockets = bind(settings.host, settings.port, shared=shared)
    url = await service.listen(sockets, connections(settings), head_seconds)
    admin_sockets = bind(settings.admin_host, settings.admin_port, shared=shared)
    admin_url = await admin.listen(admin_sockets, ADMIN_CONNECTIONS, head_seconds)
    emit(ServerStarted(url=url, admin_url=admin_url, pid=os.getpid()))


async def _cancel_start(starting: "asyncio.Task[None]") -> None:
    """Cancels a start that has not ended; a database that does not answer delays it for seconds."""
    starting.cancel()
    with suppress(asyncio.CancelledError):
        await starting


@web.middleware
async def _traced(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Connects the current span with its request."""
    note_request(request[TRACE])
    return await handler(request)


async def serve(settings: Settings, slot: WorkerSlot | None = None) -> None:
    """Serves until SIGTERM, SIGINT or SIGHUP, then lets running requests end within the grace time.

    Args:
        slot: of this worker among others that listen on the same ports; None for a single process.
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
    stop = app[STOP]
    service = _runner(app, settings)
    admin = _runner(build_admin_app(app), settings)
    transports = transports_of(service, admin)
    watching = asyncio.create_task(
        watch_clients(app[SEND_MONITOR], settings.write_stall_seconds, transports)
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
        _report_stop(settings)
        if starting.done():
            await asyncio.sleep(settings.shutdown_delay_seconds)
        await _cancel_start(starting)
    finally:
        stop.start_grace(settings.shutdown_grace_seconds)
        await _stop(service, admin, stop)
        watching.cancel()


def _report_stop(settings: Settings) -> None:
    emit(
        ServerStopping(
            delay_seconds=settings.shutdown_delay_seconds,
            grace_seconds=settings.shutdown_grace_seconds,
        )
    )


def _stop_with_supervisor(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    """Stops this worker when its supervisor has ended, for example because it was killed.

    The supervisor holds one end of a pipe. The pipe closes when it ends, and is closed already if
    it ended before this call.
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
    """Ends the requests, then the components that they need.

    The admin listener reports the stop until the last request has ended.
    """
    await service.stop_listening()
    if service.app[SETTINGS].reuse_port:  # the instance that takes over answers on this port
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
    """A function that yields the transports of all open connections of these runners."""

    def open_transports() -> Iterator[asyncio.Transport | None]:
        for runner in runners:
            if runner.server is None:
                continue
            for connection in runner.server.connections:
                yield connection.transport

    return open_transports


def run(settings: Settings, slot: WorkerSlot | None = None) -> None:
    """Serves in this process, on the event loop of the settings."""
    stop_log = start_log(settings)
    if slot is None:
        report_settings(settings)
    stop_tracing = start_tracing(settings)
    # A page makes thousands of rows that live for one request. With Python's thresholds, searching
    # for cycles in them and in everything that was imported takes a fifth of the time.
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
    """Reports settings that are probably mistakes: unknown GEOSVC_ variables, collections that
    everybody can write to, and limits that need more file descriptors than there are.
    """
    raise_limit()
    report_limit(settings)
    for variable, meant in unknown_variables():
        emit(UnknownSetting(variable=variable, did_you_mean=meant))
    if settings.writable and not is_loopback(settings.host):
        emit(WritableByAnyone(host=settings.host, writable=", ".join(settings.writable)))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a host."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
