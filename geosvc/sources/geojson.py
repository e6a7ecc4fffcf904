"""GeoJSON: a FeatureCollection, a Feature, a geometry, or a sequence of features, of any size."""

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import shapely

from geosvc.bodies.feature_faults import holds_nul
from geosvc.bodies.geometries import MAX_DEPTH, nesting_depth
from geosvc.bodies.geometry_checks import Shapes
from geosvc.bodies.geometry_faults import find_fault
from geosvc.bodies.splitting import (
    BodySplitter,
    FeatureCollectionSplitter,
    MalformedBody,
    Piece,
    SequenceSplitter,
    is_feature_collection,
)
from geosvc.model.crs import AxisOrder, Srid, axis_order
from geosvc.sources.batch import FeatureBatch
from geosvc.sources.column_types import RESPELLED, columns_of, value_kind
from geosvc.sources.crs import SeenCrs
from geosvc.sources.file_reader import FileReader
from geosvc.sources.geojson_faults import explain_invalid, explain_malformed, not_utf8_or
from geosvc.sources.geojson_features import (
    GEOJSON_TYPES,
    InspectedFeature,
    LoadedFeature,
    PropertyNames,
    Typed,
    inspected_decoder,
    loaded_decoder,
)
from geosvc.sources.notes import Notes
from geosvc.sources.schema import SourceSchema
from geosvc.sources.shapes import LocateFeature, SeenGeometries, fit, flip
from geosvc.sources.source_error import SourceError

_FIRST_POSITION = re.compile(rb"\[\s*[-+0-9.eE]+\s*,\s*[-+0-9.eE]+\s*(,?)")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_RECORD_SEPARATOR = b"\x1e"  # before each feature of a text sequence, RFC 8142


