"""Which kind a file is of."""

import re
from pathlib import Path

from geosvc.sources.batch import Source
from geosvc.sources.delimited import DelimitedSource
from geosvc.sources.errors import SourceError
from geosvc.sources.geojson import GeoJSONSource
from geosvc.sources.ogr import OgrSource
from geosvc.sources.reading import FileReader

_SEQUENCES = frozenset({".geojsons", ".geojsonl", ".geojsonseq", ".ndjson", ".jsonl"})
_GEOJSON = frozenset({".geojson", ".json"})
_DELIMITED = frozenset({".csv", ".tsv"})
_HEAD_BYTES = 4096
_OTHER_JSON = re.compile(rb'"type"\s*:\s*"Topology"|"esriGeometry|"geometryType"\s*:')


def open_source(path: Path, srid: int | None = None, layer: str | None = None) -> Source:
    """Opens a file of features, by its extension, and by its content where that does not tell; and looks at all of them.

    Args:
        srid: of the coordinates; None: as the file says.
        layer: for files of several layers.
    Raises: SourceError; StartError when a package is missing.
    """
    source = _choose(path, srid, layer)
    _ = source.schema
    return source


def _choose(path: Path, srid: int | None, layer: str | None) -> Source:
    if path.is_dir() and path.suffix.lower() != ".gdb":
        raise SourceError(f"{path.name}: is a folder")
    extension = Path(path.stem if path.suffix.lower() == ".gz" else path.name).suffix.lower()
    if extension in _DELIMITED:
        return DelimitedSource(path, srid)
    if extension in _SEQUENCES:
        return GeoJSONSource(path, srid, sequence=True)
    if not path.is_dir():
        head = FileReader(path).head(_HEAD_BYTES).removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")
        looks_like_json = extension in _GEOJSON or head[:1] in (b"{", b"\x1e")
        if looks_like_json and not _OTHER_JSON.search(head):
            return GeoJSONSource(path, srid)
    return OgrSource(path, srid, layer)
