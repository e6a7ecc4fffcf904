"""The connections of a listener: aiohttp's, but for how they end and what is answered to what is no
HTTP request.

aiohttp drops what arrives on every connection once it is to close, so that an upload in flight
never ends, and waits the grace time twice. Here idle connections are closed, the others read and
answer the request that they have.

aiohttp has no time for a head but that of an idle connection. Here a head that has begun has a time
of its own, and so has the first one, from the connect on.
"""

import asyncio
import socket
from contextlib import suppress
from itertools import islice
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

TOLD_SECONDS = 60.0
IDLE_CLOSED_SHARE = 1 / 16
FIRST_REQUEST_SECONDS = (
    1.0  # for a request on a connection that was accepted a moment before the stop
)


class Connection(web.RequestHandler):
    """One connection."""

    __slots__ = (
        "_ending",
        "_head_begun",
        "_head_number",
        "_head_timer",
        "_last_bytes",
        "_newest_body",
    )

    _ending: bool
    _head_timer: asyncio.TimerHandle | None
    _head_number: int
    _head_begun: bool
    _last_bytes: bytes
    _newest_body: StreamReader

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins to read."""
        self._ending = False
        self._head_timer, self._last_bytes, self._newest_body = None, b"", EMPTY_PAYLOAD
        super().connection_made(transport)
        self._expect_head(begun=False)
        if isinstance(self._manager, Connections) and self._manager.ending:
            self.end()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Ends."""
        self._forget_head()
        super().connection_lost(exc)

    def end(self) -> None:
        """Closes it if it is idle, else after the answer to the request that it has, or is about to
        have.
        """
        if self._request_count and self.is_idle:
            self.force_close()
            return
        self._ending = self._close = True
        if not self._request_count:
            self._loop.call_later(FIRST_REQUEST_SECONDS, self._end_unused)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is asked on it: no request has arrived whole since the last answer."""
        return self._waiter is not None and not self._waiter.done()

    def _end_unused(self) -> None:
        if not self._request_count:
            self.force_close()

    def data_received(self, data: bytes) -> None:
        """Takes bytes of a request; of the last one too."""
        self._last_bytes = (self._last_bytes + data[-4:])[-4:]
        requests, between = self._request_count, self._newest_body.is_eof()
        if not self._ending:
            super().data_received(data)
        else:
            self._close = False  # or aiohttp drops them
            try:
                super().data_received(data)
            finally:
                self._close = True
        if self._request_count > requests:
            self._take_head()
        elif between and data.strip(
            b"\r\n"
        ):  # empty lines before a request are nothing (RFC 9112 2.2)
            self._begin_head()
        if self._messages:
            self._refuse()

    def _take_head(self) -> None:
        """A head is whole with the last bytes, and the next may have begun with them.

        The parser does not tell what it keeps: what follows a body in the same bytes is not seen
        until more comes, and such a connection is closed as an idle one is.
        """
        self._forget_head()
        self._newest_body = self._messages[-1][1]
        if self._newest_body is EMPTY_PAYLOAD and self._last_bytes != b"\r\n\r\n":
            self._begin_head()

    def _begin_head(self) -> None:
        if self._head_timer is None and not self._upgraded:
            self._expect_head(begun=True)
        self._head_begun = True

    def _expect_head(self, *, begun: bool) -> None:
        if isinstance(self._manager, Connections) and self._manager.head_seconds is not inf:
            self._head_begun, self._head_number = begun, self._request_count
            self._head_timer = self._loop.call_later(
                self._manager.head_seconds, self._end_late_head
            )

    def _forget_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _end_late_head(self) -> None:
        self._head_timer = None
        if self._request_count != self._head_number:
            return  # it became whole behind an Upgrade that was declined
        if self._waiter is None or self._waiter.done():
            self._expect_head(begun=self._head_begun)  # the request before it is being answered
        elif self._head_begun:
            late = Unacceptable(
                HeadTimeout("the request line and the headers did not arrive in time")
            )
            self._request_count += 1
            self._messages.append((_ErrInfo(status=408, exc=late, message=""), EMPTY_PAYLOAD))
            self._waiter.set_result(None)
        else:
            self.force_close()

    def _refuse(self) -> None:
        """Puts an error in the place of requests that the service does not take."""
        for number, (message, _) in enumerate(self._messages):
            fault = fault_of(message) if isinstance(message, RawRequestMessage) else None
            if fault is not None:
                self._messages[number] = (
                    _ErrInfo(status=400, exc=fault, message=""),
                    EMPTY_PAYLOAD,
                )

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answers what is no request."""
        super().handle_error(
            request, status, exc, message
        )  # it logs, and sees to what was sent already
        response = problem_response(error_of(status, exc), request_id="")
        response.headers["Server"] = "geosvc"
        response.force_close()
        return response

    def cut(self) -> "asyncio.Task[None] | None":
        """Breaks it off, which cancels its request. Returns what is still to end."""
        task = self._task_handler
        if self.transport is not None:
            self.transport.abort()
        return task


