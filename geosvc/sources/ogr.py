"""Every other kind of file, by GDAL: GeoPackage, Shapefile, FlatGeobuf, GML, KML and many more."""

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from math import isnan
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError

from geosvc.errors import StartError
from geosvc.model.crs import WGS84
from geosvc.requests.geometries import Shapes
from geosvc.sources.batch import FeatureBatch
from geosvc.sources.errors import SourceError
from geosvc.sources.schema import ColumnType, SourceColumn, SourceSchema, safe_names
from geosvc.sources.shapes import SeenGeometries, fit, transform

# A window is read at once, and begins with passing over all before it, which FlatGeobuf does at 0.9 µs a feature: so they are
# as large as memory allows.
_FIRST_WINDOW, _SMALLEST_WINDOW, _LARGEST_WINDOW = 1_000, 100, 100_000
_WINDOW_BYTES = 64 << 20
_ROW_BYTES = 200  # of Python objects, for the properties
_EXACT_IN_FLOAT = 1 << 53
_HAS_ZONE = re.compile(r"T.*(?:Z|[+-]\d\d(?::?\d\d)?)$")
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
_WHOLE = frozenset({"int2", "int4", "int8"})


@dataclass(frozen=True, slots=True)
class _Window:
    """Features that were read at once; `geometries` are WKB."""

    first: int
    fids: NDArray[np.int64]
    geometries: NDArray[np.object_]
    fields: dict[str, NDArray[Any]]


def _import_pyogrio() -> ModuleType:
    try:
        import pyogrio  # noqa: PLC0415 - an extra
        import pyogrio.raw  # noqa: PLC0415 - an extra
    except ImportError:
        raise StartError("this kind of file needs a package that is not installed: pip install geosvc[load]") from None
    return pyogrio  # type: ignore[no-any-return,unused-ignore]  # has no types, and may not be there


