"""The query string: decoded strictly, each name at most once."""

from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from geosvc.errors import InvalidParameter

MAX_PARAMETERS = 200

Values = Mapping[str, str]
"""The parameters of a request: the decoded text of each, by name."""


def parse_query_string(raw: str) -> Values:
    """The parameters of a raw query string, in its order.

    Raises: InvalidParameter for invalid UTF-8, a NUL character, a repeated name, or more than
        MAX_PARAMETERS parameters.
    """
    values: dict[str, str] = {}
    pairs = raw.split("&")
    for pair in pairs:
        if not pair:
            continue
        raw_name, _, raw_value = pair.partition("=")
        name = _decode(raw_name, "the name of a parameter")
        if name in values:
            raise InvalidParameter(f"{name} is given more than once", parameter=name)
        if len(values) == MAX_PARAMETERS:
            raise InvalidParameter(f"more than {MAX_PARAMETERS} parameters", parameter=name)
        values[name] = _decode(raw_value, name)
    return values


def _decode(text: str, name: str) -> str:
    with_spaces = text.replace("+", " ")
    try:
        value = unquote_to_bytes(with_spaces).decode("utf-8")
    except UnicodeError:
        raise InvalidParameter(f"{name} is not UTF-8", parameter=name) from None
    if "\0" in value:
        raise InvalidParameter(f"{name} contains a NUL character", parameter=name)
    return value
