"""What a PUT or a PATCH changes (docs/decisions/0033).

A client sends back a feature as it read it, apart from what it wants to change. The JSON that it
read has less than the stored row, so what it did not change must not be written:

1. `FeatureChange.compared_parts` says which parts of the stored feature have to be read;
2. `FeatureChange.without_unchanged` leaves out what is the same in the stored feature.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from geosvc.bodies.changed_properties import compare_properties
from geosvc.bodies.feature_faults import about_property
from geosvc.bodies.inexact_columns import check_int8, may_return_inexact
from geosvc.bodies.json_members import encode_members, member_texts, member_tree, member_values
from geosvc.bodies.raw_feature import Posted, RawFeature
from geosvc.bodies.unchanged import digits_posted, same_geometry, same_value
from geosvc.errors import InvalidFeature
from geosvc.model.collection import Column
from geosvc.model.crs import Crs

_raw_feature = msgspec.json.Decoder(RawFeature)


@dataclass(frozen=True, slots=True)
class ComparedParts:
    """The parts of a change that are compared with the stored feature.

    Attributes:
        properties: their names.
        digits: of coordinates behind the point; None if the geometry is not compared.
    """

    properties: tuple[str, ...]
    digits: int | None

    @property
    def has_geometry(self) -> bool:
        """Whether the geometry is compared."""
        return self.digits is not None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is compared."""
        return not self.properties and not self.has_geometry


@dataclass(frozen=True, slots=True)
class FeatureChange:
    """A change of a feature.

    Attributes:
        posted: the posted feature, of which a merge patch has only some parts.
        geojson: the geometry as it was posted.
        sets_geometry: whether the geometry is set.
        geometry_fault: what is wrong with the geometry, which matters unless it is the stored one.
        columns: those that are set to posted values.
        defaults: names of the columns that are set to their defaults.
        merged: patches of JSON columns, by name.
        read_only: columns that cannot be written, but have a value, which must be the stored one.
        key: names of the columns of the key.
    """

    posted: Posted
    geojson: bytes
    sets_geometry: bool
    geometry_fault: InvalidFeature | None = None
    columns: tuple[Column, ...] = ()
    defaults: tuple[str, ...] = ()
    merged: Mapping[str, Any] | None = None
    read_only: tuple[Column, ...] = ()
    key: tuple[str, ...] = ()

    @property
    def weight(self) -> int:
        """The work of comparing it, in bytes."""
        return len(self.geojson) + len(self.posted.properties[0])

    def compared_parts(self, crs: Crs) -> ComparedParts:
        """The parts that are compared with the stored feature.

        Args:
            crs: of the coordinates.
        """
        digits = None
        if self._compares_geometry:
            digits = digits_posted(self.geojson, crs)
        texts = self._property_texts()
        names = [column.name for column in self.read_only]
        for column in self.columns:
            if may_return_inexact(column, texts.get(column.name)):
                names.append(column.name)
        return ComparedParts(tuple(names), digits)

    def without_unchanged(self, stored: bytes) -> "FeatureChange":
        """The change without what the stored feature has already.

        Args:
            stored: the compared parts of the feature as a GET returns them.
        Raises: InvalidFeature where a value that cannot be written differs, or a different geometry
            cannot be stored.
        """
        feature = _raw_feature.decode(stored)
        stored_properties = bytes(feature.properties)
        self._check_read_only(stored_properties)
        change = self._without_unchanged_properties(stored_properties)
        change = replace(change, read_only=())
        if self._compares_geometry and same_geometry(self.geojson, bytes(feature.geometry)):
            change = replace(change, sets_geometry=False, geometry_fault=None)
        return change.checked()

    def checked(self) -> "FeatureChange":
        """The change, if all of it can be stored; for a new feature nothing is compared before.

        Raises: InvalidFeature.
        """
        if self.geometry_fault is not None:
            raise self.geometry_fault
        if self.read_only:
            raise self._refuse(self.read_only[0], "")
        check_int8(self.columns, self._property_texts())
        return self

    @property
    def _compares_geometry(self) -> bool:
        """Whether the geometry may be the stored one; a repaired one is not."""
        return self.sets_geometry and not self.posted.repairs

    def _check_read_only(self, stored_properties: bytes) -> None:
        """Raises: InvalidFeature for a value that cannot be written and is not the stored one."""
        posted = member_values(self.posted.properties[0])
        stored = member_values(stored_properties)
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

    def _property_texts(self) -> dict[str, bytes]:
        """The JSON text of each posted property."""
        return member_texts(self.posted.properties[0])

    def _without_unchanged_properties(self, stored_properties: bytes) -> "FeatureChange":
        posted = self._property_texts()
        stored = member_texts(stored_properties)
        names = [column.name for column in self.columns]
        found = compare_properties(names, posted, stored, self.merged or {})
        columns = tuple(column for column in self.columns if column.name not in found.unchanged)
        if not found.corrected:
            return replace(self, columns=columns)
        merged = dict(self.merged or {})
        for name in merged.keys() & found.corrected.keys():
            merged[name] = member_tree(found.corrected[name])
        properties = encode_members({**posted, **found.corrected})
        new_posted = replace(self.posted, properties=[properties])
        return replace(self, columns=columns, merged=merged, posted=new_posted)
