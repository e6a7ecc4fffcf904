"""The content codings zstd and gzip.

The libraries are fast enough to run in the event loop: 1 to 2 ms for 700 KB.
"""

import sys
from typing import Protocol

from isal import isal_zlib

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdCompressor
else:
    from backports.zstd import ZstdCompressor

CODINGS = ("zstd", "gzip")
COMPRESS_FROM_BYTES = 1_024
"""A body that is sent in one piece is compressed from this size on."""

_GZIP_WINDOW = 31  # 15 bits, and 16 for a gzip header
_ZSTD_LEVEL = 3
_GZIP_LEVEL = 1


class Compressor(Protocol):
    """Compresses a body piece by piece."""

    def compress(self, data: bytes, /) -> bytes:
        """The bytes that can be sent after this piece; they may be empty."""
        ...

    def flush(self) -> bytes:
        """The last bytes."""
        ...


def make_compressor(coding: str) -> Compressor:
    """A compressor for one of CODINGS."""
    if coding == "zstd":
        return ZstdCompressor(level=_ZSTD_LEVEL)
    compressor: Compressor = isal_zlib.compressobj(_GZIP_LEVEL, isal_zlib.DEFLATED, _GZIP_WINDOW)
    return compressor


def compress(data: bytes, coding: str) -> bytes:
    """Compresses a whole body."""
    compressor = make_compressor(coding)
    return compressor.compress(data) + compressor.flush()
