"""Reads layers of tiles: with every feature, or thinned where there are too many.

No stored geometry fails a tile (docs/decisions/0005). If PostgreSQL refuses a layer, the geometries
of the tile are tried in lists; a list that is refused is halved. The single geometries that remain
are left out, and reported.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from geosvc.database.reads.halving import read_in_halves
from geosvc.database.reads.runner import Reads
from geosvc.database.reads.unwritable_values import is_refusal
from geosvc.errors import RequestError
from geosvc.events import GeometriesRefused, emit
from geosvc.model.row import Row
from geosvc.offload.offload import Offload
from geosvc.query.tiles.layer import LayerPlan
from geosvc.query.tiles.thinning import can_be_sampled
from geosvc.sql.compose import Statement

MAX_CROWDS = 4096
_FITS = 0.9  # of the limit of bytes, so that a second try fits
_MAX_TRIES = 4
_MAX_ROUNDS = 10  # of looking for refused geometries
_LARGE_PART = 0.05  # of the rows of a table: then the sample has several for each cell

_Planned = TypeVar("_Planned")
_CrowdKey = tuple[str, str, int]
"""(collection id, tile matrix set id, zoom)."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of a tile.

    Attributes:
        body: as ST_AsMVT writes it; empty without features.
        features: how many it has.
        matched: how many features are in the area of the tile.
        is_thinned: whether some of them are not shown by themselves.
        share: of the table that was read; below 1 the numbers are estimates.
    """

    body: bytes
    features: int
    matched: int
    is_thinned: bool
    share: float = 1.0


class LayerReader:
    """Reads layers.

    Whether a tile is crowded is known when it was read. The last tile of the same zoom tells which
    statement is tried first; the answer is the same whichever it is.

    Args:
        max_bytes: of a layer; a larger one is read again with fewer features.
        sample_rows: how many rows of a table are read for a crowded tile, about.
    """

    def __init__(self, database: Reads, offload: Offload, max_bytes: int, sample_rows: int) -> None:
        self._database = database
        self._offload = offload
        self._max_bytes = max_bytes
        self._sample_rows = sample_rows
        self._crowds: OrderedDict[_CrowdKey, bool] = OrderedDict()

    async def read(self, plan: LayerPlan) -> Layer:
        """Read one layer of a tile. Raises: RequestError."""
        try:
            layer = await self._read_whole(plan)
            for _ in range(_MAX_TRIES):
                if len(layer.body) <= self._max_bytes:
                    break
                most = int(layer.features * _FITS * self._max_bytes / len(layer.body))
                smaller = replace(plan, query=replace(plan.query, limit=max(most, 1)))
                layer = await self._read_fewer(smaller)
        except RequestError as error:
            if not is_refusal(error):
                raise
            return await self._read_without_refused(plan)
        return layer

    async def _read_whole(self, plan: LayerPlan) -> Layer:
        """Read a layer within the limit of features."""
        key = (plan.collection.id, plan.tile.matrix_set.id, plan.tile.matrix.zoom)
        was_crowded = self._crowds.get(key, _may_be_crowded(plan))
        if was_crowded:
            thinned = await self._read_thinned(plan)
            if thinned is not None and thinned.matched > _limit(plan):
                return thinned
        layer = await self._fetch(plan, plan.full)
        is_crowded = layer.matched > _limit(plan)
        self._remember(key, is_crowded=is_crowded)
        if not is_crowded:
            return layer
        return await self._read_thinned(plan) or replace(layer, is_thinned=True)

    async def _read_fewer(self, plan: LayerPlan) -> Layer:
        """Read a layer that must have fewer features; the first ones where none are gathered."""
        thinned = await self._read_thinned(plan)
        if thinned is not None:
            return thinned
        return replace(await self._fetch(plan, plan.full), is_thinned=True)

    async def _read_thinned(self, plan: LayerPlan) -> Layer | None:
        """Read a layer with fewer features; None where none are gathered."""
        share = await self._share_to_read(plan)
        statement = await self._planned(plan, partial(plan.thinned, share))
        if statement is None:
            return None
        layer = _layer(await self._database.fetch(statement), is_thinned=True)
        return replace(layer, share=share)

    async def _share_to_read(self, plan: LayerPlan) -> float:
        """Which part of the table is read: all of it, unless the area has too many rows of it.

        A sample is read page by page, so it pays only where the area is a large part of the table.
        """
        rows = plan.collection.rows or 0
        if rows <= self._sample_rows or not can_be_sampled(plan.collection):
            return 1.0
        statement = await self._planned(plan, plan.expected)
        explained = await self._database.fetch(statement)
        expected: int = explained[0][0][0]["Plan"]["Plan Rows"]
        if expected <= self._sample_rows or expected < rows * _LARGE_PART:
            return 1.0
        return self._sample_rows / rows

    async def _fetch(self, plan: LayerPlan, make: Callable[[], Statement]) -> Layer:
        statement = await self._planned(plan, make)
        return _layer(await self._database.fetch(statement), is_thinned=False)

    async def _planned(self, plan: LayerPlan, make: Callable[[], _Planned]) -> _Planned:
        """Make a statement; with a long filter in a thread."""
        weight = 0
        if plan.query.filter is not None:
            weight = plan.query.filter.weight
        return await self._offload.run(weight, make)

    def _remember(self, key: _CrowdKey, *, is_crowded: bool) -> None:
        self._crowds[key] = is_crowded
        self._crowds.move_to_end(key)
        if len(self._crowds) > MAX_CROWDS:
            self._crowds.popitem(last=False)

    async def _read_without_refused(self, plan: LayerPlan) -> Layer:
        """Read a layer without the geometries that PostgreSQL refuses.

        Raises: RequestError, also where a failure has another cause than a geometry.
        """
        reasons: list[str] = []

        async def try_them(some: Sequence[str]) -> list[str]:
            await self._database.fetch(plan.safe(only=some))
            return []

        async def refuse(one: str, error: RequestError) -> list[str]:
            reasons.append(error.reason or error.detail)
            return [one]

        refused: list[str] = []
        for _ in range(_MAX_ROUNDS):
            rows = await self._database.fetch(plan.select_digests(refused))
            digests = [row[0] for row in rows]
            found = await read_in_halves(digests, try_them, is_refusal, refuse)
            if not found:
                break
            refused += found  # others may take their places within the limit
        rows = await self._database.fetch(plan.safe(without=refused))
        if refused:
            emit(GeometriesRefused(plan.collection.id, len(refused), reasons[0]))
        layer = _layer(rows, is_thinned=False)
        return replace(layer, is_thinned=layer.matched > _limit(plan))


def _limit(plan: LayerPlan) -> int:
    return plan.query.limit or 0


def _may_be_crowded(plan: LayerPlan) -> bool:
    """Whether a tile would be crowded if the features were everywhere on Earth."""
    rows = plan.collection.rows or 0
    tiles: int = 4**plan.tile.matrix.zoom
    return rows / tiles > _limit(plan)


def _layer(rows: Sequence[Row], *, is_thinned: bool) -> Layer:
    body, features, matched = rows[0]
    return Layer(bytes(body or b""), features, matched, is_thinned)
