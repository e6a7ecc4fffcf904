"""Tables of texts (CSV), with geometries as WKT or hexadecimal EWKB, or as two coordinates. Source: RFC 4180."""

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from math import nan
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import shapely

from geosvc.model.crs import WGS84
from geosvc.requests.geometries import Shapes
from geosvc.sources.batch import FeatureBatch
from geosvc.sources.errors import SourceError
from geosvc.sources.kinds import NOT_FINITE, cell_kind, columns_of
from geosvc.sources.reading import FileReader
from geosvc.sources.schema import SourceColumn, SourceSchema
from geosvc.sources.shapes import SeenGeometries, fit
from geosvc.sources.well_known import look_at, read_geometries

_DELIMITERS = ",;\t|"
_GEOMETRY = ("wkt", "geom", "geometry", "the_geom")
_LONGITUDES, _LATITUDES = ("lon", "lng", "long", "longitude", "x"), ("lat", "latitude", "y")
_NUMBERS = frozenset({"int4", "int8", "numeric", "float8"})
_MAX_CELL = (1 << 31) - 1

Cells = list[str | None]


@dataclass(frozen=True, slots=True)
class _Layout:
    """What the header says.

    Attributes:
        geometry: the place of the geometry, or those of longitude and latitude.
        properties: the places of the rest.
        srid: what the names say of the coordinates.
    """

    delimiter: str
    names: tuple[str, ...]
    geometry: tuple[int, ...]
    properties: tuple[int, ...]
    srid: int | None


@dataclass(frozen=True, slots=True)
class _Line:
    """A record; `number` is that of its first line."""

    number: int
    cells: Cells


