"""The key of a posted feature: its member `id`, or its properties."""

from collections.abc import Mapping
from typing import Any

import msgspec

from geosvc.errors import InvalidFeature
from geosvc.model.collection import Collection
from geosvc.model.type_names import WHOLE_NUMBER_BITS
from geosvc.values.feature_id import canonical_key, parse_posted_id


class KeyReader:
    """Reads the keys of the features of one collection.

    Args:
        attributes: of decoded properties, by the names of their columns.
    """

    def __init__(self, collection: Collection, attributes: Mapping[str, str]) -> None:
        self._collection = collection
        self._attributes = tuple(attributes.get(name, "") for name in collection.key)
        # Most keys are one whole number, which is read without parsing. 0: not of this collection.
        self._integer_limit = 0
        if len(collection.key) == 1:
            bits = WHOLE_NUMBER_BITS.get(collection.key_columns[0].type_name)
            if bits is not None:
                self._integer_limit = 1 << (bits - 1)

    def key_of(self, feature: Any, values: Any) -> tuple[str, ...]:
        """The key values of a feature as text.

        Args:
            feature: decoded.
            values: its properties, decoded; None for null.
        Raises: InvalidFeature without a key, with one that the collection cannot have, or where
            the id and the properties differ.
        """
        feature_id = feature.id
        limit = self._integer_limit
        if type(feature_id) is int and -limit <= feature_id < limit:
            value = getattr(values, self._attributes[0], msgspec.UNSET)
            if value is msgspec.UNSET or value == feature_id:
                return (str(feature_id),)
        texts = []
        for attribute in self._attributes:
            texts.append(as_key_text(getattr(values, attribute, msgspec.UNSET)))
        if feature_id is msgspec.UNSET:
            if None in texts:
                raise InvalidFeature("the feature needs an id", pointer="/id")
            return canonical_key(tuple(map(str, texts)), self._collection)
        of_id = canonical_key(parse_posted_id(feature_id, self._collection), self._collection)
        of_properties = canonical_key(tuple(text or "" for text in texts), self._collection)
        for id_part, text in zip(of_id, of_properties, strict=True):
            if text and text != id_part:
                raise InvalidFeature("the id and the property of its column differ", pointer="/id")
        return of_id


def as_key_text(value: Any) -> str | None:
    """A decoded value as it is written in an id; None for a value that cannot be in a key."""
    if isinstance(value, msgspec.Raw):
        return _raw_as_text(bytes(value).strip())
    if value is msgspec.UNSET or value is None or isinstance(value, bool):
        return None
    return str(value)


def _raw_as_text(text: bytes) -> str | None:
    if not text.startswith(b'"'):
        return text.decode()
    try:
        return msgspec.json.decode(text, type=str)
    except msgspec.DecodeError:  # half a character
        return None
