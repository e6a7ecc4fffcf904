"""Opens a file of features by its format."""

import re
import weakref
from codecs import BOM_UTF8
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
_WHITE_SPACE = b" \t\r\n"
_JSON_BEGINS = (b"{", b"\x1e")  # an object; the record separator of a text sequence
_ESRI_MEMBERS = frozenset({b"spatialReference", b"displayFieldName"})
_MEMBER = re.compile(rb'"(type|geometryType|spatialReference|displayFieldName)"\s*:\s*("[^"]*")?')


def open_source(
    path: Path, srid: int | None = None, layer: str | None = None, encoding: str | None = None
) -> Source:
    """Opens a file of features, and reads all of it for its schema.

    The extension decides which format the file has, or its content where the extension does not.

    Args:
        srid: of the coordinates; None: the file names it.
        layer: the name of the layer, for files with several.
        encoding: of the texts; None: the file names it.
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
    extension = path.suffix.lower()
    if path.is_dir() and extension != ".gdb":
        raise SourceError(f"{path.name}: is a folder")
    if extension == ".gz":
        inner_name = Path(path.stem)
        extension = inner_name.suffix.lower()
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
    is_named_json = extension in _GEOJSON
    if not is_named_json:
        encoding = None  # the file may not be a text
    head = FileReader(path, encoding).head()
    head = head.removeprefix(BOM_UTF8)
    head = head.lstrip(_WHITE_SPACE)
    if not is_named_json and not head.startswith(_JSON_BEGINS):
        return False
    return not _is_for_gdal(head)


def _is_for_gdal(head: bytes) -> bool:
    """Whether a JSON text is TopoJSON or Esri JSON, by the members of its outermost object."""
    brackets = BracketScanner().scan(head, strings=True)
    members: dict[bytes, bytes] = {}
    for start in brackets.at[brackets.depth == 1]:
        member = _MEMBER.match(head, int(start))
        if member is None:
            continue
        name, value = member.groups()
        members[name] = value or b""
    if b"type" in members:
        return members[b"type"] == b'"Topology"'
    geometry_type = members.get(b"geometryType", b"")
    if geometry_type.startswith(b'"esri'):
        return True
    return not _ESRI_MEMBERS.isdisjoint(members)
