"""The key of an answer in the cache."""

from hashlib import blake2b
from typing import Literal, NamedTuple

from geosvc.model.principal import Principal

_DIGEST_BYTES = 12

Kind = Literal["page", "item", "count", "extent", "tile"]


class CacheKey(NamedTuple):
    """Names an answer, without the version of the table.

    Attributes:
        publication: the id of the published table that the answer is about.
        digest: a hash of everything else that makes one answer differ from another.
    """

    kind: Kind
    publication: int
    digest: str


def cache_key(kind: Kind, publication: int, principal: Principal, *parts: object) -> CacheKey:
    """The key of an answer.

    Args:
        principal: with whose privileges the answer is made.
        parts: what else the answer depends on. Parts differ if their `repr` differs.
    """
    text = repr((kind, publication, principal, *parts))
    # the parts of a URL can hold lone surrogates
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES)
    return CacheKey(kind, publication, digest.hexdigest())
