"""Encodes features as GeoJSON, GeoJSON text sequences and CSV.

The first value of each row is a feature in UTF-8, which PostgreSQL wrote. Encoders do no I/O.
"""

from collections.abc import Mapping, Sequence

import orjson

from geosvc.model.media_type import FORMULA_BEGINS
from geosvc.model.row import Row

Rows = Sequence[Row]


class GeoJsonEncoder:
    """Writes a FeatureCollection (RFC 7946 3.3)."""

    def __init__(self) -> None:
        self._separator = b"\n"

    def begin(self) -> bytes:
        """The head of the FeatureCollection."""
        return b'{"type":"FeatureCollection","features":['

    def batch(self, rows: Rows) -> bytes:
        """The features with commas between them, each on its own line."""
        features = [row[0] for row in rows]
        features[0] = self._separator + features[0]  # a body is not copied for its separator
        self._separator = b",\n"
        return b",\n".join(features)

    def end(self, members: Mapping[str, object]) -> bytes:
        """The other members of the FeatureCollection, after its features."""
        if not members:
            return b"\n]}\n"
        return b"\n]," + orjson.dumps(members)[1:] + b"\n"


def insert_links(feature: bytes, links: Sequence[Mapping[str, str]]) -> bytes:
    """A GeoJSON feature with a member for its links at the end."""
    return feature[:-1] + b',"links":' + orjson.dumps(links) + b"}"


class GeoJsonSeqEncoder:
    """Writes a GeoJSON text sequence (RFC 8142): a record separator, a feature, a line feed."""

    def begin(self) -> bytes:
        """Nothing."""
        return b""

    def batch(self, rows: Rows) -> bytes:
        """Each feature as one record."""
        features = [row[0] for row in rows]
        features[0] = b"\x1e" + features[0]
        features[-1] += b"\n"
        return b"\n\x1e".join(features)

    def end(self, members: Mapping[str, object]) -> bytes:
        """Nothing: a sequence has no other members."""
        return b""


class CsvEncoder:
    """Writes CSV (RFC 4180) with a header; NULL is an empty cell, an empty text is `""`."""

    def __init__(self, header: Sequence[str]) -> None:
        self._header = header

    def begin(self) -> bytes:
        """The names of the columns, quoted."""
        cells = ",".join(map(quote_cell, self._header))
        return f"{cells}\r\n".encode()

    def batch(self, rows: Rows) -> bytes:
        """A line for each feature."""
        lines = [row[0] for row in rows]
        lines[-1] += b"\r\n"
        return b"\r\n".join(lines)

    def end(self, members: Mapping[str, object]) -> bytes:
        """Nothing."""
        return b""


def quote_cell(text: str | None, escapes_formulas: bool = False) -> str:
    """A cell of CSV, equal to that of `query.csv_cells`; None is an empty cell.

    Args:
        escapes_formulas: whether a text that a spreadsheet may read as a formula gets an
            apostrophe.
    """
    if text is None:
        return ""
    prefix = ""
    if escapes_formulas and text.startswith(tuple(FORMULA_BEGINS)):
        prefix = "'"
    doubled = text.replace('"', '""')
    return f'"{prefix}{doubled}"'


def join_cells(names: Sequence[str], values: Sequence[str | None], has_geometry: bool) -> str:
    """The cells of a line after its geometry, equal to those of `query.csv_projection`.

    Args:
        names: of the properties; they stand in the header.
        values: cells; there may be one more than names, the distance.
        has_geometry: whether a geometry comes before them.
    """
    cells = [value or "" for value in values]
    if has_geometry:
        cells.insert(0, "")
    return ",".join(cells)


def join_members(names: Sequence[str], values: Sequence[str | None], has_geometry: bool) -> str:
    """The part of a feature after its geometry, equal to that of `query.geojson_projection`.

    Args:
        values: in JSON.
        has_geometry: not used: a feature always has the member.
    """
    members: list[str] = []
    for name, value in zip(names, values, strict=True):
        members.append(f"{orjson.dumps(name).decode()}:{value or 'null'}")
    return ',"properties":{' + ",".join(members) + "}}"
