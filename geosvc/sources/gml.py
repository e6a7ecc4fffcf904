"""Finds faults of GML that GDAL does not report: a truncated file, geometries in several CRSs."""

from pathlib import Path
from xml.parsers import expat

from geosvc.sources.source_error import SourceError
from geosvc.values.named_crs import UnknownCrs, parse_named_crs

_ENVELOPES = ("Envelope", "Box")  # which may be in another CRS than the geometries
_UNKNOWN_ENCODING = expat.errors.codes[expat.errors.XML_ERROR_UNKNOWN_ENCODING]


def read_crs_names(path: Path) -> dict[str, int | None]:
    """The CRSs that the geometries name: one name for each, with its SRID if it is known.

    Raises: SourceError for a file that is not XML, with the line.
    """
    names: dict[str, None] = {}

    def start_element(element: str, attributes: dict[str, str]) -> None:
        name = attributes.get("srsName")
        if name is not None and not element.endswith(_ENVELOPES):
            names[name] = None

    # The parser reads no external entities: that would need a handler.
    parser = expat.ParserCreate()
    parser.StartElementHandler = start_element
    try:
        with path.open("rb") as file:
            parser.ParseFile(file)
    except expat.ExpatError as error:
        if error.code != _UNKNOWN_ENCODING:  # GDAL may know the encoding
            raise SourceError(
                f"{path.name}, line {error.lineno}: {expat.ErrorString(error.code)}: "
                "not XML, or cut off"
            ) from None
    names_by_crs: dict[int | str, str] = {}
    for name in names:
        names_by_crs[_srid(name) or name] = name
    return {name: _srid(name) for name in names_by_crs.values()}


def _srid(name: str) -> int | None:
    try:
        found = parse_named_crs(name)
    except UnknownCrs:
        return None
    if found is None:
        return None
    return found.srid
