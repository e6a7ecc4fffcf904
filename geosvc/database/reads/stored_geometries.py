"""Write geometries that were read as stored (EWKB) as the texts of a page: GeoJSON or a CSV cell.

A geometry that cannot be written does not fail the others: it is null, or empty in CSV.
"""

import asyncio
from collections.abc import Sequence

from geosvc.database.reads.halving import read_in_halves
from geosvc.database.reads.runner import Reads
from geosvc.database.reads.untransformable import untransformable
from geosvc.errors import RequestError, UnreadableGeometry
from geosvc.events import GeometriesRefused, emit
from geosvc.query.features import FeaturePage
from geosvc.query.stored_features import transform_stored, write_stored


async def write_stored_geometries(
    database: Reads, page: FeaturePage, stored: list[bytes | None]
) -> list[str]:
    """Write geometries, in order. Emits one `GeometriesRefused` if PostGIS refuses some.

    Args:
        stored: EWKB in the storage CRS, None for NULL.
    Raises: RequestError if the cause is not a stored geometry.
    """
    writer = _GeometryWriter(database, page)
    texts = await writer.write(stored)
    reasons = writer.reasons
    if reasons:
        emit(
            GeometriesRefused(
                collection=page.collection.id, features=len(reasons), reason=reasons[0]
            )
        )
    return texts


def _is_refusal(error: RequestError) -> bool:
    return isinstance(error, UnreadableGeometry)


class _GeometryWriter:
    """Writes the geometries of one page.

    Attributes:
        reasons: why geometries could not be written, one for each.
    """

    def __init__(self, database: Reads, page: FeaturePage) -> None:
        self._database = database
        self._page = page
        self._format = page.format
        self.reasons: list[str] = []

    async def write(self, stored: list[bytes | None]) -> list[str]:
        """Write geometries; PostGIS gets only those that can be transformed to the page's CRS."""
        if self._page.query.geometry.skip:
            return await self._write_list(stored)
        into = self._page.query.geometry.crs.srid
        srid = self._page.collection.geometry.srid
        failed = await asyncio.to_thread(untransformable, stored, srid, into)
        transformable = []
        for ewkb, has_failed in zip(stored, failed, strict=True):
            if not has_failed:
                transformable.append(ewkb)
        written = iter(await self._write_list(transformable))

        texts = []
        for has_failed in failed:
            if has_failed:
                self.reasons.append(f"cannot be transformed to EPSG:{into}")
                texts.append(self._format.null_geometry)
            else:
                texts.append(next(written))
        return texts

    async def _write_list(self, stored: list[bytes | None]) -> list[str]:
        """Write geometries with PostGIS; a list that fails is halved."""
        return await read_in_halves(stored, self._write_some, _is_refusal, self._write_refused)

    async def _write_some(self, stored: Sequence[bytes | None]) -> list[str]:
        rows = await self._database.fetch(write_stored(self._page, stored))
        return [row[0] for row in rows]

    async def _write_refused(self, ewkb: bytes | None, error: RequestError) -> list[str]:
        """Write one geometry that PostGIS refuses."""
        self.reasons.append(error.reason or error.detail)
        return [await self._write_without_postgis(ewkb or b"")]

    async def _write_without_postgis(self, ewkb: bytes) -> str:
        null, write = self._format.null_geometry, self._format.write_ewkb
        if write is None:
            return null
        style = self._page.query.geometry
        text = write(ewkb, style.digits, style.crs)
        if text is not None:
            return text
        try:
            rows = await self._database.fetch(transform_stored(self._page, ewkb))
        except UnreadableGeometry:
            return null
        return write(rows[0][0], style.digits, style.crs) or null
