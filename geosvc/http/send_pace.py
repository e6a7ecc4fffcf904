"""How fast a client reads the response that waits for it."""


class SendPace:
    """The pace of one connection, from the first sweep that finds something waiting.

    Attributes:
        waiting: bytes in the write buffer of the connection.
        rate: bytes a second; each sweep counts as much as all before it.
        sweeps: how many sweeps have observed it.
    """

    __slots__ = (
        "_changed_bytes",
        "_period_seconds",
        "_period_start",
        "_taken",
        "rate",
        "sweeps",
        "waiting",
    )

    def __init__(self, waiting: int, acknowledged: int) -> None:
        self.waiting = waiting
        self.rate = 0.0
        self.sweeps = 0
        self._changed_bytes = 0
        self._taken = acknowledged
        self._period_start = acknowledged
        self._period_seconds = 0.0

    def observe(self, waiting: int, acknowledged: int, seconds: float) -> None:
        """Adds what a sweep finds.

        Args:
            waiting: bytes in the write buffer.
            acknowledged: bytes since the connection was opened; 0 where the platform cannot say.
            seconds: since the last sweep.
        """
        # instead of acknowledgements: a buffer that changes is progress
        self._changed_bytes += abs(waiting - self.waiting)
        taken = acknowledged or self._changed_bytes
        rate = (taken - self._taken) / seconds
        if self.sweeps:
            rate = (self.rate + rate) / 2
        self.rate = rate
        self.waiting, self._taken = waiting, taken
        self._period_seconds += seconds
        self.sweeps += 1

    def fault(self, stall_seconds: float, min_rate_bytes: int) -> str | None:
        """Why the client is to be cut off; None when it reads fast enough.

        It has to take `min_rate_bytes` a second on average over the stall time.
        """
        taken = self._taken - self._period_start
        if taken >= max(min_rate_bytes * stall_seconds, 1):
            self._period_seconds, self._period_start = 0.0, self._taken
            return None
        if self._period_seconds < stall_seconds:
            return None
        if taken:
            return f"the client takes less than {min_rate_bytes} bytes a second"
        return "the client takes nothing any more"
