"""Child processes for work that could block or crash the service.

Each runs one task at a time and is started when it is first needed.
"""

import asyncio
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from geosvc.errors import TooCostly, Unavailable
from geosvc.events import ChildEnded, emit
from geosvc.model.crs import custom_definitions
from geosvc.offload.child import Reply, Task
from geosvc.offload.fair_semaphore import FairSemaphore
from geosvc.settings import foreign_variables

WAITING = 32  # requests that may wait for a child
WAIT_SECONDS = 5.0
END_SECONDS = 5.0
_PROGRAM = "from geosvc.offload.child import main; main()"
_PATIENCE = 10  # seconds to wait for a reply, for each second of processor time: others use it too
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class ChildFailed(Exception):
    """An unexpected exception in a child; the text is its stack."""


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """The limits of one task.

    Attributes:
        cpu_seconds: processor time.
        memory_bytes: memory in addition to what the process has when it starts.
    """

    cpu_seconds: float
    memory_bytes: int


class Child:
    """One child process. Its methods block, so they are called in a thread."""

    def __init__(self, limits: ChildLimits) -> None:
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None

    def call(self, task: Task) -> Any:
        """Runs a task in the child and returns its result.

        Raises: the RequestError of the task; TooCostly, Unavailable, ChildFailed.
        """
        request = pickle.dumps(task, pickle.HIGHEST_PROTOCOL)
        connection = self._connection or self._start()
        try:
            connection.send_bytes(request)
            del request
            if not connection.poll(_PATIENCE * self._limits.cpu_seconds):
                self.kill()  # it has not even used its processor time: it hangs
            reply: Reply = pickle.loads(connection.recv_bytes())  # noqa: S301 - from our program
        except (EOFError, OSError):
            raise self._error_after_end(self.end()) from None
        if reply.last:
            self.end()
        if reply.error is not None:
            raise reply.error
        if reply.out_of_memory:
            raise self._report_too_costly(0, self._memory_reason())
        if reply.failure:
            raise ChildFailed(reply.failure)
        return reply.result

    def _start(self) -> Connection:
        ours, theirs = socket.socketpair()
        number = theirs.fileno()
        command = [sys.executable, "-P", "-c", _PROGRAM, str(number)]
        command += [str(self._limits.cpu_seconds), str(self._limits.memory_bytes)]
        environment = _environment()
        try:
            with theirs:
                self._process = subprocess.Popen(
                    command, env=environment, stdin=subprocess.DEVNULL, pass_fds=(number,)
                )
        except OSError:  # the system starts no more processes
            ours.close()
            detail = "the service has no room for large requests now; send it again"
            raise Unavailable(detail) from None
        self._connection = Connection(ours.detach())
        return self._connection

    def kill(self) -> None:
        """Ends the process at once, with the task that it runs."""
        if self._process is not None:
            self._process.kill()

    def end(self) -> int:
        """Ends the process.

        Returns: its exit status, negative for a signal; 0 when there was none.
        """
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        process = self._process
        if process is None:
            return 0
        self._process = None
        try:
            return process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def _error_after_end(self, status: int) -> TooCostly | Unavailable:
        """The error for a task whose process has ended without a reply.

        Args:
            status: the exit status of the process.
        """
        if -status in _STOP_SIGNALS:
            return Unavailable("the service is being stopped; send it again")
        reason = "more than there is"
        if status == -signal.SIGPROF:
            reason = f"more than {self._limits.cpu_seconds:g} seconds"
        return self._report_too_costly(status, reason)

    def _memory_reason(self) -> str:
        return f"more than {self._limits.memory_bytes >> 20} MiB of memory"

    def _report_too_costly(self, status: int, reason: str) -> TooCostly:
        emit(ChildEnded(status=status, reason=reason))
        return TooCostly(f"reading and checking the body takes {reason}")


def _environment() -> dict[str, str]:
    """The environment of a child: the modules of this process, and no threads in libraries."""
    folders = [os.path.abspath(entry) for entry in sys.path]  # noqa: PTH100 - "" is the present one
    return foreign_variables() | {
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(folders),
    }


class Children:
    """The child processes of a worker.

    Args:
        number: the most that run at the same time.
    """

    def __init__(self, number: int, limits: ChildLimits) -> None:
        self._semaphore = FairSemaphore(number, WAITING, WAIT_SECONDS)
        self._idle = [Child(limits) for _ in range(number)]
        self._children = tuple(self._idle)
        self._threads = ThreadPoolExecutor(number, "children")

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Runs a function in a child and returns its result.

        A task that has begun is completed even if the caller is cancelled.

        Args:
            function: pickled by its name, so the child must be able to import it.
        Raises: the RequestError of the function; TooCostly, Unavailable, ChildFailed.
        """
        await self._semaphore.enter()
        child = self._idle.pop()  # the one that was used last: it has been started
        task = Task(custom_definitions(), function, args)
        work = asyncio.get_running_loop().run_in_executor(self._threads, child.call, task)
        work.add_done_callback(lambda _: self._put_back(child))
        work.add_done_callback(forget)
        return await asyncio.shield(work)

    def _put_back(self, child: Child) -> None:
        self._idle.append(child)
        self._semaphore.leave()

    def close(self) -> None:
        """Ends all children."""
        for child in self._children:
            child.kill()
        self._threads.shutdown()
        for child in self._children:
            child.end()


def forget(work: "asyncio.Future[Any]") -> None:
    """Reads the exception of work for which nobody may be waiting.

    asyncio would log an exception that nobody reads.
    """
    if not work.cancelled():
        work.exception()
