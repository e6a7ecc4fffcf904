"""Cells of a shapefile's table (.dbf) that GDAL would read as other values.

GDAL reads `12abc` as 12, a logical value that is blank or `x` as false, and the date `2024-1-1` as
0000-20-24.
Source: dBase III and IV.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from geosvc.sources.dbf import table_of

_HEAD_BYTES = 32
_FIELD_BYTES = 32
_END_OF_FIELDS = b"\r"
_ROWS_AT_ONCE = 100_000
_BLANK = b" \0"
_INTEGER = re.compile(rb"[+-]?\d+")
_NUMBER = re.compile(rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_TOO_LONG = re.compile(rb"\*+")  # a number that did not fit into its column: NULL
_DATE = re.compile(rb"\d{8}")
_TRUE = frozenset(b"YyTt")
_FALSE = frozenset(b"NnFf")
_UNKNOWN = frozenset(b"? \0")
_LOGICAL = _TRUE | _FALSE | _UNKNOWN
_NO_DATE = b"00000000"
_DELETED = ord("*")  # the first byte of a deleted record
_CellType = Literal["text", "bool", "int8", "numeric"]
_EXACT_DIGITS = 15  # a double has all digits of such an integer
_EXACT_IN_FLOAT = 1 << 53
_GDAL_INTEGER_DIGITS = 18  # of the widest column that GDAL reads as integers
_Bytes = NDArray[np.uint8]
_Booleans = NDArray[np.bool_]
_NO_RECORDS = np.zeros((0, 1), dtype=np.uint8)
_NO_CELL = np.zeros(0, dtype=np.uint8)
_TYPE_NAMES = {b"N": "number", b"F": "number", b"D": "date", b"L": "logical value"}


@dataclass(frozen=True, slots=True)
class _Field:
    """A column of the table.

    Attributes:
        type: the letter of dBase: N and F for numbers, D dates, L logical values, C texts.
        decimals: the number of digits after the point.
        span: the bytes of a record that hold the cell.
    """

    type: bytes
    decimals: int
    span: slice

    @property
    def width(self) -> int:
        """The bytes of a cell."""
        return int(self.span.stop - self.span.start)

    @property
    def may_have_point(self) -> bool:
        """Whether its numbers may have a decimal point."""
        return self.decimals > 0 or self.type == b"F"

    def is_read_by_gdal(self, cell: bytes) -> bool:
        """Whether GDAL reads the value of a cell correctly.

        Args:
            cell: without the blanks around it; not empty.
        """
        if self.type == b"D":
            return cell == _NO_DATE or _DATE.fullmatch(cell) is not None
        if self.type == b"L":
            return cell[0] in _LOGICAL
        if _TOO_LONG.fullmatch(cell):
            return True
        pattern = _INTEGER
        if self.may_have_point:
            pattern = _NUMBER
        return pattern.fullmatch(cell) is not None


@dataclass(frozen=True, slots=True)
class DbfCells:
    """The columns that geosvc reads itself, because GDAL would change some of their values.

    Attributes:
        types: by the name of the column. It is text where a cell is not a value of its column's
            type; bool where some cells are blank; int8 or numeric for integers with more digits
            than the double that GDAL reads.
        notes: what the user must know about these columns.
    """

    types: dict[str, _CellType]
    notes: tuple[str, ...]
    _fields: dict[str, _Field]
    _records: _Bytes

    @classmethod
    def of(cls, path: Path, names: list[str]) -> "DbfCells":
        """Finds the columns in which GDAL would change values.

        Args:
            names: of the columns, as GDAL has them, in the order of the table.
        """
        table = table_of(path)
        if table is None:
            return cls({}, (), {}, _NO_RECORDS)
        fields, records = _open(table)
        if len(fields) != len(names):
            return cls({}, (), {}, _NO_RECORDS)
        types: dict[str, _CellType] = {}
        notes: list[str] = []
        for name, field in zip(names, fields, strict=True):
            misread = _first_misread(field, records)
            if misread is not None:
                types[name] = "text"
                cell = _stripped(records[misread, field.span])
                text = cell.decode("latin-1")
                notes.append(
                    f"{name} stays text, because feature {misread} has {text!r}, "
                    f"which is no {_TYPE_NAMES[field.type]}"
                )
                continue
            cell_type = _type_of_cells(field, records)
            if cell_type is not None:
                types[name] = cell_type
        fields_by_name = dict(zip(names, fields, strict=True))
        return cls(types, tuple(notes), fields_by_name, records)

    def values(self, name: str, fids: NDArray[np.int64]) -> NDArray[Any]:
        """The cells of the records with these numbers: texts, numbers, booleans, or None."""
        field = self._fields[name]
        parse = _parser(self.types[name], field)
        values: list[object] = []
        for fid in fids.tolist():
            cell = _NO_CELL
            if fid < len(self._records):
                cell = self._records[fid, field.span]
            values.append(parse(_stripped(cell)))
        return np.array(values, dtype=object)


def _open(table: Path) -> tuple[list[_Field], _Bytes]:
    """The columns, and all records.

    Returns: the columns; the records as bytes of shape (rows, width). The first byte of a record
        tells whether it was deleted.
    """
    with table.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        if len(head) < _HEAD_BYTES:
            return [], _NO_RECORDS
        begin = int.from_bytes(head[8:10], "little")
        fields = list(_fields(file.read(begin - _HEAD_BYTES)))
    width = int.from_bytes(head[10:12], "little")
    counted_width = max(width, 1)
    declared_rows = int.from_bytes(head[4:8], "little")
    records_bytes = max(table.stat().st_size - begin, 0)
    rows = min(declared_rows, records_bytes // counted_width)
    is_too_narrow = bool(fields) and fields[-1].span.stop > width
    if not rows or is_too_narrow:
        return fields, np.zeros((0, counted_width), dtype=np.uint8)
    shape = (rows, width)
    records = np.memmap(table, dtype=np.uint8, mode="r", offset=begin, shape=shape)
    return fields, records


def _fields(head: bytes) -> Iterator[_Field]:
    """The columns, from their descriptors of _FIELD_BYTES each."""
    begin = 1
    last = len(head) - _FIELD_BYTES
    for at in range(0, last + 1, _FIELD_BYTES):
        descriptor = head[at : at + _FIELD_BYTES]
        if descriptor.startswith(_END_OF_FIELDS):
            return
        field_type = descriptor[11:12]
        width = descriptor[16]
        decimals = descriptor[17]
        if field_type == b"C":  # texts may be longer than 255 bytes
            width += 256 * decimals
            decimals = 0
        yield _Field(field_type, decimals, slice(begin, begin + width))
        begin += width


def _parts(field: _Field, records: _Bytes) -> Iterator[tuple[int, _Bytes]]:
    """(number of the first record, cells) of a column, _ROWS_AT_ONCE at a time."""
    for first in range(0, len(records), _ROWS_AT_ONCE):
        cells = records[first : first + _ROWS_AT_ONCE, field.span]
        yield first, np.ascontiguousarray(cells)


def _first_misread(field: _Field, records: _Bytes) -> int | None:
    """The first record whose cell GDAL would read as another value; deleted ones do not count."""
    if field.type not in _TYPE_NAMES or not field.width:
        return None
    for first, cells in _parts(field, records):
        are_unusual = ~_are_plain(field, cells)
        for index in np.flatnonzero(are_unusual).tolist():
            cell = _stripped(cells[index])
            is_deleted = records[first + index, 0] == _DELETED
            if cell and not is_deleted and not field.is_read_by_gdal(cell):
                return first + int(index)
    return None


def _are_digits(cells: _Bytes) -> _Booleans:
    """Which bytes are ASCII digits."""
    digits: _Booleans = cells >= ord("0")
    digits &= cells <= ord("9")
    return digits


def _are_plain(field: _Field, cells: _Bytes) -> _Booleans:
    """Which cells are digits with at most a sign before and a point between, as nearly all are."""
    blanks = cells == ord(" ")
    digits = _are_digits(cells)
    points = cells == ord(".")
    signs = cells == ord("-")
    begins = ~blanks
    begins[:, 1:] &= blanks[:, :-1]
    known = digits | blanks | points | signs
    misplaced_signs = signs & ~begins
    plain: _Booleans = known.all(axis=1)
    plain &= begins.sum(axis=1) <= 1
    plain &= points.sum(axis=1) <= field.may_have_point
    plain &= ~misplaced_signs.any(axis=1)
    plain &= digits.any(axis=1)
    if field.type == b"D":
        plain &= digits.all(axis=1)
    return plain


def _type_of_cells(field: _Field, records: _Bytes) -> _CellType | None:
    """The type of a column that GDAL reads with losses; None if it loses nothing."""
    if field.type == b"L" and _has_blanks(field, records):
        return "bool"
    return _type_of_long_integers(field, records)


def _has_blanks(field: _Field, records: _Bytes) -> bool:
    cells = records[:, field.span]
    are_blank = np.isin(cells, list(_BLANK))
    return bool(are_blank.any())


def _type_of_long_integers(field: _Field, records: _Bytes) -> _CellType | None:
    """The type of integers of which some have more digits than a double; None if none has."""
    if field.type != b"N" or field.decimals or field.width <= _GDAL_INTEGER_DIGITS:
        return None
    greatest = least = 0
    for first, cells in _parts(field, records):
        digits = _are_digits(cells).sum(axis=1)
        is_present = records[first : first + _ROWS_AT_ONCE, 0] != _DELETED
        is_long = is_present & (digits > _EXACT_DIGITS)
        for index in np.flatnonzero(is_long).tolist():
            number = int(_stripped(cells[index]))
            greatest = max(greatest, number)
            least = min(least, number)
    if max(greatest, -least) <= _EXACT_IN_FLOAT:
        return None
    if least >= -(1 << 63) and greatest < 1 << 63:
        return "int8"
    return "numeric"


def _stripped(cell: _Bytes) -> bytes:
    return cell.tobytes().strip(_BLANK)


def _parser(cell_type: _CellType, field: _Field) -> Callable[[bytes], object]:
    if cell_type == "bool":
        return _parse_logical
    if cell_type != "text":
        return _parse_integer
    if field.type == b"D":
        return _parse_date
    return _parse_text


def _parse_text(cell: bytes) -> str | None:
    return cell.decode("latin-1") or None


def _parse_integer(cell: bytes) -> msgspec.Raw | None:
    """An integer of any size, as JSON writes it."""
    if not _INTEGER.fullmatch(cell):
        return None
    return msgspec.Raw(b"%d" % int(cell))


def _parse_date(cell: bytes) -> str | None:
    """A date as ISO 8601 writes it; any other text is not changed."""
    if cell == _NO_DATE:
        return None
    text = cell.decode("latin-1")
    iso_text = f"{text[:4]}-{text[4:6]}-{text[6:]}"
    try:
        return date.fromisoformat(iso_text).isoformat()
    except ValueError:
        return text or None


def _parse_logical(cell: bytes) -> bool | None:
    if not cell or cell[0] in _UNKNOWN:
        return None
    return cell[0] in _TRUE
