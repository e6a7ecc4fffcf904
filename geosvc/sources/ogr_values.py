"""Values of the fields that GDAL reads, as JSON that PostgreSQL accepts."""

from collections.abc import Callable, Iterable, Sequence
from math import isinf, isnan
from typing import Any

import msgspec
import numpy as np

from geosvc.sources.ogr_times import HAS_ZONE
from geosvc.sources.schema import ColumnType


def _json(text: str) -> object:
    """The JSON of a text that is JSON; any other text as a string."""
    try:
        return msgspec.json.decode(text, type=msgspec.Raw)
    except msgspec.DecodeError:
        return text


def _bool(value: float) -> bool | None:
    if isnan(value):
        return None
    return bool(value)


def _timestamp(text: str) -> str:
    """A time with a zone; a time without one is in UTC."""
    if HAS_ZONE.search(text):
        return text
    return f"{text}Z"


def _number(value: float) -> object:
    """A float; infinity as PostgreSQL writes it, because JSON has no number for it."""
    if not isinf(value):
        return value
    if value > 0:
        return "Infinity"
    return "-Infinity"


def _list(value: Any) -> object:
    return np.asarray(value).tolist()


CONVERTERS: dict[ColumnType, Callable[[Any], object]] = {
    "bool": _bool,
    "float4": _number,
    "float8": _number,
    "jsonb": _json,
    "timestamptz": _timestamp,
    "text[]": _list,
    "int4[]": _list,
    "int8[]": _list,
    "float8[]": _list,
}
"""How values of a type are encoded; values of the other types need no conversion."""


def convert_values(values: Iterable[Any], convert: Callable[[Any], object]) -> list[Any]:
    """The values converted; None stays None."""
    return [None if value is None else convert(value) for value in values]


def encode_rows(names: Sequence[str], values: Sequence[list[Any]], rows: int) -> list[bytes]:
    """The properties of each row as a JSON object.

    Args:
        names: of the columns.
        values: of each column, one for each row.
    """
    if not names:
        return [b"{}"] * rows
    encode = msgspec.json.Encoder().encode  # writes NaN and infinity as null, bytes as base64
    encoded: list[bytes] = []
    for row in zip(*values, strict=True):
        members = dict(zip(names, row, strict=True))
        encoded.append(encode(members))
    return encoded
