"""Posted features: from bytes to what the database takes, or to the precise reason why not.

Many are read in one go; only when something is wrong is each looked at. Source: RFC 7946 3.2, RFC 6901 for pointers.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from geosvc.errors import InvalidFeature, RequestError
from geosvc.model.collection import Collection, Column
from geosvc.requests.brackets import BracketScanner
from geosvc.requests.feature_id import canonical_key, parse_posted_id
from geosvc.requests.geometries import Geometries, GeometryRules, read_geometries
from geosvc.requests.posted_faults import escape, explain, malformed
from geosvc.requests.properties import Mode, decoded_columns, properties_type, writable_columns

GeometryType = Literal["Point", "LineString", "Polygon", "MultiPoint", "MultiLineString", "MultiPolygon", "GeometryCollection"]
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
MAX_PATCH_DEPTH = 16
_SHORT_KEYS = {"int2": 15, "int4": 31, "int8": 63}  # bits
_NO_PROPERTIES = b"{}"


class _Geometry(msgspec.Struct, gc=False):
    type: GeometryType


class _RawFeature(msgspec.Struct, gc=False):
    """The parts as they came: PostgreSQL reads the properties, so that no digit is lost."""

    geometry: msgspec.Raw = msgspec.Raw(b"null")
    properties: msgspec.Raw = msgspec.Raw(b"null")


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
        lists = (self.indexes, self.geometries, self.properties, self.keys, self.present)
        return Posted(*([values[place] for place in chosen] for values in lists))  # type: ignore[arg-type]


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
        self._with_default = tuple(
            self._attributes[column.name]
            for column in self._columns
            if column.may_default and not (keyed and column.name in collection.key)
        )
        self.properties_type = properties_type(collection, mode, lenient=lenient, keyed=keyed)
        feature = msgspec.defstruct("Feature", self._feature_fields(), gc=False)
        self._one = msgspec.json.Decoder(feature)
        self._many = msgspec.json.Decoder(list[feature])  # type: ignore[valid-type]

    def _feature_fields(self) -> list[Any]:
        """A whole feature has all members that RFC 7946 demands; a merge patch has any."""
        geometry, properties = _Geometry | None, self.properties_type | None
        if self._mode is Mode.MERGE:
            optional = msgspec.UnsetType
            return [
                ("type", Literal["Feature"] | optional, msgspec.UNSET),
                ("geometry", geometry | optional, msgspec.UNSET),
                ("properties", self.properties_type | optional, msgspec.UNSET),
                ("id", msgspec.Raw | optional, msgspec.UNSET),
            ]
        return [
            ("type", Literal["Feature"]),
            ("geometry", geometry),
            ("properties", properties),
            ("id", str | int | float | msgspec.UnsetType, msgspec.UNSET),
        ]

    @property
    def default_columns(self) -> tuple[str, ...]:
        """The names of the columns that the bits of `Posted.present` stand for."""
        names = {attribute: name for name, attribute in self._attributes.items()}
        return tuple(names[attribute] for attribute in self._with_default)

    def columns_of(self, present: int) -> tuple[Column, ...]:
        """The columns that features with these bits set have values for; NULL where they are silent and there is no default."""
        absent = {name for bit, name in enumerate(self.default_columns) if not present >> bit & 1}
        keys = self._collection.key if self._keyed else ()
        return tuple(column for column in self._columns if column.name not in absent and column.name not in keys)

    def decode(self, text: bytes) -> Any:
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
        decoded = self.decode(text)
        if key is not None:
            self._check_key(decoded.properties, key)
        posted, refused = self._check([decoded], [text], [0])
        if refused:
            raise refused[0][1]
        return posted

    def read_patch(self, text: bytes, key: Sequence[str]) -> Patch:
        """A merge patch. Raises: InvalidBody, InvalidFeature."""
        decoded = self.decode(text)
        if decoded.id is not msgspec.UNSET:
            raise InvalidFeature("the id of a feature cannot be changed", pointer="/id")
        values = None if decoded.properties is msgspec.UNSET else decoded.properties
        self._check_key(values, key)
        given = {
            column.name: getattr(values, self._attributes[column.name])
            for column in (self._columns if values is not None else ())
            if getattr(values, self._attributes[column.name]) is not msgspec.UNSET
        }
        posted, refused = self._check([decoded], [text], [0], patch=decoded.geometry is msgspec.UNSET)
        if refused:
            raise refused[0][1]
        merged = {
            name: patch
            for name, value in given.items()
            if self._collection.by_name[name].type_name in ("json", "jsonb") and (patch := _object_of(value, name)) is not None
        }
        columns = tuple(column for column in self._columns if column.name in given)
        return Patch(posted, columns, decoded.geometry is not msgspec.UNSET, merged)

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
        return self._check(decoded, None, range(first, first + len(decoded)), array)

    def _read_each(self, array: bytes, first: int) -> tuple[Posted, list[tuple[int, RequestError]]]:
        refused: list[tuple[int, RequestError]] = []
        decoded, texts, indexes = [], [], []
        try:
            raws = msgspec.json.decode(array, type=list[msgspec.Raw])
        except (msgspec.DecodeError, RecursionError) as error:
            raise malformed(array, first, error) from None
        for index, raw in enumerate(raws, first):
            try:
                decoded.append(self._one.decode(raw))
            except (msgspec.DecodeError, RecursionError) as error:
                refused.append((index, explain(error, self._collection)))
            else:
                texts.append(bytes(raw))
                indexes.append(index)
        posted, others = self._check(decoded, texts, indexes)
        return posted, sorted([*refused, *others], key=lambda each: each[0])

    def _check(
        self,
        decoded: Sequence[Any],
        texts: Sequence[bytes] | None,
        indexes: Sequence[int],
        array: bytes = b"",
        *,
        patch: bool = False,
    ) -> tuple[Posted, list[tuple[int, RequestError]]]:
        """What decoding does not check: geometries, ids, characters that PostgreSQL cannot store."""
        if texts is None:
            raws = msgspec.json.decode(array, type=list[_RawFeature])
        else:
            raws = [msgspec.json.decode(text, type=_RawFeature) for text in texts]
        geometries = read_geometries([bytes(raw.geometry) for raw in raws], self._rules)
        nul = any(b"\\u0000" in text for text in (texts if texts is not None else (array,)))
        if self._mode is not Mode.MERGE and not nul and self._all_fit(geometries):
            whole = self._take_all(decoded, raws, indexes, geometries)
            if whole is not None:
                return whole, []
        posted = Posted()
        refused: list[tuple[int, RequestError]] = []
        for place, (feature, raw, index) in enumerate(zip(decoded, raws, indexes, strict=True)):
            try:
                self._check_geometry(geometries, place, missing_is_well=patch)
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
        if None in values:
            return None
        keys: list[tuple[str, ...] | None] = [None] * len(values)
        if self._keyed:
            try:
                keys = list(map(self._key_of, decoded, values))
            except InvalidFeature:
                return None
        repairs = [(indexes[place], change) for place, change in geometries.repairs.items()]
        properties = [bytes(raw.properties) for raw in raws]
        return Posted(list(indexes), geometries.ewkb, properties, keys, self._present(values), repairs)

    def _present(self, values: Sequence[Any]) -> list[int]:
        present = [0] * len(values)
        for bit, attribute in enumerate(self._with_default):
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
        if b"\\u0000" in properties and _NUL.search(properties):
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
