"""The cursor: where a page ended, bound to its query. Its text is opaque to clients."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from hashlib import blake2b

import msgspec

from geosvc.errors import InvalidParameter

MAX_CURSOR_BYTES = 8_192
_VERSION = 1
_MAX_NUMBER = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Cursor:
    """The position after the last feature of a page.

    Attributes:
        query: the digest of the query that the cursor belongs to.
        after: the sort values of the last feature, as PostgreSQL writes them as text; None is NULL.
        offset: how many features the previous pages have; without an order, how many to skip.
        matched: the exact count of the first page, so that the features are counted once.
        skip: how many features of the previous pages have the same sort values, which happens to
            rows that are equal in all columns.
    """

    query: str
    after: tuple[str | None, ...] = ()
    offset: int = 0
    matched: int | None = None
    skip: int = 0


class _Wire(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    version: int
    query: str
    after: tuple[str | None, ...]
    offset: int
    matched: int | None
    skip: int = 0


def query_digest(*parts: object) -> str:
    """A short digest of everything that decides which features come in which order."""
    encoded = msgspec.json.encode(parts)
    return blake2b(encoded, digest_size=9).hexdigest()


def encode_cursor(cursor: Cursor) -> str:
    """The cursor as URL-safe text."""
    wire = _Wire(
        version=_VERSION,
        query=cursor.query,
        after=cursor.after,
        offset=cursor.offset,
        matched=cursor.matched,
        skip=cursor.skip,
    )
    encoded = urlsafe_b64encode(msgspec.json.encode(wire))
    return encoded.rstrip(b"=").decode()


def parse_cursor(text: str) -> Cursor:
    """Parses a cursor. Raises: InvalidParameter when this service did not issue it."""
    try:
        wire = _decode(text)
    except (ValueError, msgspec.DecodeError):
        wire = None
    if wire is None or not _is_sound(wire):
        raise InvalidParameter("cursor is not one that this service issued", parameter="cursor")
    return Cursor(
        query=wire.query,
        after=wire.after,
        offset=wire.offset,
        matched=wire.matched,
        skip=wire.skip,
    )


def _decode(text: str) -> _Wire:
    raw = text.encode("ascii")
    if len(raw) > MAX_CURSOR_BYTES:
        raise ValueError
    padding = b"=" * (-len(raw) % 4)
    decoded = urlsafe_b64decode(raw + padding)
    return msgspec.json.decode(decoded, type=_Wire)


def _is_sound(wire: _Wire) -> bool:
    """Whether a decoded cursor has values that PostgreSQL takes."""
    for number in (wire.offset, wire.matched or 0, wire.skip):
        if not 0 <= number <= _MAX_NUMBER:
            return False
    for value in wire.after:
        if value is not None and "\0" in value:
            return False
    return wire.version == _VERSION
