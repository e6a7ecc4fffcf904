"""Several worker processes that share the ports by SO_REUSEPORT, under one supervisor that restarts a dead one."""

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
from geosvc.server import report_unknown_variables, reserve_port, run
from geosvc.settings import Settings
from geosvc.siblings import Place

SHORT_LIFE_SECONDS = 5.0
MAX_RESTART_SECONDS = 30.0
KILL_AFTER_SECONDS = 10.0  # beyond the grace time

_context = multiprocessing.get_context("spawn")


@dataclass(slots=True)
class Worker:
    """One worker process and how often in a row it has died young."""

    process: SpawnProcess
    place: Place
    started: float = field(default_factory=time.monotonic)
    early_deaths: int = 0


def _work(settings: Settings, place: Place) -> None:
    """What a worker process does; a StartError is one line, not a stack."""
    try:
        run(settings, place)
    except StartError as error:
        sys.exit(f"geosvc: {error}")


def _start(settings: Settings, place: Place, early_deaths: int = 0) -> Worker:
    process = _context.Process(target=_work, args=(settings, place), name="geosvc-worker")
    process.start()
    return Worker(process, place, early_deaths=early_deaths)


def supervise(settings: Settings) -> None:
    """Runs the workers of the settings until SIGTERM or SIGINT, and passes those on.

    Raises: StartError when a port is taken.
    """
    reserved = [
        reserve_port(settings.host, settings.port),
        reserve_port(settings.admin_host, settings.admin_port),
    ]
    ports = {"port": reserved[0].getsockname()[1], "admin_port": reserved[1].getsockname()[1]}
    settings = settings.model_copy(update=ports)
    reader, writer = os.pipe()
    previous = {number: signal.signal(number, lambda *_: os.write(writer, b"s")) for number in (signal.SIGTERM, signal.SIGINT)}
    stop_log = start_log(settings)
    report_unknown_variables()
    folder = Path(tempfile.mkdtemp(prefix="geosvc-"))
    workers = [_start(settings, Place(number, settings.workers, folder)) for number in range(settings.workers)]
    try:
        while True:
            ready = wait([reader, *(worker.process.sentinel for worker in workers)])
            if reader in ready:
                return
            workers = [_replace(worker, settings, reader) if not worker.process.is_alive() else worker for worker in workers]
    finally:
        _stop(workers, settings.shutdown_grace_seconds + KILL_AFTER_SECONDS)
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
    emit(WorkerExited(pid=worker.process.pid or 0, exit_code=worker.process.exitcode, restart_in_seconds=pause))
    if pause:
        wait([stop], pause)  # a signal to stop cuts the pause short
    return _start(settings, worker.place, early_deaths)


def _stop(workers: list[Worker], seconds: float) -> None:
    for worker in workers:
        worker.process.terminate()
    deadline = time.monotonic() + seconds
    for worker in workers:
        worker.process.join(max(deadline - time.monotonic(), 0.0))
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
