"""Guesses the types of the fields of GML without a schema from the values, by the rules for CSV.

GDAL's own guess would read the code 1E5 as the number 100000.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from geosvc.sources.column_types import NUMBERS, RESPELLED, cell_kind, column_type
from geosvc.sources.notes import Notes
from geosvc.sources.ogr_fields import field_types
from geosvc.sources.ogr_values import convert_values
from geosvc.sources.schema import ColumnType

GDAL_OPTIONS = {"GML_FIELDTYPES": "ALWAYS_STRING"}
"""GDAL reads every value of a GML file without a schema as a text."""

_SCHEMA_SUFFIXES = (".xsd", ".gfs")
_ID_FIELDS = frozenset({"fid", "gml_id"})


def has_schema_file(path: Path) -> bool:
    """Whether there is a schema beside the file. GDAL may write one when it opens the file."""
    return any(path.with_suffix(suffix).exists() for suffix in _SCHEMA_SUFFIXES)


@dataclass(slots=True)
class GuessedTypes:
    """The types of the fields of a layer that the file does not declare.

    Attributes:
        kinds: by field: the kinds of its values, as in geosvc/sources/column_types.py.
    """

    kinds: dict[str, int]

    @classmethod
    def of(cls, metadata: Mapping[str, Any], *, types_are_known: bool) -> "GuessedTypes":
        """The fields of a layer whose types are to be guessed.

        Args:
            metadata: what pyogrio says of the layer.
            types_are_known: what `has_schema_file` returned before GDAL opened the file.
        """
        if metadata["driver"] != "GML" or types_are_known:
            return cls({})
        kinds: dict[str, int] = {}
        for name, ogr_type in field_types(metadata).items():
            if ogr_type == "OFTString" and name not in _ID_FIELDS:
                kinds[name] = 0
        return cls(kinds)

    def reset(self) -> None:
        """Forgets all values."""
        for name in self.kinds:
            self.kinds[name] = 0

    def add_values(self, name: str, texts: Iterable[str | None], notes: Notes) -> None:
        """Adds the kinds of values of a field."""
        kinds = self.kinds[name]
        for text in texts:
            if text is None:
                continue
            kind = cell_kind(text, kinds)
            kinds |= kind
            if kind & RESPELLED:
                notes.count_respelled(name)
        self.kinds[name] = kinds

    def type_of(self, name: str) -> ColumnType | None:
        """The type of the column; None for a field that is not guessed."""
        if name not in self.kinds:
            return None
        return column_type(self.kinds[name])

    def convert(self, name: str, texts: Iterable[str | None]) -> list[Any]:
        """The values, as they are encoded in JSON: numbers keep their digits."""
        kinds = self.kinds[name]
        has_only_numbers = bool(kinds) and not kinds & ~NUMBERS
        found_type = column_type(kinds)
        convert: Callable[[str], object] = str
        if has_only_numbers and found_type != "text":
            convert = _number
        elif found_type == "bool":
            convert = _boolean
        return convert_values(texts, convert)


def _number(text: str) -> object:
    return msgspec.Raw(text.encode())


def _boolean(text: str) -> object:
    return text == "true"
