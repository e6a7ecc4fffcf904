"""Who sends a request."""

from typing import NamedTuple


class Principal(NamedTuple):
    """The sender of a request, as far as the response may depend on it.

    It is a part of every key of stored answers, parsed requests and idempotency keys, so that no
    principal gets what belongs to another. It is a named tuple because every request hashes it:
    the hash of a dataclass takes two more calls.

    Attributes:
        subject: the name of the sender; None if anonymous.
        role: the database role whose privileges apply; None: the role of the connection.
        claims: (name, value) of each claim that row-level policies may read.
    """

    subject: str | None = None
    role: str | None = None
    claims: tuple[tuple[str, str], ...] = ()


ANONYMOUS = Principal()
