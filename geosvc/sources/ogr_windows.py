"""Reads the features of a layer in windows, each as large as memory allows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geosvc.sources.dbf_cells import DbfCells
from geosvc.sources.ogr_errors import UndecodableText
from geosvc.sources.ogr_layer import OgrLayer
from geosvc.sources.ogr_times import TimeFields
from geosvc.sources.sqlite_cells import SqliteCells

# The read of a window skips all features before it, which takes FlatGeobuf 0.9 µs a feature. So
# windows are as large as memory allows.
_FIRST_WINDOW = 1_000
_SMALLEST_WINDOW = 100
_LARGEST_WINDOW = 100_000
_WINDOW_BYTES = 64 << 20
_ROW_BYTES = 200  # of Python objects, for the properties


@dataclass(frozen=True, slots=True)
class Window:
    """Features that were read at once.

    Attributes:
        first: the number of the first feature in the layer, from 0.
        fids: the ids of the features in the file.
        geometries: WKB, or None.
        fields: the values by the name of the field.
    """

    first: int
    fids: NDArray[np.int64]
    geometries: NDArray[np.object_]
    fields: dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class WindowReader:
    """Reads a layer, window by window.

    Attributes:
        cells: reads the fields that GDAL would change.
        times: its `as_texts` are the fields that are read as texts.
    """

    layer: OgrLayer
    cells: DbfCells | SqliteCells
    times: TimeFields

    def windows(self, fields: Sequence[str]) -> Iterator[Window]:
        """All features, in the order of the file, with these fields. Raises: SourceError."""
        first = 0
        skipped = 0
        size = _FIRST_WINDOW
        while skipped < self.layer.feature_count:
            window = self._read(fields, first, skipped, size)
            if not len(window.fids):
                return
            yield window
            first += len(window.fids)
            skipped = first
            if self.layer.driver == "ESRI Shapefile":
                # GDAL counts deleted records when it skips, and leaves them out when it reads
                skipped = int(window.fids[-1]) + 1
            size = _next_size(window)

    def _read(self, fields: Sequence[str], first: int, skipped: int, size: int) -> Window:
        others = self.times.as_texts | self.cells.types.keys()
        read_by_gdal = [name for name in fields if name not in others]
        try:
            metadata, fids, geometries, arrays = self.layer.read(read_by_gdal, skipped, size)
        except UndecodableText:
            self.layer.refuse_undecodable_text(read_by_gdal, skipped, size)
            raise
        names = [str(name) for name in metadata["fields"]]
        values = dict(zip(names, arrays, strict=True))
        count = len(fids)
        if not count:
            return Window(first, fids, geometries, values)
        for name in fields:
            if name in self.times.as_texts:
                values[name] = self.layer.read_dates_as_texts(name, skipped, count)
            if name in self.cells.types:
                values[name] = self.cells.values(name, fids)
        return Window(first, fids, geometries, values)


def _next_size(window: Window) -> int:
    """The number of features of this size that fit into memory."""
    geometry_bytes = sum(len(wkb) for wkb in window.geometries if wkb is not None)
    feature_bytes = geometry_bytes // len(window.fids) + _ROW_BYTES
    size = max(_SMALLEST_WINDOW, _WINDOW_BYTES // feature_bytes)
    return min(_LARGEST_WINDOW, size)
