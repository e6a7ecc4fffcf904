"""Posted features: from bytes to what the database takes, or to the precise reason why not.

Many are read in one go; only when something is wrong is each looked at. Source: RFC 7946 3.2, RFC 6901 for pointers.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from geosvc.errors import InvalidFeature, RequestError
from geosvc.model.collection import Collection, Column
from geosvc.requests.brackets import BracketScanner
from geosvc.requests.feature_id import canonical_key, parse_posted_id
from geosvc.requests.geometries import Geometries, GeometryRules, read_geometries
from geosvc.requests.posted_faults import escape, explain, holds_nul, malformed
from geosvc.requests.properties import Mode, decoded_columns, properties_type, writable_columns

GeometryType = Literal["Point", "LineString", "Polygon", "MultiPoint", "MultiLineString", "MultiPolygon", "GeometryCollection"]
MAX_PATCH_DEPTH = 16
_SHORT_KEYS = {"int2": 15, "int4": 31, "int8": 63}  # bits
_NO_PROPERTIES = b"{}"


class _Geometry(msgspec.Struct, gc=False):
    type: GeometryType


class _RawFeature(msgspec.Struct, gc=False):
    """The parts as they came: PostgreSQL reads the properties, so that no digit is lost."""

    geometry: msgspec.Raw = msgspec.Raw(b"null")
    properties: msgspec.Raw = msgspec.Raw(b"null")


_raw_one = msgspec.json.Decoder(_RawFeature)
_raw_many = msgspec.json.Decoder(list[_RawFeature])


@dataclass(slots=True)
class Posted:
    """Features that can be stored, each by its place in these lists.

    Attributes:
        indexes: of each in the body.
        geometries: EWKB; None for none.
        properties: a JSON object each, in UTF-8.
        keys: the key values as text, where they come with the feature.
        present: which of the columns with a default have a value, a bit each.
        repairs: (index, what was changed).
    """

    indexes: list[int] = field(default_factory=list)
    geometries: list[bytes | None] = field(default_factory=list)
    properties: list[bytes] = field(default_factory=list)
    keys: list[tuple[str, ...] | None] = field(default_factory=list)
    present: list[int] = field(default_factory=list)
    repairs: list[tuple[int, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.indexes)

    def part(self, places: Iterable[int]) -> "Posted":
        """Those at some places, without their repairs."""
        chosen = list(places)
        return Posted(
            [self.indexes[place] for place in chosen],
            [self.geometries[place] for place in chosen],
            [self.properties[place] for place in chosen],
            [self.keys[place] for place in chosen],
            [self.present[place] for place in chosen],
        )


@dataclass(frozen=True, slots=True)
class Patch:
    """A merge patch that can be applied.

    Attributes:
        posted: one feature, of which only some parts count.
        columns: those that it sets.
        geometry: whether it sets the geometry.
        merged: of JSON columns, what is merged into their values.
    """

    posted: Posted
    columns: tuple[Column, ...]
    geometry: bool
    merged: Mapping[str, Any]


class FeatureReader:
    """Reads the features of one collection.

    Args:
        keyed: whether each must come with its id, as a member or as a property.

    Attributes:
        default_columns: the names of the columns that the bits of `Posted.present` stand for.
    """

    def __init__(
        self, collection: Collection, mode: Mode, rules: GeometryRules, *, lenient: bool = False, keyed: bool = False
    ) -> None:
        self._collection = collection
        self._mode = mode
        self._rules = rules
        self._keyed = keyed
        self._columns = writable_columns(collection, mode)
        decoded = decoded_columns(collection, mode, keyed=keyed)
        self._attributes = {column.name: f"p{place}" for place, column in enumerate(decoded)}
        self._key_attributes = tuple(self._attributes.get(name, "") for name in collection.key)
        # a key of one whole number, which nearly all ids are
        bits = _SHORT_KEYS.get(collection.key_columns[0].type_name) if len(collection.key) == 1 else None
        self._short_limit = 1 << bits if bits is not None else 0
        self.default_columns = tuple(
            column.name for column in self._columns if column.may_default and not (keyed and column.name in collection.key)
        )
        feature = msgspec.defstruct("Feature", self._feature_fields(lenient), gc=False)
        self._one = msgspec.json.Decoder(feature)
        self._many = msgspec.json.Decoder(list[feature])  # type: ignore[valid-type]  # a type that is made here

    def _feature_fields(self, lenient: bool) -> list[Any]:
        """A whole feature has all members that RFC 7946 demands; a merge patch has any."""
        values = properties_type(self._collection, self._mode, lenient=lenient, keyed=self._keyed)
        if self._mode is Mode.MERGE:
            optional = msgspec.UnsetType
            return [
                ("type", Literal["Feature"] | optional, msgspec.UNSET),
                ("geometry", _Geometry | None | optional, msgspec.UNSET),
                ("properties", values | optional, msgspec.UNSET),
                ("id", msgspec.Raw | optional, msgspec.UNSET),
            ]
        return [
            ("type", Literal["Feature"]),
            ("geometry", _Geometry | None),
            ("properties", values | None),
            ("id", str | int | float | msgspec.UnsetType, msgspec.UNSET),
        ]

    def columns_of(self, present: int) -> tuple[Column, ...]:
        """The columns that features with these bits set have values for; NULL where they are silent and there is no default."""
        absent = {name for bit, name in enumerate(self.default_columns) if not present >> bit & 1}
        keys = self._collection.key if self._keyed else ()
        return tuple(column for column in self._columns if column.name not in absent and column.name not in keys)

    def _decode(self, text: bytes) -> Any:
        """One feature or merge patch, checked but for its geometry. Raises: InvalidBody, InvalidFeature."""
        try:
            text.decode()
            return self._one.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise explain(error, self._collection) from None

    def read_one(self, text: bytes, key: Sequence[str] | None = None) -> Posted:
        """One feature.

        Args:
            key: the key values that it has already, which cannot be changed; its member `id` is passed over then.
        Raises: InvalidBody, InvalidFeature.
        """
        decoded = self._decode(text)
        if key is not None:
            self._check_key(decoded.properties, key)
        posted, refused = self._check([decoded], [_raw_one.decode(text)], [0])
        if refused:
            raise refused[0][1]
        return posted

    def read_patch(self, text: bytes, key: Sequence[str]) -> Patch:
        """A merge patch. Raises: InvalidBody, InvalidFeature."""
        decoded = self._decode(text)
        if decoded.id is not msgspec.UNSET:
            raise InvalidFeature("the id of a feature cannot be changed", pointer="/id")
        values = None if decoded.properties is msgspec.UNSET else decoded.properties
        self._check_key(values, key)
        given = {
            column.name: getattr(values, self._attributes[column.name])
            for column in (self._columns if values is not None else ())
            if getattr(values, self._attributes[column.name]) is not msgspec.UNSET
        }
        without_geometry = decoded.geometry is msgspec.UNSET
        posted, refused = self._check([decoded], [_raw_one.decode(text)], [0], missing_is_well=without_geometry)
        if refused:
            raise refused[0][1]
        merged = {
            name: patch
            for name, value in given.items()
            if self._collection.by_name[name].type_name in ("json", "jsonb") and (patch := _object_of(value, name)) is not None
        }
        columns = tuple(column for column in self._columns if column.name in given)
        return Patch(posted, columns, not without_geometry, merged)

    def _check_key(self, values: Any, key: Sequence[str]) -> None:
        for column, own in zip(self._collection.key_columns, key, strict=True):
            given = _as_text(getattr(values, self._attributes.get(column.name, ""), msgspec.UNSET))
            if given is not None and given != own and not (column.type_name == "uuid" and given == own.lower()):
                raise InvalidFeature(
                    f"{column.name} is the key, which cannot be changed", pointer=f"/properties/{escape(column.name)}"
                )

    def read_many(self, array: bytes, first: int) -> tuple[Posted, list[tuple[int, RequestError]]]:
        """The features of a JSON array.

        Args:
            first: the index of the first of them in the body.
        Returns: those that can be stored, and (index, what is wrong) of the others.
        Raises: InvalidBody.
        """
        try:
            array.decode()  # what is passed over is not looked at by the decoder
            decoded = self._many.decode(array)
        except msgspec.ValidationError:
            return self._read_each(array, first)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise malformed(array, first, error) from None
        return self._check(decoded, _raw_many.decode(array), range(first, first + len(decoded)))

    def _read_each(self, array: bytes, first: int) -> tuple[Posted, list[tuple[int, RequestError]]]:
        refused: list[tuple[int, RequestError]] = []
        decoded, raws, indexes = [], [], []
        try:
            texts = msgspec.json.decode(array, type=list[msgspec.Raw])
        except (msgspec.DecodeError, RecursionError) as error:
            raise malformed(array, first, error) from None
        for index, text in enumerate(texts, first):
            try:
                decoded.append(self._one.decode(text))
            except (msgspec.DecodeError, RecursionError) as error:
                refused.append((index, explain(error, self._collection)))
            else:
                raws.append(_raw_one.decode(text))
                indexes.append(index)
        posted, others = self._check(decoded, raws, indexes)
        return posted, sorted([*refused, *others], key=lambda each: each[0])

    def _check(
        self,
        decoded: Sequence[Any],
        raws: Sequence[_RawFeature],
        indexes: Sequence[int],
        *,
        missing_is_well: bool = False,
    ) -> tuple[Posted, list[tuple[int, RequestError]]]:
        """What decoding does not check: geometries, ids, characters that PostgreSQL cannot store.

        Args:
            missing_is_well: a merge patch leaves the geometry as it is.
        """
        geometries = read_geometries([bytes(raw.geometry) for raw in raws], self._rules)
        if self._mode is not Mode.MERGE and self._all_fit(geometries):
            whole = self._take_all(decoded, raws, indexes, geometries)
            if whole is not None:
                return whole, []
        posted = Posted()
        refused: list[tuple[int, RequestError]] = []
        for place, (feature, raw, index) in enumerate(zip(decoded, raws, indexes, strict=True)):
            try:
                self._check_geometry(geometries, place, missing_is_well=missing_is_well)
                self._take(posted, feature, bytes(raw.properties), geometries.ewkb[place])
            except InvalidFeature as error:
                refused.append((index, error))
            else:
                posted.indexes.append(index)
                if place in geometries.repairs:
                    posted.repairs.append((index, geometries.repairs[place]))
        return posted, refused

    def _all_fit(self, geometries: Geometries) -> bool:
        column = self._rules.column
        writable = column.insertable if self._mode is Mode.CREATE else column.updatable
        return writable and not geometries.faults and not (column.not_null and None in geometries.ewkb)

    def _take_all(
        self, decoded: Sequence[Any], raws: Sequence[_RawFeature], indexes: Sequence[int], geometries: Geometries
    ) -> Posted | None:
        """All features at once, which is what most bodies allow; None when one of them must be looked at."""
        values = [feature.properties for feature in decoded]
        properties = [bytes(raw.properties) for raw in raws]
        if None in values or any(map(holds_nul, properties)):
            return None
        keys: list[tuple[str, ...] | None] = [None] * len(values)
        if self._keyed:
            try:
                keys = list(map(self._key_of, decoded, values))
            except InvalidFeature:
                return None
        repairs = [(indexes[place], change) for place, change in geometries.repairs.items()]
        return Posted(list(indexes), geometries.ewkb, properties, keys, self._present(values), repairs)

    def _present(self, values: Sequence[Any]) -> list[int]:
        present = [0] * len(values)
        for bit, name in enumerate(self.default_columns):
            attribute = self._attributes[name]
            for place, each in enumerate(values):
                if getattr(each, attribute) is not msgspec.UNSET:
                    present[place] |= 1 << bit
        return present

    def _check_geometry(self, geometries: Geometries, place: int, *, missing_is_well: bool) -> None:
        fault, column = geometries.faults.get(place), self._rules.column
        if fault is not None:
            raise InvalidFeature(f"the geometry {fault.detail}", pointer=f"/geometry{fault.pointer}")
        writable = column.insertable if self._mode is Mode.CREATE else column.updatable
        if not writable and geometries.ewkb[place] is not None:
            raise InvalidFeature("the geometry is read-only", pointer="/geometry")
        if writable and geometries.ewkb[place] is None and column.not_null and not missing_is_well:
            raise InvalidFeature("a feature of this collection needs a geometry", pointer="/geometry")

    def _take(self, posted: Posted, feature: Any, properties: bytes, ewkb: bytes | None) -> None:
        if holds_nul(properties):
            raise InvalidFeature("a property holds a NUL character, which cannot be stored", pointer="/properties")
        values = None if feature.properties is msgspec.UNSET else feature.properties
        key = self._key_of(feature, values) if self._keyed else None
        present = self._present([values])[0] if values is not None else 0
        if (
            values is None
            and self._mode is not Mode.MERGE
            and (required := next((column.name for column in self._columns if self._must_have(column.name)), None))
        ):
            raise InvalidFeature(f"the property {required} is missing", pointer="/properties")
        posted.geometries.append(ewkb)
        posted.properties.append(_NO_PROPERTIES if values is None else properties)
        posted.keys.append(key)
        posted.present.append(present)

    def _must_have(self, name: str) -> bool:
        return self._collection.by_name[name].required and name not in self._collection.key

    def _key_of(self, feature: Any, values: Any) -> tuple[str, ...]:
        """The key values of a feature: its id, or its properties of these names."""
        if type(feature.id) is int and -self._short_limit <= feature.id < self._short_limit:
            given_again = getattr(values, self._key_attributes[0], msgspec.UNSET)
            if given_again is msgspec.UNSET or given_again == feature.id:
                return (str(feature.id),)
        given = [_as_text(getattr(values, attribute, msgspec.UNSET)) for attribute in self._key_attributes]
        if feature.id is msgspec.UNSET:
            if None in given:
                raise InvalidFeature("the feature needs an id", pointer="/id")
            return canonical_key(tuple(text for text in given if text is not None), self._collection)
        from_id = canonical_key(parse_posted_id(feature.id, self._collection), self._collection)
        own = canonical_key(tuple(text or "" for text in given), self._collection)
        if any(text and text != part for text, part in zip(own, from_id, strict=True)):
            raise InvalidFeature("the id and the property of its column differ", pointer="/id")
        return from_id


def _object_of(value: Any, name: str) -> dict[str, Any] | None:
    """The members of a JSON object, objects as dictionaries and everything else as it came; None for every other value."""
    if not isinstance(value, msgspec.Raw) or not bytes(value).lstrip().startswith(b"{"):
        return None
    if bytes(value).count(b"{") > MAX_PATCH_DEPTH and BracketScanner().scan(bytes(value)).depth.max() > MAX_PATCH_DEPTH:
        raise InvalidFeature(f"is nested deeper than {MAX_PATCH_DEPTH}", pointer=f"/properties/{escape(name)}")
    return _members(bytes(value))


def _members(text: bytes) -> dict[str, Any]:
    members = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    texts = {name: bytes(raw).strip() for name, raw in members.items()}
    return {name: _members(each) if each.startswith(b"{") else each for name, each in texts.items()}


def _as_text(value: Any) -> str | None:
    if value is msgspec.UNSET or value is None or isinstance(value, bool):
        return None
    return bytes(value).decode() if isinstance(value, msgspec.Raw) else str(value)
