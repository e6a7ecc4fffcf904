"""Features that PostgreSQL wrote as JSON, taken apart for a table. A value stays the text that PostgreSQL wrote: nothing is
rounded on the way.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

CellKind = Literal["null", "text", "link", "number", "boolean", "json"]

SHORT_CHARACTERS = 120
LONG_CHARACTERS = 100_000
_ONE_LINE = 80
_URL = re.compile(r"https?://[^\s<>\"]{1,2000}")


class _Feature(msgspec.Struct):
    properties: dict[str, msgspec.Raw]
    id: msgspec.Raw = msgspec.Raw(b"null")


@dataclass(frozen=True, slots=True)
class Cell:
    """A value as a page shows it.

    Attributes:
        cut: whether there is more than `text`.
    """

    kind: CellKind
    text: str
    cut: bool = False


@dataclass(frozen=True, slots=True)
class ShownFeature:
    """A feature as a page shows it.

    Attributes:
        id: None where features have none.
        cells: by the name of the property.
    """

    id: str | None
    cells: Mapping[str, Cell]


def _text_of(raw: bytes) -> str | None:
    if raw == b"null":
        return None
    return str(msgspec.json.decode(raw)) if raw.startswith(b'"') else raw.decode()


def _shorten(kind: CellKind, text: str, characters: int) -> Cell:
    return Cell(kind, text) if len(text) <= characters else Cell(kind, text[:characters], cut=True)


def _cell(raw: bytes, characters: int) -> Cell:
    text = _text_of(raw)
    if text is None:
        return Cell("null", "NULL")
    if raw.startswith(b'"'):
        return _shorten("link" if len(text) <= characters and _URL.fullmatch(text) else "text", text, characters)
    if raw.startswith((b"{", b"[")):
        one_line = len(raw) <= _ONE_LINE or characters <= SHORT_CHARACTERS
        return _shorten("json", text if one_line else bytes(msgspec.json.format(raw, indent=2)).decode(), characters)
    return _shorten("boolean" if raw in (b"true", b"false") else "number", text, characters)


def read_feature(text: bytes, characters: int = SHORT_CHARACTERS) -> ShownFeature:
    """A GeoJSON feature, each of its values in at most so many characters."""
    feature = msgspec.json.decode(text, type=_Feature)
    cells = {name: _cell(bytes(raw).strip(), characters) for name, raw in feature.properties.items()}
    return ShownFeature(_text_of(bytes(feature.id)), cells)
