"""Which stored geometries have no place in another reference system.

PostGIS raises for the first of them and does not say for which. Asked of lists and halves of lists, half the world in UTM would
be thousands of statements; PROJ tells it of all at once.
"""

from collections.abc import Sequence

import numpy as np
import shapely

from geosvc.database.codecs import decode_ewkb
from geosvc.model.crs import WGS84, Srid
from geosvc.model.images import storage_of, transformer_of


def unreachable(stored: Sequence[bytes | None], srid: Srid, into: Srid) -> list[bool]:
    """Of each geometry, whether one of its positions has no place there. What cannot be told is false.

    Args:
        stored: EWKB.
        srid: of the column.
    """
    beyond = np.zeros(len(stored), dtype=bool)
    there = transformer_of(storage_of(srid), into) if storage_of(srid) != into else None
    if there is None:
        return beyond.tolist()
    decoded = [decode_ewkb(each) if each is not None else None for each in stored]
    shapes = np.array([each if isinstance(each, shapely.Geometry) else None for each in decoded], dtype=object)
    own = shapely.get_srid(shapes)
    shapes[(own != srid) & ~((storage_of(srid) == WGS84) & (own == 0))] = None
    coordinates, owners = shapely.get_coordinates(shapes, return_index=True)
    found = np.column_stack(there.transform(coordinates[:, 0], coordinates[:, 1]))
    beyond[owners[~np.isfinite(found).all(axis=1)]] = True
    return beyond.tolist()
