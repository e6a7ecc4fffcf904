"""The query string: decoded strictly, each name at most once."""

from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from geosvc.errors import InvalidParameter

MAX_PARAMETERS = 200


def parse_query_string(raw: str) -> Mapping[str, str]:
    """The parameters of a raw query string, in its order.

    Raises: InvalidParameter for invalid UTF-8, a NUL character, a repeated name, or more than
        MAX_PARAMETERS parameters.
    """
    values: dict[str, str] = {}
    for pair in raw.split("&"):
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
    try:
        value = unquote_to_bytes(text.replace("+", " ")).decode("utf-8")
    except UnicodeError:
        raise InvalidParameter(f"{name} is not UTF-8", parameter=name) from None
    if "\0" in value:
        raise InvalidParameter(f"{name} contains a NUL character", parameter=name)
    return value
