"""Posted features: from bytes to what the database takes, or to an error that says what is wrong.

Many features are read together. Each one is checked on its own only when something is wrong.

Source: RFC 7946 3.2; RFC 6901 for pointers.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import msgspec

from geosvc.bodies.brackets import BracketScanner, greatest_depth
from geosvc.bodies.elements import BOM
from geosvc.bodies.feature_change import FeatureChange
from geosvc.bodies.feature_decoder import DecodedFeatures, FeatureDecoder, Refused
from geosvc.bodies.feature_faults import about_property, explain_misplaced, holds_nul
from geosvc.bodies.geometries import Geometries, GeometryRules, read_geometries
from geosvc.bodies.json_members import member_tree
from geosvc.bodies.properties import Mode
from geosvc.bodies.raw_feature import Posted, RawFeature
from geosvc.bodies.stated_crs import crs_fault
from geosvc.errors import InvalidFeature
from geosvc.model.collection import Collection, Column

MAX_PATCH_DEPTH = 16
_NO_PROPERTIES = b"{}"


class FeatureReader:
    """Reads the features of one collection.

    Args:
        lenient: whether unknown and read-only properties are ignored.
        keyed: whether each feature must have its key, as its id or in its properties.

    Attributes:
        default_columns: the names of the columns that the bits of `Posted.present` stand for.
    """

    def __init__(
        self,
        collection: Collection,
        mode: Mode,
        rules: GeometryRules,
        *,
        lenient: bool = False,
        keyed: bool = False,
    ) -> None:
        self._arguments = (collection, mode, rules, lenient, keyed)
        self._collection = collection
        self._mode = mode
        self._rules = rules
        self._keyed = keyed
        self._decoder = FeatureDecoder(collection, mode, lenient=lenient, keyed=keyed)
        self.default_columns = self._decoder.default_columns

    def __reduce__(self) -> tuple[Any, ...]:
        """For pickling: another process makes it again, once."""
        return make_reader, self._arguments

    def columns_of(self, present: int) -> tuple[Column, ...]:
        """The columns that features with these bits are stored with.

        A column without a value and without a default gets NULL.
        """
        absent = self._decoder.absent_defaults(present)
        if self._keyed:
            absent.update(self._collection.key)
        return tuple(column for column in self._decoder.columns if column.name not in absent)

    def read_one(self, text: bytes) -> Posted:
        """Reads one feature. Raises: InvalidBody, InvalidFeature."""
        decoded, raw = self._decoder.decode_one(text.removeprefix(BOM))
        posted, refused = self._check(DecodedFeatures([decoded], [raw], [0]))
        if refused:
            _, error = refused[0]
            raise error
        return posted

    def read_many(
        self, array: bytes, first: int, max_refused: int = sys.maxsize
    ) -> tuple[Posted, Refused]:
        """Reads the features of a JSON array.

        Args:
            first: the index of the first of them in the body.
            max_refused: reading ends after so many wrong ones. A megabyte can have 350,000 of
                them, and each error takes 50 µs and 2 KB.
        Returns: those that can be stored, and the wrong ones by index.
        Raises: InvalidBody.
        """
        features = self._decoder.decode_many(array, first, max_refused)
        posted, refused = self._check(features, max_refused)
        refused += features.refused
        refused.sort(key=_index_of)
        return posted, refused[:max_refused]

    def read_change(self, text: bytes, key: Sequence[str]) -> FeatureChange:
        """Reads a feature that replaces the one with this key, or a merge patch of it.

        The member `id` of a replacement is ignored.

        Raises: InvalidBody, InvalidFeature.
        """
        text = text.removeprefix(BOM)
        decoded, raw = self._decoder.decode_one(text)
        is_patch = self._mode is Mode.MERGE
        if is_patch:
            self._check_patch(decoded, text)
        geojson = bytes(raw.geometry)
        geometries = read_geometries([geojson], self._rules)
        posted = Posted([0], repairs=[(0, change) for change in geometries.repairs.values()])
        self._take(posted, decoded, bytes(raw.properties), geometries.ewkb[0])
        sets_geometry = self._sets_geometry(decoded)
        values = _set_or_none(decoded.properties)
        change = FeatureChange(
            posted,
            geojson,
            sets_geometry,
            geometry_fault=self._fault_of_change(raw, geometries, sets_geometry=sets_geometry),
            read_only=self._decoder.read_only_values(values, raw, key),
            key=self._collection.key,
        )
        if is_patch:
            return self._with_patch(change, values)
        return self._with_replacement(change)

    def _fault_of_change(
        self, raw: RawFeature, geometries: Geometries, *, sets_geometry: bool
    ) -> InvalidFeature | None:
        """What is wrong with the geometry, unless it is the stored one: that is not written.

        Raises: InvalidFeature for a geometry that cannot be the stored one.
        """
        fault = crs_fault(raw, bytes(raw.geometry), bytes(raw.place), self._rules.crs)
        if fault is not None:
            raise fault
        if not sets_geometry:
            return None
        fault = self._geometry_fault(geometries, 0)
        if fault is not None and self._rules.repair:
            raise fault
        return fault

    def _check_patch(self, decoded: Any, text: bytes) -> None:
        """Raises: InvalidFeature for a merge patch with an id, or properties outside of theirs."""
        if decoded.id is not msgspec.UNSET:
            raise InvalidFeature("the id of a feature cannot be changed", pointer="/id")
        if decoded.properties is msgspec.UNSET:
            misplaced = explain_misplaced(text, self._collection)
            if misplaced is not None:
                raise misplaced

    def _sets_geometry(self, decoded: Any) -> bool:
        """Whether a change sets the geometry. Null is ignored where it is read-only."""
        if decoded.geometry is msgspec.UNSET:
            return False
        return self._rules.column.updatable or decoded.geometry is not None

    def _with_replacement(self, change: FeatureChange) -> FeatureChange:
        """The change of a PUT, which sets every column."""
        columns = self.columns_of(change.posted.present[0])
        names = {column.name for column in columns}
        defaults = tuple(name for name in self.default_columns if name not in names)
        return replace(change, columns=columns, defaults=defaults)

    def _with_patch(self, change: FeatureChange, values: Any) -> FeatureChange:
        """The change of a merge patch.

        Null removes a value. A column that does not take null gets its default.
        """
        if values is None:
            return replace(change, merged={})
        absent = self._decoder.absent_defaults(change.posted.present[0])
        columns: list[Column] = []
        defaults: list[str] = []
        merged: dict[str, Any] = {}
        for column in self._decoder.columns:
            name = column.name
            value = getattr(values, self._decoder.attributes[name])
            if value is msgspec.UNSET:
                continue
            if name in absent:
                defaults.append(name)
            else:
                columns.append(column)
            if column.is_merged_by_patch and _is_object(value):
                merged[name] = _parse_patch(bytes(value), name)
        return replace(change, columns=tuple(columns), defaults=tuple(defaults), merged=merged)

    def _check(
        self, features: DecodedFeatures, max_refused: int = sys.maxsize
    ) -> tuple[Posted, Refused]:
        """Checks what decoding does not: geometries, ids, texts that PostgreSQL cannot store."""
        raws = features.raws
        geometries = read_geometries([bytes(raw.geometry) for raw in raws], self._rules)
        crs_faults = self._find_crs_faults(raws)
        if self._all_fit(geometries) and not crs_faults:
            posted_together = self._take_all(features, geometries)
            if posted_together is not None:
                return posted_together, []
        return self._take_each(features, geometries, crs_faults, max_refused)

    def _take_each(
        self,
        features: DecodedFeatures,
        geometries: Geometries,
        crs_faults: dict[int, InvalidFeature],
        max_refused: int,
    ) -> tuple[Posted, Refused]:
        """The features one by one, so that each wrong one gets its error."""
        posted = Posted()
        refused: Refused = []
        for row, index in enumerate(features.indexes):
            if len(refused) >= max_refused:
                break
            decoded, raw = features.decoded[row], features.raws[row]
            try:
                fault = crs_faults.get(row) or self._geometry_fault(geometries, row)
                if fault is not None:
                    raise fault
                read_only = self._decoder.read_only_values(decoded.properties, raw)
                if read_only:
                    name = read_only[0].name
                    raise about_property(name, f"{name} is read-only")
                self._take(posted, decoded, bytes(raw.properties), geometries.ewkb[row])
            except InvalidFeature as error:
                refused.append((index, error))
            else:
                posted.indexes.append(index)
                if row in geometries.repairs:
                    posted.repairs.append((index, geometries.repairs[row]))
        return posted, refused

    def _find_crs_faults(self, raws: Sequence[RawFeature]) -> dict[int, InvalidFeature]:
        """By row, the faults of features that name another CRS than the request."""
        faults = {}
        crs = self._rules.crs
        for row, raw in enumerate(raws):
            fault = crs_fault(raw, bytes(raw.geometry), bytes(raw.place), crs)
            if fault is not None:
                faults[row] = fault
        return faults

    def _all_fit(self, geometries: Geometries) -> bool:
        """Whether all geometries can be inserted."""
        column = self._rules.column
        if not column.insertable or geometries.faults:
            return False
        return not column.not_null or None not in geometries.ewkb

    def _take_all(self, features: DecodedFeatures, geometries: Geometries) -> Posted | None:
        """All features together, as is possible for most bodies.

        None when each one has to be checked on its own.
        """
        if self._decoder.needs_texts:
            return None
        values = [decoded.properties for decoded in features.decoded]
        properties = [bytes(raw.properties) for raw in features.raws]
        if None in values or any(map(holds_nul, properties)):
            return None
        if self._decoder.any_read_only(values):
            return None
        keys: list[tuple[str, ...] | None] = [None] * len(values)
        if self._keyed:
            try:
                keys = list(map(self._decoder.keys.key_of, features.decoded, values))
            except InvalidFeature:
                return None
        repairs = []
        for row, change in geometries.repairs.items():
            repairs.append((features.indexes[row], change))
        return Posted(
            indexes=list(features.indexes),
            geometries=geometries.ewkb,
            properties=properties,
            keys=keys,
            present=self._decoder.present(values),
            repairs=repairs,
        )

    def _take(self, posted: Posted, feature: Any, properties: bytes, ewkb: bytes | None) -> None:
        """Adds one feature to those that can be stored. Raises: InvalidFeature."""
        values = _set_or_none(feature.properties)
        self._decoder.check_properties(values, properties)
        key = None
        if self._keyed:
            key = self._decoder.keys.key_of(feature, values)
        self._decoder.check_required(values)
        present = 0
        if values is None:
            properties = _NO_PROPERTIES
        else:
            present = self._decoder.present([values])[0]
        posted.geometries.append(ewkb)
        posted.properties.append(properties)
        posted.keys.append(key)
        posted.present.append(present)

    def _geometry_fault(self, geometries: Geometries, row: int) -> InvalidFeature | None:
        """What is wrong with the geometry in a row, the rights to write it included."""
        column = self._rules.column
        fault = geometries.faults.get(row)
        if fault is not None:
            pointer = f"/geometry{fault.pointer}"
            return InvalidFeature(f"the geometry {fault.detail}", pointer=pointer)
        is_null = geometries.ewkb[row] is None
        creates = self._mode is Mode.CREATE
        writable = column.insertable if creates else column.updatable
        if not writable:
            if creates and is_null:
                return None
            return InvalidFeature("the geometry is read-only", pointer="/geometry")
        if is_null and column.not_null:
            return InvalidFeature(
                "a feature of this collection needs a geometry", pointer="/geometry"
            )
        return None


@lru_cache(maxsize=128)
def make_reader(
    collection: Collection, mode: Mode, rules: GeometryRules, lenient: bool, keyed: bool
) -> FeatureReader:
    """A reader, made once for equal arguments."""
    return FeatureReader(collection, mode, rules, lenient=lenient, keyed=keyed)


def _index_of(refused: tuple[int, Exception]) -> int:
    return refused[0]


def _set_or_none(value: Any) -> Any:
    """A decoded member; None for null and for an absent one."""
    return None if value is msgspec.UNSET else value


def _is_object(value: Any) -> bool:
    """Whether a decoded value is a JSON object that is not decoded."""
    return isinstance(value, msgspec.Raw) and bytes(value).lstrip().startswith(b"{")


def _parse_patch(text: bytes, name: str) -> dict[str, Any]:
    """The members of a merge patch of a JSON column. Raises: InvalidFeature."""
    # a cheap test saves scanning most patches
    if text.count(b"{") > MAX_PATCH_DEPTH:
        depth = greatest_depth(BracketScanner().scan(text).depth)
        if depth > MAX_PATCH_DEPTH:
            raise about_property(name, f"{name} is nested deeper than {MAX_PATCH_DEPTH}")
    return member_tree(text)
