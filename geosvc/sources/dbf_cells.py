"""Cells of a shapefile's table (.dbf) that GDAL would read as another value.

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

_HEAD_BYTES = _FIELD_BYTES = 32
_END_OF_FIELDS = b"\r"
_ROWS_AT_ONCE = 100_000
_BLANK = b" \0"
_INTEGER = re.compile(rb"[+-]?\d+")
_NUMBER = re.compile(rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_TOO_LONG = re.compile(rb"\*+")  # a number that its column has no room for, which is NULL
_DATE = re.compile(rb"\d{8}")
_TRUE, _FALSE, _UNKNOWN = frozenset(b"YyTt"), frozenset(b"NnFf"), frozenset(b"? \0")
_NO_DATE = b"00000000"
_DELETED = ord("*")  # the first byte of a deleted record
_CellType = Literal["text", "bool", "int8", "numeric"]
_EXACT_DIGITS, _EXACT_IN_FLOAT = 15, 1 << 53
_GDAL_INTEGER_DIGITS = 18  # of the widest column that GDAL reads as integers
_NO_RECORDS = np.zeros((0, 1), dtype=np.uint8)
_NO_CELL = np.zeros(0, dtype=np.uint8)
_TYPE_NAMES = {b"N": "number", b"F": "number", b"D": "date", b"L": "logical value"}


@dataclass(frozen=True, slots=True)
class _Field:
    """A column of the table.

    Attributes:
        type: of dBase: N and F numbers, D dates, L logical values, C texts.
        decimals: digits after the point.
        place: the bytes of a record.
    """

    type: bytes
    decimals: int
    place: slice

    @property
    def width(self) -> int:
        """The bytes of a cell."""
        return int(self.place.stop - self.place.start)

    def is_read_by_gdal(self, cell: bytes) -> bool:
        """Whether GDAL reads the value that stands in the cell.

        Args:
            cell: without the blanks around it; not empty.
        """
        if self.type == b"D":
            return cell == _NO_DATE or _DATE.fullmatch(cell) is not None
        if self.type == b"L":
            return cell[0] in _TRUE | _FALSE | _UNKNOWN
        may_have_point = self.decimals or self.type == b"F"
        pattern = _NUMBER if may_have_point else _INTEGER
        return pattern.fullmatch(cell) is not None or _TOO_LONG.fullmatch(cell) is not None


@dataclass(frozen=True, slots=True)
class DbfCells:
    """The columns that are read from the table itself.

    Attributes:
        types: by name: text, where a cell is no value of its column's type; bool, where some are
            blank; int8 and numeric, for integers with more digits than the double has that GDAL
            reads.
        notes: what the user must know of them.
    """

    types: dict[str, _CellType]
    notes: tuple[str, ...]
    _fields: dict[str, _Field]
    _records: NDArray[np.uint8]

    @classmethod
    def of(cls, path: Path, names: list[str]) -> "DbfCells":
        """Finds the columns that GDAL does not read as they are.

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
                text = _stripped(records[misread, field.place]).decode("latin-1")
                notes.append(
                    f"{name} stays text, because feature {misread} has {text!r}, "
                    f"which is no {_TYPE_NAMES[field.type]}"
                )
                continue
            cell_type = _type_of_cells(field, records)
            if cell_type is not None:
                types[name] = cell_type
        return cls(types, tuple(notes), dict(zip(names, fields, strict=True)), records)

    def values(self, name: str, fids: NDArray[np.int64]) -> NDArray[Any]:
        """The cells of the records of these numbers: texts, numbers, booleans, or None."""
        field = self._fields[name]
        parse = _parser(self.types[name], field)
        values: list[object] = []
        for fid in fids.tolist():
            cell = _NO_CELL
            if fid < len(self._records):
                cell = self._records[fid, field.place]
            values.append(parse(_stripped(cell)))
        return np.array(values, dtype=object)


def _open(table: Path) -> tuple[list[_Field], NDArray[np.uint8]]:
    """The columns, and all records.

    Returns: the records as bytes of shape (rows, width); the first byte says whether the record
        was deleted.
    """
    with table.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        if len(head) < _HEAD_BYTES:
            return [], _NO_RECORDS
        begin = int.from_bytes(head[8:10], "little")
        fields = list(_fields(file.read(begin - _HEAD_BYTES)))
    width = int.from_bytes(head[10:12], "little")
    declared_rows = int.from_bytes(head[4:8], "little")
    present_rows = max(table.stat().st_size - begin, 0) // max(width, 1)
    rows = min(declared_rows, present_rows)
    is_too_narrow = bool(fields) and fields[-1].place.stop > width
    if not rows or is_too_narrow:
        return fields, np.zeros((0, max(width, 1)), dtype=np.uint8)
    return fields, np.memmap(table, dtype=np.uint8, mode="r", offset=begin, shape=(rows, width))


