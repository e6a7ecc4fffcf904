"""One process that serves: the listeners, and a stop that lets running requests end."""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from typing import Any

import uvloop
from aiohttp import web

from geosvc.app import build_admin_app, build_app
from geosvc.errors import StartError
from geosvc.events import ServerStarted, ServerStopping, UnknownSetting, emit
from geosvc.keys import TRACE
from geosvc.middleware import Handler, RequestEnds
from geosvc.observe.log import start_log
from geosvc.observe.tracing import note_request, start_tracing
from geosvc.settings import Settings, unknown_variables
from geosvc.siblings import Place

BACKLOG = 1024
KEEPALIVE_SECONDS = 75.0
GC_THRESHOLDS = (50_000, 20, 100)


def runner_arguments(settings: Settings) -> dict[str, Any]:
    """How aiohttp serves, on every listener."""
    return {
        "handle_signals": False,
        "access_log": logging.getLogger(__name__) if settings.telemetry or settings.access_log else None,
        "access_log_class": RequestEnds,
        "shutdown_timeout": settings.shutdown_grace_seconds,
        "keepalive_timeout": KEEPALIVE_SECONDS,
        "auto_decompress": False,  # `requests.inflating` notices what is cut off, and bounds what it inflates
        "max_line_size": settings.max_url_bytes,
        "max_field_size": settings.max_url_bytes,
    }


def _runner(app: web.Application, settings: Settings) -> web.AppRunner:
    return web.AppRunner(app, handler_cancellation=True, **runner_arguments(settings))


async def _listen(runner: web.AppRunner, host: str, port: int, shared: bool) -> str:
    await runner.setup()
    site = web.TCPSite(runner, host, port, backlog=BACKLOG, reuse_port=shared or None)
    try:
        await site.start()
    except OSError as error:
        raise StartError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
    bound = runner.addresses[0]
    shown = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
    return f"http://{shown}:{bound[1]}"


@web.middleware
async def _traced(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Tells which request the current span is of."""
    note_request(request[TRACE])
    return await handler(request)


async def serve(settings: Settings, place: Place | None = None) -> None:
    """Serves until SIGTERM or SIGINT, then lets running requests end within the grace time.

    Args:
        place: of this worker among others that listen on the same ports.
    Raises: StartError when a port is taken.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    app = build_app(settings, place)
    if settings.otel:
        app.middlewares.append(_traced)
    shared = place is not None
    runner = _runner(app, settings)
    admin_runner = _runner(build_admin_app(app), settings)
    try:
        # the service first: its start opens what the admin listener looks into
        url = await _listen(runner, settings.host, settings.port, shared)
        admin_url = await _listen(admin_runner, settings.admin_host, settings.admin_port, shared)
        emit(ServerStarted(url=url, admin_url=admin_url, pid=os.getpid()))
        await stopped.wait()
        emit(ServerStopping(grace_seconds=settings.shutdown_grace_seconds))
    finally:
        await admin_runner.cleanup()
        await runner.cleanup()


def run(settings: Settings, place: Place | None = None) -> None:
    """Serves in this process, on the event loop of the settings."""
    stop_log = start_log(settings)
    if place is None:
        report_unknown_variables()
    stop_tracing = start_tracing(settings)
    factory: Any = uvloop.new_event_loop if settings.loop == "uvloop" else asyncio.new_event_loop
    # rows come by the thousand and live for a page: with Python's thresholds, looking for cycles among them and among
    # everything that was imported takes a fifth of the time
    sys.setswitchinterval(0.001)
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(serve(settings, place))
    finally:
        stop_tracing()
        stop_log()


def report_unknown_variables() -> None:
    """Says which GEOSVC_ variables do nothing."""
    for variable, meant in unknown_variables():
        emit(UnknownSetting(variable=variable, did_you_mean=meant))


def reserve_port(host: str, port: int) -> socket.socket:
    """A bound socket that keeps a port for the workers, which share it.

    Raises: StartError when somebody else listens there.
    """
    try:
        family = socket.getaddrinfo(host, port or None, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))  # fails where another service listens, with SO_REUSEPORT or without
        reserved = socket.socket(family, socket.SOCK_STREAM)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind((host, port))
    except OSError as error:
        raise StartError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
    return reserved
