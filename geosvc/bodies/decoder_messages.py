"""The messages of msgspec, in the terms of JSON: what is expected, and what was found."""

import re
from collections.abc import Sequence

from geosvc.model.collection import Column
from geosvc.model.similar_names import did_you_mean

GEOMETRY_TYPES = (
    "Point",
    "LineString",
    "Polygon",
    "MultiPoint",
    "MultiLineString",
    "MultiPolygon",
    "GeometryCollection",
)
_NAMES = {  # of msgspec's types
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "null": "null",
    "array": "an array",
    "object": "an object",
    "uuid": "a UUID",
}
_OTHER = "another value"
_PATTERNS = {  # what a text must be, by the type of the column
    "int8": "a whole number",
    "oid": "a whole number",
    "numeric": "a number",
    "bytea": "text in base64",
}
_EXPECTED = re.compile(
    r"Expected `(?P<types>[^`]*)`(?P<bound>.*?)(?:, got `(?P<got>[^`]*)`)?", re.DOTALL
)
_CHOICE = re.compile(r"Invalid enum value '?(?P<value>.*?)'?", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<name>.*)`", re.DOTALL)
_FIRST_CHARACTER = "invalid character (byte 0)"
_TRUNCATED = "Input data was truncated"
_BOUNDS = {"<=": "at most", ">=": "at least"}
_MAX_CHOICES = 100


def no_json(error: Exception) -> str:
    """Why a text is not JSON, or not the JSON that is expected."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    message = str(error).removeprefix("JSON is malformed: ")
    if message == _TRUNCATED:
        return "it ends too early, or has an escape of half a character, such as \\ud800"
    if message == _FIRST_CHARACTER:
        return "its first character does not begin JSON (in UTF-8 without a byte order mark)"
    return _translate(message, "", None)


def in_words(message: str, pointer: str, column: Column | None) -> str:
    """What is wrong with a value.

    Args:
        message: of msgspec.
        pointer: to the value, or its name.
        column: of a property.
    """
    missing = _MISSING.fullmatch(message)
    if missing is not None:
        return f"the member {missing['name']} is missing"
    name = column.name if column is not None else pointer.rpartition("/")[2]
    return f"{name or 'the feature'}: {_translate(message, name, column)}"


def _translate(message: str, name: str, column: Column | None) -> str:
    choice = _CHOICE.fullmatch(message)
    if choice is not None:
        return _expected_choice(choice["value"], name, column)
    expected = _EXPECTED.fullmatch(message)
    if expected is not None:
        return _expected_value(expected, column)
    if message == "Invalid UUID":
        return "expected a UUID"
    return message[:1].lower() + message[1:]


def _expected_value(match: re.Match[str], column: Column | None) -> str:
    """`expected a whole number of at least 0, got text`, from a match of _EXPECTED."""
    bound = match["bound"].strip()
    if bound.startswith("matching"):
        pattern = _PATTERNS.get(column.type_name) if column is not None else None
        return f"expected {pattern or 'other text'}"
    if bound.startswith("of length"):
        limit = bound.rpartition(" ")[2]
        return f"expected text of at most {limit} characters"
    words = f"expected {_type_names(match['types'], column)}"
    sign, _, limit = bound.partition(" ")
    if sign in _BOUNDS:
        words += f" of {_BOUNDS[sign]} {limit}"
    if match["got"]:
        words += f", got {_NAMES.get(match['got'], _OTHER)}"
    return words


def _type_names(types: str, column: Column | None) -> str:
    """The types of msgspec's message, in words."""
    names = types.split(" | ")
    if "float" in names and "int" in names:
        names.remove("int")
    is_property = column is not None and column.enum is None
    if is_property and "str" in names and ("int" in names or "float" in names):
        # Numbers may be texts too, for clients that cannot hold them; few need to know it.
        names.remove("str")
    words = [_NAMES.get(name, _OTHER) for name in names]
    if len(words) == 1:
        return words[0]
    return f"{', '.join(words[:-1])} or {words[-1]}"


def _expected_choice(value: str, name: str, column: Column | None) -> str:
    """What is expected instead of a text that is not one of the choices."""
    choices: Sequence[str]
    if column is None:
        choices = ("Feature",) if name == "type" else GEOMETRY_TYPES
    elif column.enum is None:
        return 'expected a number, or "NaN", "Infinity" or "-Infinity"'
    else:
        choices = column.enum
    words = ", ".join(choices[:_MAX_CHOICES])
    if len(choices) > _MAX_CHOICES:
        words += ", …"
    return f"expected one of: {words}{did_you_mean(value, choices)}"
