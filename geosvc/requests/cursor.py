"""The cursor: where a page ended, bound to its query, opaque to clients."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from hashlib import blake2b

import msgspec

from geosvc.errors import InvalidParameter

MAX_CURSOR_BYTES = 8_192


@dataclass(frozen=True, slots=True)
class Cursor:
    """The position after the last feature of a page.

    Attributes:
        query: the digest of the query that the cursor belongs to.
        after: the sort values of the last feature as PostgreSQL writes them in text; None is NULL.
        offset: features to skip, where there is nothing to order by.
        matched: the exact count of the first page, so that it is counted once.
    """

    query: str
    after: tuple[str | None, ...] = ()
    offset: int = 0
    matched: int | None = None


class _Wire(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    version: int
    query: str
    after: tuple[str | None, ...]
    offset: int
    matched: int | None


_VERSION = 1


def query_digest(*parts: object) -> str:
    """A short digest of everything that decides which features come in which order."""
    return blake2b(msgspec.json.encode(parts), digest_size=9).hexdigest()


def encode_cursor(cursor: Cursor) -> str:
    """The cursor as URL-safe text."""
    wire = _Wire(_VERSION, cursor.query, cursor.after, cursor.offset, cursor.matched)
    return urlsafe_b64encode(msgspec.json.encode(wire)).rstrip(b"=").decode()


def parse_cursor(text: str) -> Cursor:
    """Raises: InvalidParameter when the text is no cursor of this service."""
    try:
        raw = text.encode("ascii")
        if len(raw) > MAX_CURSOR_BYTES:
            raise ValueError
        wire = msgspec.json.decode(urlsafe_b64decode(raw + b"=" * (-len(raw) % 4)), type=_Wire)
    except (ValueError, msgspec.DecodeError):
        raise InvalidParameter("cursor is not one that this service gave out", parameter="cursor") from None
    texts = "".join(filter(None, wire.after))
    numbers = (wire.offset, wire.matched or 0)
    if wire.version != _VERSION or not all(0 <= number < 1 << 63 for number in numbers) or "\0" in texts:
        raise InvalidParameter("cursor is not one that this service gave out", parameter="cursor")
    return Cursor(wire.query, wire.after, wire.offset, wire.matched)