class DelimitedSource:
    """The lines of a CSV file as features.

    Args:
        srid: of the coordinates; None: as the geometries say, WGS 84 for columns that are called longitude and latitude, and
            otherwise not known.
    """

    notes: tuple[str, ...] = ()

    def __init__(self, path: Path, srid: int | None = None) -> None:
        self._reader = FileReader(path)
        self._path = path
        self._srid = srid
        # the csv module has one limit for the process, and 128 KiB is less than a coastline
        csv.field_size_limit(_MAX_CELL)
        self._layout = self._lay_out()

    @property
    def done_bytes(self) -> int:
        """How much of the file was read."""
        return self._reader.done_bytes

    def _lay_out(self) -> _Layout:
        first = next(self._lines(), "")
        delimiter = max(_DELIMITERS, key=lambda each: len(next(csv.reader([first], delimiter=each), [])))
        header = next(self._records(delimiter), _Line(1, []))
        names = _unique([(name or "").strip() for name in header.cells])
        lower = [name.lower() for name in names]
        geometry = tuple(lower.index(name) for name in _GEOMETRY if name in lower)[:1]
        srid = None
        if not geometry:
            longitude = next((name for name in _LONGITUDES if name in lower), None)
            latitude = next((name for name in _LATITUDES if name in lower), None)
            if longitude is None or latitude is None:
                raise SourceError(f"{self._path.name}: no column is called wkt or geometry, nor two lon and lat")
            geometry = (lower.index(longitude), lower.index(latitude))
            srid = WGS84 if (longitude, latitude) != ("x", "y") else None
        properties = tuple(place for place in range(len(names)) if place not in geometry)
        return _Layout(delimiter, names, geometry, properties, srid)

    def _lines(self) -> Iterator[str]:
        number = 0
        with self._reader.open() as content, io.TextIOWrapper(content, "utf-8-sig", newline="") as lines:
            try:
                for number, line in enumerate(lines, 1):
                    if "\0" in line:
                        raise SourceError(f"{self._where(number)}: holds a NUL character, which cannot be stored")
                    yield line
            except UnicodeDecodeError:
                raise SourceError(f"{self._path.name}: is not UTF-8, behind line {number}") from None

    def _records(self, delimiter: str) -> Iterator[_Line]:
        taken: list[str] = []

        def tapped() -> Iterator[str]:
            for line in self._lines():
                taken.append(line)
                yield line

        mark = re.escape(delimiter)
        end = rf"(?:{mark}|\r?\n|\r|$)"
        cell = re.compile(rf'(?:"(?P<quoted>(?:[^"]++|"")*)"|(?:[^"{mark}\r\n][^{mark}\r\n]*+)?){end}')
        reader = csv.reader(tapped(), delimiter=delimiter, strict=True)
        number = 1
        try:
            for cells in reader:
                if cells:
                    yield _Line(number, _with_nulls(cells, taken, cell) if "" in cells else list(cells))
                taken.clear()
                number = reader.line_num + 1
        except csv.Error as error:
            raise SourceError(f"{self._where(number)}: {error}") from None

    def _where(self, line: int) -> str:
        return f"{self._path.name}, line {line}"

    def _features(self) -> Iterator[_Line]:
        """The records behind the header, of the right width."""
        width = len(self._layout.names)
        for line in islice(self._records(self._layout.delimiter), 1, None):
            if len(line.cells) != width:
                raise SourceError(f"{self._where(line.number)}: has {len(line.cells)} cells, and the header {width}")
            yield line

    @cached_property
    def schema(self) -> SourceSchema:
        """What the features are like. The whole file is read for it, at the first time. Raises: SourceError."""
        kinds = dict.fromkeys(self._layout.properties, 0)
        seen, srids = SeenGeometries(), set[int | None]()
        count = 0
        for line in self._features():
            count += 1
            for place, before in kinds.items():
                text = line.cells[place]
                if text is not None:
                    kinds[place] = before | cell_kind(text, before)
            if len(self._layout.geometry) == 1:
                self._look_at(line, seen, srids)
        if len(self._layout.geometry) == 2:
            seen.types.add("POINT")
        if seen.has_m:
            self.notes = (f"{self._path.name}: measures (M) are left out",)
        if len(srids) > 1 and self._srid is None:
            raise SourceError(f"{self._path.name}: the geometries have several SRIDs: {', '.join(map(str, srids))}")
        srid = self._srid or next(iter(srids), None) or self._layout.srid
        columns = columns_of((self._layout.names[place], bits) for place, bits in kinds.items())
        return SourceSchema(columns, seen.type, seen.has_z, srid, count, self._reader.bytes)

    def _look_at(self, line: _Line, seen: SeenGeometries, srids: set[int | None]) -> None:
        text = line.cells[self._layout.geometry[0]]
        if text:
            try:
                srids.add(look_at(text, seen))
            except ValueError as error:
                raise SourceError(f"{self._where(line.number)}: {error}") from None

    def batches(self, rows: int = 5000, into: SourceSchema | None = None) -> Iterator[FeatureBatch]:
        """The features, `rows` at a time. Raises: SourceError."""
        own = self.schema
        into = into or own
        writers = self._writers(into)
        features = self._features()
        first = 0
        while lines := list(islice(features, rows)):
            where = [self._where(line.number) for line in lines]
            geometries = fit(self._shapes(lines, where.__getitem__), own.srid, into, where.__getitem__)
            properties = [_encoded(line.cells, writers) for line in lines]
            yield FeatureBatch(geometries, properties, first)
            first += len(lines)

    def _shapes(self, lines: Sequence[_Line], where: Callable[[int], str]) -> Shapes:
        if len(self._layout.geometry) == 1:
            return read_geometries([line.cells[self._layout.geometry[0]] or None for line in lines], where)
        positions = np.array([[self._coordinate(line, place) for place in self._layout.geometry] for line in lines])
        missing = np.isnan(positions)
        if (missing[:, 0] != missing[:, 1]).any():
            raise SourceError(f"{where(int(np.flatnonzero(missing[:, 0] != missing[:, 1])[0]))}: has one coordinate only")
        shapes: Shapes = np.full(len(lines), None, dtype=object)
        shapes[~missing[:, 0]] = shapely.points(positions[~missing[:, 0]])
        return shapes

    def _coordinate(self, line: _Line, place: int) -> float:
        text = (line.cells[place] or "").strip()
        if not text:
            return nan
        try:
            value = float(text)
        except ValueError:
            value = nan
        if value != value or "_" in text:  # noqa: PLR0124 - not a number is not itself
            raise SourceError(f"{self._where(line.number)}: {self._layout.names[place]} is no number")
        return value

    def _writers(self, into: SourceSchema) -> "list[_Writer]":
        own = {column.source: column for column in self.schema.columns}
        places = {self._layout.names[place]: place for place in self._layout.properties}
        wanted = [column for column in into.columns if column.source in own]
        return [(places[column.source], column.name, _converter(own[column.source], column)) for column in wanted]


_Writer = tuple[int, str, Callable[[str], Any]]


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    """A name that was there before gets its place behind it."""
    found: list[str] = []
    for place, name in enumerate(names, 1):
        found.append(f"{name}_{place}" if name in found else name)
    return tuple(found)


def _encoded(cells: Cells, writers: "list[_Writer]") -> bytes:
    return msgspec.json.encode({name: write(text) for place, name, write in writers if (text := cells[place]) is not None})


def _with_nulls(cells: list[str], taken: list[str], cell: re.Pattern[str]) -> Cells:
    """The cells, None for the empty ones without quotes, which the csv module does not tell from those with."""
    record = "".join(taken)
    if '""' not in record:
        return [text or None for text in cells]
    found = (match["quoted"] is not None for match in cell.finditer(record))
    return [text if text or quoted else None for text, quoted in zip(cells, found, strict=False)]


def _number(text: str) -> msgspec.Raw | None:
    return None if cell_kind(text, 0) == NOT_FINITE else msgspec.Raw(text.encode())


def _converter(own: SourceColumn, wanted: SourceColumn) -> Callable[[str], Any]:
    """What a cell is in JSON: a number with its digits, a boolean, or a text."""
    if wanted.type == "text" or own.type not in (*_NUMBERS, "bool"):
        return str
    if own.type == "bool":
        return lambda text: text.lower() == "true"
    if own.type == "float8":
        return _number
    return lambda text: msgspec.Raw(text.encode())
