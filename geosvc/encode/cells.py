"""Splits features, which PostgreSQL wrote as JSON, into the cells of an HTML table.

A value stays the text that PostgreSQL wrote, so nothing is rounded.
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
# It matches every escape, so that an escaped backslash does not begin another one.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|u[dD][89a-fA-F][0-9a-fA-F]{2}|.)",
    re.DOTALL,
)
_LONE_SURROGATE_BYTES = 6
_URL = re.compile(r"https?://[^\s<>\"]{1,2000}")


class _Feature(msgspec.Struct):
    properties: dict[str, msgspec.Raw]
    id: msgspec.Raw = msgspec.Raw(b"null")


@dataclass(frozen=True, slots=True)
class Cell:
    """A value as a page shows it.

    Attributes:
        cut: whether `text` is only the beginning of the value.
    """

    kind: CellKind
    text: str
    cut: bool = False


TOO_DEEP = Cell("json", "not shown: a value is nested more than a thousand deep")


@dataclass(frozen=True, slots=True)
class ShownFeature:
    """A feature as a page shows it.

    Attributes:
        id: None when features have no ids, or when the feature cannot be decoded.
        cells: by the name of the property.
    """

    id: str | None
    cells: Mapping[str, Cell]

    def cell(self, name: str) -> Cell:
        """The cell of a property; TOO_DEEP when the feature cannot be decoded."""
        return self.cells.get(name, TOO_DEEP)


def _text_of(raw: bytes) -> str | None:
    if raw == b"null":
        return None
    if raw.startswith(b'"'):
        return str(msgspec.json.decode(raw))
    return raw.decode()


def _shorten(kind: CellKind, text: str, characters: int) -> Cell:
    if len(text) <= characters:
        return Cell(kind, text)
    return Cell(kind, text[:characters], cut=True)


def _cell(raw: bytes, characters: int) -> Cell:
    text = _text_of(raw)
    if text is None:
        return Cell("null", "NULL")
    kind = _kind_of(raw, text, characters)
    if kind == "json" and len(raw) > _ONE_LINE and characters > SHORT_CHARACTERS:
        indented = msgspec.json.format(raw, indent=2)
        text = bytes(indented).decode()
    return _shorten(kind, text, characters)


def _kind_of(raw: bytes, text: str, characters: int) -> CellKind:
    if raw.startswith(b'"'):
        if len(text) <= characters and _URL.fullmatch(text):
            return "link"
        return "text"
    if raw.startswith((b"{", b"[")):
        return "json"
    if raw in (b"true", b"false"):
        return "boolean"
    return "number"


def _replace_lone_surrogate(escape: re.Match[bytes]) -> bytes:
    """The escape of a lone surrogate becomes that of the replacement character."""
    text = escape[0]
    if len(text) == _LONE_SURROGATE_BYTES and text[2:3] in b"dD":
        return b"\\ufffd"
    return text


def _decode(text: bytes) -> _Feature:
    try:
        return msgspec.json.decode(text, type=_Feature)
    except msgspec.DecodeError:
        # a column of type json may contain one half of a surrogate pair
        valid = _ESCAPE.sub(_replace_lone_surrogate, text)
        return msgspec.json.decode(valid, type=_Feature)


def read_feature(text: bytes, characters: int = SHORT_CHARACTERS) -> ShownFeature:
    """The cells of a GeoJSON feature.

    Args:
        text: the feature as JSON.
        characters: the most characters of a cell.
    """
    try:
        feature = _decode(text)
    except RecursionError:
        return ShownFeature(None, {})
    cells: dict[str, Cell] = {}
    for name, raw in feature.properties.items():
        cells[name] = _cell(bytes(raw).strip(), characters)
    return ShownFeature(_text_of(bytes(feature.id)), cells)
