"""The formats of features: for each media type, what differs from one format to another.

A new format of items and exports is an entry here, and one in `query.projection.PROJECTIONS`, which
has how SQL writes its features. Nothing else asks which format it is.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from geosvc.encode.batches import first_column_bytes
from geosvc.encode.ewkb import geojson_of_ewkb
from geosvc.encode.feature_encoders import (
    CsvEncoder,
    Encoder,
    GeoJsonEncoder,
    GeoJsonSeqEncoder,
    join_cells,
    join_members,
    quote_cell,
)
from geosvc.model.crs import Crs
from geosvc.model.media_type import CSV, GEOJSON, GEOJSONSEQ, MediaType
from geosvc.model.row import Row

EwkbWriter = Callable[[bytes, int, Crs], str | None]
"""Writes a geometry that PostGIS refuses: (EWKB, digits, CRS); None where it cannot."""

PropertiesWriter = Callable[[Sequence[str], Sequence[str | None], bool], str]
"""Joins properties that are written already: (names, values, whether a geometry stands before)."""

CellWriter = Callable[[str | None, bool], str]
"""Writes a value as its type prints it: (text, whether formulas are escaped)."""


@dataclass(frozen=True, slots=True)
class Format:
    """How features are written in a media type.

    Attributes:
        make_encoder: makes the encoder of a body from the names of the columns.
        null_geometry: the text of a geometry that is null, or that cannot be written.
        write_ewkb: None where a geometry that PostGIS refuses becomes null.
        join_properties: what follows the geometry of a feature.
        write_cell: None where values are JSON.
        links_in_body: whether a body has a place for links; else they are headers.
        streams: whether a body can be sent before all of it is made.
        encoded_bytes: measures the features in some rows.
    """

    media_type: MediaType
    make_encoder: Callable[[Sequence[str]], Encoder]
    null_geometry: str
    write_ewkb: EwkbWriter | None
    join_properties: PropertiesWriter
    write_cell: CellWriter | None = None
    links_in_body: bool = False
    streams: bool = True
    encoded_bytes: Callable[[Sequence[Row]], int] = first_column_bytes


def _geojson_encoder(_: Sequence[str]) -> Encoder:
    return GeoJsonEncoder()


def _geojson_seq_encoder(_: Sequence[str]) -> Encoder:
    return GeoJsonSeqEncoder()


FORMATS: Mapping[MediaType, Format] = {
    GEOJSON: Format(
        GEOJSON,
        _geojson_encoder,
        null_geometry="null",
        write_ewkb=geojson_of_ewkb,
        join_properties=join_members,
        links_in_body=True,
    ),
    GEOJSONSEQ: Format(
        GEOJSONSEQ,
        _geojson_seq_encoder,
        null_geometry="null",
        write_ewkb=geojson_of_ewkb,
        join_properties=join_members,
    ),
    CSV: Format(
        CSV,
        CsvEncoder,
        null_geometry="",
        write_ewkb=None,
        join_properties=join_cells,
        write_cell=quote_cell,
    ),
}


def format_of(media_type: MediaType) -> Format:
    """The format of a media type of features. Raises: KeyError for every other media type."""
    return FORMATS[media_type]
