"""The CRSs in which the features of a collection are available. Source: OGC 18-058r1 6.2."""

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
    """The CRSs of a collection: the default first, then the storage CRS, then the others.

    Args:
        configured: EPSG codes from the settings.
    """
    return _listed_crs(collection.geometry.srid, collection.geometry.has_z, tuple(configured))


@cached_until_redefined
def _listed_crs(srid: Srid, has_z: bool, configured: tuple[Srid, ...]) -> tuple[Crs, ...]:
    defaults: tuple[Crs, ...] = (CRS84,)
    if has_z:
        defaults = (CRS84H, CRS84)
    by_uri: dict[str, Crs] = {}
    for code in (srid, WGS84, WEB_MERCATOR, *configured):
        crs = known_crs(code)
        if crs is not None:
            by_uri.setdefault(crs.uri, crs)
    return (*defaults, *by_uri.values())


def default_crs(collection: Collection) -> Crs:
    """The CRS of coordinates when a request names none: CRS84h if geometries have Z, else CRS84.

    Source: OGC 18-058r1 6.2.4.
    """
    return CRS84H if collection.geometry.has_z else CRS84


def storage_crs(collection: Collection) -> Crs | None:
    """The storage CRS of a collection; None if clients cannot name it.

    For WGS 84 it is CRS84 and not EPSG:4326, since stored coordinates are in the order x, y.
    """
    srid = collection.geometry.srid
    if srid in (WGS84, UNKNOWN):
        return default_crs(collection)
    return known_crs(srid)
