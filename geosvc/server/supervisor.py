"""Several worker processes that share the ports by SO_REUSEPORT, under one supervisor that restarts
a dead one.
"""

import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

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
    """One worker process and how often in a row it has died young."""

    process: SpawnProcess
    slot: WorkerSlot
    started: float = field(default_factory=time.monotonic)
    early_deaths: int = 0


def _work(settings: Settings, slot: WorkerSlot) -> None:
    """What a worker process does; a StartError is one line, not a stack."""
    try:
        run(settings, slot)
    except StartError as error:
        sys.exit(f"geosvc: {error}")


def _start(settings: Settings, slot: WorkerSlot, early_deaths: int = 0) -> Worker:
    process = _context.Process(target=_work, args=(settings, slot), name="geosvc-worker")
    # a terminal sends them to all of its processes: the workers end when the supervisor says so
    unheard = {signal.SIGINT, signal.SIGHUP}
    signal.pthread_sigmask(signal.SIG_BLOCK, unheard)
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, unheard)
    return Worker(process, slot, early_deaths=early_deaths)


def supervise(settings: Settings) -> None:
    """Runs the workers of the settings until SIGTERM, SIGINT or SIGHUP, and ends them then.

    Raises: StartError when a port is taken.
    """
    reserved = reserve(settings.host, settings.port, reused=settings.reuse_port)
    ports = {"port": reserved[0].getsockname()[1]}
    reserved += reserve(settings.admin_host, settings.admin_port, reused=settings.reuse_port)
    ports["admin_port"] = reserved[-1].getsockname()[1]
    settings = settings.model_copy(update=ports)
    reader, writer = os.pipe()
    previous = {
        number: signal.signal(number, lambda *_: os.write(writer, b"s"))
        for number in stop_signals()
    }
    stop_log = start_log(settings)
    report_settings(settings)
    folder = Path(tempfile.mkdtemp(prefix="geosvc-"))
    workers = [
        _start(settings, WorkerSlot(number, settings.workers, folder))
        for number in range(settings.workers)
    ]
    try:
        while True:
            ready = wait([reader, *(worker.process.sentinel for worker in workers)])
            if reader in ready:
                return
            workers = [
                _replace(worker, settings, reader) if not worker.process.is_alive() else worker
                for worker in workers
            ]
    finally:
        _stop(
            workers,
            settings.shutdown_delay_seconds + settings.shutdown_grace_seconds + KILL_AFTER_SECONDS,
        )
        shutil.rmtree(folder, ignore_errors=True)
        for number, handler in previous.items():
            signal.signal(number, handler)
        for each in reserved:
            each.close()
        os.close(reader)
        os.close(writer)
        stop_log()


def _replace(worker: Worker, settings: Settings, stop: int) -> Worker:
    """Another worker for a dead one; one that keeps dying young is started ever later."""
    young = time.monotonic() - worker.started < SHORT_LIFE_SECONDS
    early_deaths = worker.early_deaths + 1 if young else 0
    pause = min(2.0 ** (early_deaths - 1) / 2, MAX_RESTART_SECONDS) if early_deaths else 0.0
    emit(
        WorkerExited(
            pid=worker.process.pid or 0, exit_code=worker.process.exitcode, restart_in_seconds=pause
        )
    )
    if pause:
        wait([stop], pause)  # a signal to stop cuts the pause short
    return _start(settings, worker.slot, early_deaths)


def _stop(workers: list[Worker], seconds: float) -> None:
    for worker in workers:
        worker.process.terminate()
    deadline = time.monotonic() + seconds
    for worker in workers:
        worker.process.join(max(deadline - time.monotonic(), 0.0))
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
