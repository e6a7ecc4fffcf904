"""Who may have a place: in the order of asking, no holder more than its share, and the last one whoever has none yet
(docs/decisions/0032). A request that has had one before comes first, since it holds what it has read (docs/decisions/0037).

The holders of connections are collections: without shares ten requests to one locked table would hold every connection, and all
other collections would wait for it. The holders of the connections for streams are clients. Streams of one collection are a
group, whoever they are for: they have two thirds of its share, so that clients that read slowly leave some to those who ask for
a page.
"""

import asyncio
from bisect import insort
from collections import deque
from collections.abc import Callable
from itertools import count
from math import ceil

from geosvc.errors import PoolExhausted, RequestError, TooManyStreams

GROW_SECONDS = 1.0
_BEGUN = 1 << 62  # numbers below 0 come first
_Waiter = tuple[int, "asyncio.Future[None]"]
_Who = tuple[str | None, str | None]  # a holder, and its group


class Shares:
    """The places of a pool.

    Args:
        places: connections of the pool.
        share: of them that one holder may have, above 0 and at most 1; one connection at the least.
        seconds: how long to wait for a place.
        refuse: makes the error for who waited too long, of its holder and how many places that one has.
        group: places that one group may have; none: all.
    """

    def __init__(
        self,
        places: int,
        share: float,
        seconds: float,
        refuse: Callable[[str | None, int], RequestError] | None = None,
        group: int | None = None,
    ) -> None:
        self.each = max(ceil(places * share - 1e-9), 1)
        self._divided = self.each < places
        self._all = places
        self._places = places
        self._free = places
        self._growing: asyncio.TimerHandle | None = None
        self._seconds = seconds
        self._held: dict[str | None, int] = {}
        self._group = group
        self._grouped: dict[str | None, int] = {}
        self._waiting: dict[_Who, deque[_Waiter]] = {}
        self._numbers = count()
        self._refuse = refuse or collection_is_busy

    @property
    def for_streams(self) -> int | None:
        """How many of one holder's places its streams may have; None where nobody has a share."""
        return max(2 * self.each // 3, 1) if self._divided else None

    def _is_full(self, group: str | None) -> bool:
        return (
            self._group is not None
            and group is not None
            and self._grouped.get(group, 0) >= self._group
        )

    def _may(self, who: _Who) -> bool:
        holder, group = who
        if self._is_full(group):
            return False
        if holder is None or not self._divided:
            return self._free > 0
        held = self._held.get(holder, 0)
        # what has one already leaves the last to those who have none
        return held < self.each and self._free > (held > 0)

    async def take(
        self, holder: str | None, *, begun: bool = False, group: str | None = None
    ) -> None:
        """Waits for a place, which is to be given back.

        Args:
            holder: whom it is for; None: it is in nobody's share.
            begun: whether the request has had a place before.
            group: what it is of; None: it is in no group.
        Raises: PoolExhausted, TooManyStreams, or what `refuse` makes.
        """
        who = (holder, group)
        if who not in self._waiting and self._may(who):
            self._grant(who)
            return
        await self._wait(who, next(self._numbers) - (_BEGUN if begun else 0), self._seconds)

    async def take_next(self, holder: str | None, seconds: float) -> None:
        """Waits for the next place that anybody gives back, before all who are waiting. Raises: PoolExhausted."""
        await self._wait((holder, None), -next(self._numbers) - _BEGUN, seconds)

    async def _wait(self, who: _Who, number: int, seconds: float) -> None:
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (number, mine)
        queue = self._waiting.setdefault(who, deque())
        if number >= 0:
            queue.append(entry)
        else:
            insort(queue, entry)
        self._let_in()
        try:
            async with asyncio.timeout(seconds):
                await mine
        except (asyncio.CancelledError, TimeoutError) as error:
            if mine.done() and not mine.cancelled():
                self.give(*who)  # it came at the same moment
            else:
                self._forget(who, entry)
            if isinstance(error, TimeoutError):
                raise self._why(who) from None
            raise

    def _why(self, who: _Who) -> RequestError:
        """The error for who waited too long."""
        holder, group = who
        if group is not None and self._is_full(group):
            told = f"{self._group} large answers of {group} are in progress, and what is left of its share is for small ones"
            return TooManyStreams(f"{told}; try again when one has ended")
        return self._refuse(holder, self._held.get(holder, 0) if self._divided else 0)

    def give(self, holder: str | None, group: str | None = None) -> None:
        """Gives a place back, to whom has waited longest of those who may have it."""
        self._free += 1
        _count_down(self._held, holder)
        _count_down(self._grouped, group)
        self._let_in()

    def shrink(self, places: int) -> None:
        """Lets so many be held for now, since the server takes no more connections; one more a second from then on."""
        self._free -= max(self._places - places, 0)
        self._places = min(self._places, places)
        if self._growing is None:
            self._growing = asyncio.get_running_loop().call_later(GROW_SECONDS, self._grow)

    def _grow(self) -> None:
        self._growing = None
        if self._places < self._all:
            self._places += 1
            self._free += 1
            self._growing = asyncio.get_running_loop().call_later(GROW_SECONDS, self._grow)
            self._let_in()

    def close(self) -> None:
        """Ends the growing."""
        if self._growing is not None:
            self._growing.cancel()

    def _let_in(self) -> None:
        while ready := [
            (queue[0][0], who) for who, queue in self._waiting.items() if self._may(who)
        ]:
            _, who = min(ready, key=lambda each: each[0])
            entry = self._waiting[who][0]
            self._forget(who, entry)
            if not entry[1].done():
                self._grant(who)
                entry[1].set_result(None)

    def _grant(self, who: _Who) -> None:
        holder, group = who
        self._free -= 1
        self._held[holder] = self._held.get(holder, 0) + 1
        self._grouped[group] = self._grouped.get(group, 0) + 1

    def _forget(self, who: _Who, entry: _Waiter) -> None:
        queue = self._waiting.get(who)
        if queue and entry in queue:  # else a place came by as it was given up
            queue.remove(entry)
            if not queue:
                del self._waiting[who]


def _count_down(counts: dict[str | None, int], name: str | None) -> None:
    counts[name] -= 1
    if not counts[name]:
        del counts[name]


def collection_is_busy(collection: str | None, held: int) -> RequestError:
    """The error for who waited for a connection."""
    if collection is None or not held:
        return PoolExhausted("every database connection is busy; try again")
    return PoolExhausted(
        f"{held} requests to {collection} are running, its share of the database connections; try again"
    )


def client_is_busy(client: str | None, held: int) -> RequestError:
    """The error for who waited for a connection for a stream."""
    if not held:
        return PoolExhausted("every database connection for streams is busy; try again")
    told = f"{held} large answers to this client's address are in progress, and what is left is for others"
    return TooManyStreams(f"{told}; try again when one has ended")
