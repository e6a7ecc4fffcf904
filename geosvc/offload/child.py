"""The program of a child process. It runs one task after another until the service closes the
socket, or until a task exceeds its limits.

A task is a pickled function with its arguments. The reply is its result or its error. When a task
takes too much time, the kernel ends the process, even in the middle of a call of C. There is no
reply then; the exit status tells the service the reason.
"""

import gc
import importlib
import pickle
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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
    """A function to run in a child.

    Attributes:
        definitions: the definitions of SRIDs that only the database has.
        function: pickled by its name, so the child must be able to import it.
    """

    definitions: tuple[CustomDefinition, ...]
    function: Callable[..., Any]
    args: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """The outcome of a task.

    Attributes:
        result: what the function returned, if it did.
        error: the RequestError that it raised.
        failure: the stack of an unexpected exception; empty if there was none.
        out_of_memory: whether the task needed more memory than it may have.
        last: whether the process ends after this reply, so that its memory is freed.
    """

    result: Any = None
    error: RequestError | None = None
    failure: str = ""
    out_of_memory: bool = False
    last: bool = False


def carry_out(task: Task) -> Reply:
    """Runs a task."""
    for srid, text in task.definitions:
        define_crs(srid, (text,))
    try:
        return Reply(task.function(*task.args))
    except RequestError as error:
        return Reply(error=error)
    except MemoryError:
        return Reply(out_of_memory=True, last=True)
    except Exception as error:
        if "bad_alloc" in str(error):  # GEOS reports exhausted memory so
            return Reply(out_of_memory=True, last=True)
        return Reply(failure=traceback.format_exc())


def serve(connection: Connection, cpu_seconds: float, kept_bytes: int) -> None:
    """Runs the tasks that arrive through a connection until it is closed.

    Args:
        cpu_seconds: processor time that one task may take.
        kept_bytes: memory; a process that has needed more ends after its reply.
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
        connection.send_bytes(_pickle_reply(reply, last=last))
        del reply
        if last:
            return


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _answer(request: bytes) -> Reply:
    try:
        return carry_out(pickle.loads(request))  # noqa: S301 - the service itself wrote it
    except MemoryError:
        return Reply(out_of_memory=True)


def _pickle_reply(reply: Reply, *, last: bool) -> bytes:
    try:
        return pickle.dumps(replace(reply, last=last), pickle.HIGHEST_PROTOCOL)
    except MemoryError:
        return pickle.dumps(Reply(out_of_memory=True, last=last), pickle.HIGHEST_PROTOCOL)


def limit_memory(more_bytes: int) -> None:
    """Limits the memory of the process to what it has now and `more_bytes`.

    Does nothing where the system has no /proc/self/status.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return
    for line in status.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "VmData":
            present_bytes = int(value.split()[0]) * 1024
            limit = present_bytes + more_bytes
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def main() -> None:
    """Serves a socket.

    The arguments of the command line are the number of the socket, and the limits of a task:
    seconds of processor time, and bytes of memory.
    """
    socket_number = int(sys.argv[1])
    cpu_seconds = float(sys.argv[2])
    memory_bytes = int(sys.argv[3])
    # on Ctrl-C the service closes the socket, and then this process ends
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    give_memory_back()
    for name in NEEDED:
        importlib.import_module(name)
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    limit_memory(memory_bytes)
    serve(Connection(socket_number), cpu_seconds, _peak_bytes() + memory_bytes // 2)
