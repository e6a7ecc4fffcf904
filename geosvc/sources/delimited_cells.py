"""Cells of a table of texts (CSV) as JSON."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from geosvc.sources.schema import SourceColumn

_NUMBER_TYPES = frozenset({"int4", "int8", "numeric", "float8"})

CellWriter = tuple[int, str, Callable[[str], Any]]
"""(index of a cell, name of its column, function that converts the cell for JSON)."""


def encode_cells(cells: Sequence[str | None], writers: Sequence[CellWriter]) -> bytes:
    """The cells of a record as a JSON object; empty ones are left out."""
    members: dict[str, Any] = {}
    for index, name, convert in writers:
        text = cells[index]
        if text is not None:
            members[name] = convert(text)
    return msgspec.json.encode(members)


def cell_converter(own: SourceColumn, target: SourceColumn) -> Callable[[str], Any]:
    """How a cell is encoded: a number with its digits, a boolean, a text or a JSON value.

    Args:
        own: the column of the file.
        target: the column of the table; PostgreSQL converts texts to its type.
    """
    if target.type == "text":
        return str
    if own.type == "bool":
        return _boolean
    if own.type in _NUMBER_TYPES:
        return _number
    if target.type == "jsonb":
        return _json_or_text
    if target.type == own.type:
        return str
    return _text_or_null


def _boolean(text: str) -> bool:
    return text == "true"


def _number(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


def _text_or_null(text: str) -> str | None:
    return text or None


def _json_or_text(text: str) -> object:
    """An object or an array of JSON; any other text as a string."""
    if text.lstrip()[:1] in ("{", "["):
        try:
            return msgspec.json.decode(text, type=msgspec.Raw)
        except (msgspec.DecodeError, RecursionError):
            return text
    return text
