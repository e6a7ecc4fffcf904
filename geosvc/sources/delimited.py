"""Tables of texts (CSV) with geometries: as WKT, hexadecimal WKB or GeoJSON, or as two coordinates.

Source: RFC 4180.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice
from math import isnan, nan
from pathlib import Path

import numpy as np
import shapely

from geosvc.bodies.geometry_checks import Shapes
from geosvc.model.crs import WGS84
from geosvc.sources.batch import FeatureBatch
from geosvc.sources.column_types import (
    NUMBERS,
    RESPELLED,
    TEXT,
    cell_kind,
    columns_of,
    is_nearly_a_number,
)
from geosvc.sources.crs import check_srid_option
from geosvc.sources.delimited_cells import CellWriter, cell_converter, encode_cells
from geosvc.sources.delimited_header import read_header
from geosvc.sources.delimited_records import Record, RecordReader
from geosvc.sources.notes import Notes
from geosvc.sources.schema import SourceSchema
from geosvc.sources.shapes import LocateFeature, SeenGeometries, fit
from geosvc.sources.source_error import SourceError
from geosvc.sources.well_known import (
    add_geometry,
    is_geojson,
    may_be_geojson,
    parse_geometries,
)

_SHOWN_CHARACTERS = 40  # of a cell, in a message


class DelimitedSource:
    """The records of a CSV file as features.

    Args:
        srid: of the coordinates; None: as the geometries say; WGS 84 for GeoJSON, and for columns
            that are called longitude and latitude; else not known.
        encoding: of the text; None: UTF-8, or as its byte order mark says.
    Raises: SourceError.
    """

    def __init__(self, path: Path, srid: int | None = None, encoding: str | None = None) -> None:
        self._path = path
        self._srid = srid
        self._notes = Notes(path.name)
        self._text_notes: dict[str, str] = {}  # by column: why it stays text
        self._has_geojson = False
        self._reader = RecordReader(path, encoding, self._notes)
        self._header = read_header(self._reader, path.name, self._notes)

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for a person about values that are changed or lost in the table."""
        return self._notes.lines

    @property
    def done_bytes(self) -> int:
        """How many bytes of the file were read."""
        return self._reader.file.done_bytes

    def _features(self) -> Iterator[Record]:
        """The records after the header. Raises: SourceError for one of another width."""
        width = len(self._header.names)
        for record in islice(self._reader.records(), 1, None):
            if len(record.cells) != width:
                raise SourceError(
                    f"{self._reader.locate(record.number)}: has {len(record.cells)} cells, "
                    f"and the header {width}"
                )
            yield record

    @cached_property
    def schema(self) -> SourceSchema:
        """Columns and geometry type. The first access reads the whole file. Raises: SourceError."""
        kinds = dict.fromkeys(self._header.properties, 0)
        seen = SeenGeometries()
        srids: set[int | None] = set()
        has_points = len(self._header.geometry) > 1
        count = 0
        for record in self._features():
            count += 1
            for index, before in kinds.items():
                text = record.cells[index]
                if text is None:
                    continue
                kind = cell_kind(text, before)
                kinds[index] = before | kind
                is_first_text = kind & TEXT & ~before
                if is_first_text or kind & RESPELLED:
                    self._note_kind(record, index, before, kind)
            if not has_points:
                self._add_geometry(record, seen, srids)
        if has_points:
            seen.types.add("POINT")
        if seen.has_m:
            self._notes.add("measures (M) are left out")
        names = self._header.names
        columns = columns_of((names[index], kind) for index, kind in kinds.items())
        return SourceSchema(
            columns=columns,
            geometry_type=seen.type,
            has_z=seen.has_z,
            srid=self._only_srid(srids),
            features=count,
            bytes=self._reader.file.bytes,
        )

    def _note_kind(self, record: Record, index: int, before: int, kind: int) -> None:
        """Notes a value that makes a column text, or that comes back in other words.

        Args:
            before: the kinds of the values before it.
        """
        name = self._header.names[index]
        text = record.cells[index] or ""
        if kind & RESPELLED:
            self._notes.count_respelled(name)
        elif is_geojson(text):
            self._text_notes[name] = (
                f"{name} stays text, though it holds GeoJSON: "
                "a column called geojson becomes the geometry"
            )
        elif before & NUMBERS and not before & ~NUMBERS and is_nearly_a_number(text):
            self._text_notes[name] = (
                f"{name} stays text, because {text[:_SHOWN_CHARACTERS]!r} "
                f"in line {record.number} would not come back as it stands: "
                f"--types {name}=float8 makes it a number"
            )

    def _add_geometry(self, record: Record, seen: SeenGeometries, srids: set[int | None]) -> None:
        (index,) = self._header.geometry
        text = record.cells[index]
        if not text:
            return
        self._has_geojson |= may_be_geojson(text)
        try:
            srids.add(add_geometry(text, seen))
        except ValueError as error:
            raise SourceError(f"{self._reader.locate(record.number)}: {error}") from None

    def _only_srid(self, srids: set[int | None]) -> int | None:
        """The SRID that the geometries name, or the option, or the names of the columns."""
        named = sorted(srid for srid in srids if srid)
        some_name_none = not srids or None in srids or 0 in srids
        is_mixed = bool(named) and some_name_none and self._srid is None
        if len(named) > 1 or is_mixed:
            listed = [str(srid) for srid in named]
            if some_name_none:
                listed.append("none")
            raise SourceError(
                f"{self._path.name}: the geometries have several SRIDs: {', '.join(listed)}: "
                "a file is in one CRS"
            )
        srid = next(iter(named), None)
        check_srid_option(self._path.name, srid, self._srid)
        found = self._srid or srid or self._header.srid
        if not found and self._has_geojson:
            return WGS84
        return found

    def batches(self, rows: int = 5000, into: SourceSchema | None = None) -> Iterator[FeatureBatch]:
        """The features, `rows` at a time. Raises: SourceError."""
        own = self.schema
        into = into or own
        self._notes.set_stored_types(into.columns)
        for column in into.columns:
            if column.type == "text" and column.source in self._text_notes:
                self._notes.add(self._text_notes[column.source])
        writers = self._writers(into)
        features = self._features()
        first = 0
        while records := list(islice(features, rows)):
            locations = [self._reader.locate(record.number) for record in records]
            locate = locations.__getitem__
            shapes = self._parse_geometries(records, locate)
            geometries = fit(shapes, own.srid, into, locate)
            properties = [encode_cells(record.cells, writers) for record in records]
            yield FeatureBatch(geometries, properties, first, locate)
            first += len(records)

    def _parse_geometries(self, records: Sequence[Record], locate: LocateFeature) -> Shapes:
        if len(self._header.geometry) > 1:
            return self._points(records, locate)
        (index,) = self._header.geometry
        texts = [record.cells[index] or None for record in records]
        return parse_geometries(texts, locate)

    def _points(self, records: Sequence[Record], locate: LocateFeature) -> Shapes:
        """Points of two coordinates; None where both are missing."""
        x_index, y_index = self._header.geometry
        coordinates: list[tuple[float, float]] = []
        for record in records:
            x = self._coordinate(record, x_index)
            y = self._coordinate(record, y_index)
            coordinates.append((x, y))
        positions = np.array(coordinates)
        x_is_missing, y_is_missing = np.isnan(positions).T
        incomplete = np.flatnonzero(x_is_missing != y_is_missing)
        if incomplete.size:
            raise SourceError(f"{locate(int(incomplete[0]))}: has one coordinate only")
        is_present = ~x_is_missing
        shapes: Shapes = np.full(len(records), None, dtype=object)
        shapes[is_present] = shapely.points(positions[is_present])
        return shapes

    def _coordinate(self, record: Record, index: int) -> float:
        """The number in a cell; NaN for an empty one. Raises: SourceError."""
        text = (record.cells[index] or "").strip()
        if not text:
            return nan
        try:
            value = float(text)
        except ValueError:
            value = nan
        if isnan(value) or "_" in text:  # Python allows 1_000
            raise SourceError(
                f"{self._reader.locate(record.number)}: {self._header.names[index]} "
                f"is not a number: {text[:_SHOWN_CHARACTERS]!r}"
            )
        return value

    def _writers(self, into: SourceSchema) -> list[CellWriter]:
        names = self._header.names
        indexes = {names[index]: index for index in self._header.properties}
        own_columns = {column.source: column for column in self.schema.columns}
        writers: list[CellWriter] = []
        for column in into.columns:
            own = own_columns.get(column.source)
            if own is not None:
                index = indexes[column.source]
                writers.append((index, column.name, cell_converter(own, column)))
        return writers