class GeoJSONSource:
    """The features of a GeoJSON file, of a text sequence, or of a file with a feature a line.

    Source: RFC 7946 and RFC 8142.

    Args:
        srid: of the coordinates; None: as the old member `crs` says, else WGS 84.
        sequence: whether the file is a sequence; False: if it looks like one.
        encoding: of the text; None: UTF-8, or as its byte order mark says.
    Raises: SourceError.
    """

    def __init__(
        self,
        path: Path,
        srid: int | None = None,
        *,
        sequence: bool = False,
        encoding: str | None = None,
    ) -> None:
        self._reader = FileReader(path, encoding)
        self._path = path
        self._notes = Notes(path.name)
        self._seen_crs = SeenCrs(path.name, srid)
        self._members: dict[str, object] = {}
        self._is_flipped = False
        self._is_sequence = sequence
        self._is_collection = False
        if not sequence:
            self._detect_structure(self._reader.head())

    def _detect_structure(self, head: bytes) -> None:
        """Whether the file is a sequence, a collection, or else one feature or geometry."""
        if head.startswith(_RECORD_SEPARATOR):
            self._is_sequence = True
        elif is_feature_collection(head) is not False:
            self._is_collection = True
        else:
            self._is_sequence = _first_line_is_feature(head)

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for a person about values that are changed or lost in the table."""
        return self._notes.lines

    @property
    def done_bytes(self) -> int:
        """How many bytes of the file were read."""
        return self._reader.done_bytes

    @cached_property
    def schema(self) -> SourceSchema:
        """Columns and geometry type. The first access reads the whole file. Raises: SourceError."""
        kinds: dict[str, int] = {}
        seen = SeenGeometries()
        count = 0
        has_places = False
        for piece in self._pieces():
            features: list[InspectedFeature] = self._decode(inspected_decoder, piece)
            self._add_kinds(kinds, features, count)
            for number, feature in enumerate(features, count):
                if feature.place is not None:
                    has_places = True
                self._add_geometry(seen, feature, number)
            if holds_nul(piece.text):
                self._refuse_nul(piece)
            count += len(features)
        srid = self._seen_crs.resolve(self._members)
        self._is_flipped = has_places and axis_order(Srid(srid)) is AxisOrder.NORTH_EAST
        return SourceSchema(
            columns=columns_of(kinds.items()),
            geometry_type=seen.type,
            has_z=seen.has_z,
            srid=srid,
            features=count,
            bytes=self._reader.bytes,
        )

    def _add_kinds(
        self, kinds: dict[str, int], features: list[InspectedFeature], first: int
    ) -> None:
        """Adds the kinds of the values of features to those of the properties.

        Args:
            first: the number of the first feature in the file.
        """
        for number, feature in enumerate(features, first):
            if feature.type != "Feature":
                raise SourceError(f"{self._locate(number)} is not a Feature")
            if not feature.properties:
                continue
            for name, value in feature.properties.items():
                before = kinds.get(name, 0)
                kind = value_kind(value, before)
                kinds[name] = before | kind
                if kind & RESPELLED:
                    self._notes.count_respelled(name)

    def _add_geometry(self, seen: SeenGeometries, feature: InspectedFeature, number: int) -> None:
        """Adds the type and the CRS of a geometry. Z is found by the first position."""
        geometry = feature.place or feature.geometry
        if geometry is None:
            return
        geometry_type = GEOJSON_TYPES.get(geometry.type)
        if geometry_type is None:
            raise SourceError(f"{self._locate(number)}: the geometry has no type of GeoJSON")
        seen.types.add(geometry_type)
        parts = bytes(geometry.geometries)
        has_place = feature.place is not None
        self._seen_crs.add(number, feature, geometry, parts, has_place=has_place)
        if not seen.has_z:
            positions = parts
            if geometry_type != "GEOMETRYCOLLECTION":
                positions = bytes(geometry.coordinates)
            first = _FIRST_POSITION.search(positions)
            seen.has_z = first is not None and first[1] == b","

    def batches(self, rows: int = 5000, into: SourceSchema | None = None) -> Iterator[FeatureBatch]:
        """The features, `rows` at a time. Raises: SourceError."""
        into = into or self.schema
        self._notes.set_stored_types(into.columns)
        names = PropertyNames.into(into)
        waiting: list[LoadedFeature] = []
        first = 0
        for piece in self._pieces():
            waiting += self._decode(loaded_decoder, piece)
            begin = 0
            while len(waiting) - begin >= rows:
                yield self._batch(waiting[begin : begin + rows], first, into, names)
                begin += rows
                first += rows
            del waiting[:begin]
        if waiting:
            yield self._batch(waiting, first, into, names)

    def _batch(
        self, features: list[LoadedFeature], first: int, into: SourceSchema, names: PropertyNames
    ) -> FeatureBatch:
        def locate(index: int) -> str:
            return self._locate(first + index)

        shapes = _parse_geometries([feature.geojson for feature in features], locate)
        if self._is_flipped:
            shapes = flip(shapes)
        geometries = fit(shapes, self.schema.srid, into, locate)
        properties = [names.rename(bytes(feature.properties)) for feature in features]
        return FeatureBatch(geometries, properties, first, locate)

    def _locate(self, number: int) -> str:
        return f"{self._path.name}: feature {number}"

    def _pieces(self) -> Iterator[Piece]:
        if not self._is_collection and not self._is_sequence:
            yield self._only_piece()
            return
        splitter: BodySplitter = SequenceSplitter()
        if self._is_collection:
            splitter = FeatureCollectionSplitter()
        try:
            for data in self._reader.pieces():
                yield from splitter.feed(data)
            yield from splitter.finish()
        except MalformedBody as error:
            problem = error.detail.replace("the body", "the file")
            raise self._error(problem) from None
        self._members = splitter.members

    def _error(self, problem: str) -> SourceError:
        return SourceError(f"{self._path.name}: {not_utf8_or(problem, self._reader.pieces())}")

    def _only_piece(self) -> Piece:
        """A file that is one Feature, or one geometry."""
        text = b"".join(self._reader.pieces())
        text = text.removeprefix(_BYTE_ORDER_MARK).strip()
        depth = nesting_depth(text)
        if depth > MAX_DEPTH:
            raise SourceError(f"{self._path.name}: is nested deeper than {MAX_DEPTH} brackets")
        try:
            type_name = msgspec.json.decode(text, type=Typed).type
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._error(f"is not GeoJSON: {error}") from None
        if type_name in GEOJSON_TYPES:
            text = b'{"type":"Feature","properties":{},"geometry":' + text + b"}"
        elif type_name != "Feature":
            raise SourceError(
                f"{self._path.name}: is not GeoJSON: "
                "it is not a FeatureCollection, a Feature or a geometry"
            )
        return Piece(0, 1, text, depth)

    def _decode(self, decoder: "msgspec.json.Decoder[list[Any]]", piece: Piece) -> list[Any]:
        """The features of a piece. Raises: SourceError, naming the feature that is wrong."""
        try:
            return decoder.decode(b"[" + piece.text + b"]")
        except msgspec.ValidationError as error:
            problem, index = explain_invalid(piece, error)
        except (
            msgspec.DecodeError,
            RecursionError,
            UnicodeDecodeError,
            ValueError,
            ArithmeticError,
        ):
            problem, index = explain_malformed(piece)
        raise SourceError(f"{self._locate(piece.first + index)}: {problem}")

    def _refuse_nul(self, piece: Piece) -> None:
        for number, feature in enumerate(self._decode(loaded_decoder, piece), piece.first):
            if holds_nul(bytes(feature.properties)):
                raise SourceError(
                    f"{self._locate(number)}: a property holds a NUL character, "
                    "which cannot be stored"
                )


def _first_line_is_feature(head: bytes) -> bool:
    """Whether the first line is a whole Feature, as in a file with a feature a line."""
    content = head.removeprefix(_BYTE_ORDER_MARK).lstrip()
    line, _, _ = content.partition(b"\n")
    if nesting_depth(line) > MAX_DEPTH:
        return False
    try:
        return msgspec.json.decode(line, type=Typed).type == "Feature"
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


def _parse_geometries(texts: list[bytes], locate: LocateFeature) -> Shapes:
    """The geometries of GeoJSON texts; None for null. Raises: SourceError."""
    given = np.array([None if text == b"null" else text for text in texts], dtype=object)
    with np.errstate(over="ignore"):  # `fit` finds infinity
        shapes: Shapes = np.atleast_1d(shapely.from_geojson(given, on_invalid="ignore"))
    for index in np.flatnonzero(shapely.is_missing(shapes)).tolist():
        if given[index] is not None:
            fault = find_fault(texts[index])
            at = ""
            if fault.pointer:
                at = f" at {fault.pointer}"
            raise SourceError(f"{locate(index)}: the geometry{at} {fault.detail}")
    return shapes