def _fields(head: bytes) -> Iterator[_Field]:
    begin = 1
    for at in range(0, len(head) - _FIELD_BYTES + 1, _FIELD_BYTES):
        descriptor = head[at : at + _FIELD_BYTES]
        if descriptor.startswith(_END_OF_FIELDS):
            return
        field_type, width, decimals = descriptor[11:12], descriptor[16], descriptor[17]
        if field_type == b"C":  # texts may be longer than 255 bytes
            width += 256 * decimals
            decimals = 0
        yield _Field(field_type, decimals, slice(begin, begin + width))
        begin += width


def _parts(field: _Field, records: NDArray[np.uint8]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """The cells of a column, many at once, each with the number of the first record."""
    for first in range(0, len(records), _ROWS_AT_ONCE):
        yield first, np.ascontiguousarray(records[first : first + _ROWS_AT_ONCE, field.place])


def _first_misread(field: _Field, records: NDArray[np.uint8]) -> int | None:
    """The first record whose cell GDAL would read as another value; deleted ones do not count."""
    if field.type not in _TYPE_NAMES or not field.width:
        return None
    for first, cells in _parts(field, records):
        for index in np.flatnonzero(~_are_plain(field, cells)).tolist():
            cell = _stripped(cells[index])
            is_deleted = records[first + index, 0] == _DELETED
            if cell and not is_deleted and not field.is_read_by_gdal(cell):
                return first + int(index)
    return None


def _are_plain(field: _Field, cells: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which cells are digits with at most a sign before and a point between, as nearly all are."""
    blanks = cells == ord(" ")
    digits = (cells >= ord("0")) & (cells <= ord("9"))
    points = cells == ord(".")
    signs = cells == ord("-")
    begins = ~blanks
    begins[:, 1:] &= blanks[:, :-1]
    plain: NDArray[np.bool_] = (digits | blanks | points | signs).all(axis=1)
    plain &= begins.sum(axis=1) <= 1
    may_have_point = field.decimals > 0 or field.type == b"F"
    plain &= points.sum(axis=1) <= may_have_point
    plain &= ~(signs & ~begins).any(axis=1)
    plain &= digits.any(axis=1)
    if field.type == b"D":
        plain &= digits.all(axis=1)
    return plain


def _type_of_cells(field: _Field, records: NDArray[np.uint8]) -> _CellType | None:
    """The type of a column that GDAL reads with losses; None where it loses nothing."""
    if field.type == b"L" and _has_blanks(field, records):
        return "bool"
    return _type_of_long_integers(field, records)


def _has_blanks(field: _Field, records: NDArray[np.uint8]) -> bool:
    return bool(np.isin(records[:, field.place], list(_BLANK)).any())


def _type_of_long_integers(field: _Field, records: NDArray[np.uint8]) -> _CellType | None:
    """The type for integers, where a double has too few digits for some of them."""
    if field.type != b"N" or field.decimals or field.width <= _GDAL_INTEGER_DIGITS:
        return None
    greatest = least = 0
    for first, cells in _parts(field, records):
        digits = ((cells >= ord("0")) & (cells <= ord("9"))).sum(axis=1)
        is_present = records[first : first + _ROWS_AT_ONCE, 0] != _DELETED
        for index in np.flatnonzero(is_present & (digits > _EXACT_DIGITS)).tolist():
            number = int(_stripped(cells[index]))
            greatest = max(greatest, number)
            least = min(least, number)
    if max(greatest, -least) <= _EXACT_IN_FLOAT:
        return None
    fits_int8 = least >= -(1 << 63) and greatest < 1 << 63
    return "int8" if fits_int8 else "numeric"


def _stripped(cell: NDArray[np.uint8]) -> bytes:
    return cell.tobytes().strip(_BLANK)


def _parser(cell_type: _CellType, field: _Field) -> Callable[[bytes], object]:
    if cell_type == "bool":
        return _parse_logical
    if cell_type != "text":
        return _parse_integer
    return _parse_date if field.type == b"D" else _parse_text


def _parse_text(cell: bytes) -> str | None:
    return cell.decode("latin-1") or None


def _parse_integer(cell: bytes) -> msgspec.Raw | None:
    """An integer of any size, as JSON writes it."""
    if not _INTEGER.fullmatch(cell):
        return None
    return msgspec.Raw(b"%d" % int(cell))


def _parse_date(cell: bytes) -> str | None:
    """A date as ISO 8601 writes it; a text that is no date as it is."""
    text = cell.decode("latin-1")
    try:
        return date.fromisoformat(f"{text[:4]}-{text[4:6]}-{text[6:]}").isoformat()
    except ValueError:
        pass
    if cell == _NO_DATE:
        return None
    return text or None


def _parse_logical(cell: bytes) -> bool | None:
    if not cell or cell[0] in _UNKNOWN:
        return None
    return cell[0] in _TRUE
