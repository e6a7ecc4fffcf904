"""Opens a file of features by its format."""

import re
import weakref
from pathlib import Path

from geosvc.bodies.brackets import BracketScanner
from geosvc.errors import StartError
from geosvc.sources.archives import unpack
from geosvc.sources.batch import Source
from geosvc.sources.delimited import DelimitedSource
from geosvc.sources.file_reader import FileReader
from geosvc.sources.geojson import GeoJSONSource
from geosvc.sources.ogr import OgrSource
from geosvc.sources.source_error import SourceError

_SEQUENCES = frozenset({".geojsons", ".geojsonl", ".geojsonseq", ".ndjson", ".jsonl"})
_GEOJSON = frozenset({".geojson", ".json"})
_DELIMITED = frozenset({".csv", ".tsv", ".psv", ".txt"})
_SPREADSHEETS = frozenset({".xlsx", ".xlsm", ".xls", ".xlsb", ".ods"})
_ESRI_MEMBERS = frozenset({b"spatialReference", b"displayFieldName"})
_MEMBER = re.compile(rb'"(type|geometryType|spatialReference|displayFieldName)"\s*:\s*("[^"]*")?')


def open_source(
    path: Path, srid: int | None = None, layer: str | None = None, encoding: str | None = None
) -> Source:
    """Opens a file of features, and reads all of it for its schema.

    The extension says which format it has; the content where the extension does not.

    Args:
        srid: of the coordinates; None: as the file says.
        layer: for files of several layers.
        encoding: of its texts; None: as the file says.
    Raises: SourceError; StartError when a package is missing.
    """
    unpacked = unpack(path, layer)
    try:
        source = _open(unpacked.path, srid, unpacked.layer, encoding)
    except StartError:
        if unpacked.folder is not None:
            unpacked.folder.cleanup()
        raise
    if unpacked.folder is not None:
        weakref.finalize(source, unpacked.folder.cleanup)
    _ = source.schema
    return source


def _open(path: Path, srid: int | None, layer: str | None, encoding: str | None) -> Source:
    if path.is_dir() and path.suffix.lower() != ".gdb":
        raise SourceError(f"{path.name}: is a folder")
    extension = path.suffix.lower()
    if extension == ".gz":
        extension = Path(path.stem).suffix.lower()
    if extension in _SPREADSHEETS:
        raise SourceError(f"{path.name}: is a spreadsheet: save its sheet as CSV, and load that")
    if extension in _DELIMITED:
        return DelimitedSource(path, srid, encoding)
    if extension in _SEQUENCES:
        return GeoJSONSource(path, srid, sequence=True, encoding=encoding)
    if not path.is_dir() and _is_geojson(path, extension, encoding):
        return GeoJSONSource(path, srid, encoding=encoding)
    return OgrSource(path, srid, layer, encoding)


def _is_geojson(path: Path, extension: str, encoding: str | None) -> bool:
    """Whether the content is GeoJSON, by the extension and the first bytes."""
    if extension not in _GEOJSON:
        encoding = None  # the file may be no text at all
    head = FileReader(path, encoding).head().removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")
    is_json = extension in _GEOJSON or head[:1] in (b"{", b"\x1e")
    return is_json and not _is_for_gdal(head)


def _is_for_gdal(head: bytes) -> bool:
    """Whether a JSON text is TopoJSON or Esri JSON, by the members of its outermost object."""
    brackets = BracketScanner().scan(head, strings=True)
    members: dict[bytes, bytes] = {}
    for start in brackets.at[brackets.depth == 1]:
        member = _MEMBER.match(head, int(start))
        if member is not None:
            members[member[1]] = member[2] or b""
    if b"type" in members:
        return members[b"type"] == b'"Topology"'
    if members.get(b"geometryType", b"").startswith(b'"esri'):
        return True
    return not _ESRI_MEMBERS.isdisjoint(members)
