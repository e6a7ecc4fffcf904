"""A body as it is kept, with what it becomes in a content coding once somebody wants it so."""

from collections.abc import Mapping

from geosvc.encode.compression import compress
from geosvc.model.feature import StoredFeature

_HEADERS_BYTES = 512


class CachedResponse:
    """A whole body.

    Attributes:
        plain: before it is compressed.
        headers: of an answer with it.
        feature: the validators of the feature that it is, without its text; None when it is a page.
        lasting: whether it says all that was asked for, so that it is worth keeping.
    """

    __slots__ = ("_coded", "feature", "headers", "lasting", "plain")

    def __init__(
        self,
        plain: bytes,
        headers: Mapping[str, str],
        feature: StoredFeature | None = None,
        *,
        lasting: bool = True,
    ) -> None:
        self.plain = plain
        self.headers = headers
        self.feature = feature
        self.lasting = lasting
        self._coded: dict[str, bytes] = {}

    @property
    def size_bytes(self) -> int:
        """What it takes in memory."""
        return len(self.plain) + _HEADERS_BYTES + sum(map(len, self._coded.values()))

    def coded(self, coding: str) -> tuple[bytes, int]:
        """The body in a content coding, and how many bytes more are kept for it than before: made once."""
        coded = self._coded.get(coding)
        if coded is not None:
            return coded, 0
        coded = self._coded[coding] = compress(self.plain, coding)
        return coded, len(coded)
