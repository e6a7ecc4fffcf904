"""Decodes posted features of one collection, and checks their properties. Source: RFC 7946 3.2."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from geosvc.bodies.composite_members import check_members
from geosvc.bodies.feature_faults import (
    check_whole,
    explain,
    explain_name,
    explain_nul,
    holds_nul,
    is_cut,
    malformed,
    missing_property,
)
from geosvc.bodies.feature_keys import KeyReader, as_key_text
from geosvc.bodies.properties import (
    Mode,
    decoded_columns,
    properties_type,
    read_only_columns,
    unreadable,
    writable_columns,
)
from geosvc.bodies.raw_feature import RawFeature
from geosvc.errors import RequestError
from geosvc.model.collection import Collection, Column

GeometryType = Literal[
    "Point",
    "LineString",
    "Polygon",
    "MultiPoint",
    "MultiLineString",
    "MultiPolygon",
    "GeometryCollection",
]
Refused = list[tuple[int, RequestError]]
"""(index, what is wrong) of features."""


@dataclass(slots=True)
class DecodedFeatures:
    """Features of a body, one in each row of these lists.

    Attributes:
        decoded: the decoded features.
        raws: the features as they were posted.
        indexes: of each in the body.
        refused: those that could not be decoded.
    """

    decoded: Sequence[Any]
    raws: Sequence[RawFeature]
    indexes: Sequence[int]
    refused: Refused = field(default_factory=list)


class _Geometry(msgspec.Struct, gc=False):
    type: GeometryType


_raw_one = msgspec.json.Decoder(RawFeature)
_raw_many = msgspec.json.Decoder(list[RawFeature])


class FeatureDecoder:
    """Decodes the features of one collection.

    Decoded features have the attributes `type`, `geometry`, `properties` and `id`; of the geometry
    only the type is decoded.

    Args:
        lenient: whether unknown and read-only properties are ignored.
        keyed: whether each feature must have its key, as its id or in its properties.

    Attributes:
        columns: those that are written.
        attributes: of decoded properties, by the names of their columns.
        default_columns: the names of the columns that the bits of `present` stand for.
        needs_texts: whether `check_properties` has to look at the JSON text of properties.
    """

    def __init__(self, collection: Collection, mode: Mode, *, lenient: bool, keyed: bool) -> None:
        self._collection = collection
        self._mode = mode
        self.columns = writable_columns(collection, mode)
        decoded = decoded_columns(collection, mode, keyed=keyed)
        self._read_only = read_only_columns(collection, mode, lenient=lenient, keyed=keyed)
        self.attributes: dict[str, str] = {}
        for number, column in enumerate((*decoded, *self._read_only)):
            self.attributes[column.name] = f"p{number}"
        self.keys = KeyReader(collection, self.attributes)
        self._cut = tuple(filter(is_cut, decoded))
        self._unreadable: tuple[Column, ...] = ()
        self._composite: tuple[Column, ...] = ()
        if not lenient:
            self._unreadable = tuple(filter(unreadable, collection.columns))
            self._composite = tuple(column for column in decoded if column.composite is not None)
        self.needs_texts = bool(self._cut or self._unreadable or self._composite)
        self._defaults = []
        for column in self.columns:
            is_given = keyed and column.name in collection.key
            if column.may_default and not is_given:
                self._defaults.append(column)
        self.default_columns = tuple(column.name for column in self._defaults)
        any_names = lenient or bool(self._unreadable)
        properties = properties_type(
            collection, mode, decoded, self._read_only, any_names=any_names
        )
        feature = msgspec.defstruct("Feature", _feature_fields(mode, properties), gc=False)
        self._one = msgspec.json.Decoder(feature)
        self._many = msgspec.json.Decoder(list[feature])  # type: ignore[valid-type]  # made here

    def decode_one(self, text: bytes) -> tuple[Any, RawFeature]:
        """A feature or merge patch, decoded and as it was posted.

        Raises: InvalidBody, InvalidFeature.
        """
        try:
            text.decode()  # msgspec does not validate the UTF-8 of what it skips
            return self._one.decode(text), _raw_one.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise explain(error, self._collection) from None

    def decode_many(self, array: bytes, first: int, max_refused: int) -> DecodedFeatures:
        """The features of a JSON array.

        Args:
            first: the index of the first of them in the body.
            max_refused: decoding ends after so many wrong ones.
        Raises: InvalidBody.
        """
        try:
            array.decode()  # msgspec does not validate the UTF-8 of what it skips
            decoded = self._many.decode(array)
        except msgspec.ValidationError:
            return self._decode_each(array, first, max_refused)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise malformed(array, first, error) from None
        indexes = range(first, first + len(decoded))
        return DecodedFeatures(decoded, _raw_many.decode(array), indexes)

    def _decode_each(self, array: bytes, first: int, max_refused: int) -> DecodedFeatures:
        try:
            texts = msgspec.json.decode(array, type=list[msgspec.Raw])
        except (msgspec.DecodeError, RecursionError) as error:
            raise malformed(array, first, error) from None
        refused: Refused = []
        decoded: list[Any] = []
        raws: list[RawFeature] = []
        indexes: list[int] = []
        for index, text in enumerate(texts, first):
            if len(refused) >= max_refused:
                break
            try:
                decoded.append(self._one.decode(text))
            except (msgspec.DecodeError, RecursionError) as error:
                refused.append((index, explain(error, self._collection)))
            else:
                raws.append(_raw_one.decode(text))
                indexes.append(index)
        return DecodedFeatures(decoded, raws, indexes, refused)

    def check_properties(self, values: Any, properties: bytes) -> None:
        """Checks what decoding does not. Raises: InvalidFeature.

        Args:
            values: decoded properties; None for null or absent ones.
            properties: their JSON text.
        """
        if holds_nul(properties):
            raise explain_nul(properties)
        if values is None or not self.needs_texts:
            return
        if self._unreadable:
            self._check_names(properties)
        if self._cut:
            check_whole(self._cut, properties)
        if self._composite:
            check_members(self._composite, properties)

    def _check_names(self, properties: bytes) -> None:
        """Checks names, which the decoder cannot do where a column has a name that it cannot have.

        Raises: InvalidFeature.
        """
        known = {*self.attributes, *(column.name for column in self._unreadable)}
        members = msgspec.json.decode(properties, type=dict[str, msgspec.Raw])
        for name in members:
            if name not in known:
                raise explain_name(name, self._collection, "/properties")

    def check_required(self, values: Any) -> None:
        """Raises: InvalidFeature for a feature without properties that needs one.

        Args:
            values: decoded properties; None for null.
        """
        if values is not None or self._mode is Mode.MERGE:
            return
        for column in self.columns:
            if column.required and column.name not in self._collection.key:
                raise missing_property(column.name)

    def present(self, values: Sequence[Any]) -> list[int]:
        """Bit masks of the columns with a default that have a value.

        Null counts as absent where the column does not take null: it gets its default.

        Args:
            values: the decoded properties of each feature.
        """
        present = [0] * len(values)
        for bit, column in enumerate(self._defaults):
            attribute, not_null = self.attributes[column.name], column.not_null
            for row, properties in enumerate(values):
                value = getattr(properties, attribute)
                if value is not msgspec.UNSET and not (not_null and is_null(value)):
                    present[row] |= 1 << bit
        return present

    def absent_defaults(self, present: int) -> set[str]:
        """The names of the columns with a default that have no value."""
        absent = set()
        for bit, name in enumerate(self.default_columns):
            has_value = present >> bit & 1
            if not has_value:
                absent.add(name)
        return absent

    def any_read_only(self, values: Sequence[Any]) -> bool:
        """Whether any feature has a value of a read-only column."""
        for column in self._read_only:
            attribute = self.attributes[column.name]
            for properties in values:
                if not is_null(getattr(properties, attribute)):
                    return True
        return False

    def read_only_values(
        self, values: Any, raw: RawFeature, key: Sequence[str] = ()
    ) -> tuple[Column, ...]:
        """The read-only columns that a feature has a value of.

        Args:
            values: its decoded properties; None for null or absent ones.
            key: of the stored feature, whose values may be repeated.
        """
        if values is None:
            return ()
        key_values = dict(zip(self._collection.key, key, strict=False))
        found = []
        for column in self._read_only:
            value = getattr(values, self.attributes[column.name])
            null_is_ignored = column.name not in key_values or column.may_default
            if value is msgspec.UNSET or (null_is_ignored and is_null(value)):
                continue
            if as_key_text(value) != key_values.get(column.name, msgspec.UNSET):
                found.append(column)
        if self._unreadable:
            members = msgspec.json.decode(raw.properties, type=dict[str, msgspec.Raw])
            for column in self._unreadable:
                if not is_null(members.get(column.name)):
                    found.append(column)
        return tuple(found)


def is_null(value: Any) -> bool:
    """Whether a decoded value is absent or null."""
    if type(value) is msgspec.Raw:
        return bytes(value).strip() == b"null"
    return value is None or value is msgspec.UNSET


def _feature_fields(mode: Mode, properties: type[msgspec.Struct]) -> list[Any]:
    """The members of a feature: all that RFC 7946 requires; of a merge patch any of them."""
    if mode is Mode.MERGE:
        optional = msgspec.UnsetType
        return [
            ("type", Literal["Feature"] | optional, msgspec.UNSET),
            ("geometry", _Geometry | None | optional, msgspec.UNSET),
            ("properties", properties | optional, msgspec.UNSET),
            ("id", msgspec.Raw | optional, msgspec.UNSET),
        ]
    return [
        ("type", Literal["Feature"]),
        ("geometry", _Geometry | None),
        ("properties", properties | None),
        ("id", str | int | float | msgspec.UnsetType, msgspec.UNSET),
    ]
