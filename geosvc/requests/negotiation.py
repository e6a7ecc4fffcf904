"""Which media type, and which content coding, a client gets. Source: RFC 9110 12.5."""

from collections.abc import Sequence
from functools import lru_cache

from geosvc.errors import InvalidParameter, NotAcceptable
from geosvc.model.media_type import MediaType
from geosvc.model.number import parse_number

_EXACT, _TYPE_RANGE, _ANY_RANGE = 2, 1, 0  # how specific a range of Accept is

Weights = tuple[tuple[str, float], ...]
"""(name in lower case, weight from 0 to 1) of each element of a header such as Accept."""


def negotiate_media_type(
    f: str | None, accept: str | None, offered: Sequence[MediaType]
) -> MediaType:
    """Chooses a media type by the parameter `f`, else by the header Accept; else the first one.

    Raises: InvalidParameter for an unknown `f`; NotAcceptable.
    """
    if f is not None:
        return _named_media_type(f, offered)
    if not accept:
        return offered[0]
    weights = _parse_weights(accept)
    best, best_weight = offered[0], 0.0
    for media_type in offered:
        weight = _weight_of(media_type, weights)
        if weight > best_weight:
            best, best_weight = media_type, weight
    if best_weight > 0:
        return best
    available = ", ".join(media_type.essence for media_type in offered)
    raise NotAcceptable(f"available: {available}")


def prefers(
    media_type: MediaType, f: str | None, accept: str | None, offered: Sequence[MediaType]
) -> bool:
    """Whether `negotiate_media_type` chooses this media type; False where it raises."""
    try:
        return negotiate_media_type(f, accept, offered) is media_type
    except (InvalidParameter, NotAcceptable):
        return False


@lru_cache(maxsize=1024)
def negotiate_coding(accept_encoding: str | None, offered: tuple[str, ...]) -> str | None:
    """The first content coding, in the order of `offered`, that the client takes; None: identity.

    Source: RFC 9110 12.5.3.
    """
    if not accept_encoding:
        return None
    weights = dict(_parse_weights(accept_encoding))
    weight_of_others = weights.get("*", 0.0)
    for coding in offered:
        if weights.get(coding, weight_of_others) > 0:
            return coding
    return None


def _named_media_type(f: str, offered: Sequence[MediaType]) -> MediaType:
    for media_type in offered:
        if f in (media_type.short, media_type.essence, *media_type.aliases):
            return media_type
    known = ", ".join(media_type.short for media_type in offered)
    raise InvalidParameter(f"f takes one of: {known}", parameter="f")


@lru_cache(maxsize=1024)
def _parse_weights(header: str) -> Weights:
    """Parses a header such as Accept. A weight that is not a number counts as 1."""
    weighted = []
    for element in header.lower().split(","):
        name, *attributes = element.split(";")
        weight = 1.0
        for attribute in attributes:
            attribute_text = attribute.strip()
            if attribute_text.startswith("q="):
                weight = _parse_weight(attribute_text.removeprefix("q="))
        name = name.strip()
        if name:
            weighted.append((name, weight))
    return tuple(weighted)


def _parse_weight(text: str) -> float:
    try:
        weight = parse_number(text)
    except ValueError:
        return 1.0
    return min(max(weight, 0.0), 1.0)


def _weight_of(media_type: MediaType, weights: Weights) -> float:
    """The weight of the most specific range that matches a media type; 0 if none matches."""
    aliases = [alias for alias in media_type.aliases if "/" in alias]
    best = (-1, 0.0)
    for name, weight in weights:
        for essence in (media_type.essence, *aliases):
            if name == essence:
                best = max(best, (_EXACT, weight))
            elif name == f"{essence.split('/')[0]}/*":
                best = max(best, (_TYPE_RANGE, weight))
            elif name == "*/*":
                best = max(best, (_ANY_RANGE, weight))
    return best[1]
