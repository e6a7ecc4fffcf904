"""How long the service waits for a client that sends a body. It may pause, but not stay slow."""

_WHITE_SPACE = b" \t\r\n"


class BodyPace:
    """The time that a client has left.

    Waiting for the client uses the time up, and each byte that it sends earns some back. A client
    that sends nothing is given up after `stall_seconds`; one that sends more than `min_rate_bytes`
    a second is never given up; one that sends less is given up after a while. Time in which nobody
    waits for the client does not count.

    Args:
        stall_seconds: what the client has at the beginning, and at most.
        min_rate_bytes: bytes a second that a client has to send on average; 0: any.
    """

    __slots__ = ("_max_seconds", "_min_rate_bytes", "left_seconds")

    def __init__(self, stall_seconds: float, min_rate_bytes: int) -> None:
        self._max_seconds = stall_seconds
        self._min_rate_bytes = min_rate_bytes
        self.left_seconds = stall_seconds

    def took(self, seconds: float, data: bytes) -> None:
        """Accounts for data that was waited for.

        White space around it, which JSON ignores, earns nothing.
        """
        size = len(data.strip(_WHITE_SPACE))
        earned_seconds = 0.0
        if self._min_rate_bytes:
            earned_seconds = size / self._min_rate_bytes
        elif size:
            earned_seconds = self._max_seconds
        left = self.left_seconds - seconds + earned_seconds
        self.left_seconds = min(left, self._max_seconds)

    def describe(self, seconds: float) -> str:
        """Why the client is given up.

        Args:
            seconds: since the last byte.
        """
        if self._min_rate_bytes and seconds < self._max_seconds:
            return f"fewer than {self._min_rate_bytes} bytes arrived a second, for too long"
        return f"nothing arrived for {self._max_seconds:g} seconds"
