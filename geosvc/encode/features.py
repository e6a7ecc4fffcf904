"""Features to GeoJSON, GeoJSON text sequences and CSV.

An encoder is given rows whose first value is a feature in UTF-8, which PostgreSQL wrote, and knows nothing of sockets.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import orjson

from geosvc.model.media_type import CSV, GEOJSONSEQ, MediaType
from geosvc.model.row import Row

Rows = Sequence[Row]


class Encoder(Protocol):
    """Turns features into a body, a batch at a time."""

    def begin(self) -> bytes:
        """What stands before the first feature."""
        ...

    def batch(self, rows: Rows) -> bytes:
        """Some features, at least one."""
        ...

    def end(self, members: Mapping[str, object]) -> bytes:
        """What stands after the last feature; `members` are those of the collection: links, counts, time."""
        ...


class GeoJsonEncoder:
    """A FeatureCollection (RFC 7946 3.3) of features that are JSON texts already."""

    def __init__(self) -> None:
        self._separator = b"\n"

    def begin(self) -> bytes:
        """The head of the FeatureCollection."""
        return b'{"type":"FeatureCollection","features":['

    def batch(self, rows: Rows) -> bytes:
        """Features with commas between them, a line each."""
        body = self._separator + b",\n".join([row[0] for row in rows])
        self._separator = b",\n"
        return body

    def end(self, members: Mapping[str, object]) -> bytes:
        """The members of the collection behind its features."""
        return b"\n]" + (b"," + orjson.dumps(members)[1:] if members else b"}") + b"\n"


class GeoJsonSeqEncoder:
    """A GeoJSON text sequence (RFC 8142): a record separator before, and a line feed after each feature."""

    def begin(self) -> bytes:
        """Nothing."""
        return b""

    def batch(self, rows: Rows) -> bytes:
        """Each feature as one record."""
        return b"\x1e" + b"\n\x1e".join([row[0] for row in rows]) + b"\n"

    def end(self, members: Mapping[str, object]) -> bytes:
        """Nothing: a sequence has no members of its own."""
        return b""


class CsvEncoder:
    """CSV (RFC 4180) with a header; NULL is an empty cell, an empty text a quoted one."""

    def __init__(self, header: Sequence[str]) -> None:
        self._header = header

    def begin(self) -> bytes:
        """The names of the columns, quoted."""
        return (",".join('"' + name.replace('"', '""') + '"' for name in self._header) + "\r\n").encode()

    def batch(self, rows: Rows) -> bytes:
        """A line for each feature."""
        return b"\r\n".join([row[0] for row in rows]) + b"\r\n"

    def end(self, members: Mapping[str, object]) -> bytes:
        """Nothing."""
        return b""


def make_encoder(media_type: MediaType, header: Sequence[str] = ()) -> Encoder:
    """The encoder of a media type of items."""
    if media_type is CSV:
        return CsvEncoder(header)
    if media_type is GEOJSONSEQ:
        return GeoJsonSeqEncoder()
    return GeoJsonEncoder()
