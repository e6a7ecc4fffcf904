"""Pages for people, by Jinja2: legible without JavaScript, usable with the keyboard, asking no other host for anything."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined

# what HTML may not hold, and a column of text may (HTML 13.2.3.5)
_NO_TEXT = re.compile(
    "[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(chr(plane << 16 | end) for plane in range(17) for end in (0xFFFE, 0xFFFF))
    + "]"
)
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
    """1,234; nothing for what is not known."""
    return "" if number is None else f"{number:,}"


def _write_geometry_type(name: str) -> str:
    """The type of a geometry column in words."""
    words = {"GEOMETRY": "any geometry", "GEOMETRYCOLLECTION": "collections of geometries"}
    return words.get(name, name.lower().replace("multi", "multi-").replace("string", " string"))


def _write_segment(name: str) -> str:
    """A name as one segment of a path."""
    return quote(name, safe="")


def _href(values: Mapping[str, str]) -> str:
    return "?" + urlencode(list(values.items()), quote_via=quote) if values else ""


def _first_page(values: Mapping[str, str]) -> str:
    return _href({name: value for name, value in values.items() if name not in ("cursor", "offset")})


def _export_of(values: Mapping[str, str], media_type: str) -> str:
    """The download of all features that match, relative to items."""
    return "export" + _href(
        {name: value for name, value in values.items() if name not in _NOT_OF_AN_EXPORT} | {"f": media_type}
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("geosvc"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
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
    """A sign that stands for a control character; for what is no character at all, that of something lost."""
    code = ord(character[0])
    return chr(0x2400 + code) if code < 0x20 else "\ufffd"


def write_page(template: str, **values: Any) -> bytes:
    """The page that a template makes of some values."""
    return _NO_TEXT.sub(_show, _environment().get_template(template).render(**values)).encode("utf-8", "replace")
