"""Cells of a GeoPackage that are of another type than their column.

SQLite allows them; GDAL reads them as 0 or NULL. The SQL here only reads the file, and the names in
it are quoted.

Source: SQLite, "Datatypes In SQLite"; GeoPackage 1.3 (OGC 12-128r18) 1.1.1.1.3.
"""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from geosvc.sources.ogr_fields import field_types
from geosvc.sources.source_error import SourceError

_SHOWN_CHARACTERS = 40  # of a cell, in a note
_DIGIT = "[0-9]"
_DATE = f"GLOB '{_DIGIT * 4}-{_DIGIT * 2}-{_DIGIT * 2}'"
_FINER_THAN_GDAL = f"GLOB '*.{_DIGIT * 4}*'"  # GDAL has milliseconds
_TIMESTAMP = (
    f"GLOB '{_DIGIT * 4}-{_DIGIT * 2}-{_DIGIT * 2}T{_DIGIT * 2}:{_DIGIT * 2}:{_DIGIT * 2}.*Z'"
)
_FINER_THAN_POSTGRESQL = f"GLOB '*.{_DIGIT * 7}*'"  # PostgreSQL has microseconds
_FITS_TIMESTAMPTZ = f"{{0}} IS NULL OR {{0}} {_TIMESTAMP} AND {{0}} NOT {_FINER_THAN_POSTGRESQL}"
_READ_BY_GDAL = {
    "OFTInteger": "typeof({0}) IN ('integer', 'null')",
    "OFTInteger64": "typeof({0}) IN ('integer', 'null')",
    "OFTReal": "typeof({0}) IN ('integer', 'real', 'null')",
    "OFTDate": f"{{0}} IS NULL OR {{0}} {_DATE}",
    "OFTDateTime": f"{{0}} IS NULL OR NOT {{0}} {_FINER_THAN_GDAL}",
}
"""The type of GDAL: the condition under which it reads a cell as it is."""


class SqliteCells:
    """The columns that geosvc reads itself, as texts, because GDAL would change some values.

    Attributes:
        types: by the name of the column. It is text where a cell is not of its column's type, and
            timestamptz where some cells have microseconds.
        notes: what the user must know about these columns.
    """

    def __init__(self, path: Path, layer: str, metadata: Mapping[str, Any]) -> None:
        """Finds the columns in which GDAL would change values.

        Args:
            metadata: what pyogrio says of the layer.
        """
        self._file = path.name
        self._uri = f"{path.absolute().as_uri()}?mode=ro"
        self._layer = _quoted(layer)
        self._key = _quoted(metadata["fid_column"])
        self.types: dict[str, Literal["text", "timestamptz"]] = {}
        self.notes: tuple[str, ...] = ()
        if metadata["fid_column"]:
            try:
                self._find_types(metadata)
            except sqlite3.Error:  # GDAL reports the fault of the file
                return

    def _find_types(self, metadata: Mapping[str, Any]) -> None:
        ogr_types = field_types(metadata)
        conditions: dict[str, str] = {}
        for name, ogr_type in ogr_types.items():
            condition = _READ_BY_GDAL.get(ogr_type)
            if condition is not None:
                conditions[name] = condition.format(_quoted(name))
        misread = self._first_cells(conditions)
        conditions = {}
        for name in misread:
            if ogr_types[name] == "OFTDateTime":
                conditions[name] = _FITS_TIMESTAMPTZ.format(_quoted(name))
        no_timestamps = self._first_cells(conditions)
        timestamps = conditions.keys() - no_timestamps.keys()
        notes: list[str] = []
        for name, cell in misread.items():
            if name in timestamps:
                self.types[name] = "timestamptz"
                continue
            self.types[name] = "text"
            wrong_cell = no_timestamps.get(name, cell)
            shown = wrong_cell[:_SHOWN_CHARACTERS]
            notes.append(f"{name} stays text, because {shown!r} is not of its type")
        self.notes = tuple(notes)

    def values(self, name: str, fids: NDArray[np.int64]) -> NDArray[Any]:
        """The cells of the rows with these keys, as texts or None. Raises: SourceError."""
        column = _quoted(name)
        sql = (
            f"SELECT {self._key}, CAST({column} AS text) FROM {self._layer} "  # noqa: S608
            f"WHERE {self._key} BETWEEN ? AND ?"
        )
        first = int(np.min(fids))
        last = int(np.max(fids))
        try:
            cells = dict(self._fetch(sql, (first, last)))
        except sqlite3.Error as error:
            raise SourceError(f"{self._file}: {name}: {error}") from None
        return np.array([cells[fid] for fid in fids.tolist()], dtype=object)

    def _first_cells(self, conditions: Mapping[str, str]) -> dict[str, str]:
        """The first cell of each column that does not meet its condition.

        One pass over the table tests all columns.
        """
        if not conditions:
            return {}
        tests = ", ".join(f"max(NOT ({condition}))" for condition in conditions.values())
        (failures,) = self._fetch(f"SELECT {tests} FROM {self._layer}")  # noqa: S608
        cells: dict[str, str] = {}
        for name, fails in zip(conditions, failures, strict=True):
            if fails:
                cells[name] = self._first_cell(name, conditions[name])
        return cells

    def _first_cell(self, name: str, condition: str) -> str:
        sql = (
            f"SELECT CAST({_quoted(name)} AS text) FROM {self._layer} "  # noqa: S608
            f"WHERE NOT ({condition}) LIMIT 1"
        )
        return str(self._fetch(sql)[0][0])

    def _fetch(self, sql: str, values: tuple[int, ...] = ()) -> list[Any]:
        with closing(sqlite3.connect(self._uri, uri=True)) as connection:
            return connection.execute(sql, values).fetchall()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
