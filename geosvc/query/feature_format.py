"""A format of features: what differs from one media type to another."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from geosvc.model.crs import Crs
from geosvc.model.media_type import MediaType
from geosvc.model.row import Row
from geosvc.query.feature_projection import Projection

EwkbWriter = Callable[[bytes, int, Crs], str | None]
"""Writes a geometry that PostGIS refuses: (EWKB, digits, CRS); None where it cannot."""

PropertiesWriter = Callable[[Sequence[str], Sequence[str | None], bool], str]
"""Joins properties that are written already: (names, values, whether a geometry stands before)."""

OneFeatureWriter = Callable[[bytes, Sequence[Mapping[str, str]]], bytes]
"""Writes the body of a single feature: (the feature, its links)."""

CellWriter = Callable[[str | None, bool], str]
"""Writes a value as its type prints it: (text, whether formulas are escaped)."""


class Encoder(Protocol):
    """Writes the features of a body, one batch at a time.

    The first value of each row is a feature in UTF-8, as the projection of the format writes it.
    """

    def begin(self) -> bytes:
        """The bytes before the first feature."""
        ...

    def batch(self, rows: Sequence[Row]) -> bytes:
        """The bytes of some features, at least one."""
        ...

    def end(self, members: Mapping[str, object]) -> bytes:
        """The bytes after the last feature.

        Args:
            members: of the FeatureCollection: links, counts, time.
        """
        ...


def first_column_bytes(rows: Sequence[Row]) -> int:
    """The bytes of features that stand encoded in the first column."""
    return sum(len(row[0]) for row in rows)


@dataclass(frozen=True, slots=True)
class FeatureFormat:
    """How features are written in a media type.

    Attributes:
        projection: how SQL writes a feature.
        make_encoder: makes the encoder of a body from the names of the columns.
        null_geometry: the text of a geometry that is null, or that cannot be written.
        write_ewkb: None where a geometry that PostGIS refuses becomes null.
        join_properties: what follows the geometry of a feature.
        write_cell: None where values are JSON.
        links_in_body: whether a body has a place for links; else they are headers.
        streams: whether a body can be sent before all of it is made.
        write_one: None where a single feature cannot be requested in it.
        encoded_bytes: measures the features in some rows.
    """

    media_type: MediaType
    projection: Projection
    make_encoder: Callable[[Sequence[str]], Encoder]
    null_geometry: str
    write_ewkb: EwkbWriter | None
    join_properties: PropertiesWriter
    write_cell: CellWriter | None = None
    links_in_body: bool = False
    streams: bool = True
    write_one: OneFeatureWriter | None = None
    encoded_bytes: Callable[[Sequence[Row]], int] = first_column_bytes
