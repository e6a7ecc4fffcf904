"""Options of a write: Prefer, Idempotency-Key, Content-Crs, and the query string."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from geosvc.errors import InvalidParameter
from geosvc.model.collection import Collection
from geosvc.model.crs import Crs, Srid, parse_crs
from geosvc.model.offered_crs import default_crs, listed_crs
from geosvc.requests.parameter_values import parse_integer, refuse_unknown

_PREFERENCE = re.compile(r'\s*([A-Za-z-]+)\s*(?:=\s*"?([^",;]*)"?)?\s*(?:;[^,]*)?')
_KEY = re.compile(r'"?([\x21\x23-\x5b\x5d-\x7e]{1,255})"?')


@dataclass(frozen=True, slots=True)
class Preferences:
    """The header Prefer. Source: RFC 7240.

    Attributes:
        returns: the preference `return`: representation, minimal or None.
        handling: the preference `handling`: strict, lenient or None.
    """

    returns: str | None = None
    handling: str | None = None

    @property
    def representation(self) -> bool:
        """Whether the client prefers a response with the feature."""
        return self.returns == "representation"

    @property
    def lenient(self) -> bool:
        """Whether errors are ignored where that is possible."""
        return self.handling == "lenient"

    def applied(self, returned: str | None) -> dict[str, str]:
        """The header Preference-Applied.

        Args:
            returned: the value of `return` that the response has; None where it has no effect.
        """
        applied = []
        if returned is not None and returned == self.returns:
            applied.append(f"return={returned}")
        if self.handling is not None:
            applied.append(f"handling={self.handling}")
        if not applied:
            return {}
        return {"Preference-Applied": ", ".join(applied)}


def parse_preferences(text: str | None) -> Preferences:
    """Parses Prefer. Unknown preferences are ignored, of repeated ones the first counts.

    Source: RFC 7240 2.
    """
    values: dict[str, str] = {}
    for part in (text or "").split(","):
        match = _PREFERENCE.fullmatch(part)
        if match is not None:
            name, value = match[1].lower(), match[2] or ""
            values.setdefault(name, value.strip().lower())
    returns, handling = values.get("return"), values.get("handling")
    if returns not in ("representation", "minimal"):
        returns = None
    if handling not in ("strict", "lenient"):
        handling = None
    return Preferences(returns, handling)


def parse_idempotency_key(text: str | None) -> str | None:
    """Parses a key of up to 255 visible characters, with double quotes or without.

    Raises: InvalidParameter.
    """
    if text is None:
        return None
    match = _KEY.fullmatch(text.strip())
    if match is None:
        raise InvalidParameter(
            "Idempotency-Key takes 1 to 255 visible characters", parameter="Idempotency-Key"
        )
    return match[1]


def parse_content_crs(text: str | None, collection: Collection, configured: Sequence[Srid]) -> Crs:
    """Parses the reference system of posted coordinates: one that the collection lists.

    Args:
        text: the header, a URI with angle brackets or without; None: the default of the collection.
        configured: EPSG codes of the settings.
    Raises: InvalidParameter.
    """
    if text is None:
        return default_crs(collection)
    uri = text.strip().removeprefix("<").removesuffix(">")
    return parse_crs(uri, listed_crs(collection, configured), "Content-Crs")


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """The options in the query string of a write.

    Attributes:
        dry_run: nothing is stored.
        repair: a geometry is repaired where that is possible.
        upsert: a feature whose id exists replaces the stored one.
        precision: digits behind the point that the client read the geometry with; None: unknown.
    """

    dry_run: bool = False
    repair: bool = False
    upsert: bool = False
    precision: int | None = None


def parse_write_options(values: Mapping[str, str], known: frozenset[str]) -> WriteOptions:
    """Raises: UnknownParameter, InvalidParameter."""
    refuse_unknown(values, known)
    dry_run = _parse_flag(values, "dry-run")
    repair = _parse_flag(values, "repair")
    upsert = _parse_flag(values, "upsert")
    precision = None
    if "precision" in values:
        precision = parse_integer("precision", values["precision"], 0, 15)
    return WriteOptions(dry_run, repair, upsert, precision)


def _parse_flag(values: Mapping[str, str], name: str) -> bool:
    text = values.get(name, "false")
    if text not in ("true", "false"):
        raise InvalidParameter(f"{name} takes true or false", parameter=name)
    return text == "true"
