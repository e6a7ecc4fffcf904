"""Who sends a request, as far as an answer may depend on it."""

from typing import NamedTuple


class Principal(NamedTuple):
    """The caller of a request.

    It is part of every key under which answers, parsed requests and idempotency keys are found, so
    that no principal gets what was made for another. A named tuple, since it is hashed for every
    request: that of a dataclass takes two calls more.

    Attributes:
        subject: the name of the caller; None for anonymous callers.
        role: the database role whose privileges apply; None for the role of the connection.
        claims: (name, value) of what row-level policies may read.
    """

    subject: str | None = None
    role: str | None = None
    claims: tuple[tuple[str, str], ...] = ()


ANONYMOUS = Principal()
