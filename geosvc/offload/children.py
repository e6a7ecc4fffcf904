"""Child processes that do what could hold up or end the service: each one task at a time, started
when it is needed.
"""

import asyncio
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from geosvc.errors import TooCostly, Unavailable
from geosvc.events import ChildEnded, emit
from geosvc.model.crs import custom_definitions
from geosvc.offload.child import Reply, Task
from geosvc.offload.fair_semaphore import FairSemaphore
from geosvc.settings import foreign_variables

WAITING = 32
WAIT_SECONDS = 5.0
END_SECONDS = 5.0
_PROGRAM = "from geosvc.offload.child import main; main()"
_PATIENCE = 10  # times the seconds of the processor, on a machine that is busy with something else
_ON_PURPOSE = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@contextmanager
def _no_room(ours: socket.socket) -> Iterator[None]:
    """Where the system starts no more processes."""
    try:
        yield
    except OSError:
        ours.close()
        raise Unavailable("the service has no room for large requests now; send it again") from None


class ChildFailed(Exception):
    """Something in a child failed that nobody expected; the text is its stack."""


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """What one task may take.

    Attributes:
        cpu_seconds: of the processor.
        memory_bytes: beside what the process has when it starts.
    """

    cpu_seconds: float
    memory_bytes: int


class Child:
    """One child process. It blocks, and belongs in a thread."""

    def __init__(self, limits: ChildLimits) -> None:
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None

    def call(self, task: Task) -> Any:
        """The result of a task. Raises: what it raises; TooCostly, Unavailable, ChildFailed."""
        request = pickle.dumps(task, pickle.HIGHEST_PROTOCOL)
        connection = self._connection or self._start()
        try:
            connection.send_bytes(request)
            del request
            if not connection.poll(_PATIENCE * self._limits.cpu_seconds):
                self.kill()  # it does not even come to use its time
            reply: Reply = pickle.loads(connection.recv_bytes())  # noqa: S301 - of our own program
        except (EOFError, OSError):
            raise self._told(self.end()) from None
        if reply.last:
            self.end()
        if reply.error is not None:
            raise reply.error
        if reply.out_of_memory:
            raise self._told(None)
        if reply.failure:
            raise ChildFailed(reply.failure)
        return reply.result

    def _start(self) -> Connection:
        ours, theirs = socket.socketpair()
        limits = map(str, (theirs.fileno(), self._limits.cpu_seconds, self._limits.memory_bytes))
        # no threads of libraries that nobody needs
        # an empty entry is the present folder
        path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)  # noqa: PTH100
        environment = foreign_variables() | {
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": path,
        }
        with theirs, _no_room(ours):
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _PROGRAM, *limits],
                env=environment,
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
            )
        self._connection = Connection(ours.detach())
        return self._connection

    def kill(self) -> None:
        """Ends what it does now."""
        if self._process is not None:
            self._process.kill()

    def end(self) -> int:
        """Ends the process.

        Returns: its exit status, negative for a signal; 0 when there was none.
        """
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        process, self._process = self._process, None
        if process is None:
            return 0
        try:
            return process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def _told(self, status: int | None) -> TooCostly | Unavailable:
        """Why there is no result.

        Args:
            status: of the process that ended; None where it had too little memory.
        """
        if status is not None and -status in _ON_PURPOSE:
            return Unavailable("the service is being stopped; send it again")
        if status is None:
            reason = f"more than {self._limits.memory_bytes >> 20} MiB of memory"
        elif status == -signal.SIGPROF:
            reason = f"more than {self._limits.cpu_seconds:g} seconds"
        else:
            reason = "more than there is"
        emit(ChildEnded(status=0 if status is None else status, reason=reason))
        return TooCostly(f"reading and checking the body takes {reason}")


class Children:
    """The child processes of a worker.

    Args:
        number: how many there are at the most.
    """

    def __init__(self, number: int, limits: ChildLimits) -> None:
        self._turns = FairSemaphore(number, WAITING, WAIT_SECONDS)
        self._idle = [Child(limits) for _ in range(number)]
        self._children = tuple(self._idle)
        self._threads = ThreadPoolExecutor(number, "children")

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """The result of a function, which a child finds by its name.

        It goes on when nobody waits for it any more.

        Raises: what the function raises; TooCostly, Unavailable.
        """
        await self._turns.enter()
        child = self._idle.pop()  # the last that worked
        task = Task(custom_definitions(), function, args)
        work = asyncio.get_running_loop().run_in_executor(self._threads, child.call, task)
        work.add_done_callback(lambda _: self._put_back(child))
        work.add_done_callback(forget)
        return await asyncio.shield(work)

    def _put_back(self, child: Child) -> None:
        self._idle.append(child)
        self._turns.leave()

    def close(self) -> None:
        """Ends all of them."""
        for child in self._children:
            child.kill()
        self._threads.shutdown()
        for child in self._children:
            child.end()


def forget(work: "asyncio.Future[Any]") -> None:
    """Takes the exception of work that nobody may wait for, so that asyncio does not report it."""
    if not work.cancelled():
        work.exception()