class Connections(web.Server):
    """All connections of a listener.

    Attributes:
        head_seconds: how long a head may take, and how long none may come on a new connection.
        most: how many are taken. Above it those that have been idle for longest are closed, and
            nobody is accepted until there is room: whoever asks for a descriptor then still gets
            one.
        ending: whether each is to end after its next answer.
    """

    head_seconds: float = inf
    most: float = inf
    listener: Listener
    ending = False
    _told_at = -inf
    _moved: asyncio.Event

    def __call__(self) -> web.RequestHandler:
        """A new one."""
        return Connection(self, loop=self._loop, **self._kwargs)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Counts one."""
        super().connection_made(handler, transport)
        if len(self._connections) >= self.most:
            self._make_room()

    def _make_room(self) -> None:
        self.listener.pause()
        if monotonic() - self._told_at > TOLD_SECONDS:
            self._told_at = monotonic()
            emit(ConnectionsFull(url=self.listener.url, connections=len(self._connections)))
        idle = (each for each in self._connections if isinstance(each, Connection) and each.is_idle)
        for each in list(
            islice(idle, max(int(self.most * IDLE_CLOSED_SHARE), 1))
        ):  # the first came first
            each.force_close()

    def connection_lost(
        self, handler: web.RequestHandler, exc: BaseException | None = None
    ) -> None:
        """Forgets one, when its request has ended too."""
        task = handler._task_handler  # noqa: SLF001 - as the class above does
        super().connection_lost(handler, exc)
        if task is not None:  # it counts until then
            task.add_done_callback(self._went)
        self._went()

    def _went(self, _: object = None) -> None:
        if self.ending:
            self._moved.set()
        elif self.most is not inf and self.listener.paused and len(self._connections) < self.most:
            self.listener.resume()

    def pre_shutdown(self) -> None:
        """Ends those that are idle; the others, and those that come from now on, have one more
        answer.
        """
        self.ending = True
        self._moved = asyncio.Event()
        for each in list(self._connections):
            if isinstance(each, Connection):
                each.end()

    async def wait_ended(self, seconds: float) -> bool:
        """Whether all have ended within so many seconds, with the last byte of their answers
        sent.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._connections:
                    self._moved.clear()
                    await self._moved.wait()
        return not self._connections

    async def cut(self, seconds: float) -> None:
        """Breaks off those that have not ended, and waits so many seconds for their statements to
        be cancelled.
        """
        left = [each for each in self._connections if isinstance(each, Connection)]
        emit(RequestsCut(requests=len(left)))
        tasks = [task for each in left if (task := each.cut()) is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        self._connections.clear()


class Runner(web.AppRunner):
    """Runs an application as aiohttp does, with these connections and listeners of its own."""

    _listener: Listener | None = None

    async def listen(self, sockets: list[socket.socket], most: int, head_seconds: float) -> str:
        """Starts the application, then listens for so many connections at a time.

        Returns where. Raises: StartError.
        """
        await self.setup()
        assert isinstance(self.server, Connections)
        self._listener = self.server.listener = Listener(sockets, self.server)
        self.server.most, self.server.head_seconds = most, head_seconds
        self._listener.accept()
        return self._listener.url

    async def stop_listening(self) -> None:
        """Closes what listens."""
        if self._listener is not None:
            await self._listener.close()
            self._listener = None

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        server.__class__ = Connections  # aiohttp has no other place to put it
        return server

    async def end(self, stop: Stop) -> None:
        """Lets requests end, in the time that the stop has. Nothing listens any more."""
        if isinstance(self.server, Connections):
            self.server.pre_shutdown()
            await self.shutdown()
            if not await self.server.wait_ended(stop.left_for_requests()):
                await self.server.cut(stop.left(stop.cutting_seconds / 2))
