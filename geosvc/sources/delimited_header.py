"""The header of a table of texts (CSV): which columns hold the geometry."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from geosvc.model.crs import WGS84
from geosvc.sources.delimited_records import RecordReader
from geosvc.sources.notes import Notes
from geosvc.sources.source_error import SourceError
from geosvc.sources.well_known import is_geojson

_GEOMETRY_NAMES = ("wkt", "geom", "geometry", "the_geom", "geojson", "st_asgeojson")
# The long names are those of Darwin Core and GTFS.
_LONGITUDES = (
    "lon",
    "lng",
    "long",
    "longitude",
    "decimallongitude",
    "stop_lon",
    "shape_pt_lon",
    "x",
)
_LATITUDES = ("lat", "latitude", "decimallatitude", "stop_lat", "shape_pt_lat", "y")
_LISTED_NAMES = 20


@dataclass(frozen=True, slots=True)
class Header:
    """The columns of a table.

    Attributes:
        names: of all columns, each once.
        geometry: the index of the column of the geometry, or those of longitude and latitude.
        properties: the indexes of the other columns.
        srid: WGS 84, for columns that are called longitude and latitude; else None.
    """

    names: tuple[str, ...]
    geometry: tuple[int, ...]
    properties: tuple[int, ...]
    srid: int | None


def read_header(reader: RecordReader, file: str, notes: Notes) -> Header:
    """The columns of a table, from its first two records. Raises: SourceError.

    Args:
        file: its name, for a person.
    """
    records = [record.cells for record in islice(reader.records(), 1)]
    if not records:
        raise SourceError(f"{file}: is empty: a table begins with the names of its columns")
    given = [(cell or "").strip() for cell in records[0]]
    names = _unique(given)
    numbered = [name for name, own in zip(names, given, strict=True) if name != own]
    if numbered:
        listed = ", ".join(numbered)
        notes.add(f"columns of the same name get the number of their place: {listed}")
    geometry, srid = _find_geometry(reader, names, file)
    properties = [index for index in range(len(names)) if index not in geometry]
    return Header(names, geometry, tuple(properties), srid)


def _find_geometry(
    reader: RecordReader, names: Sequence[str], file: str
) -> tuple[tuple[int, ...], int | None]:
    """The indexes of the columns of the geometry; the SRID that their names imply."""
    indexes: dict[str, int] = {}
    for index, name in enumerate(names):
        indexes.setdefault(name.lower(), index)
    geometry = _first_of(_GEOMETRY_NAMES, indexes)
    if geometry is not None:
        return (indexes[geometry],), None
    longitude = _first_of(_LONGITUDES, indexes)
    latitude = _first_of(_LATITUDES, indexes)
    if longitude is not None and latitude is not None:
        geometry_indexes = (indexes[longitude], indexes[latitude])
        if (longitude, latitude) == ("x", "y"):
            return geometry_indexes, None
        return geometry_indexes, WGS84
    geojson = _first_geojson(reader)
    if geojson is not None:
        return (geojson,), None
    found = ", ".join(names[:_LISTED_NAMES])
    raise SourceError(
        f"{file}: no column is called wkt, geom, geometry or geojson, "
        f"nor two lon and lat (but {found})"
    )


def _first_of(names: Sequence[str], indexes: dict[str, int]) -> str | None:
    for name in names:
        if name in indexes:
            return name
    return None


def _first_geojson(reader: RecordReader) -> int | None:
    """The index of the first column that begins with GeoJSON, whatever its name is."""
    for record in islice(reader.records(), 1, 2):
        for index, text in enumerate(record.cells):
            if text and is_geojson(text):
                return index
    return None


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    """The names; one that was there before gets the number of its column."""
    found: list[str] = []
    for number, name in enumerate(names, 1):
        unique = name
        if name in found:
            unique = f"{name}_{number}"
        found.append(unique)
    return tuple(found)
