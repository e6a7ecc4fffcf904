"""The formats of features: one table of everything that differs from one media type to another.

A new format of items and exports is an entry here. GeoJSON alone is asked for elsewhere: it is the
default of links, and its ETag is the version of the feature, with which writes compare it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from geosvc.encode.ewkb import geojson_of_ewkb
from geosvc.encode.feature_encoders import (
    CsvEncoder,
    GeoJsonEncoder,
    GeoJsonSeqEncoder,
    insert_links,
    join_cells,
    join_members,
    quote_cell,
)
from geosvc.model.media_type import CSV, GEOJSON, GEOJSONSEQ, HTML, MediaType
from geosvc.query.csv_projection import CSV_PROJECTION
from geosvc.query.feature_format import Encoder, FeatureFormat
from geosvc.query.geojson_projection import GEOJSON_PROJECTION


def _geojson_encoder(_: Sequence[str]) -> Encoder:
    return GeoJsonEncoder()


def _geojson_seq_encoder(_: Sequence[str]) -> Encoder:
    return GeoJsonSeqEncoder()


GEOJSON_FORMAT = FeatureFormat(
    GEOJSON,
    GEOJSON_PROJECTION,
    _geojson_encoder,
    null_geometry="null",
    write_ewkb=geojson_of_ewkb,
    join_properties=join_members,
    links_in_body=True,
    write_one=insert_links,
)
GEOJSONSEQ_FORMAT = FeatureFormat(
    GEOJSONSEQ,
    GEOJSON_PROJECTION,
    _geojson_seq_encoder,
    null_geometry="null",
    write_ewkb=geojson_of_ewkb,
    join_properties=join_members,
)
CSV_FORMAT = FeatureFormat(
    CSV,
    CSV_PROJECTION,
    CsvEncoder,
    null_geometry="",
    write_ewkb=None,
    join_properties=join_cells,
    write_cell=quote_cell,
)


@dataclass(frozen=True, slots=True)
class FeatureFormats:
    """The formats of one service. The first is the default, HTML is the last choice.

    Attributes:
        export_types: the media types of exports and searches.
        items_types: the media types of a page of features.
        item_types: the media types of one feature.
    """

    formats: tuple[FeatureFormat, ...]
    export_types: tuple[MediaType, ...]
    items_types: tuple[MediaType, ...]
    item_types: tuple[MediaType, ...]

    @classmethod
    def of(cls, formats: Iterable[FeatureFormat]) -> "FeatureFormats":
        """The table of these formats."""
        formats = tuple(formats)
        export_types = tuple(each.media_type for each in formats)
        single = tuple(each.media_type for each in formats if each.write_one is not None)
        return cls(formats, export_types, (*export_types, HTML), (*single, HTML))

    def find(self, media_type: MediaType) -> FeatureFormat:
        """The format of a media type; a page in HTML is made of features in GeoJSON."""
        for each in self.formats:
            if each.media_type is media_type:
                return each
        return GEOJSON_FORMAT


BUILT_IN_FORMATS = FeatureFormats.of((GEOJSON_FORMAT, GEOJSONSEQ_FORMAT, CSV_FORMAT))
"""The formats of every service; an application that embeds geosvc can add others."""
