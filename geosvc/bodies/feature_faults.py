"""What is wrong with a posted feature: errors with JSON pointers (RFC 6901)."""

import re
from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np
import orjson

from geosvc.bodies.brackets import BracketScanner
from geosvc.bodies.decoder_messages import in_words, no_json
from geosvc.bodies.number_ranges import describe_range
from geosvc.bodies.properties import CHECKED
from geosvc.errors import InvalidBody, InvalidFeature, InvalidParameter, RequestError
from geosvc.model.collection import Collection, Column
from geosvc.model.similar_names import did_you_mean
from geosvc.values.parsing import check_value

_PATH = re.compile(r"^(?P<words>.*?)(?: - at `\$(?P<index>\[\d+\])?(?P<path>.*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"missing required field `(.*)`", re.DOTALL)
_BYTE = re.compile(r"\(byte (\d+)\)")
_CHECKED_BY_DATABASE = frozenset(
    {
        *("numeric", "bytea", "tsvector", "xml", "bit", "varbit", "interval", "time", "timetz"),
        *("inet", "cidr", "macaddr", "macaddr8"),
    }
)
"""Types that `properties` and `check_value` check only in part."""
_MIN_NORMAL_REAL, _MAX_REAL = 1.2e-38, 3.4e38
_FEATURE_MEMBERS = frozenset(
    {"type", "id", "geometry", "bbox", "links", "crs", "coordRefSys", "place", "time"}
)
_CUT_TYPES = ("name", "char", "_name", "_char")
_CLOSING = ord("}")
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def explain(error: Exception, collection: Collection) -> RequestError:
    """An error of msgspec in the terms of the collection."""
    if isinstance(error, RecursionError):
        return InvalidFeature("the feature is nested too deep", pointer="")
    if not isinstance(error, msgspec.ValidationError):
        return InvalidBody(f"the body is not JSON: {no_json(error)}")
    message, path = str(error), ""
    match = _PATH.match(message)
    if match is not None:
        message, path = match["words"], match["path"] or ""
    pointer = _pointer_of(path)
    missing = _MISSING.search(message)
    if missing is not None and pointer == "/properties":
        return missing_property(missing[1])
    unknown = _UNKNOWN.search(message)
    if unknown is not None:
        return explain_name(unknown[1], collection, pointer)
    column = None
    if path.startswith(".properties."):
        column = collection.by_name.get(path.removeprefix(".properties."))
    name = pointer
    if pointer == "/geometry/type":
        name = "type of the geometry"
    return InvalidFeature(in_words(message, name, column), pointer=pointer)


def explain_name(name: str, collection: Collection, pointer: str) -> InvalidFeature:
    """The error for a property that cannot be written.

    Args:
        pointer: to the properties.
    """
    if name in collection.by_name:
        detail = f"{name} is read-only"
    elif name == collection.geometry.name:
        detail = (
            f"unknown property {name}: it is the geometry, "
            "a member of the feature beside the properties"
        )
    else:
        detail = f"unknown property {name}{did_you_mean(name, collection.by_name)}"
    return InvalidFeature(detail, pointer=f"{pointer}/{escape(name)}")


def explain_misplaced(patch: bytes, collection: Collection) -> InvalidFeature | None:
    """The error for a merge patch without properties, one of whose members has a property's name.

    It would change nothing.
    """
    for name in msgspec.json.decode(patch, type=dict[str, msgspec.Raw]):
        if name in collection.by_name and name not in _FEATURE_MEMBERS:
            return InvalidFeature(
                f"{name} is a property: it belongs in the member properties",
                pointer=f"/{escape(name)}",
            )
    return None


def explain_nul(properties: bytes) -> InvalidFeature:
    """The error for properties that contain a NUL character."""
    detail = "contains a NUL character, which cannot be stored"
    members = msgspec.json.decode(properties, type=dict[str, msgspec.Raw])
    for name, raw in members.items():
        if holds_nul(bytes(raw)):
            return about_property(name, f"{name} {detail}")
    return InvalidFeature(f"the name of a property {detail}", pointer="/properties")


def missing_property(name: str) -> InvalidFeature:
    """The error for a missing property. The pointer is to the object where it is missing."""
    error = InvalidFeature(f"the property {name} is missing", pointer="/properties")
    error.properties = (name,)
    return error


def about_property(name: str, detail: str) -> InvalidFeature:
    """An error of a property."""
    return InvalidFeature(detail, pointer=f"/properties/{escape(name)}")


def malformed(array: bytes, first: int, error: Exception) -> InvalidBody:
    """The error for features that are not JSON, with the index of the first wrong one.

    Args:
        array: of features.
        first: the index in the body of the first of them.
    """
    offset = 0
    if isinstance(error, UnicodeDecodeError):
        offset = error.start
    else:
        match = _BYTE.search(str(error))
        if match is not None:
            offset = int(match[1])
    brackets = BracketScanner().scan(array[:offset])
    codes = np.frombuffer(array, np.uint8)
    is_closing = codes[brackets.at] == _CLOSING
    ends_feature = is_closing & (brackets.depth == 1)
    index = first + int(np.count_nonzero(ends_feature))
    reason = _BYTE.sub("", no_json(error)).strip()
    return InvalidBody(f"feature {index} is not JSON: {reason}", index=index)


def value_at_fault(collection: Collection, properties: bytes) -> InvalidFeature | None:
    """The error for a property whose value PostgreSQL refused; None when it cannot be found.

    Args:
        properties: a JSON object.
    """
    try:
        values = orjson.loads(properties)
    except orjson.JSONDecodeError:
        # It contains a number that no double holds, which a column of type json may take.
        return None
    doubtful = []
    for name, value in values.items():
        column = collection.by_name.get(name)
        if column is None:
            continue
        fault = _find_fault(column, value)
        if fault is not None:
            return fault
        if value is not None and _is_doubtful(column, value):
            doubtful.append(column)
    if len(doubtful) != 1:
        return None
    name = doubtful[0].name
    detail = f"{name}: the value is not a valid {doubtful[0].type}, or out of its range"
    return about_property(name, detail)


def _find_fault(column: Column, value: object) -> InvalidFeature | None:
    """The error for a value that is certainly wrong."""
    if not _is_scalar(value):
        return None
    text = str(value)
    expected = describe_range(column, text)
    if expected is not None:
        return about_property(column.name, f"{column.name}: expected {expected}")
    try:
        check_value(column, text, column.name)
    except InvalidParameter as error:
        return about_property(column.name, error.detail)
    return None


def _is_doubtful(column: Column, value: object) -> bool:
    """Whether only the database knows if the column can take the value."""
    if column.is_hstore:
        return not isinstance(value, dict)
    if column.type_name == "float4" and isinstance(value, int | float):
        return value != 0 and not _MIN_NORMAL_REAL < abs(value) < _MAX_REAL
    return column.type_name not in CHECKED or column.type_name in _CHECKED_BY_DATABASE


def is_cut(column: Column) -> bool:
    """Whether PostgreSQL silently cuts texts that are too long for the type, in arrays too."""
    return column.type_schema == "pg_catalog" and column.type_name in _CUT_TYPES


def check_whole(columns: Sequence[Column], properties: bytes) -> None:
    """Checks texts that PostgreSQL would cut. Raises: InvalidFeature.

    Args:
        columns: those that `is_cut` is true for.
        properties: a JSON object.
    """
    values = msgspec.json.decode(properties, type=dict[str, msgspec.Raw])
    for column in columns:
        if column.name not in values:
            continue
        element = replace(column, type_name=column.type_name.removeprefix("_"))
        for text in _texts_in(values[column.name]):
            try:
                check_value(element, text, column.name)
            except InvalidParameter as error:
                raise about_property(column.name, error.detail) from None


def _texts_in(raw: msgspec.Raw) -> list[str]:
    """The texts of a JSON value, in arrays too, and the numbers as PostgreSQL's text of them."""
    try:
        values = [msgspec.json.decode(raw)]
    except (msgspec.DecodeError, RecursionError):  # half a character, which PostgreSQL refuses
        return []
    texts = []
    for value in values:
        if isinstance(value, list):
            values += value  # the loop comes to them
        elif _is_scalar(value):
            texts.append(str(value))
    return texts


def _is_scalar(value: object) -> bool:
    """Whether a value is a text or a number."""
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def holds_nul(text: bytes) -> bool:
    """Whether a JSON text contains the one character that PostgreSQL cannot store."""
    return b"\\u0000" in text and _NUL.search(text) is not None


def escape(name: str) -> str:
    """A name as a part of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def _pointer_of(path: str) -> str:
    """A path of msgspec, such as `.properties.height`, as a JSON pointer: `/properties/height`.

    A name may contain dots and brackets: what follows `.properties.` is one name, since msgspec
    checks nothing within a property.
    """
    if path.startswith(".properties."):
        return f"/properties/{escape(path.removeprefix('.properties.'))}"
    return path.replace(".", "/")
