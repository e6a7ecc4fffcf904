"""The connections of a listener: those of aiohttp, with four differences (docs/decisions/0039).

- How they end: aiohttp drops the bytes that arrive on a connection that is to be closed, so an
  upload in progress never ends, and it waits the grace time twice. Here idle connections are closed
  at once, and the others read and answer the request that they have.
- The time for a head (the request line and the headers): aiohttp limits it only by the time that an
  idle connection may last. Here a head that has begun has a time limit of its own, and so has the
  first head, from the connect on.
- How many there are: above a limit, idle connections are closed and no new ones are accepted.
- What is not valid HTTP is answered with a problem.
"""

import asyncio
import socket
from contextlib import suppress
from math import inf
from time import monotonic

from aiohttp import web
from aiohttp.http import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import _ErrInfo

from geosvc.errors import HeadTimeout
from geosvc.events import ConnectionsFull, RequestsCut, emit
from geosvc.http.problem import problem_response
from geosvc.server.listening import Listener
from geosvc.server.malformed import Unacceptable, error_of, fault_of
from geosvc.stopping import Stop

REPORT_SECONDS = 60.0  # at least so long between two events of a full listener
IDLE_CLOSED_SHARE = 1 / 16  # of all connections, when there are too many
FIRST_REQUEST_SECONDS = 1.0  # for a connection that was accepted just before the stop
# a connection that has asked nothing is idle after so long: its request may be on its way
FRESH_SECONDS = 1.0
_HEAD_END = b"\r\n\r\n"


def _error_message(status: int, error: Exception) -> tuple[_ErrInfo, StreamReader]:
    """A message that aiohttp answers by `handle_error`, instead of a request."""
    return _ErrInfo(status=status, exc=error, message=""), EMPTY_PAYLOAD


