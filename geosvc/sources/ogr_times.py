"""Dates and times of the layers that GDAL reads: with or without a time zone, or invalid."""

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from geosvc.sources.ogr_fields import field_types
from geosvc.sources.schema import ColumnType

HAS_ZONE = re.compile(r"T.*(?:Z|[+-]\d\d(?::?\d\d)?)$")
_DRIVERS_IN_UTC = frozenset({"GPKG", "SQLite"})  # by their specifications


@dataclass(slots=True)
class TimeFields:
    """The fields of dates and times, and what is known about their values.

    Attributes:
        fields: the names of the fields of dates and of datetimes.
        datetimes: the names of those of datetimes.
        in_utc: whether times without a zone are in UTC.
        as_texts: fields with dates that no calendar has, which are read as texts.
    """

    fields: tuple[str, ...]
    datetimes: frozenset[str]
    in_utc: bool
    as_texts: set[str] = field(default_factory=set)
    _zoned: set[str] = field(default_factory=set)
    _naive: set[str] = field(default_factory=set)
    _invalid: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, metadata: Mapping[str, Any], without: Container[str] = ()) -> "TimeFields":
        """The fields of a layer.

        Args:
            metadata: what pyogrio says of the layer.
            without: fields that GDAL does not read.
        """
        fields: list[str] = []
        datetimes: set[str] = set()
        for name, ogr_type in field_types(metadata).items():
            if ogr_type not in ("OFTDate", "OFTDateTime") or name in without:
                continue
            fields.append(name)
            if ogr_type == "OFTDateTime":
                datetimes.add(name)
        in_utc = metadata["driver"] in _DRIVERS_IN_UTC
        return cls(tuple(fields), frozenset(datetimes), in_utc)

    def add_values(self, name: str, values: Iterable[str | None], first: int) -> None:
        """Adds values of a field.

        Args:
            first: the number in the layer of the first value.
        """
        if name in self.as_texts:
            if name not in self._invalid:
                self._find_invalid(name, values, first)
            return
        has_both = name in self._zoned and name in self._naive
        if name in self.datetimes and not has_both:
            self._add_zones(name, values)

    def _find_invalid(self, name: str, values: Iterable[str | None], first: int) -> None:
        for number, text in enumerate(values, first):
            if not _is_date(text):
                self._invalid[name] = (
                    f"{name} stays text, because feature {number} has {text}, which no calendar has"
                )
                return

    def _add_zones(self, name: str, values: Iterable[str | None]) -> None:
        for text in values:
            if text is None:
                continue
            if HAS_ZONE.search(text) is None:
                self._naive.add(name)
            else:
                self._zoned.add(name)

    def type_of(self, name: str) -> ColumnType | None:
        """The type of the column, where it differs from that of the field."""
        if name in self.as_texts:
            return "text"
        has_no_zones = name in self._naive and name not in self._zoned
        if has_no_zones and not self.in_utc:
            return "timestamp"
        return None

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user must know about these fields."""
        notes = list(self._invalid.values())
        if not self.in_utc:
            for name in sorted(self._naive & self._zoned):
                notes.append(
                    f"{name}: times without a zone are read as UTC, because others have a zone"
                )
        return tuple(notes)


def _is_date(text: str | None) -> bool:
    if text is None:
        return True
    try:
        date.fromisoformat(text[:10])
    except ValueError:
        return False
    return True
