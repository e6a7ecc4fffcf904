"""Find the keys that a body repeats, with eight bytes of memory for each key."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.int64]


class SeenKeys:
    """The keys of a body so far, as 64-bit hashes in sorted arrays that are merged as they grow."""

    def __init__(self) -> None:
        self._runs: list[Hashes] = []

    def add(self, keys: Sequence[object]) -> list[int]:
        """Add keys. Returns: the positions of the keys that were added before."""
        hashes = np.fromiter(map(hash, keys), dtype=np.int64, count=len(keys))
        _, first_positions = np.unique(hashes, return_index=True)
        is_repeated = np.ones(len(hashes), dtype=bool)
        is_repeated[first_positions] = False
        for run in self._runs:
            is_repeated |= _is_in(run, hashes)
        new_hashes = hashes[~is_repeated]
        self._add_run(np.sort(new_hashes))
        positions: list[int] = np.flatnonzero(is_repeated).tolist()
        return positions

    def _add_run(self, run: Hashes) -> None:
        """Add a sorted array; merge it with the last ones as long as these are not much longer."""
        while self._runs and len(self._runs[-1]) <= 2 * len(run):
            last = self._runs.pop()
            run = np.sort(np.concatenate((last, run)))
        if len(run):
            self._runs.append(run)


def _is_in(run: Hashes, hashes: Hashes) -> NDArray[np.bool_]:
    """Whether each hash occurs in a sorted array."""
    positions = np.searchsorted(run, hashes)
    # a hash greater than all others has the position behind the last one
    positions = np.minimum(positions, len(run) - 1)
    is_in: NDArray[np.bool_] = run[positions] == hashes
    return is_in
