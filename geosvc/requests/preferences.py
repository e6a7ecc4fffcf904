"""What a client would like of a write, and how it names it: Prefer, Idempotency-Key, Content-Crs, and the query string."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from geosvc.errors import InvalidParameter
from geosvc.model.collection import Collection
from geosvc.model.crs import Crs, Srid, default_crs, listed_crs, parse_crs
from geosvc.requests.items import refuse_unknown

_PREFERENCE = re.compile(r'\s*([A-Za-z-]+)\s*(?:=\s*"?([^",;]*)"?)?\s*(?:;[^,]*)?')
_KEY = re.compile(r'"?([\x21\x23-\x5b\x5d-\x7e]{1,255})"?')


@dataclass(frozen=True, slots=True)
class Preferences:
    """The header Prefer. Source: RFC 7240.

    Attributes:
        applied: those that were understood, for Preference-Applied.
    """

    representation: bool = False
    lenient: bool = False
    applied: tuple[str, ...] = ()


def parse_preferences(text: str | None) -> Preferences:
    """Unknown preferences are ignored, as RFC 7240 2 asks; of two of one kind the first counts."""
    chosen: dict[str, str] = {}
    for part in (text or "").split(","):
        match = _PREFERENCE.fullmatch(part)
        if match is not None:
            chosen.setdefault(match[1].lower(), (match[2] or "").strip().lower())
    known = {"return": ("representation", "minimal"), "handling": ("strict", "lenient")}
    applied = tuple(f"{name}={chosen[name]}" for name, values in known.items() if chosen.get(name) in values)
    return Preferences(chosen.get("return") == "representation", chosen.get("handling") == "lenient", applied)


def parse_idempotency_key(text: str | None) -> str | None:
    """A key of up to 255 visible characters, in double quotes or without. Raises: InvalidParameter."""
    if text is None:
        return None
    match = _KEY.fullmatch(text.strip())
    if match is None:
        raise InvalidParameter("Idempotency-Key takes 1 to 255 visible characters", parameter="Idempotency-Key")
    return match[1]


def parse_content_crs(text: str | None, collection: Collection, configured: Sequence[Srid]) -> Crs:
    """The reference system of posted coordinates: any that the collection lists, with or without angle brackets.

    Args:
        configured: EPSG codes of the settings.
    Raises: InvalidParameter.
    """
    if text is None:
        return default_crs(collection)
    uri = text.strip().removeprefix("<").removesuffix(">")
    return parse_crs(uri, listed_crs(collection, configured), "Content-Crs")


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """What the query string of a write says.

    Attributes:
        dry_run: nothing is stored.
        repair: what can be mended in a geometry is mended.
        upsert: a feature whose id is taken replaces the one that has it.
    """

    dry_run: bool = False
    repair: bool = False
    upsert: bool = False


def _flag(values: Mapping[str, str], name: str) -> bool:
    text = values.get(name, "false")
    if text not in ("true", "false"):
        raise InvalidParameter(f"{name} takes true or false", parameter=name)
    return text == "true"


_FLAGS: Mapping[str, Literal["dry_run", "repair", "upsert"]] = {"dry-run": "dry_run", "repair": "repair", "upsert": "upsert"}


def parse_write_options(values: Mapping[str, str], known: frozenset[str] = frozenset(_FLAGS)) -> WriteOptions:
    """Raises: UnknownParameter, InvalidParameter."""
    refuse_unknown(values, known)
    return WriteOptions(**{field: _flag(values, name) for name, field in _FLAGS.items()})
