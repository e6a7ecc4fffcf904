"""What a child process runs: one task after another, until the service closes the socket or a task
takes too much.

A task comes as a pickled function with its arguments, and its result or its error goes back. The
kernel ends the process when a task takes too much time, in the midst of whatever it calls; then
nobody answers, and the service knows why by the exit status.
"""

import gc
import importlib
import pickle
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from geosvc.allocator import give_memory_back
from geosvc.errors import RequestError
from geosvc.model.crs import CustomDefinition, define_crs

GC_THRESHOLDS = (50_000, 20, 100)
NEEDED = ("geosvc.bodies.feature_reader", "geosvc.requests.search")


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be done.

    Attributes:
        definitions: what SRIDs of the database mean.
        function: found by its name in the child.
    """

    definitions: tuple[CustomDefinition, ...]
    function: Callable[..., Any]
    args: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of it.

    Attributes:
        result: unless it failed.
        error: what was raised.
        failure: the stack of what nobody expected.
        out_of_memory: whether memory ended before the task did.
        last: whether the process ends, so that its memory goes back.
    """

    result: Any = None
    error: RequestError | None = None
    failure: str = ""
    out_of_memory: bool = False
    last: bool = False


def carry_out(task: Task) -> Reply:
    """Does a task."""
    for srid, text in task.definitions:
        define_crs(srid, (text,))
    try:
        return Reply(task.function(*task.args))
    except RequestError as error:
        return Reply(error=error)
    except MemoryError:
        return Reply(out_of_memory=True, last=True)
    except Exception as error:
        if "bad_alloc" in str(error):  # what GEOS calls it
            return Reply(out_of_memory=True, last=True)
        return Reply(failure=traceback.format_exc())


def serve(connection: Connection, cpu_seconds: float, kept_bytes: int) -> None:
    """Does what comes through a connection until it is closed.

    Args:
        cpu_seconds: that one task may take.
        kept_bytes: of memory; a process that needed more ends.
    """
    while True:
        try:
            request = connection.recv_bytes()
        except (EOFError, OSError):
            return
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)  # SIGPROF ends the process
        reply = _answer(request)
        signal.setitimer(signal.ITIMER_PROF, 0)
        del request
        last = reply.last or _peak_bytes() > kept_bytes
        connection.send_bytes(_packed(reply, last=last))
        del reply
        if last:
            return


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _answer(request: bytes) -> Reply:
    try:
        return carry_out(pickle.loads(request))  # noqa: S301 - of the service itself
    except MemoryError:
        return Reply(out_of_memory=True)


def _packed(reply: Reply, *, last: bool) -> bytes:
    try:
        whole = Reply(reply.result, reply.error, reply.failure, reply.out_of_memory, last)
        return pickle.dumps(whole, pickle.HIGHEST_PROTOCOL)
    except MemoryError:
        return pickle.dumps(Reply(out_of_memory=True, last=last), pickle.HIGHEST_PROTOCOL)


def limit_memory(more_bytes: int) -> None:
    """Lets the process take so many bytes beside those that it has now, where the system can
    tell.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        now = int(lines["VmData"].split()[0]) * 1024
        resource.setrlimit(resource.RLIMIT_DATA, (now + more_bytes, now + more_bytes))


def main() -> None:
    """Serves the socket whose number is the first argument, within the seconds and the bytes of the
    others.
    """
    fd, cpu_seconds, memory_bytes = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C is for the service, which closes the socket
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    give_memory_back()
    for name in NEEDED:
        importlib.import_module(name)
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    limit_memory(memory_bytes)
    serve(Connection(fd), cpu_seconds, _peak_bytes() + memory_bytes // 2)
