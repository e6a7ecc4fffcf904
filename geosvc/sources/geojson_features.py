"""Features of GeoJSON as they are decoded: once for the schema, once to be loaded."""

from dataclasses import dataclass
from typing import Any

import msgspec

from geosvc.sources.column_types import exact_float
from geosvc.sources.crs import CrsMembers
from geosvc.sources.schema import GEOMETRY_TYPES, GeometryType, SourceSchema

_NULL = msgspec.Raw(b"null")
_TYPE_NAMES = (
    "Point",
    "LineString",
    "Polygon",
    "MultiPoint",
    "MultiLineString",
    "MultiPolygon",
    "GeometryCollection",
)
GEOJSON_TYPES: dict[str, GeometryType] = dict(zip(_TYPE_NAMES, GEOMETRY_TYPES[:-1], strict=True))
"""The types of geometries by their names in GeoJSON."""


class InspectedGeometry(CrsMembers, gc=False):
    """A geometry, as far as the schema depends on it."""

    type: str = ""
    coordinates: msgspec.Raw = _NULL
    geometries: msgspec.Raw = _NULL


class InspectedFeature(CrsMembers, gc=False):
    """A feature, as far as the schema depends on it."""

    type: str = ""
    geometry: InspectedGeometry | None = None
    place: InspectedGeometry | None = None
    properties: dict[str, Any] | None = None


class LoadedFeature(msgspec.Struct, gc=False):
    """A feature as it is loaded: its geometry and its properties are texts."""

    geometry: msgspec.Raw = _NULL
    place: msgspec.Raw = _NULL
    properties: msgspec.Raw = _NULL

    @property
    def geojson(self) -> bytes:
        """The geometry; JSON-FG's `place` where it has that, of which `geometry` is a copy."""
        if self.place == _NULL:
            return bytes(self.geometry)
        return bytes(self.place)


class Typed(msgspec.Struct, gc=False):
    """The type of a feature, a geometry or a collection."""

    type: str = ""


inspected_decoder = msgspec.json.Decoder(list[InspectedFeature], float_hook=exact_float)
loaded_decoder = msgspec.json.Decoder(list[LoadedFeature])
value_decoder = msgspec.json.Decoder(float_hook=exact_float)
members_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class PropertyNames:
    """The names of the columns by the names of the properties; None: they are the same."""

    columns: dict[str, str] | None

    @classmethod
    def into(cls, schema: SourceSchema) -> "PropertyNames":
        """The names of the columns of a schema."""
        if all(column.name == column.source for column in schema.columns):
            return cls(None)
        return cls({column.source: column.name for column in schema.columns})

    def rename(self, properties: bytes) -> bytes:
        """The properties with the names of the columns; those without a column are left out."""
        if properties == b"null":
            return b"{}"
        if self.columns is None:
            return properties
        renamed: dict[str, msgspec.Raw] = {}
        for name, value in members_decoder.decode(properties).items():
            if name in self.columns:
                renamed[self.columns[name]] = value
        return msgspec.json.encode(renamed)
