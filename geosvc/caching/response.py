"""A response as the cache keeps it: a whole body, also in the content codings that were needed."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from geosvc.encode.compression import compress
from geosvc.model.feature import StoredFeature

_HEADERS_BYTES = 512
"""About what the headers of a response take in memory."""


@dataclass(slots=True, eq=False)
class CachedResponse:
    """A whole response body with its headers.

    Attributes:
        plain: the body before it is compressed.
        feature: the validators of the feature that the body contains; None for a page.
        lasting: whether the answer is complete. Only complete answers are kept: a page without
            the count that was requested is not.
    """

    plain: bytes
    headers: Mapping[str, str]
    feature: StoredFeature | None = None
    lasting: bool = field(default=True, kw_only=True)
    _coded: dict[str, bytes] = field(default_factory=dict, init=False)  # by content coding

    @property
    def size_bytes(self) -> int:
        """The memory that the response takes, in bytes."""
        coded_bytes = sum(map(len, self._coded.values()))
        return len(self.plain) + _HEADERS_BYTES + coded_bytes

    def coded(self, coding: str) -> tuple[bytes, int]:
        """Returns the body in a content coding. It is compressed once and then kept.

        Returns:
            the compressed body, and how many bytes more the response takes since this call.
        """
        coded = self._coded.get(coding)
        if coded is not None:
            return coded, 0
        coded = compress(self.plain, coding)
        self._coded[coding] = coded
        return coded, len(coded)