class Connection(web.RequestHandler):
    """One connection.

    Attributes:
        _opened_at: seconds of the monotonic clock.
        _ending: whether the connection ends after its next answer.
        _head_timer: ends a head that takes too long; None when no head is expected.
        _head_number: how many requests had arrived when the timer was set.
        _head_begun: whether bytes of the head have arrived.
        _last_bytes: the last four bytes that arrived.
        _newest_body: the body of the request that arrived last.
    """

    __slots__ = (
        "_ending",
        "_head_begun",
        "_head_number",
        "_head_timer",
        "_last_bytes",
        "_newest_body",
        "_opened_at",
    )

    _opened_at: float
    _ending: bool
    _head_timer: asyncio.TimerHandle | None
    _head_number: int
    _head_begun: bool
    _last_bytes: bytes
    _newest_body: StreamReader

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins to read."""
        self._opened_at = monotonic()
        self._ending = False
        self._head_timer = None
        self._last_bytes = b""
        self._newest_body = EMPTY_PAYLOAD
        super().connection_made(transport)
        self._expect_head(begun=False)
        if isinstance(self._manager, Connections) and self._manager.ending:
            self.end()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forgets the connection."""
        self._stop_head_timer()
        super().connection_lost(exc)

    def end(self) -> None:
        """Closes the connection: at once if it is idle, otherwise after the next answer.

        A new connection may still send its first request.
        """
        if self._request_count and self.is_idle:
            self.force_close()
            return
        self._ending = True
        self._close = True
        if not self._request_count:
            self._loop.call_later(FIRST_REQUEST_SECONDS, self._close_unused)

    @property
    def is_idle(self) -> bool:
        """Whether no complete request has arrived since the last answer."""
        return self._waiter is not None and not self._waiter.done()

    @property
    def is_spare(self) -> bool:
        """Whether it may be closed for others: it is idle, and no request is on its way."""
        is_fresh = not self._request_count and monotonic() - self._opened_at < FRESH_SECONDS
        return self.is_idle and not is_fresh

    def _close_unused(self) -> None:
        if not self._request_count:
            self.force_close()

    def data_received(self, data: bytes) -> None:
        """Parses bytes that have arrived, and notices when heads begin and end."""
        if data.endswith(_HEAD_END):
            self._last_bytes = _HEAD_END
        else:
            self._last_bytes = (self._last_bytes + data[-4:])[-4:]
        requests_before = self._request_count
        newest_body = self._newest_body
        is_between_requests = newest_body is EMPTY_PAYLOAD or newest_body.is_eof()
        if self._ending:
            self._parse_while_ending(data)
        else:
            super().data_received(data)
        if self._request_count > requests_before:
            self._note_head_end()
            self._refuse_faulty()
        elif is_between_requests and data.strip(b"\r\n"):
            # empty lines before a request do not begin a head (RFC 9112 2.2)
            self._note_head_begin()

    def _parse_while_ending(self, data: bytes) -> None:
        """Parses bytes of the last request; aiohttp drops them while `_close` is set."""
        self._close = False
        try:
            super().data_received(data)
        finally:
            self._close = True

    def _note_head_end(self) -> None:
        """Notes that a head is complete; the next one may have begun in the same bytes.

        The parser does not tell which bytes it keeps. So bytes that follow a body in the same piece
        are not noticed until more arrive, and until then the connection counts as idle.
        """
        if self._head_timer is not None:
            self._stop_head_timer()
        self._newest_body = self._messages[-1][1]
        has_no_body = self._newest_body is EMPTY_PAYLOAD
        if has_no_body and self._last_bytes != _HEAD_END:
            self._note_head_begin()

    def _note_head_begin(self) -> None:
        if self._head_timer is None and not self._upgraded:
            self._expect_head(begun=True)
        self._head_begun = True

    def _expect_head(self, *, begun: bool) -> None:
        """Sets the timer of the next head."""
        if not isinstance(self._manager, Connections):
            return
        head_seconds = self._manager.head_seconds
        if head_seconds is inf:
            return
        self._head_begun = begun
        self._head_number = self._request_count
        self._head_timer = self._loop.call_later(head_seconds, self._end_late_head)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _end_late_head(self) -> None:
        self._head_timer = None
        if self._request_count != self._head_number:
            return  # the head is complete: it followed a request whose Upgrade was declined
        if self._waiter is None or self._waiter.done():
            # the request before is still being answered
            self._expect_head(begun=self._head_begun)
        elif self._head_begun:
            detail = "the request line and the headers did not arrive in time"
            self._request_count += 1
            self._messages.append(_error_message(408, Unacceptable(HeadTimeout(detail))))
            self._waiter.set_result(None)
        else:
            self.force_close()

    def _refuse_faulty(self) -> None:
        """Replaces requests that the service does not accept by errors."""
        for number, (message, _) in enumerate(self._messages):
            if not isinstance(message, RawRequestMessage):
                continue
            fault = fault_of(message)
            if fault is not None:
                self._messages[number] = _error_message(400, fault)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answers a message that is not a request."""
        # aiohttp's logs the error, and raises if a part of an answer was sent already
        super().handle_error(request, status, exc, message)
        response = problem_response(error_of(status, exc), request_id="")
        response.headers["Server"] = "geosvc"
        response.force_close()
        return response

    def cut(self) -> "asyncio.Task[None] | None":
        """Breaks the connection off, which cancels its request.

        Returns: the task that handles the request and has not ended yet; None if there is none.
        """
        task = self._task_handler
        if self.transport is not None:
            self.transport.abort()
        return task


class Connections(web.Server):
    """All connections of a listener.

    Attributes:
        head_seconds: how long a head may take, and how long a new connection may send nothing.
        max_connections: above it, the connections that were opened first among the idle ones are
            closed, and no new ones are accepted until there is room. So there are always file
            descriptors left for the rest of the service.
        ending: whether each connection ends after its next answer.
    """

    head_seconds: float = inf
    max_connections: float = inf
    listener: Listener
    ending = False
    _reported_at = -inf
    _room_timer: asyncio.TimerHandle | None = None  # looks again for connections to close
    _one_ended: asyncio.Event

    def __call__(self) -> web.RequestHandler:
        """Makes a new connection."""
        return Connection(self, loop=self._loop, **self._kwargs)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Counts a connection."""
        super().connection_made(handler, transport)
        self._make_room_if_full()

    @property
    def room(self) -> float:
        """How many more connections there may be."""
        return self.max_connections - len(self._connections)

    def _own_connections(self) -> list[Connection]:
        """All connections, in the order in which they were opened."""
        return [each for each in self._connections if isinstance(each, Connection)]

    def _make_room(self) -> None:
        self.listener.pause()
        if monotonic() - self._reported_at > REPORT_SECONDS:
            self._reported_at = monotonic()
            emit(ConnectionsFull(url=self.listener.url, connections=len(self._connections)))
        most_closed = max(int(self.max_connections * IDLE_CLOSED_SHARE), 1)
        spare = [each for each in self._own_connections() if each.is_spare]
        for connection in spare[:most_closed]:
            connection.force_close()
        if not spare and self._room_timer is None:
            self._room_timer = self._loop.call_later(FRESH_SECONDS, self._look_for_room)

    def _look_for_room(self) -> None:
        self._room_timer = None
        self._make_room_if_full()

    def _make_room_if_full(self) -> None:
        if not self.ending and self.room <= 0:
            self._make_room()

    def connection_lost(
        self, handler: web.RequestHandler, exc: BaseException | None = None
    ) -> None:
        """Forgets a connection, when its request has ended too."""
        task = handler._task_handler  # noqa: SLF001 - as in aiohttp's method
        super().connection_lost(handler, exc)
        if task is not None:  # the connection counts until the task has ended
            task.add_done_callback(self._note_end)
        self._note_end()

    def _note_end(self, _: object = None) -> None:
        if self.ending:
            self._one_ended.set()
            return
        if self.listener.paused and self.room > 0:
            self.listener.resume()

    def pre_shutdown(self) -> None:
        """Closes idle connections. The others, and new ones, end after their next answer."""
        self.ending = True
        self._one_ended = asyncio.Event()
        for connection in self._own_connections():
            connection.end()

    async def wait_ended(self, seconds: float) -> bool:
        """Waits until all connections have ended, with the last byte of their answers sent.

        Returns: whether they have ended within so many seconds.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._connections:
                    self._one_ended.clear()
                    await self._one_ended.wait()
        return not self._connections

    async def cut(self, seconds: float) -> None:
        """Breaks off the connections that have not ended.

        Args:
            seconds: the longest wait for their statements to be cancelled.
        """
        left = self._own_connections()
        emit(RequestsCut(requests=len(left)))
        tasks: list[asyncio.Task[None]] = []
        for connection in left:
            task = connection.cut()
            if task is not None:
                tasks.append(task)
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        self._connections.clear()


class Runner(web.AppRunner):
    """Runs an application as aiohttp does, with `Connections` and `Listener`."""

    _listener: Listener | None = None

    async def listen(
        self, sockets: list[socket.socket], max_connections: int, head_seconds: float
    ) -> str:
        """Starts the application, then listens.

        Returns: the URL of the listener.
        Raises: StartError.
        """
        await self.setup()
        connections = self.server
        assert isinstance(connections, Connections)
        listener = Listener(sockets, connections, lambda: connections.room)
        connections.listener = listener
        connections.max_connections = max_connections
        connections.head_seconds = head_seconds
        self._listener = listener
        listener.accept()
        return listener.url

    async def stop_listening(self) -> None:
        """Closes the listener."""
        if self._listener is not None:
            await self._listener.close()
            self._listener = None

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        server.__class__ = Connections  # aiohttp has no parameter for the class
        return server

    async def end(self, stop: Stop) -> None:
        """Lets requests end, in the time that the stop has; the listener is closed already."""
        if isinstance(self.server, Connections):
            self.server.pre_shutdown()
            await self.shutdown()
            if not await self.server.wait_ended(stop.left_for_requests()):
                await self.server.cut(stop.left(stop.cutting_seconds / 2))
