"""Pages for people, by Jinja2: legible without JavaScript, usable with the keyboard, asking no other host for anything."""

from datetime import UTC, datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def _write_ms(milliseconds: float) -> str:
    """12 ms, 1.2 s, 3 min."""
    if milliseconds < 1_000:
        return f"{milliseconds:.0f} ms"
    if milliseconds < 120_000:
        return f"{milliseconds / 1_000:.1f} s"
    return f"{milliseconds / 60_000:.0f} min"


def _write_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("geosvc"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["ms"] = _write_ms
    environment.filters["time"] = _write_time
    return environment


def write_page(template: str, **values: Any) -> bytes:
    """The page that a template makes of some values."""
    return _environment().get_template(template).render(**values).encode()
