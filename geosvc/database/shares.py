"""The places of a pool, and who gets the next one.

Places are given in the order of requests, with these exceptions (docs/decisions/0032, 0037):

- No holder has more places than its share.
- The last free place goes only to a holder that has none.
- A request that has had a place before comes first, since it holds the rows that it has read.

The holders of connections are collections. Without shares, ten requests to one locked table would
hold every connection, and the requests to all other collections would wait.

The holders of connections for streams are clients. The streams of one collection, whichever clients
they are for, are a group. A group has two thirds of the share of its collection, so that clients
that read slowly leave some connections to those who request a page.
"""

import asyncio
from bisect import insort
from collections import deque
from collections.abc import Callable
from itertools import count
from math import ceil
from typing import NamedTuple

from geosvc.errors import PoolExhausted, RequestError, TooManyStreams

GROW_SECONDS = 1.0
_ROUNDING = 1e-9  # 10 * 0.3 is a little more than 3
_AHEAD = 1 << 62  # is subtracted from the numbers of those who come first

_Applicant = tuple[str | None, str | None]
"""A holder and its group. Applicants with the same two wait in one queue."""


class _Waiter(NamedTuple):
    """One request that waits.

    Attributes:
        number: the lowest comes first; no two are the same.
        granted: is done when the request has got its place.
    """

    number: int
    granted: "asyncio.Future[None]"


