"""Which representation, and which coding of it, a client gets. Source: RFC 9110 12.5."""

from collections.abc import Sequence
from functools import lru_cache

from geosvc.errors import InvalidParameter, NotAcceptable
from geosvc.model.media_type import ALIASES, MediaType
from geosvc.model.number import parse_number


@lru_cache(maxsize=1024)
def _weights(header: str) -> tuple[tuple[str, float], ...]:
    """What a list header names, in lower case, with its weight. A weight that is no number counts as 1."""
    weighted = []
    for part in header.split(","):
        name, *attributes = (piece.strip().lower() for piece in part.split(";"))
        weight = 1.0
        for attribute in attributes:
            if attribute.startswith("q="):
                try:
                    weight = min(max(parse_number(attribute[2:]), 0.0), 1.0)
                except ValueError:
                    weight = 1.0
        if name:
            weighted.append((name, weight))
    return tuple(weighted)


def _names(media_type: MediaType) -> tuple[str, ...]:
    return (media_type.essence, *(alias for alias in ALIASES.get(media_type, ()) if "/" in alias))


def _accepted(media_type: MediaType, weights: Sequence[tuple[str, float]]) -> float:
    """The weight of the most specific range that matches."""
    best = (-1, 0.0)
    for name, weight in weights:
        for essence in _names(media_type):
            if name == essence:
                best = max(best, (2, weight))
            elif name == f"{essence.split('/')[0]}/*":
                best = max(best, (1, weight))
            elif name == "*/*":
                best = max(best, (0, weight))
    return best[1]


def negotiate_media_type(f: str | None, accept: str | None, offered: Sequence[MediaType]) -> MediaType:
    """The media type that the parameter `f`, else the header Accept, chooses of those offered; the first by default.

    Raises: InvalidParameter for an unknown `f`; NotAcceptable.
    """
    if f is not None:
        for media_type in offered:
            if f in (media_type.short, media_type.essence, *ALIASES.get(media_type, ())):
                return media_type
        raise InvalidParameter(f"f takes one of: {', '.join(each.short for each in offered)}", parameter="f")
    if not accept:
        return offered[0]
    weights = _weights(accept)
    best = max(offered, key=lambda media_type: _accepted(media_type, weights))
    if _accepted(best, weights) > 0:
        return best
    raise NotAcceptable(f"there is {', '.join(each.essence for each in offered)}")


def prefers(media_type: MediaType, f: str | None, accept: str | None, offered: Sequence[MediaType]) -> bool:
    """Whether it is this one of those offered that a client wants. What nobody could answer is no."""
    try:
        return negotiate_media_type(f, accept, offered) is media_type
    except (InvalidParameter, NotAcceptable):
        return False


@lru_cache(maxsize=1024)
def negotiate_coding(accept_encoding: str | None, offered: tuple[str, ...]) -> str | None:
    """The content coding of those offered, in the service's order of preference, that the client takes; None is
    identity. Source: RFC 9110 12.5.3.
    """
    if not accept_encoding:
        return None
    weights = dict(_weights(accept_encoding))
    for coding in offered:
        if weights.get(coding, weights.get("*", 0.0)) > 0:
            return coding
    return None
