"""Writes HTML pages with Jinja2.

Pages can be read without JavaScript, used with the keyboard, and load nothing from other hosts.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined

_UNICODE_PLANES = 17


def _no_text() -> re.Pattern[str]:
    """The characters that a text column may contain and HTML may not (HTML 13.2.3.5)."""
    characters = "\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    for plane in range(_UNICODE_PLANES):
        begin = plane << 16
        characters += chr(begin | 0xFFFE)
        characters += chr(begin | 0xFFFF)
    return re.compile(f"[{characters}]")


_NO_TEXT = _no_text()
_NOT_OF_AN_EXPORT = ("limit", "offset", "cursor", "count", "f")


def _write_ms(milliseconds: float) -> str:
    """12 ms, 1.2 s, 3 min."""
    if milliseconds < 1_000:
        return f"{milliseconds:.0f} ms"
    if milliseconds < 120_000:
        return f"{milliseconds / 1_000:.1f} s"
    return f"{milliseconds / 60_000:.0f} min"


def _write_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _write_number(number: int | None) -> str:
    """1,234; empty when the number is not known."""
    if number is None:
        return ""
    return f"{number:,}"


def _write_geometry_type(name: str) -> str:
    """The type of a geometry column in words."""
    if name == "GEOMETRY":
        return "any geometry"
    if name == "GEOMETRYCOLLECTION":
        return "collections of geometries"
    words = name.lower().replace("multi", "multi-")
    return words.replace("string", " string")


def _write_segment(name: str) -> str:
    """A name as one segment of a path."""
    return quote(name, safe="")


def _href(values: Mapping[str, str]) -> str:
    if not values:
        return ""
    parameters = list(values.items())
    return "?" + urlencode(parameters, quote_via=quote)


def _without(values: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if name not in names}


def _first_page(values: Mapping[str, str]) -> str:
    """The href of the first page of the same query."""
    return _href(_without(values, ("cursor", "offset")))


def _export_of(values: Mapping[str, str], media_type: str) -> str:
    """The download of all features that match, relative to items."""
    parameters = _without(values, _NOT_OF_AN_EXPORT)
    parameters["f"] = media_type
    return "export" + _href(parameters)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("geosvc"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "ms": _write_ms,
        "time": _write_time,
        "thousands": _write_number,
        "geometry": _write_geometry_type,
        "segment": _write_segment,
        "first_page": _first_page,
        "export_of": _export_of,
    }
    return environment


def _show(character: re.Match[str]) -> str:
    """The visible symbol of a control character, or the replacement character for others."""
    code = ord(character[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\ufffd"


def write_page(template: str, **values: Any) -> bytes:
    """Renders a template with some values, as UTF-8."""
    page = _environment().get_template(template).render(**values)
    return _NO_TEXT.sub(_show, page).encode("utf-8", "replace")
