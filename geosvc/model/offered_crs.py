"""The CRSs that the features of a collection can be read in. Source: OGC 18-058r1 6.2."""

from collections.abc import Sequence

from geosvc.model.collection import Collection
from geosvc.model.crs import (
    CRS84,
    CRS84H,
    UNKNOWN,
    WEB_MERCATOR,
    WGS84,
    Crs,
    Srid,
    cached_until_redefined,
    known_crs,
)


def listed_crs(collection: Collection, configured: Sequence[Srid]) -> tuple[Crs, ...]:
    """What the features of a collection can be had in; the default first, the storage CRS next.

    Args:
        configured: EPSG codes of the settings.
    """
    return _listed(collection.geometry.srid, collection.geometry.has_z, tuple(configured))


@cached_until_redefined
def _listed(srid: Srid, has_z: bool, configured: tuple[Srid, ...]) -> tuple[Crs, ...]:
    heights = (CRS84H, CRS84) if has_z else (CRS84,)
    codes = dict.fromkeys((srid, WGS84, WEB_MERCATOR, *configured))
    by_uri: dict[str, Crs] = {}
    for crs in map(known_crs, codes):
        if crs is not None:
            by_uri.setdefault(crs.uri, crs)
    return (*heights, *by_uri.values())


def default_crs(collection: Collection) -> Crs:
    """What coordinates are in when nobody says (OGC 18-058r1 6.2.4): longitude and latitude, with heights where there are."""
    return CRS84H if collection.geometry.has_z else CRS84


def storage_crs(collection: Collection) -> Crs | None:
    """What the features are stored in, x before y and so CRS84 rather than EPSG:4326; None when no URI tells."""
    if collection.geometry.srid in (WGS84, UNKNOWN):
        return default_crs(collection)
    return known_crs(collection.geometry.srid)
