"""Settings of the allocator of glibc, which otherwise keeps the memory of large bodies and answers.

It puts a large buffer into a mapping of its own, which is given back to the system when the buffer
is freed. But each such buffer raises the size from which it does so, up to 32 MB: from then on
large buffers lie between small ones in the heap, and the holes that they leave stay resident. Each
thread has a heap of its own besides.
"""

import ctypes
from contextlib import suppress

MAPPED_BYTES = 1 << 20  # above most pages: the pages of a new mapping cost as much as its copy
FREE_BYTES = 4 << 20
HEAPS = 2

# the numbers of malloc.h
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8


def give_memory_back() -> None:
    """Lets this process give back the memory of buffers of MAPPED_BYTES or more when it frees them.

    Without glibc it does nothing. Source: mallopt(3).
    """
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, MAPPED_BYTES)
        mallopt(_M_TRIM_THRESHOLD, FREE_BYTES)
        mallopt(_M_ARENA_MAX, HEAPS)
