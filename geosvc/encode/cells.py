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
# one escape at a time, so that a backslash of the text itself begins none
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[dD][89a-fA-F][0-9a-fA-F]{2}|.)", re.DOTALL
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
        cut: whether there is more than `text`.
    """

    kind: CellKind
    text: str
    cut: bool = False


TOO_DEEP = Cell("json", "not shown: a value is nested more than a thousand deep")


@dataclass(frozen=True, slots=True)
class ShownFeature:
    """A feature as a page shows it.

    Attributes:
        id: None where features have none, and where nobody can read it.
        cells: by the name of the property.
    """

    id: str | None
    cells: Mapping[str, Cell]

    def cell(self, name: str) -> Cell:
        """The cell of a property."""
        return self.cells.get(name, TOO_DEEP)


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


def _mend(escape: re.Match[bytes]) -> bytes:
    found = escape[0]
    return b"\\ufffd" if len(found) == _LONE_SURROGATE_BYTES and found[2:3] in b"dD" else found


def _decode(text: bytes) -> _Feature:
    try:
        return msgspec.json.decode(text, type=_Feature)
    except msgspec.DecodeError:
        # a column of type json may hold half a surrogate pair
        return msgspec.json.decode(_ESCAPE.sub(_mend, text), type=_Feature)


def read_feature(text: bytes, characters: int = SHORT_CHARACTERS) -> ShownFeature:
    """A GeoJSON feature, each of its values in at most so many characters."""
    try:
        feature = _decode(text)
    except RecursionError:
        return ShownFeature(None, {})
    cells = {name: _cell(bytes(raw).strip(), characters) for name, raw in feature.properties.items()}
    return ShownFeature(_text_of(bytes(feature.id)), cells)