class OgrSource:
    """One layer of a file that GDAL reads.

    Args:
        srid: of the coordinates; None: the layer's. What has no EPSG code is transformed to WGS 84.
        layer: needed when there are several.
    """

    def __init__(self, path: Path, srid: int | None = None, layer: str | None = None) -> None:
        self._pyogrio = _import_pyogrio()
        self._path = path
        self._notes: dict[str, None] = {}
        self.done_bytes = 0
        with self._refusals():
            self._bytes = path.stat().st_size
            self._layer = layer or self._only_layer()
            self._layer_facts = self._pyogrio.read_info(path, layer=self._layer, force_feature_count=True)
        self._srid, self._to_wgs84 = (srid, None) if srid is not None else self._find_crs(self._layer_facts["crs"])

    @property
    def notes(self) -> tuple[str, ...]:
        """What is lost on the way."""
        return tuple(f"{self._path.name}: {note}" for note in self._notes)

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        errors = self._pyogrio.errors
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                yield
        except (errors.DataSourceError, errors.DataLayerError, errors.FieldError, UnicodeDecodeError) as error:
            raise SourceError(f"{self._path.name}: {error}") from None
        except OSError as error:
            raise SourceError(f"{self._path.name}: {error.strerror or type(error).__name__}") from None
        self._notes |= dict.fromkeys(str(warning.message) for warning in caught)

    def _only_layer(self) -> str:
        layers = [str(name) for name, kind in self._pyogrio.list_layers(self._path) if kind is not None]
        if not layers:
            raise SourceError(f"{self._path.name}: no layer has geometries")
        if len(layers) > 1:
            raise SourceError(f"{self._path.name}: has several layers, choose one: {', '.join(layers)}")
        return layers[0]

    def _find_crs(self, given: str | None) -> tuple[int | None, Transformer | None]:
        """(SRID, how coordinates get there)."""
        if given is None:
            return None, None
        try:
            crs = CRS.from_user_input(given)
            srid = crs.to_epsg()
            return (int(srid), None) if srid is not None else (WGS84, Transformer.from_crs(crs, WGS84, always_xy=True))
        except CRSError:
            raise SourceError(f"{self._path.name}: its CRS is not known: tell the SRID") from None

    @cached_property
    def schema(self) -> SourceSchema:
        """What the features are like. All geometries are looked at for it, at the first time. Raises: SourceError."""
        seen = SeenGeometries()
        count = 0
        for window in self._windows([]):
            self._look_at(window, seen)
            count = window.first + len(window.geometries)
        facts = self._layer_facts
        names = [str(name) for name in facts["fields"]]
        columns = tuple(
            SourceColumn(name, _SUBTYPES.get(subtype) or _TYPES.get(kind, "text"), source)
            for name, source, kind, subtype in zip(
                safe_names(names), names, facts["ogr_types"], facts["ogr_subtypes"], strict=True
            )
        )
        return SourceSchema(columns, seen.type, seen.has_z, self._srid, count, self._bytes)

    def _look_at(self, window: _Window, seen: SeenGeometries) -> None:
        there = np.flatnonzero(window.geometries != None)  # noqa: E711 - of an array
        heads = b"".join(geometry[:_WKB_HEAD_BYTES] for geometry in window.geometries[there])
        order = "<u4" if heads[:1] == b"\x01" else ">u4"
        codes = np.frombuffer(heads, dtype=np.dtype([("order", "u1"), ("code", order)]))["code"]
        for code in np.unique(codes):
            if not seen.add_code(int(code)):
                place = int(there[np.flatnonzero(codes == code)[0]])
                raise SourceError(f"{self._where(window.first + place)}: the geometry is of a type that cannot be loaded")

    def _where(self, number: int) -> str:
        return f"{self._path.name}: feature {number}"

    def _windows(self, fields: Sequence[str]) -> Iterator[_Window]:
        first, size = 0, _FIRST_WINDOW
        while first < self._layer_facts["features"]:
            with self._refusals():
                read, fids, geometries, values = self._pyogrio.raw.read(
                    self._path,
                    layer=self._layer,
                    columns=list(fields),
                    skip_features=first,
                    max_features=size,
                    return_fids=True,
                    datetime_as_string=True,
                )
            if not len(fids):
                return
            yield _Window(first, fids, geometries, dict(zip(map(str, read["fields"]), values, strict=True)))
            first += len(fids)
            each = sum(len(geometry) for geometry in geometries if geometry is not None) // len(fids) + _ROW_BYTES
            size = min(_LARGEST_WINDOW, max(_SMALLEST_WINDOW, _WINDOW_BYTES // each))

    def batches(self, rows: int = 5000, into: SourceSchema | None = None) -> Iterator[FeatureBatch]:
        """The features, `rows` at a time. Raises: SourceError."""
        own = {column.source: column for column in self.schema.columns}
        into = into or self.schema
        names = {column.source: column.name for column in into.columns if column.source in own}
        self.done_bytes = 0
        for window in self._windows(list(names)):
            values = [self._values(own[name], window) for name in names if name in window.fields]
            columns = [column for name, column in names.items() if name in window.fields]
            for begin in range(0, len(window.fids), rows):
                part = slice(begin, begin + rows)
                first = window.first + begin
                geometries = self._fit(window.geometries[part], first, into)
                self.done_bytes = self._bytes * (first + len(geometries)) // max(self._layer_facts["features"], 1)
                yield FeatureBatch(
                    geometries,
                    _encode(columns, [value[part] for value in values], len(geometries)),
                    first,
                )

    def _fit(self, wkb: NDArray[np.object_], first: int, into: SourceSchema) -> list[bytes | None]:
        def where(place: int) -> str:
            return self._where(first + place)

        try:
            shapes: Shapes = np.atleast_1d(shapely.from_wkb(wkb, on_invalid="ignore"))
        except NotImplementedError:
            raise SourceError(f"{where(0)}, or one of the {len(wkb)} behind it: has curves, which cannot be loaded") from None
        for place in np.flatnonzero(shapely.is_missing(shapes)):
            if wkb[place] is not None:
                raise SourceError(f"{where(int(place))}: the geometry cannot be read")
        if self._to_wgs84 is not None:
            shapes = transform(shapes, self._to_wgs84)
        return fit(shapes, self.schema.srid, into, where)

    def _values(self, column: SourceColumn, window: _Window) -> list[Any]:
        """The values of a field, as JSON has them."""
        array = window.fields[column.source]
        values: list[Any] = array.tolist()
        if array.dtype.kind == "f" and column.type in _WHOLE:
            if column.type == "int8" and (np.abs(array) >= _EXACT_IN_FLOAT).any():
                return self._exact(column, window)
            return [None if value != value else int(value) for value in values]  # noqa: PLR0124 - not a number is not itself
        convert = _CONVERTERS.get(column.type)
        return values if convert is None else [None if value is None else convert(value) for value in values]

    def _exact(self, column: SourceColumn, window: _Window) -> list[Any]:
        """Whole numbers among which some are missing: pyogrio makes floats of them, so those that are there are read again."""
        there = ~np.isnan(window.fields[column.source])
        if not self._layer_facts["capabilities"]["random_read"]:
            raise SourceError(
                f"{self._path.name}: the numbers of {column.source} are too large to be read where some are missing"
            )
        with self._refusals():
            _, _, _, (exact,) = self._pyogrio.raw.read(
                self._path, layer=self._layer, columns=[column.source], read_geometry=False, fids=window.fids[there]
            )
        numbers: Iterator[int] = iter(exact.tolist())
        return [next(numbers) if is_there else None for is_there in there]


def _json(text: str) -> object:
    """A JSON text as it is; what is none is a string."""
    try:
        return msgspec.json.decode(text, type=msgspec.Raw)
    except msgspec.DecodeError:
        return text


def _bool(value: float) -> bool | None:
    return None if isnan(value) else bool(value)


def _timestamp(text: str) -> str:
    return text if _HAS_ZONE.search(text) else f"{text}Z"


def _list(value: Any) -> object:
    return np.asarray(value).tolist()


_CONVERTERS: dict[ColumnType, Callable[[Any], object]] = {
    "bool": _bool,
    "jsonb": _json,
    "timestamptz": _timestamp,
    "text[]": _list,
    "int4[]": _list,
    "int8[]": _list,
    "float8[]": _list,
}


def _encode(names: Sequence[str], values: Sequence[list[Any]], rows: int) -> list[bytes]:
    if not names:
        return [b"{}"] * rows
    encode = msgspec.json.Encoder().encode  # writes NaN and infinity as null, bytes as base64
    return [encode(dict(zip(names, row, strict=True))) for row in zip(*values, strict=True)]
