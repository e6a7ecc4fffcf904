"""The supervisor of several worker processes. It restarts a worker that has died.

The workers share the ports by SO_REUSEPORT.
"""

import multiprocessing
import os
import signal
import socket
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from tempfile import TemporaryDirectory

from geosvc.errors import StartError
from geosvc.events import WorkerExited, emit
from geosvc.observe.log import start_log
from geosvc.server.listening import reserve
from geosvc.server.serve import report_settings, run
from geosvc.settings import Settings
from geosvc.signals import stop_signals
from geosvc.worker_peers import WorkerSlot

SHORT_LIFE_SECONDS = 5.0
MAX_RESTART_SECONDS = 30.0
KILL_AFTER_SECONDS = 10.0  # beyond the delay and the grace time

_context = multiprocessing.get_context("spawn")


@dataclass(slots=True)
class Worker:
    """One worker process.

    Attributes:
        started: time of the start, by the monotonic clock.
        early_deaths: how many processes of this slot in a row have lived less than
            SHORT_LIFE_SECONDS.
    """

    process: SpawnProcess
    slot: WorkerSlot
    started: float = field(default_factory=time.monotonic)
    early_deaths: int = 0


def _work(settings: Settings, slot: WorkerSlot) -> None:
    """Runs in a worker process. It reports a StartError as one line without a stack."""
    try:
        run(settings, slot)
    except StartError as error:
        sys.exit(f"geosvc: {error}")


def _start(settings: Settings, slot: WorkerSlot, early_deaths: int = 0) -> Worker:
    process = _context.Process(target=_work, args=(settings, slot), name="geosvc-worker")
    # A terminal sends these signals to all its processes. The worker inherits the mask, so it ends
    # only when the supervisor tells it to.
    blocked = {signal.SIGINT, signal.SIGHUP}
    signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)
    return Worker(process, slot, early_deaths=early_deaths)


def supervise(settings: Settings) -> None:
    """Runs the workers until SIGTERM, SIGINT or SIGHUP, then stops them.

    Raises: StartError when a port is taken.
    """
    with ExitStack() as ends:
        settings = _reserve_ports(settings, ends)
        stop_pipe = _open_stop_pipe(ends)
        ends.callback(start_log(settings))
        report_settings(settings)
        sockets_folder = TemporaryDirectory(prefix="geosvc-", ignore_cleanup_errors=True)
        folder = Path(ends.enter_context(sockets_folder))
        workers: list[Worker] = []
        ends.callback(_stop_workers, workers, settings)
        for number in range(settings.workers):
            workers.append(_start(settings, WorkerSlot(number, settings.workers, folder)))
        _replace_dead_workers(workers, settings, stop_pipe)


def _reserve_ports(settings: Settings, ends: ExitStack) -> Settings:
    """Reserves the ports of the workers. Returns the settings with the numbers of these ports."""
    sockets = reserve(settings.host, settings.port, reused=settings.reuse_port)
    ends.callback(_close, sockets)
    admin_sockets = reserve(settings.admin_host, settings.admin_port, reused=settings.reuse_port)
    ends.callback(_close, admin_sockets)
    ports = {
        "port": sockets[0].getsockname()[1],
        "admin_port": admin_sockets[0].getsockname()[1],
    }
    return settings.model_copy(update=ports)


def _close(sockets: list[socket.socket]) -> None:
    for each in sockets:
        each.close()


def _open_stop_pipe(ends: ExitStack) -> int:
    """Returns a file descriptor that becomes readable when a signal to stop arrives."""
    reader, writer = os.pipe()
    ends.callback(os.close, reader)
    ends.callback(os.close, writer)
    for number in stop_signals():
        previous = signal.signal(number, lambda *_: os.write(writer, b"s"))
        ends.callback(signal.signal, number, previous)
    return reader


def _replace_dead_workers(workers: list[Worker], settings: Settings, stop_pipe: int) -> None:
    """Replaces workers that have died, until a signal to stop arrives."""
    while True:
        sentinels = [worker.process.sentinel for worker in workers]
        if stop_pipe in wait([stop_pipe, *sentinels]):
            return
        for position, worker in enumerate(workers):
            if not worker.process.is_alive():
                workers[position] = _replace(worker, settings, stop_pipe)


def _replace(worker: Worker, settings: Settings, stop_pipe: int) -> Worker:
    """Starts another worker for a dead one.

    The more processes in a row have died early, the longer is the pause before.
    """
    pause_seconds = 0.0
    early_deaths = 0
    if time.monotonic() - worker.started < SHORT_LIFE_SECONDS:
        early_deaths = worker.early_deaths + 1
        pause_seconds = min(2.0 ** (early_deaths - 1) / 2, MAX_RESTART_SECONDS)
    process = worker.process
    event = WorkerExited(
        pid=process.pid or 0, exit_code=process.exitcode, restart_in_seconds=pause_seconds
    )
    emit(event)
    if pause_seconds:
        wait([stop_pipe], pause_seconds)  # a signal to stop ends the pause
    return _start(settings, worker.slot, early_deaths)


def _stop_workers(workers: list[Worker], settings: Settings) -> None:
    """Stops the workers, and kills those that do not end in time."""
    seconds = settings.shutdown_delay_seconds + settings.shutdown_grace_seconds + KILL_AFTER_SECONDS
    for worker in workers:
        worker.process.terminate()
    deadline = time.monotonic() + seconds
    for worker in workers:
        worker.process.join(max(deadline - time.monotonic(), 0.0))
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
