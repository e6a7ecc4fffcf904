"""The tiles of a collection from zoom 0 down, in the order of a PMTiles archive.

Within a zoom the order is a Hilbert curve, where the four tiles below a tile follow each other, in
the order of the tiles above them. So each zoom is made from the tiles of the zoom above that have
features, and is in order too. Nothing is asked below a tile without features.
"""

import asyncio
from array import array
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from geosvc.database.reads.runner import Reads
from geosvc.database.reads.tile_layers import LayerReader
from geosvc.database.reads.tile_occupancy import is_occupied
from geosvc.encode.pmtiles import compress, first_tile_id, place_of
from geosvc.model.tile_matrix_set import Tile, TileMatrixSet
from geosvc.query.tiles.layer import LayerPlan

_AHEAD = 32  # tiles for each reader, which wait until those before them are made
_THREAD_FROM_BYTES = 32_768

PlanOf = Callable[[Tile], LayerPlan]


@dataclass(frozen=True, slots=True)
class TileReader:
    """Makes one tile at a time.

    Attributes:
        reads: runs one statement at a time.
        layers: reads layers by it.
    """

    reads: Reads
    layers: LayerReader


@dataclass(frozen=True, slots=True)
class MadeTile:
    """A tile with features.

    Attributes:
        content: compressed.
        features: how many it has.
    """

    tile_id: int
    zoom: int
    column: int
    row: int
    content: bytes
    features: int


@dataclass(frozen=True, slots=True)
class _Found:
    """What is at a position of the curve.

    Attributes:
        is_occupied: whether a tile below may have features.
        tile: None if it is empty, or above the first zoom.
    """

    position: int
    is_occupied: bool
    tile: MadeTile | None


@dataclass(frozen=True, slots=True)
class _Zoom:
    """A zoom whose tiles are made.

    Attributes:
        is_shown: whether its tiles are in the archive.
        is_last: whether nothing is below it.
    """

    number: int
    is_shown: bool
    is_last: bool


class Pyramid:
    """Makes the tiles of some zooms.

    Args:
        plan_of: plans a tile.
        readers: so many tiles are made at a time.
        began_zoom: is called with each zoom, and how many of its tiles will be asked for.
        looked: is called after each of them.
    """

    def __init__(
        self,
        matrix_set: TileMatrixSet,
        plan_of: PlanOf,
        readers: Sequence[TileReader],
        *,
        began_zoom: Callable[[int, int], None],
        looked: Callable[[], None],
    ) -> None:
        self._matrix_set = matrix_set
        self._plan_of = plan_of
        self._began_zoom = began_zoom
        self._looked = looked
        self._most_running = _AHEAD * len(readers)
        self._idle: asyncio.Queue[TileReader] = asyncio.Queue()
        for reader in readers:
            self._idle.put_nowait(reader)

    async def tiles(self, least_zoom: int, most_zoom: int) -> AsyncGenerator[MadeTile]:
        """Yields: the tiles with features, by their ids. Raises: RequestError."""
        occupied = array("Q")
        for number in range(most_zoom + 1):
            zoom = _Zoom(number, number >= least_zoom, number == most_zoom)
            asked: Iterable[int] = (0,)
            if number > 0:
                asked = _positions_below(occupied)
            self._began_zoom(number, max(4 * len(occupied), 1))
            occupied = array("Q")
            async with aclosing(self._in_order(zoom, asked)) as found_in_order:
                async for found in found_in_order:
                    self._looked()
                    if found.is_occupied:
                        occupied.append(found.position)
                    if found.tile is not None:
                        yield found.tile
            if not occupied:
                return

    async def _in_order(self, zoom: _Zoom, positions: Iterable[int]) -> AsyncGenerator[_Found]:
        """Looks at several positions at a time. Yields: what is there, in their order."""
        running: deque[asyncio.Task[_Found]] = deque()
        try:
            for position in positions:
                running.append(asyncio.create_task(self._look(zoom, position)))
                if len(running) >= self._most_running:
                    yield await running.popleft()
            while running:
                yield await running.popleft()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _look(self, zoom: _Zoom, position: int) -> _Found:
        """Finds what is at a position, on a reader that is idle. Raises: RequestError."""
        column, row = place_of(zoom.number, position)
        matrix = self._matrix_set.matrices[zoom.number]
        plan = self._plan_of(Tile(self._matrix_set, matrix, row, column))
        reader = await self._idle.get()
        try:
            body, features, has_features = b"", 0, not zoom.is_shown
            if zoom.is_shown:
                layer = await reader.layers.read(plan)
                body, features, has_features = layer.body, layer.features, layer.matched > 0
            may_be_too_small = has_features and not body
            if may_be_too_small and not zoom.is_last:
                has_features = await is_occupied(reader.reads, plan)
        finally:
            self._idle.put_nowait(reader)
        tile = None
        if body:
            content = await _compressed(body)
            tile_id = first_tile_id(zoom.number) + position
            tile = MadeTile(tile_id, zoom.number, column, row, content, features)
        return _Found(position, has_features, tile)


def _positions_below(occupied: Iterable[int]) -> Iterator[int]:
    for position in occupied:
        yield from range(4 * position, 4 * position + 4)


async def _compressed(body: bytes) -> bytes:
    if len(body) < _THREAD_FROM_BYTES:
        return compress(body)
    return await asyncio.to_thread(compress, body)
