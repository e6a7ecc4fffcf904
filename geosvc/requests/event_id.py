"""The id of an event: its position in the change log, after which a stream can be resumed.

Its text is opaque to clients.
"""

import re

from geosvc.errors import InvalidParameter
from geosvc.model.snapshot import Position, Snapshot

MAX_LENGTH = 8_192
_MAX_ENCODED_LENGTH = 6_000  # proxies take headers of 8 KB
_UNKNOWN = "000000000000-1.0"
_SNAPSHOT = r"\d{1,19}\.\d{1,19}(?:\.\d{1,19})*"
_EVENT_ID = re.compile(
    rf"(?P<epoch>[0-9a-f]{{12}})-(?P<seen>{_SNAPSHOT})"
    rf"(?:-(?P<partly_seen>{_SNAPSHOT})-(?P<place>\d{{1,19}})\.(?P<seq>\d{{1,19}}))?",
    re.ASCII,
)
_MAX_INT8 = (1 << 63) - 1


def encode_event_id(epoch: str, position: Position) -> str:
    """The position as text.

    Transactions are counted from the oldest, which keeps the text short. When too many are in
    progress, the id is one of an unknown log, so that a subscriber has to load everything again.

    Args:
        epoch: of the log, twelve hexadecimal digits.
    """
    text = f"{epoch}-{_encode_snapshot(position.seen)}"
    if position.partly_seen is not None:
        text += f"-{_encode_snapshot(position.partly_seen)}-{position.place}.{position.seq}"
    if len(text) > _MAX_ENCODED_LENGTH:
        return _UNKNOWN
    return text


def parse_event_id(text: str, name: str = "Last-Event-ID") -> tuple[str, Position]:
    """The epoch of the log, and the position in it.

    Args:
        name: of the header or parameter, for the error.
    Raises: InvalidParameter.
    """
    match = _EVENT_ID.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if match is None:
        raise _invalid(name)
    position = Position(_parse_snapshot(match["seen"]))
    if match["partly_seen"] is not None:
        position = Position(
            seen=position.seen,
            partly_seen=_parse_snapshot(match["partly_seen"]),
            place=int(match["place"]),
            seq=int(match["seq"]),
        )
    if not _is_sound(position):
        raise _invalid(name)
    return match["epoch"], position


def _is_sound(position: Position) -> bool:
    """Whether PostgreSQL accepts the numbers of a position."""
    if position.partly_seen is not None and not position.partly_seen.is_sound:
        return False
    if max(position.place, position.seq) > _MAX_INT8:
        return False
    return position.seen.is_sound


def _invalid(name: str) -> InvalidParameter:
    return InvalidParameter(f"{name} is not one that this service issued", parameter=name)


def _encode_snapshot(snapshot: Snapshot) -> str:
    numbers = [str(snapshot.xmin)]
    for transaction in (snapshot.xmax, *snapshot.in_progress):
        numbers.append(str(transaction - snapshot.xmin))
    return ".".join(numbers)


def _parse_snapshot(text: str) -> Snapshot:
    numbers = text.split(".")
    xmin, xmax_offset, *offsets = map(int, numbers)
    in_progress = tuple(xmin + offset for offset in offsets)
    return Snapshot(xmin, xmin + xmax_offset, in_progress)
