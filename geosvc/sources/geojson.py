"""GeoJSON: a FeatureCollection, a Feature, a geometry, or a sequence of features, of any size."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import shapely
from pyproj import CRS
from pyproj.exceptions import CRSError

from geosvc.model.crs import WGS84
from geosvc.requests.geometries import MAX_DEPTH, nesting_depth
from geosvc.requests.geometry_faults import find_fault
from geosvc.requests.posted_faults import holds_nul
from geosvc.requests.splitting import FeatureCollectionSplitter, MalformedBody, Piece, SequenceSplitter, is_feature_collection
from geosvc.sources.batch import FeatureBatch
from geosvc.sources.errors import SourceError
from geosvc.sources.kinds import columns_of, value_kind
from geosvc.sources.reading import FileReader
from geosvc.sources.schema import GEOMETRY_TYPES, GeometryType, SourceSchema
from geosvc.sources.shapes import SeenGeometries, fit

_NULL = msgspec.Raw(b"null")
_NAMES = ("Point", "LineString", "Polygon", "MultiPoint", "MultiLineString", "MultiPolygon", "GeometryCollection")
_TYPES: dict[str, GeometryType] = dict(zip(_NAMES, GEOMETRY_TYPES[:-1], strict=True))
_FIRST_POSITION = re.compile(rb"\[\s*[-+0-9.eE]+\s*,\s*[-+0-9.eE]+\s*(,?)")
_ELEMENT = re.compile(r"\$\[(\d+)\]")


class _Geometry(msgspec.Struct, gc=False):
    type: str = ""
    coordinates: msgspec.Raw = _NULL
    geometries: msgspec.Raw = _NULL


class _Looked(msgspec.Struct, gc=False):
    """A feature as it is looked at."""

    type: str = ""
    geometry: _Geometry | None = None
    properties: dict[str, Any] | None = None


class _Feature(msgspec.Struct, gc=False):
    """A feature as it is loaded."""

    geometry: msgspec.Raw = _NULL
    properties: msgspec.Raw = _NULL


class _Member(msgspec.Struct, gc=False):
    type: str = ""


_look = msgspec.json.Decoder(list[_Looked])
_read = msgspec.json.Decoder(list[_Feature])
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class _Renaming:
    """What members of `properties` become. None: all of them stay."""

    names: dict[str, str] | None

    @classmethod
    def into(cls, schema: SourceSchema) -> "_Renaming":
        same = all(column.name == column.source for column in schema.columns)
        return cls(None if same else {column.source: column.name for column in schema.columns})

    def of(self, properties: bytes) -> bytes:
        if properties == b"null":
            return b"{}"
        if self.names is None:
            return properties
        members = _members.decode(properties)
        return msgspec.json.encode({self.names[name]: value for name, value in members.items() if name in self.names})


class GeoJSONSource:
    """The features of a GeoJSON file (RFC 7946), of a text sequence of them (RFC 8142), or of lines of them.

    Args:
        srid: of the coordinates; None: as the old member `crs` says, else WGS 84.
    """

    notes: tuple[str, ...] = ()

    def __init__(self, path: Path, srid: int | None = None, *, sequence: bool = False) -> None:
        self._reader = FileReader(path)
        self._path = path
        self._srid = srid
        self._members: dict[str, object] = {}
        self._in_sequence = sequence
        head = self._reader.head()
        self._is_collection = not sequence and not head.startswith(b"\x1e") and is_feature_collection(head) is not False
        if not self._is_collection and not sequence:
            self._in_sequence = head.startswith(b"\x1e") or self._first_line_is_whole(head)

    def _first_line_is_whole(self, head: bytes) -> bool:
        line = head.removeprefix(b"\xef\xbb\xbf").lstrip().partition(b"\n")[0]
        try:
            return nesting_depth(line) <= MAX_DEPTH and msgspec.json.decode(line, type=_Member).type == "Feature"
        except msgspec.DecodeError:
            return False

    @property
    def done_bytes(self) -> int:
        """How much of the file was read."""
        return self._reader.done_bytes

    @cached_property
    def schema(self) -> SourceSchema:
        """What the features are like. The whole file is read for it, at the first time. Raises: SourceError."""
        kinds: dict[str, int] = {}
        seen = SeenGeometries()
        count = 0
        for piece in self._pieces():
            features = self._decode(_look, piece)
            for number, feature in enumerate(features, count):
                if feature.type != "Feature":
                    raise SourceError(f"{self._where(number)} is no Feature")
                if feature.geometry is not None:
                    self._see(seen, feature.geometry, number)
                for name, value in (feature.properties or {}).items():
                    before = kinds.get(name, 0)
                    kinds[name] = before | value_kind(value, before)
            if holds_nul(piece.text):
                self._refuse_nul(piece)
            count += len(features)
        srid = self._srid or self._srid_of_members()
        return SourceSchema(columns_of(kinds.items()), seen.type, seen.has_z, srid, count, self._reader.bytes)

    def _see(self, seen: SeenGeometries, geometry: _Geometry, number: int) -> None:
        kind = _TYPES.get(geometry.type)
        if kind is None:
            raise SourceError(f"{self._where(number)}: the geometry has no type of GeoJSON's")
        seen.types.add(kind)
        if not seen.has_z:
            positions = bytes(geometry.geometries if kind == "GEOMETRYCOLLECTION" else geometry.coordinates)
            first = _FIRST_POSITION.search(positions)
            seen.has_z = first is not None and first[1] == b","

    def batches(self, rows: int = 5000, into: SourceSchema | None = None) -> Iterator[FeatureBatch]:
        """The features, `rows` at a time. Raises: SourceError."""
        own = self.schema
        into = into or own
        renaming = _Renaming.into(into)
        waiting: list[_Feature] = []
        first = 0
        for piece in self._pieces():
            waiting += self._decode(_read, piece)
            begin = 0
            while len(waiting) - begin >= rows:
                yield self._batch(waiting[begin : begin + rows], first, into, renaming)
                begin += rows
                first += rows
            del waiting[:begin]
        if waiting:
            yield self._batch(waiting, first, into, renaming)

    def _batch(self, features: list[_Feature], first: int, into: SourceSchema, renaming: _Renaming) -> FeatureBatch:
        texts = [bytes(feature.geometry) for feature in features]
        given = np.array([None if text == b"null" else text for text in texts], dtype=object)
        with np.errstate(over="ignore"):  # infinity is found by `fit`
            shapes = np.atleast_1d(shapely.from_geojson(given, on_invalid="ignore"))
        for place in np.flatnonzero(shapely.is_missing(shapes)).tolist():
            if given[place] is not None:
                fault = find_fault(texts[place])
                raise SourceError(
                    f"{self._where(first + place)}: the geometry{fault.pointer and ' at ' + fault.pointer} {fault.detail}"
                )
        return FeatureBatch(
            fit(shapes, self.schema.srid, into, lambda place: self._where(first + place)),
            [renaming.of(bytes(feature.properties)) for feature in features],
            first,
        )

    def _where(self, number: int) -> str:
        return f"{self._path.name}: feature {number}"

    def _pieces(self) -> Iterator[Piece]:
        if not self._is_collection and not self._in_sequence:
            yield self._only()
            return
        splitter = FeatureCollectionSplitter() if self._is_collection else SequenceSplitter()
        try:
            for data in self._reader.pieces():
                yield from splitter.feed(data)
            yield from splitter.finish()
        except MalformedBody as error:
            raise SourceError(f"{self._path.name}: {error.detail.replace('the body', 'the file')}") from None
        self._members = splitter.members

    def _only(self) -> Piece:
        """A file that is one Feature, or one geometry."""
        text = b"".join(self._reader.pieces()).removeprefix(b"\xef\xbb\xbf").strip()
        depth = nesting_depth(text)
        if depth > MAX_DEPTH:
            raise SourceError(f"{self._path.name}: is nested deeper than {MAX_DEPTH} brackets")
        try:
            kind = msgspec.json.decode(text, type=_Member).type
        except msgspec.DecodeError as error:
            raise SourceError(f"{self._path.name}: is no GeoJSON: {error}") from None
        if kind in _TYPES:
            text = b'{"type":"Feature","properties":{},"geometry":' + text + b"}"
        elif kind != "Feature":
            raise SourceError(
                f"{self._path.name}: is no GeoJSON: it is neither a collection of features, nor one, nor a geometry"
            )
        return Piece(0, 1, text, depth)

    def _decode(self, decoder: "msgspec.json.Decoder[list[Any]]", piece: Piece) -> list[Any]:
        try:
            return decoder.decode(b"[" + piece.text + b"]")
        except msgspec.ValidationError as error:
            place = _ELEMENT.search(str(error))
            words = _ELEMENT.sub("", str(error)).replace("$", "").removesuffix(" - at ``")
            if place is None:
                words, number = self._explain(piece)
            else:
                number = int(place[1])
        except (msgspec.DecodeError, RecursionError):
            words, number = self._explain(piece)
        raise SourceError(f"{self._where(piece.first + number)}: {words}")

    def _explain(self, piece: Piece) -> tuple[str, int]:
        """(what is wrong, place) of the first feature of a piece that is no JSON."""
        text = piece.text.decode("utf-8", "replace")
        decoder = json.JSONDecoder()
        end = number = 0
        while end < len(text):
            start = _skip(text, end)
            try:
                _, end = decoder.raw_decode(text, start)
                msgspec.json.decode(text[start:end].encode(), type=_Looked)
            except json.JSONDecodeError as error:
                return f"is no JSON: {error.msg}", number
            except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
                return f"is no JSON that can be stored: {error}", number
            number += 1
        return "is no JSON", 0

    def _refuse_nul(self, piece: Piece) -> None:
        for number, feature in enumerate(self._decode(_read, piece), piece.first):
            if holds_nul(bytes(feature.properties)):
                raise SourceError(f"{self._where(number)}: a property holds a NUL character, which cannot be stored")

    def _srid_of_members(self) -> int:
        """What the member `crs` says, which GeoJSON had before RFC 7946. Source: the GeoJSON specification of 2008, 3."""
        match self._members.get("crs"):
            case {"properties": {"name": str(name)}}:
                pass
            case _:
                return WGS84
        if "CRS84" in name:
            return WGS84
        try:
            srid = CRS.from_user_input(name).to_epsg()
        except CRSError:
            srid = None
        if srid is None:
            raise SourceError(f"{self._path.name}: the CRS of its member crs is not known: tell the SRID")
        return int(srid)


_BLANK = re.compile(r"[ \t\r\n,]*")


def _skip(text: str, start: int) -> int:
    found = _BLANK.match(text, start)
    return start if found is None else found.end()
