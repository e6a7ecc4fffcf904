"""Who sends a request."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple


class Principal(NamedTuple):
    """The sender of a request, as far as the response may depend on it.

    It is a part of every key of what is stored or shared and depends on the sender: answers,
    counts, extents, look-ups, parsed requests, idempotency keys and subscriptions. So no principal
    gets what belongs to another. The catalog follower shows each principal its own catalog.

    It is a named tuple because every request hashes it: the hash of a dataclass takes two more
    calls.

    Attributes:
        subject: the name of the sender; None if anonymous.
        role: the database role whose privileges apply; None: the role of the connection.
        claims: (name, value) of each claim that row-level policies may read.
    """

    subject: str | None = None
    role: str | None = None
    claims: tuple[tuple[str, str], ...] = ()


ANONYMOUS = Principal()
current_principal: ContextVar[Principal] = ContextVar("current_principal", default=ANONYMOUS)
"""The principal for whom the statements of this task run.

The middleware sets it for each request, and the tasks that a request begins have it too. What a
task does for several requests at once runs within `acting_for`.
"""


@contextmanager
def acting_for(principal: Principal) -> Iterator[None]:
    """A context in which the statements of this task run for a principal.

    Args:
        principal: of all the requests that the work is for; ANONYMOUS for the work of geosvc.
    """
    token = current_principal.set(principal)
    try:
        yield
    finally:
        current_principal.reset(token)
