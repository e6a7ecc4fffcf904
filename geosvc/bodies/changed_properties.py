"""What a PUT or a PATCH changes, and what it leaves because a GET of the feature returns the same.

`rounded` and `unchanged` decide what is the same.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from geosvc.bodies.feature_faults import about_property
from geosvc.bodies.raw_feature import Posted, RawFeature
from geosvc.bodies.rounded import decode_numbers, keep_digits, same_as_read
from geosvc.bodies.unchanged import decode_exactly, digits_posted, same_geometry, same_value
from geosvc.errors import InvalidFeature
from geosvc.model.collection import Column
from geosvc.model.crs import Crs

_EXACT = frozenset(
    (
        *("int2", "int4", "int8", "float4", "float8", "bool", "uuid", "bytea"),
        *("text", "varchar", "bpchar", "name"),
        *("date", "timestamp", "timestamptz", "time", "timetz", "interval"),
        *("inet", "cidr", "macaddr", "macaddr8", "bit", "varbit"),
    )
)
"""Types whose values are the same after a round trip through JSON.

A value of any other type is left as it is when a client sends it back as it read it. Clients that
have doubles only round those of int8 and numeric too: see `_may_be_rounded`.
"""
_DOUBLE_DIGITS = 15  # a double holds so many digits of any number
_MAX_EXACT_IN_DOUBLES = 1 << 53
_MIN_INT8, _MAX_INT8 = -(1 << 63), (1 << 63) - 1
_MAX_WHOLE_DIGITS = 40
_NUMERIC = re.compile(r"numeric\(([0-9]+),[0-9]+\)")
_raw_feature = msgspec.json.Decoder(RawFeature)
_raw_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Compared:
    """The parts of a change that are compared with the stored feature.

    Attributes:
        properties: their names, in the order of the table.
        digits: of coordinates behind the point; 0 where the geometry is not compared.
    """

    change: "FeatureChange"
    properties: tuple[str, ...]
    digits: int


@dataclass(frozen=True, slots=True)
class FeatureChange:
    """A change of a feature.

    Attributes:
        posted: the posted feature, of which a merge patch has only some parts.
        columns: those that are set to posted values.
        geometry: whether the geometry is set.
        defaults: names of the columns that are set to their defaults.
        merged: patches of JSON columns, by name.
        read_only: columns that cannot be written, but have a value, which must be the stored one.
        fault: what is wrong with the geometry, which matters unless it is the stored one.
        key: names of the columns of the key.
    """

    posted: Posted
    columns: tuple[Column, ...]
    geometry: bool
    defaults: tuple[str, ...] = ()
    merged: Mapping[str, Any] | None = None
    read_only: tuple[Column, ...] = ()
    fault: InvalidFeature | None = None
    key: tuple[str, ...] = ()

    @property
    def shape(self) -> bytes:
        """The geometry as it was posted: GeoJSON."""
        return self.posted.shapes[0]

    @property
    def weight(self) -> int:
        """The work of comparing it, in bytes."""
        return len(self.shape) + len(self.posted.properties[0])

    @property
    def compared(self) -> tuple[str, ...]:
        """The names of the properties that are compared with the stored ones."""
        texts = _members_as_texts(self.posted.properties[0])
        names = [column.name for column in self.read_only]
        for column in self.columns:
            if _loses_by_json(column) or _may_be_rounded(column, texts.get(column.name)):
                names.append(column.name)
        return tuple(names)

    @property
    def geometry_is_compared(self) -> bool:
        """Whether the geometry is compared; a repaired one is not the stored one."""
        return self.geometry and not self.posted.repairs

    def compared_parts(self, crs: Crs) -> tuple[tuple[str, ...], int]:
        """The properties and the digits that `Compared` has.

        Args:
            crs: of the coordinates.
        """
        digits = 0
        if self.geometry_is_compared:
            digits = digits_posted(self.shape, crs)
        return self.compared, digits

    def without_unchanged(self, stored: bytes) -> "FeatureChange":
        """The change without what the stored feature has already.

        Args:
            stored: the feature as a GET returns it.
        Raises: InvalidFeature where a value that cannot be written differs, or a different geometry
            cannot be stored.
        """
        feature = _raw_feature.decode(stored)
        stored_properties = bytes(feature.properties)
        self._check_read_only(stored_properties)
        change = self._without_unchanged_values(_members_as_texts(stored_properties))
        geometry = self.geometry
        if self.geometry_is_compared and same_geometry(self.shape, bytes(feature.geometry)):
            geometry = False
        if geometry and self.fault is not None:
            raise self.fault
        _check_int8(change)
        return replace(change, geometry=geometry, read_only=(), fault=None)

    def as_new(self) -> "FeatureChange":
        """The change for a feature that does not exist yet. Raises: InvalidFeature."""
        if self.fault is not None:
            raise self.fault
        if self.read_only:
            raise self._refuse(self.read_only[0], "")
        _check_int8(self)
        return self

    def _check_read_only(self, stored_properties: bytes) -> None:
        """Raises: InvalidFeature for a value that cannot be written and is not the stored one."""
        posted = _decode_properties(self.posted.properties[0])
        stored = _decode_properties(stored_properties)
        for column in self.read_only:
            value = posted.get(column.name)
            if column.type_name == "uuid" and isinstance(value, str):
                value = value.lower()
            if not same_value(value, stored.get(column.name)):
                raise self._refuse(column, ", and the feature has another value of it")

    def _refuse(self, column: Column, addition: str) -> InvalidFeature:
        reason = f"is read-only{addition}"
        if column.name in self.key:
            reason = "is the key, which cannot be changed"
        return about_property(column.name, f"{column.name} {reason}")

    def _without_unchanged_values(self, stored: Mapping[str, bytes]) -> "FeatureChange":
        """The change without the values that are as they were read.

        In values that differ, numbers that are as they were read get their stored digits.

        Args:
            stored: the JSON texts of the compared properties.
        """
        posted = _members_as_texts(self.posted.properties[0])
        same: set[str] = set()
        changed: dict[str, bytes] = {}
        for column in self.columns:
            name = column.name
            if name not in posted or name not in stored:
                continue
            text = _with_stored_digits(posted[name], stored[name])
            if text is None:
                is_patch = name in (self.merged or ())
                if not is_patch or not _removes(decode_numbers(posted[name])):
                    same.add(name)
            elif text != posted[name]:
                changed[name] = text
        columns = tuple(column for column in self.columns if column.name not in same)
        if not changed:
            return replace(self, columns=columns)
        merged = dict(self.merged or {})
        for name in merged.keys() & changed.keys():
            merged[name] = members_of(changed[name])
        properties = _encode_members({**posted, **changed})
        new_posted = replace(self.posted, properties=[properties])
        return replace(self, columns=columns, merged=merged, posted=new_posted)


def members_of(text: bytes) -> dict[str, Any]:
    """The members of a JSON object: objects as dictionaries, other values as JSON texts."""
    members: dict[str, Any] = {}
    for name, raw in _raw_members.decode(text).items():
        member = bytes(raw).strip()
        members[name] = members_of(member) if member.startswith(b"{") else member
    return members


def _members_as_texts(properties: bytes) -> dict[str, bytes]:
    """The JSON texts of properties; none for properties that cannot be decoded."""
    try:
        raws = _raw_members.decode(properties)
    except (msgspec.DecodeError, RecursionError):  # half a character
        return {}
    return {name: bytes(raw).strip() for name, raw in raws.items()}


def _encode_members(texts: Mapping[str, bytes]) -> bytes:
    members: list[bytes] = []
    for name, text in texts.items():
        key = msgspec.json.encode(name)
        members.append(key + b":" + text)
    return b"{" + b",".join(members) + b"}"


def _decode_properties(properties: bytes) -> dict[str, Any]:
    """Properties with all digits of numbers; none for properties that cannot be decoded.

    Then no value is the same.
    """
    try:
        values = decode_exactly(properties)
    except (ValueError, ArithmeticError, RecursionError):  # half a character, a number too large
        return {}
    if not isinstance(values, dict):
        return {}
    return values


def _with_stored_digits(posted: bytes, stored: bytes) -> bytes | None:
    """A posted JSON text with the stored digits of unchanged numbers; None where it is the same."""
    try:
        posted_value, stored_value = decode_numbers(posted), decode_numbers(stored)
        if same_as_read(posted_value, stored_value):
            return None
        return keep_digits(posted, posted_value, stored_value)
    except (ValueError, RecursionError):  # half a character, nested too deep: nothing is the same
        return posted


def _removes(patch: Any) -> bool:
    """Whether a merge patch removes a member. Source: RFC 7396 2."""
    if not isinstance(patch, dict):
        return False
    return any(value is None or _removes(value) for value in patch.values())


def _loses_by_json(column: Column) -> bool:
    """Whether JSON contains less than a value of the column."""
    if column.enum is not None:
        return False
    return column.type_schema != "pg_catalog" or column.type_name not in _EXACT


def _may_be_rounded(column: Column, text: bytes | None) -> bool:
    """Whether a posted number may be a stored one that has more digits."""
    if text is None or text[:1] not in b"-0123456789":
        return False
    if _is_int8(column):
        return abs(_whole_number(text) or 0) >= _MAX_EXACT_IN_DOUBLES
    if column.type_schema != "pg_catalog" or column.type_name != "numeric":
        return False
    precision = _NUMERIC.fullmatch(column.type)
    return precision is None or int(precision[1]) > _DOUBLE_DIGITS


def _check_int8(change: FeatureChange) -> None:
    """Raises: InvalidFeature for a number out of the range of int8.

    Before, it is taken since a client may have rounded the stored one.
    """
    texts = _members_as_texts(change.posted.properties[0])
    for column in change.columns:
        if not _is_int8(column):
            continue
        number = _whole_number(texts.get(column.name, b""))
        if number is not None and not _MIN_INT8 <= number <= _MAX_INT8:
            detail = f"{column.name}: expected a whole number from {_MIN_INT8} to {_MAX_INT8}"
            raise about_property(column.name, detail)


def _is_int8(column: Column) -> bool:
    return column.type_schema == "pg_catalog" and column.type_name == "int8"


def _whole_number(text: bytes) -> int | None:
    """The whole number that a JSON text is; its first digits where it has too many for any type."""
    if not text.lstrip(b"-").isdigit():
        return None
    return int(text[:_MAX_WHOLE_DIGITS])
