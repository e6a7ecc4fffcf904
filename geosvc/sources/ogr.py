"""Files that GDAL reads: GeoPackage, Shapefile, FlatGeobuf, GML, KML and many more formats."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geosvc.bodies.geometry_checks import Shapes
from geosvc.sources.batch import FeatureBatch
from geosvc.sources.dbf_cells import DbfCells
from geosvc.sources.notes import Notes
from geosvc.sources.ogr_crs import choose_crs, find_gml_crs
from geosvc.sources.ogr_errors import InvalidDate
from geosvc.sources.ogr_guesses import GuessedTypes, has_schema_file
from geosvc.sources.ogr_layer import OgrLayer
from geosvc.sources.ogr_times import TimeFields
from geosvc.sources.ogr_values import CONVERTERS, convert_values, encode_rows
from geosvc.sources.ogr_windows import Window, WindowReader
from geosvc.sources.schema import ColumnType, SourceColumn, SourceSchema, safe_names
from geosvc.sources.shapes import LocateFeature, SeenGeometries, fit, transform
from geosvc.sources.source_error import SourceError
from geosvc.sources.sqlite_cells import SqliteCells

# GDAL reads a number beyond these types as the largest of the type: the files are texts
_CLAMPING_DRIVERS = frozenset({"ESRIJSON", "TopoJSON", "KML", "LIBKML", "GML"})
_EXACT_IN_FLOAT = 1 << 53
_WKB_HEAD_BYTES = 5

_TYPES: dict[str, ColumnType] = {
    "OFTInteger": "int4",
    "OFTInteger64": "int8",
    "OFTReal": "float8",
    "OFTString": "text",
    "OFTDate": "date",
    "OFTTime": "time",
    "OFTDateTime": "timestamptz",
    "OFTBinary": "bytea",
    "OFTStringList": "text[]",
    "OFTIntegerList": "int4[]",
    "OFTInteger64List": "int8[]",
    "OFTRealList": "float8[]",
}
_SUBTYPES: dict[str, ColumnType] = {
    "OFSTBoolean": "bool",
    "OFSTInt16": "int2",
    "OFSTFloat32": "float4",
    "OFSTJSON": "jsonb",
}
_INTEGER_TYPES = frozenset({"int2", "int4", "int8"})


class OgrSource:
    """One layer of a file that GDAL reads.

    Args:
        srid: of the coordinates; None: the layer's. A CRS without an EPSG code is transformed to
            WGS 84.
        layer: needed when there are several.
        encoding: of the texts, for files that do not say.
    Raises: SourceError; StartError when pyogrio is missing.
    """

    def __init__(
        self,
        path: Path,
        srid: int | None = None,
        layer: str | None = None,
        encoding: str | None = None,
    ) -> None:
        # GDAL writes a schema file beside a GML file when it opens it
        types_are_known = has_schema_file(path)
        self._notes = Notes(path.name)
        self._layer = OgrLayer(path, layer, encoding, self._notes)
        self._driver = self._layer.driver
        self.done_bytes = 0
        metadata = self._layer.metadata
        with self._layer.errors():
            self._cells = _open_cells(self._layer)
        definition: str | None = metadata["crs"]
        if self._driver == "GML":
            definition = find_gml_crs(self._layer)
        definition = definition or self._layer.prj_text()
        self._guesses = GuessedTypes.of(metadata, types_are_known=types_are_known)
        self._times = TimeFields.of(metadata, without=self._cells.types)
        self._reader = WindowReader(self._layer, self._cells, self._times)
        self._srid, self._to_wgs84 = choose_crs(self._layer, definition, srid, self._notes)

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for a person about values that are changed or lost in the table."""
        return self._notes.lines

    @cached_property
    def schema(self) -> SourceSchema:
        """Columns and geometry type. The first access reads the whole file. Raises: SourceError."""
        try:
            seen, count = self._inspect()
        except InvalidDate:
            invalid = filter(self._layer.has_invalid_date, self._times.fields)
            self._times.as_texts.update(invalid)
            seen, count = self._inspect()
        for note in self._cells.notes:
            self._notes.add(note)
        for note in self._times.notes:
            self._notes.add(note)
        return SourceSchema(
            columns=self._columns(),
            geometry_type=seen.type,
            has_z=seen.has_z,
            srid=self._srid,
            features=count,
            bytes=self._layer.bytes,
        )

    def _inspect(self) -> tuple[SeenGeometries, int]:
        """Reads all geometries, and the fields whose types depend on their values.

        Returns: the types of the geometries; how many features there are.
        """
        seen = SeenGeometries()
        count = 0
        self._guesses.reset()
        inspected_fields = [*self._times.fields, *self._guesses.kinds]
        for window in self._reader.windows(inspected_fields):
            self._add_types(window, seen)
            for name in self._guesses.kinds:
                texts = window.fields[name]
                self._guesses.add_values(name, texts, self._notes)
            for name in self._times.fields:
                times = window.fields[name]
                self._times.add_values(name, times, window.first)
            count = window.first + len(window.geometries)
        return seen, count

    def _add_types(self, window: Window, seen: SeenGeometries) -> None:
        """Adds the geometry types of a window, from the first bytes of each WKB."""
        present = np.flatnonzero(window.geometries != None)  # noqa: E711 - of an array
        heads = b"".join(wkb[:_WKB_HEAD_BYTES] for wkb in window.geometries[present])
        # GDAL writes all geometries in the same byte order
        code_type = ">u4"
        if heads.startswith(b"\x01"):
            code_type = "<u4"
        head_type = np.dtype([("order", "u1"), ("code", code_type)])
        codes = np.frombuffer(heads, dtype=head_type)["code"]
        for code in np.unique(codes):
            if not seen.add_code(int(code)):
                first = np.flatnonzero(codes == code)[0]
                index = int(present[first])
                raise SourceError(
                    f"{self._layer.locate(window.first + index)}: "
                    "the geometry is of a type that cannot be loaded"
                )

    def _columns(self) -> tuple[SourceColumn, ...]:
        fields = self._layer.fields
        types = self._layer.metadata["ogr_types"]
        subtypes = self._layer.metadata["ogr_subtypes"]
        columns: list[SourceColumn] = []
        for index, name in enumerate(safe_names(fields)):
            field = fields[index]
            declared = _SUBTYPES.get(subtypes[index]) or _TYPES.get(types[index], "text")
            column_type = self._type_of_values(field) or declared
            columns.append(SourceColumn(name, column_type, field))
        return tuple(columns)

    def _type_of_values(self, field: str) -> ColumnType | None:
        """The type that the values need, if it differs from the type of the field."""
        return (
            self._cells.types.get(field)
            or self._guesses.type_of(field)
            or self._times.type_of(field)
        )

    def batches(self, rows: int = 5000, into: SourceSchema | None = None) -> Iterator[FeatureBatch]:
        """The features, `rows` at a time. Raises: SourceError."""
        own_columns = {column.source: column for column in self.schema.columns}
        into = into or self.schema
        self._notes.set_stored_types(into.columns)
        names: dict[str, str] = {}
        for column in into.columns:
            if column.source in own_columns:
                names[column.source] = column.name
        self.done_bytes = 0
        for window in self._reader.windows(list(names)):
            columns: list[str] = []
            values: list[list[Any]] = []
            for field, name in names.items():
                if field in window.fields:
                    columns.append(name)
                    values.append(self._values(own_columns[field], window))
            for begin in range(0, len(window.fids), rows):
                part = slice(begin, begin + rows)
                first = window.first + begin
                geometries = self._fit(window.geometries[part], first, into)
                values_of_part = [array[part] for array in values]
                encoded = encode_rows(columns, values_of_part, len(geometries))
                self._set_done(first + len(geometries))
                yield FeatureBatch(geometries, encoded, first, self._locate_from(first))

    def _set_done(self, features: int) -> None:
        all_features = max(self._layer.feature_count, 1)
        self.done_bytes = self._layer.bytes * features // all_features

    def _locate_from(self, first: int) -> LocateFeature:
        def locate(index: int) -> str:
            return self._layer.locate(first + index)

        return locate

    def _fit(self, wkb: NDArray[np.object_], first: int, into: SourceSchema) -> list[bytes | None]:
        """EWKB of a batch whose first feature has the number `first`."""
        locate = self._locate_from(first)
        try:
            shapes: Shapes = np.atleast_1d(shapely.from_wkb(wkb, on_invalid="ignore"))
        except NotImplementedError:
            raise SourceError(
                f"{locate(0)}, or one of the {len(wkb)} behind it: "
                "has curves, which cannot be loaded"
            ) from None
        for index in np.flatnonzero(shapely.is_missing(shapes)):
            if wkb[index] is not None:
                raise SourceError(f"{locate(int(index))}: the geometry cannot be read")
        if self._to_wgs84 is not None:
            shapes = transform(shapes, self._to_wgs84)
        return fit(shapes, self.schema.srid, into, locate)

    def _values(self, column: SourceColumn, window: Window) -> list[Any]:
        """The values of a field, as they are encoded in JSON."""
        array = window.fields[column.source]
        if column.source in self._guesses.kinds:
            return self._guesses.convert(column.source, array.tolist())
        self._count_changed_numbers(column, array)
        if array.dtype.kind == "f" and column.type in _INTEGER_TYPES:
            return self._integers(column, window)
        convert = CONVERTERS.get(column.type)
        if convert is None:
            return array.tolist()  # type: ignore[no-any-return]  # numpy has no type for it
        return convert_values(array.tolist(), convert)

    def _count_changed_numbers(self, column: SourceColumn, array: NDArray[Any]) -> None:
        """Counts the numbers that GDAL does not read as they are."""
        name = column.source
        if column.type == "float8" and self._driver == "ESRI Shapefile":
            rounded = int(np.count_nonzero(np.abs(array) >= _EXACT_IN_FLOAT))
            self._notes.count(
                f"{name}: {{}} numbers are so long that only 15 of their digits are read", rounded
            )
        if array.dtype.kind == "i" and self._driver in _CLAMPING_DRIVERS:
            limits = np.iinfo(array.dtype)
            is_clamped = (array == limits.max) | (array == limits.min)
            clamped = int(np.count_nonzero(is_clamped))
            self._notes.count(
                f"{name}: {{}} numbers are {limits.max} or beyond: GDAL reads no larger ones",
                clamped,
            )

    def _integers(self, column: SourceColumn, window: Window) -> list[Any]:
        """Integers of which some are missing, so that pyogrio returns floats and NaN."""
        floats = window.fields[column.source]
        if column.type == "int8":
            are_large = np.abs(floats) >= _EXACT_IN_FLOAT
            if are_large.any():
                return self._read_large_integers(column, window)
        integers: list[int | None] = []
        for number in floats.tolist():
            is_missing = number != number  # noqa: PLR0124 - only NaN is not equal to itself
            integers.append(None if is_missing else int(number))
        return integers

    def _read_large_integers(self, column: SourceColumn, window: Window) -> list[Any]:
        """Integers that need more digits than a float has; the rows with a value are read again."""
        is_present = ~np.isnan(window.fields[column.source])
        if not self._layer.metadata["capabilities"]["random_read"]:
            raise SourceError(
                f"{self._layer.path.name}: the numbers of {column.source} are too large to be read "
                "where some are missing"
            )
        fids = window.fids[is_present]
        integers = np.full(len(is_present), None, dtype=object)
        integers[is_present] = self._layer.read_values(column.source, fids)
        values: list[Any] = integers.tolist()
        return values


def _open_cells(layer: OgrLayer) -> DbfCells | SqliteCells:
    """Finds the fields whose values GDAL would read differently from what the file contains."""
    if layer.driver == "GPKG":
        return SqliteCells(layer.path, layer.name, layer.metadata)
    return DbfCells.of(layer.path, layer.fields)
