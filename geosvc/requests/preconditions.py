"""Conditions in the headers of a request. Source: RFC 9110 13.1.

They are decided where the row is: `query.mutations` puts those of a change into the statement that makes it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Literal

from geosvc.errors import InvalidParameter
from geosvc.model.feature import StoredFeature

_TAG = re.compile(r'\s*(?P<weak>W/)?"(?P<tag>[\x21\x23-\x7e\x80-\xff]*)"\s*(?:,|$)')
_CODING = re.compile(r"-(?:gzip|deflate|zstd|br)$")  # a compressed representation has a tag of its own
MAX_TAGS = 100

Tags = tuple[str, ...] | Literal["*"] | None


@dataclass(frozen=True, slots=True)
class Preconditions:
    """What must hold of the feature.

    Attributes:
        match: it has one of these versions, or `*`: it exists. Weak tags never match.
        none_match: it has none of these versions, or `*`: it does not exist.
        unmodified_since, modified_since: seconds since 1970.
    """

    match: Tags = None
    none_match: Tags = None
    unmodified_since: float | None = None
    modified_since: float | None = None

    @property
    def protects(self) -> bool:
        """Whether a change with them cannot overwrite what its sender has not seen."""
        return self.match is not None or self.none_match is not None or self.unmodified_since is not None

    def hold(self, feature: StoredFeature) -> bool:
        """Whether a feature that is there fulfils them. Changes decide it in their statement; this is to explain them."""
        if self.match is not None and self.match != "*" and feature.version not in self.match:
            return False
        if self.none_match is not None and (self.none_match == "*" or feature.version in self.none_match):
            return False
        late = self.unmodified_since is not None and feature.modified is not None and feature.modified > self.unmodified_since
        return not late

    def is_cached(self, feature: StoredFeature) -> bool:
        """Whether the client has this representation already. If-None-Match beats If-Modified-Since (RFC 9110 13.2.2)."""
        if self.none_match is not None:
            return self.none_match == "*" or feature.version in self.none_match
        return self.modified_since is not None and feature.modified is not None and feature.modified <= self.modified_since


_NOTHING = Preconditions()


def tag_of_coding(etag: str, coding: str) -> str:
    """The tag of a representation in this content coding: strong tags tell them apart, weak ones need not."""
    return etag if etag.startswith("W/") else f'{etag[:-1]}-{coding}"'


def cached_tag(version: str, none_match: str) -> str:
    """The tag of the representation that a client has already and names in If-None-Match: it may be of a content coding."""
    if version in none_match and "," not in none_match:
        return none_match.strip().removeprefix("W/")
    return f'"{version}"'


def _parse_tags(name: str, text: str | None, *, strong: bool) -> Tags:
    if text is None:
        return None
    if text.strip() == "*":
        return "*"
    tags: list[str] = []
    position = 0
    while position < len(text):
        match = _TAG.match(text, position)
        if match is None or len(tags) == MAX_TAGS:
            raise InvalidParameter(f"{name} takes * or entity tags in double quotes, {MAX_TAGS} at the most", parameter=name)
        position = match.end()
        tags.append("" if strong and match["weak"] else _CODING.sub("", match["tag"]))
    return tuple(tags)


def _parse_date(text: str | None) -> float | None:
    """A date that is none is ignored, as RFC 9110 13.1.3 asks."""
    try:
        moment = parsedate_to_datetime(text) if text is not None else None
    except ValueError:
        return None
    if moment is None:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def parse_preconditions(headers: Mapping[str, str]) -> Preconditions:
    """Those of a request. If-Match beats If-Unmodified-Since, and If-None-Match beats If-Modified-Since.

    Raises: InvalidParameter, naming the header.
    """
    if_match, if_none_match = headers.get("If-Match"), headers.get("If-None-Match")
    unmodified_since, modified_since = headers.get("If-Unmodified-Since"), headers.get("If-Modified-Since")
    if if_match is if_none_match is unmodified_since is modified_since is None:
        return _NOTHING
    match = _parse_tags("If-Match", if_match, strong=True)
    return Preconditions(
        match=match,
        none_match=_parse_tags("If-None-Match", if_none_match, strong=False),
        unmodified_since=_parse_date(unmodified_since) if match is None else None,
        modified_since=_parse_date(modified_since),
    )
