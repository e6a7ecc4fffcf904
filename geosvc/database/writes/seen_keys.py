"""Find the keys that a body repeats, with eight bytes of memory for each key."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class SeenKeys:
    """The keys of a body so far, as 64-bit hashes in sorted arrays that are merged as they grow."""

    def __init__(self) -> None:
        self._runs: list[NDArray[np.int64]] = []

    def add(self, keys: Sequence[object]) -> list[int]:
        """Add keys. Returns: the positions of the keys that were added before."""
        hashes = np.fromiter(map(hash, keys), dtype=np.int64, count=len(keys))
        _, first_positions = np.unique(hashes, return_index=True)
        is_repeated = np.ones(len(hashes), dtype=bool)
        is_repeated[first_positions] = False
        for run in self._runs:
            positions = np.minimum(np.searchsorted(run, hashes), len(run) - 1)
            is_repeated |= run[positions] == hashes
        self._add_run(np.sort(hashes[~is_repeated]))
        return [int(position) for position in np.flatnonzero(is_repeated)]

    def _add_run(self, run: NDArray[np.int64]) -> None:
        """Add a sorted array; merge it with the last ones as long as these are not much longer."""
        while self._runs and len(self._runs[-1]) <= 2 * len(run):
            last = self._runs.pop()
            run = np.sort(np.concatenate((last, run)))
        if len(run):
            self._runs.append(run)