class Shares:
    """The places of a pool.

    Args:
        places: how many there are.
        share: the part of them that one holder may have, above 0 and at most 1. A holder may always
            have one place.
        seconds: how long a request waits for a place.
        refuse: makes the error of a request that waited too long. It gets the holder, and the
            number of places that the holder has.
        places_of_group: how many places one group may have; None: all of them.

    Attributes:
        each: how many places one holder may have.
    """

    def __init__(
        self,
        places: int,
        share: float,
        seconds: float,
        refuse: Callable[[str | None, int], RequestError] | None = None,
        places_of_group: int | None = None,
    ) -> None:
        self.each = max(ceil(places * share - _ROUNDING), 1)
        self._is_divided = self.each < places
        self._most_places = places
        self._places = places
        self._free = places
        self._growing: asyncio.TimerHandle | None = None
        self._seconds = seconds
        self._held: dict[str | None, int] = {}
        self._places_of_group = places_of_group
        self._held_by_group: dict[str | None, int] = {}
        self._waiting: dict[_Applicant, deque[_Waiter]] = {}
        self._numbers = count()
        self._refuse = refuse or collection_is_busy

    @property
    def for_streams(self) -> int | None:
        """Of the places that one holder may have: how many its streams may fill.

        None if one holder may have all places.
        """
        if not self._is_divided:
            return None
        return max(2 * self.each // 3, 1)

    async def take(
        self, holder: str | None, *, begun: bool = False, group: str | None = None
    ) -> None:
        """Waits for a place and takes it. The caller must give it back.

        Args:
            holder: whom the place is for; None: it is in nobody's share.
            begun: whether the request has had a place before.
            group: the group of the place; None: it is in no group.
        Raises: PoolExhausted, TooManyStreams, or the error that `refuse` makes.
        """
        applicant = (holder, group)
        if applicant not in self._waiting and self._may_take(applicant):
            self._grant(applicant)
            return
        number = next(self._numbers)
        if begun:
            number -= _AHEAD
        await self._wait(applicant, number, self._seconds)

    async def take_next(self, holder: str | None, seconds: float) -> None:
        """Waits for the next place that is given back, before all others, and takes it.

        Raises: PoolExhausted.
        """
        number = -next(self._numbers) - _AHEAD
        await self._wait((holder, None), number, seconds)

    def give(self, holder: str | None, group: str | None = None) -> None:
        """Gives a place back; it goes to whoever is next."""
        self._free += 1
        _count_down(self._held, holder)
        _count_down(self._held_by_group, group)
        if self._waiting:
            self._grant_to_waiting()

    def shrink(self, places: int) -> None:
        """Lowers the number of places, since the server accepts no more connections.

        From then on it grows by one each second, up to what it was.
        """
        self._free -= max(self._places - places, 0)
        self._places = min(self._places, places)
        if self._growing is None:
            self._grow_later()

    def close(self) -> None:
        """Stops the growth after `shrink`."""
        if self._growing is not None:
            self._growing.cancel()

    def _grow_later(self) -> None:
        self._growing = asyncio.get_running_loop().call_later(GROW_SECONDS, self._grow)

    def _grow(self) -> None:
        self._growing = None
        if self._places < self._most_places:
            self._places += 1
            self._free += 1
            self._grow_later()
            self._grant_to_waiting()

    def _group_is_full(self, group: str | None) -> bool:
        if self._places_of_group is None or group is None:
            return False
        return self._held_by_group.get(group, 0) >= self._places_of_group

    def _may_take(self, applicant: _Applicant) -> bool:
        """Whether an applicant may have a place now, regardless of who else waits."""
        holder, group = applicant
        if self._group_is_full(group):
            return False
        if holder is None or not self._is_divided:
            return self._free > 0
        held = self._held.get(holder, 0)
        if held == 0:
            return self._free > 0
        # the last free place is for a holder that has none
        return held < self.each and self._free > 1

    async def _wait(self, applicant: _Applicant, number: int, seconds: float) -> None:
        """Raises: PoolExhausted, TooManyStreams, or the error that `refuse` makes."""
        waiter = _Waiter(number, asyncio.get_running_loop().create_future())
        self._add_waiter(applicant, waiter)
        self._grant_to_waiting()
        try:
            async with asyncio.timeout(seconds):
                await waiter.granted
        except asyncio.CancelledError:
            self._give_up(applicant, waiter)
            raise
        except TimeoutError:
            self._give_up(applicant, waiter)
            raise self._refusal(applicant) from None

    def _add_waiter(self, applicant: _Applicant, waiter: _Waiter) -> None:
        queue = self._waiting.setdefault(applicant, deque())
        if waiter.number < 0:
            insort(queue, waiter)
        else:
            queue.append(waiter)

    def _give_up(self, applicant: _Applicant, waiter: _Waiter) -> None:
        """Ends the wait of a request that was cancelled, or waited too long."""
        if waiter.granted.done() and not waiter.granted.cancelled():
            self.give(*applicant)  # the place came at the same moment
        else:
            self._remove_waiter(applicant, waiter)

    def _remove_waiter(self, applicant: _Applicant, waiter: _Waiter) -> None:
        queue = self._waiting.get(applicant)
        if queue is None or waiter not in queue:
            return  # its turn came after it was cancelled: `_grant_to_waiting` has removed it
        queue.remove(waiter)
        if not queue:
            del self._waiting[applicant]

    def _grant_to_waiting(self) -> None:
        """Grants places to those who wait, until none of them may have one."""
        applicant = self._next_applicant()
        while applicant is not None:
            waiter = self._waiting[applicant][0]
            self._remove_waiter(applicant, waiter)
            if not waiter.granted.done():  # done if the request was cancelled
                self._grant(applicant)
                waiter.granted.set_result(None)
            applicant = self._next_applicant()

    def _next_applicant(self) -> _Applicant | None:
        """The applicant whose first request is next; None if none may have a place."""
        best: _Applicant | None = None
        lowest = 0
        for applicant, queue in self._waiting.items():
            number = queue[0].number
            if (best is None or number < lowest) and self._may_take(applicant):
                best, lowest = applicant, number
        return best

    def _grant(self, applicant: _Applicant) -> None:
        holder, group = applicant
        self._free -= 1
        self._held[holder] = self._held.get(holder, 0) + 1
        self._held_by_group[group] = self._held_by_group.get(group, 0) + 1

    def _refusal(self, applicant: _Applicant) -> RequestError:
        """The error of a request that waited too long."""
        holder, group = applicant
        if group is not None and self._group_is_full(group):
            return TooManyStreams(
                f"{self._places_of_group} large answers of {group} are in progress,"
                " and what is left of its share is for small ones; try again when one has ended"
            )
        held = 0
        if self._is_divided:
            held = self._held.get(holder, 0)
        return self._refuse(holder, held)


def _count_down(counts: dict[str | None, int], name: str | None) -> None:
    counts[name] -= 1
    if not counts[name]:
        del counts[name]


def collection_is_busy(collection: str | None, held: int) -> RequestError:
    """The error of a request that waited too long for a connection.

    Args:
        held: places that the collection has.
    """
    if collection is None or not held:
        return PoolExhausted("every database connection is busy; try again")
    return PoolExhausted(
        f"{held} requests to {collection} are running,"
        " its share of the database connections; try again"
    )


def client_is_busy(client: str | None, held: int) -> RequestError:
    """The error of a request that waited too long for a connection for a stream.

    Args:
        held: places that the client has.
    """
    if not held:
        return PoolExhausted("every database connection for streams is busy; try again")
    return TooManyStreams(
        f"{held} large answers to this client's address are in progress,"
        " and what is left is for others; try again when one has ended"
    )
