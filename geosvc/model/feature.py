"""A feature as it is stored, and its validators."""

from dataclasses import dataclass
from email.utils import formatdate
from math import isfinite

IDS_WITHOUT_URL = ("", ".", "..")
"""Ids that cannot stand as the last segment of a path (RFC 3986 5.2.4)."""


@dataclass(frozen=True, slots=True)
class StoredFeature:
    """One feature.

    Attributes:
        text: GeoJSON in UTF-8; None when only its validators were asked for.
        version: changes whenever the row does, hexadecimal; empty where it cannot be worked out.
        modified: when it was last changed, seconds since 1970; None where nobody knows.
        feature_id: as it is written in a URL; None where features have none.
    """

    text: bytes | None
    version: str
    modified: float | None = None
    feature_id: str | None = None

    @property
    def etag(self) -> str:
        """The strong entity tag (RFC 9110 8.8.3)."""
        return f'"{self.version}"'

    @property
    def last_modified(self) -> str | None:
        """The date of Last-Modified (RFC 9110 8.8.2)."""
        if self.modified is None or not isfinite(self.modified):
            return None
        try:
            return formatdate(self.modified, usegmt=True)
        except (OverflowError, ValueError, OSError):  # beyond the calendar
            return None
