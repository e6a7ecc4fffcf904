"""Find the stored geometries that cannot be transformed to another CRS.

PostGIS raises an error for the first of them and does not say which one it is. Bisection with
PostGIS takes thousands of statements for half the world in UTM; PROJ transforms all in one call.
"""

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray

from geosvc.database.codecs import decode_ewkb
from geosvc.model.crs import WGS84, Srid, transformer_of
from geosvc.model.reprojected_bbox import srid_or_wgs84


def untransformable(stored: Sequence[bytes | None], srid: Srid, into: Srid) -> list[bool]:
    """Whether each geometry has a position that cannot be transformed. False if that is not known.

    Args:
        stored: EWKB, None for NULL.
        srid: of the column.
        into: SRID of the target CRS.
    """
    storage = srid_or_wgs84(srid)
    failed = np.zeros(len(stored), dtype=bool)
    if storage == into:
        return failed.tolist()
    transformer = transformer_of(storage, into)
    if transformer is None:
        return failed.tolist()
    geometries = _decode(stored)
    own_srids = shapely.get_srid(geometries)
    has_other_srid = own_srids != srid
    if storage == WGS84:
        has_other_srid &= own_srids != 0  # a geometry without an SRID is in degrees
    geometries[has_other_srid] = None
    coordinates, owners = shapely.get_coordinates(geometries, return_index=True)
    transformed = np.column_stack(transformer.transform(coordinates[:, 0], coordinates[:, 1]))
    is_finite = np.isfinite(transformed).all(axis=1)
    failed[owners[~is_finite]] = True
    return failed.tolist()


def _decode(stored: Sequence[bytes | None]) -> NDArray[np.object_]:
    """The geometries as an array of shapely's, None for those that shapely cannot read."""
    geometries = np.full(len(stored), None, dtype=object)
    for number, ewkb in enumerate(stored):
        if ewkb is None:
            continue
        geometry = decode_ewkb(ewkb)
        if isinstance(geometry, shapely.Geometry):
            geometries[number] = geometry
    return geometries
