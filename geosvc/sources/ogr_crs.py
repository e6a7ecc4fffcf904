"""The CRS of a layer that GDAL reads."""

from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError

from geosvc.model.crs import WGS84
from geosvc.sources.crs import check_srid_option
from geosvc.sources.gml import read_crs_names
from geosvc.sources.notes import Notes
from geosvc.sources.ogr_layer import OgrLayer
from geosvc.sources.source_error import SourceError

_LISTED_NAMES = 10


def find_gml_crs(layer: OgrLayer) -> str | None:
    """The CRS that the geometries of a GML file name, such as `EPSG:3067`; else the CRS of GDAL.

    GDAL takes the CRS of the envelope around the geometries, which may be another.
    Raises: SourceError when the geometries are in several CRSs.
    """
    gdal_crs: str | None = layer.metadata["crs"]
    names = read_crs_names(layer.path)
    if gdal_crs is not None and layer.layer_count() > 1:
        return gdal_crs  # each layer may be in another CRS
    if len(names) > 1:
        listed = ", ".join(list(names)[:_LISTED_NAMES])
        raise SourceError(
            f"{layer.path.name}: the geometries are in several CRSs: {listed}: a file is in one CRS"
        )
    for srid in names.values():
        if srid is not None:
            return f"EPSG:{srid}"
    return gdal_crs


def choose_crs(
    layer: OgrLayer, definition: str | None, srid: int | None, notes: Notes
) -> tuple[int | None, Transformer | None]:
    """The SRID of the features, and the transformation that their coordinates need.

    Args:
        definition: the CRS of the layer: WKT, or an authority and a code; None: it names none.
        srid: the option --srid.
    Returns: SRID or None; a transformation to WGS 84 when the CRS has no EPSG code.
    Raises: SourceError when the CRS is not known, and when the option contradicts the layer.
    """
    crs: CRS | None = None
    epsg_code: int | None = None
    if definition is not None:
        crs = _parse_crs(definition)
    if crs is not None:
        epsg_code = crs.to_epsg()
    if srid is not None:
        check_srid_option(layer.path.name, epsg_code, srid)
        if crs is not None and epsg_code is None:
            notes.add(f"its CRS has no EPSG code: EPSG:{srid} is assumed, as --srid says")
        return srid, None
    if definition is None:
        return None, None
    # GeoPackage has CRSs called "Undefined geographic SRS" and "Undefined Cartesian SRS"
    if crs is None or crs.name.lower().startswith("undefined"):
        raise SourceError(f"{layer.path.name}: its CRS is not known: name it with --srid")
    if epsg_code is not None:
        return int(epsg_code), None
    notes.add("its CRS has no EPSG code: the coordinates are transformed to EPSG:4326")
    return WGS84, Transformer.from_crs(crs, WGS84, always_xy=True)


def _parse_crs(definition: str) -> CRS | None:
    """The CRS; None for an unknown one, and for an engineering CRS, which has no place on Earth."""
    try:
        crs = CRS.from_user_input(definition)
        is_on_earth = crs.is_geographic or crs.is_projected
        if not is_on_earth or crs.datum is None:
            return None
        crs.to_epsg()
    except CRSError:
        return None
    return crs
