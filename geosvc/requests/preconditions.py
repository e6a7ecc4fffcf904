"""Conditions in the headers of a request. Source: RFC 9110 13.1.

For a write, `query.mutations` puts them into the statement that changes the row, so that no other
transaction can change the row between the check and the write.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Literal

from geosvc.errors import InvalidParameter
from geosvc.model.feature import StoredFeature

_TAG = re.compile(r'\s*(?P<weak>W/)?"(?P<tag>[\x21\x23-\x7e\x80-\xff]*)"\s*(?:,|$)')
_WEAK_TAG = re.compile(r'(?:^|,)\s*W/"([\x21\x23-\x7e\x80-\xff]*)"')
# a compressed representation has a tag of its own
_CODING = re.compile(r"-(?:gzip|deflate|zstd|br)$")
MAX_TAGS = 100
MAX_KEPT = 256
"""How many texts of headers are parsed once; each is as long as the server takes, 8 KB at most."""

AnyTag = Literal["*"]
Tags = tuple[str, ...] | AnyTag


@dataclass(frozen=True, slots=True)
class Preconditions:
    """The conditions of a request on a feature.

    Attributes:
        match: the feature has one of these versions, or `*`: it exists. Weak tags never match.
        none_match: the feature has none of these versions, or `*`: it does not exist.
        unmodified_since, modified_since: seconds since 1970.
        weak: the weak tags of If-Match.
    """

    match: Tags | None = None
    none_match: Tags | None = None
    unmodified_since: float | None = None
    modified_since: float | None = None
    weak: tuple[str, ...] = ()

    @property
    def protects(self) -> bool:
        """Whether a write with them cannot overwrite a version that its sender does not know."""
        conditions = (self.match, self.none_match, self.unmodified_since)
        return any(condition is not None for condition in conditions)

    def hold(self, feature: StoredFeature) -> bool:
        """Whether an existing feature meets the conditions of a write, without If-Modified-Since.

        The statement of the write checks them itself. They are checked here too when a feature is
        read to compare values before the write, and to find out why a write changed nothing.
        """
        if self.match is not None and not _includes(self.match, feature.version):
            return False
        if self.none_match is not None and _includes(self.none_match, feature.version):
            return False
        return not _is_later(feature.modified, self.unmodified_since)


def tag_of_coding(etag: str, coding: str) -> str:
    """The entity tag of a representation in a content coding.

    Strong tags differ by the coding; weak ones need not.
    """
    if etag.startswith("W/"):
        return etag
    return f'{etag[:-1]}-{coding}"'


ConditionHeaders = tuple[str | None, str | None, str | None, str | None]
"""The texts of If-Match, If-None-Match, If-Unmodified-Since and If-Modified-Since."""
_NO_HEADERS: ConditionHeaders = (None, None, None, None)


def _condition_headers(headers: Mapping[str, str]) -> ConditionHeaders:
    return (
        headers.get("If-Match"),
        headers.get("If-None-Match"),
        headers.get("If-Unmodified-Since"),
        headers.get("If-Modified-Since"),
    )


def parse_preconditions(headers: Mapping[str, str]) -> Preconditions:
    """Parses the conditions of a request.

    If-Match takes precedence over If-Unmodified-Since, If-None-Match over If-Modified-Since.

    Raises: InvalidParameter, naming the header.
    """
    return _parse_headers(_condition_headers(headers))


def _parse_headers(headers: ConditionHeaders) -> Preconditions:
    if_match, if_none_match, if_unmodified_since, if_modified_since = headers
    match = _parse_tags("If-Match", if_match, strong=True)
    unmodified_since = None
    if match is None:
        unmodified_since = _parse_date(if_unmodified_since)
    weak_tags = _WEAK_TAG.findall(if_match or "")
    return Preconditions(
        match=match,
        none_match=_parse_tags("If-None-Match", if_none_match, strong=False),
        unmodified_since=unmodified_since,
        modified_since=_parse_date(if_modified_since),
        weak=tuple(map(_without_coding, weak_tags)),
    )


def reading_outcome(
    headers: Mapping[str, str], etag: str | None, modified: float | None = None
) -> Literal[304, 412] | None:
    """The status that a GET or HEAD is answered with instead of 200; None: 200.

    A tag matches the version in any content coding: the response has the tag that a 200 would have.

    Args:
        etag: of the representation; None when it has none.
        modified: when the representation was modified, in seconds since 1970; None: unknown.
    Raises: InvalidParameter, naming the header.
    Source: RFC 9110 13.2.2.
    """
    condition_headers = _condition_headers(headers)
    if condition_headers == _NO_HEADERS:
        return None
    return _outcome(condition_headers, etag, modified)


@lru_cache(maxsize=MAX_KEPT)
def _outcome(
    headers: ConditionHeaders, etag: str | None, modified: float | None
) -> Literal[304, 412] | None:
    """The same for these headers; clients send the same ones again and again."""
    conditions = _parse_headers(headers)
    version = None
    if etag is not None:
        version = _without_coding(etag.removeprefix("W/")[1:-1])
    if conditions.match is None:
        fails = _is_later(modified, conditions.unmodified_since)
    elif conditions.match == "*":
        fails = False
    else:
        # compared strongly: a weak tag never matches
        is_weak = etag is not None and etag.startswith("W/")
        fails = is_weak or version not in conditions.match
    if fails:
        return 412
    if _is_known(conditions, version, modified):
        return 304
    return None


def _is_known(conditions: Preconditions, version: str | None, modified: float | None) -> bool:
    """Whether the client has the representation already.

    Args:
        version: None where it has no entity tag.
    """
    if conditions.none_match is not None:
        return version is not None and _includes(conditions.none_match, version)
    if modified is None or conditions.modified_since is None:
        return False
    return modified <= conditions.modified_since


def _includes(tags: Tags, version: str | None) -> bool:
    return tags == "*" or version in tags


def _is_later(modified: float | None, since: float | None) -> bool:
    """Whether both times are known, and the first is later."""
    if modified is None or since is None:
        return False
    return modified > since


def _parse_tags(name: str, text: str | None, *, strong: bool) -> Tags | None:
    """The entity tags of a header, without their content codings.

    Args:
        strong: a weak tag becomes "", which no version is equal to.
    """
    if text is None:
        return None
    if text.strip() == "*":
        return "*"
    tags: list[str] = []
    position = 0
    while position < len(text):
        match = _TAG.match(text, position)
        if match is None or len(tags) == MAX_TAGS:
            raise InvalidParameter(
                f"{name} takes * or at most {MAX_TAGS} entity tags in double quotes",
                parameter=name,
            )
        position = match.end()
        if strong and match["weak"]:
            tags.append("")
        else:
            tags.append(_without_coding(match["tag"]))
    return tuple(tags)


def _without_coding(tag: str) -> str:
    return _CODING.sub("", tag)


def _parse_date(text: str | None) -> float | None:
    """Seconds since 1970. An invalid date is ignored: RFC 9110 13.1.3."""
    if text is None:
        return None
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp()
