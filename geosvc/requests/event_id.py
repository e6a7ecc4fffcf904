"""The id of an event: where in the change log it is, so that the stream can be resumed after it. Opaque to clients."""

import re

from geosvc.errors import InvalidParameter
from geosvc.model.snapshot import Position, Snapshot

MAX_LENGTH = 8_192
_LONGEST = 6_000  # proxies take 8 KB of headers
_UNKNOWN = "000000000000-1.0"
_SNAPSHOT = r"\d{1,19}\.\d{1,19}(?:\.\d{1,19})*"
_EVENT_ID = re.compile(rf"([0-9a-f]{{12}})-({_SNAPSHOT})(?:-({_SNAPSHOT})-(\d{{1,19}})\.(\d{{1,19}}))?", re.ASCII)
_LARGEST = (1 << 63) - 1


def encode_event_id(epoch: str, position: Position) -> str:
    """The position as text. Transactions are counted from the oldest, which keeps it short; with too many in progress it is
    one of no log, from which a subscriber has to begin anew.

    Args:
        epoch: of the log, twelve hexadecimal digits.
    """
    text = f"{epoch}-{_written(position.seen)}"
    if position.upto is None:
        return text if len(text) <= _LONGEST else _UNKNOWN
    text = f"{text}-{_written(position.upto)}-{position.place}.{position.seq}"
    return text if len(text) <= _LONGEST else _UNKNOWN


def parse_event_id(text: str, name: str = "Last-Event-ID") -> tuple[str, Position]:
    """The epoch of the log and the position in it. Raises: InvalidParameter, naming what it was given by."""
    match = _EVENT_ID.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if match is not None:
        seen, upto = _read(match[2]), None if match[3] is None else _read(match[3])
        place, seq = int(match[4] or 0), int(match[5] or 0)
        if seen.is_sound and (upto is None or upto.is_sound) and max(place, seq) <= _LARGEST:
            return match[1], Position(seen, upto, place, seq)
    raise InvalidParameter(f"{name} is not one that this service gave out", parameter=name)


def _written(snapshot: Snapshot) -> str:
    numbers = (snapshot.xmax, *snapshot.in_progress)
    return ".".join((str(snapshot.xmin), *(str(each - snapshot.xmin) for each in numbers)))


def _read(text: str) -> Snapshot:
    xmin, *others = map(int, text.split("."))
    return Snapshot(xmin, xmin + others[0], tuple(xmin + each for each in others[1:]))
