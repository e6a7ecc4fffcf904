"""What is wrong with a posted feature, in the words of its collection, with a JSON pointer (RFC 6901)."""

import re

import msgspec
import numpy as np
import orjson

from geosvc.errors import InvalidBody, InvalidFeature, InvalidParameter, RequestError
from geosvc.model.collection import Collection
from geosvc.requests.brackets import BracketScanner
from geosvc.requests.values import check_value

_PATH = re.compile(r"^(?P<words>.*?)(?: - at `\$(?P<index>\[\d+\])?(?P<path>.*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"unknown field `(.*)`", re.DOTALL)
_BYTE = re.compile(r"\(byte (\d+)\)")
_CLOSING = ord("}")
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def explain(error: Exception, collection: Collection) -> RequestError:
    """What msgspec found, in the words of the collection."""
    if isinstance(error, RecursionError):
        return InvalidFeature("is nested too deep")
    if not isinstance(error, msgspec.ValidationError):
        return InvalidBody(f"the body is no JSON: {str(error).removeprefix('JSON is malformed: ')}")
    match = _PATH.match(str(error))
    words, path = (match["words"], match["path"] or "") if match is not None else (str(error), "")
    pointer = _pointer_of(path)
    unknown = _UNKNOWN.search(words)
    if unknown is None:
        return InvalidFeature(_in_words(words, pointer), pointer=pointer or None)
    name = unknown[1]
    detail = f"{name} is read-only" if name in collection.by_name else f"there is no property {name}"
    return InvalidFeature(detail, pointer=f"{pointer}/{escape(name)}")


def malformed(array: bytes, first: int, error: Exception) -> InvalidBody:
    """What is no JSON in an array of features, and in which of them.

    Args:
        first: the index in the body of the first of them.
    """
    if isinstance(error, UnicodeDecodeError):
        offset, detail = error.start, "it is not UTF-8"
    else:
        match = _BYTE.search(str(error))
        offset = int(match[1]) if match is not None else 0
        detail = _BYTE.sub("", str(error)).removeprefix("JSON is malformed: ").strip()
    brackets = BracketScanner().scan(array[:offset])
    ended = (brackets.depth == 1) & (np.frombuffer(array, np.uint8)[brackets.at] == _CLOSING)
    index = first + int(np.count_nonzero(ended))
    return InvalidBody(f"feature {index} is no JSON: {detail}", index=index)


def value_at_fault(collection: Collection, properties: bytes) -> InvalidFeature | None:
    """Which property has a text that PostgreSQL cannot take as the type of its column; None when it cannot be told."""
    for name, value in orjson.loads(properties).items():
        column = collection.by_name.get(name)
        if column is not None and isinstance(value, str):
            try:
                check_value(column, value, name)
            except InvalidParameter as error:
                return InvalidFeature(error.detail, pointer=f"/properties/{escape(name)}")
    return None


def holds_nul(text: bytes) -> bool:
    """Whether a JSON text holds the one character that PostgreSQL cannot store."""
    return b"\\u0000" in text and _NUL.search(text) is not None


def escape(name: str) -> str:
    """A name as a part of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def _pointer_of(path: str) -> str:
    """Msgspec's `.properties.height` as `/properties/height`. A name may hold dots and brackets: below properties all of it
    is one, for nothing within a property is checked.
    """
    if path.startswith(".properties."):
        return f"/properties/{escape(path.removeprefix('.properties.'))}"
    return path.replace(".", "/")


def _in_words(words: str, pointer: str) -> str:
    words = words.replace("`", "").replace("Invalid enum value", "there is no choice")
    missing = re.match(r"Object missing required field (.*)", words)
    if missing is not None:
        return f"the {'property' if pointer.startswith('/properties') else 'member'} {missing[1]} is missing"
    words = words[0].lower() + words[1:]
    return f"{pointer.rpartition('/')[2] or 'the feature'}: {words}"
