"""A stored feature and its validators."""

from dataclasses import dataclass
from email.utils import formatdate
from math import isfinite

IDS_WITHOUT_URL = ("", ".", "..")
"""Feature ids that cannot be the last segment of a path (RFC 3986 5.2.4)."""


@dataclass(frozen=True, slots=True)
class StoredFeature:
    """A feature as the database returned it.

    Attributes:
        text: GeoJSON in UTF-8; None when only the validators were read.
        version: hexadecimal, changes with each change of the row; empty when it is not known.
        modified: time of the last change, in seconds since 1970; None when it is not known.
        feature_id: as in the URL; None when features have no id.
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
        """The value of the header Last-Modified (RFC 9110 8.8.2); None when it is not known."""
        if self.modified is None or not isfinite(self.modified):
            return None
        try:
            return formatdate(self.modified, usegmt=True)
        except (OverflowError, ValueError, OSError):  # a year that dates cannot have
            return None
