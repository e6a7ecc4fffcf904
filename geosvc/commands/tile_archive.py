"""`geosvc tiles`: writes the vector tiles of a collection into a PMTiles archive.

All tiles show one state of the database, and each has the bytes that the service answers with.
"""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import orjson
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from geosvc.commands.new_file import check_path, new_file
from geosvc.commands.tile_contents import TileArea, TileContents
from geosvc.commands.tile_pyramid import MadeTile, Pyramid, TileReader
from geosvc.database.catalog import load_catalog, served_collections
from geosvc.database.pool import Database
from geosvc.database.reads.published_extent import published_bounds
from geosvc.database.reads.runner import Reads
from geosvc.database.reads.snapshot_reader import SnapshotReader, open_snapshot
from geosvc.database.reads.tile_layers import LayerReader
from geosvc.encode.pmtiles import ArchiveHeader, compress
from geosvc.encode.tileset_documents import write_archive_metadata
from geosvc.errors import RequestError, StartError
from geosvc.events import Event, GeometriesRefused, subscribe
from geosvc.handlers.feature_query import rules_of
from geosvc.handlers.tiles import layer_style
from geosvc.model.bounds import Bounds
from geosvc.model.collection import Collection
from geosvc.model.tile_matrix_set import Tile, TileMatrixSet
from geosvc.offload.children import ChildLimits
from geosvc.offload.offload import Offload
from geosvc.query.extents import select_exact_extent
from geosvc.query.property_columns import property_columns
from geosvc.query.tiles.layer import LayerPlan, LayerStyle
from geosvc.requests.items import ItemsQuery
from geosvc.requests.tile_parameters import parse_tile_query
from geosvc.settings import Settings
from geosvc.tile_matrix_sets import load_tile_matrix_sets

SUFFIX = ".pmtiles"
MATRIX_SET = "WebMercatorQuad"
_TIMEOUT_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class ArchiveOptions:
    """What is written, and where.

    Attributes:
        values: the parameters of the tiles, as in the URL of one.
        replace: whether the file may exist.
        connections: how many read at a time.
    """

    collection: str
    path: Path
    least_zoom: int
    most_zoom: int
    values: Mapping[str, str]
    replace: bool = False
    connections: int = 2


@dataclass(slots=True)
class Archived:
    """What was written.

    Attributes:
        features: of all tiles together.
        contents: how many different tiles there are.
        bytes: of the tiles, compressed.
        incomplete: tiles that lack features whose geometries PostGIS refuses.
        reason: of the first of them.
    """

    tiles: int = 0
    features: int = 0
    contents: int = 0
    bytes: int = 0
    incomplete: int = 0
    reason: str = ""

    def note_refused(self, event: Event) -> None:
        """Notes that a tile lacks features."""
        assert isinstance(event, GeometriesRefused)
        self.incomplete += 1
        self.reason = self.reason or event.reason


@dataclass(frozen=True, slots=True)
class ArchivePlan:
    """What the tiles of an archive have."""

    collection: Collection
    query: ItemsQuery
    style: LayerStyle
    matrix_set: TileMatrixSet

    def layer(self, tile: Tile) -> LayerPlan:
        """Plans a tile."""
        return LayerPlan(self.collection, self.query, tile, self.style)


def archive_tiles(settings: Settings, url: str, options: ArchiveOptions) -> Archived:
    """Writes an archive, with a progress bar.

    Args:
        url: of the database itself, not of a pooler.
    Raises: StartError; there is no new file then.
    """
    if options.path.suffix != SUFFIX:
        raise StartError(f"{options.path} is not named *{SUFFIX}: only PMTiles can be written")
    check_path(options.path, replace=options.replace)
    with _progress_bar() as progress:
        archiving = Archiving(settings, url, options, progress)
        unsubscribe = subscribe(archiving.archived.note_refused, GeometriesRefused)
        try:
            return asyncio.run(archiving.run())
        finally:
            unsubscribe()


def _progress_bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[made]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )


class Archiving:
    """Writes one archive.

    Attributes:
        archived: what was written until now.
    """

    def __init__(
        self, settings: Settings, url: str, options: ArchiveOptions, progress: Progress
    ) -> None:
        self._settings = settings.model_copy(
            update={
                "pool_min_size": 0,
                "pool_max_size": options.connections + 1,
                "statement_timeout_seconds": _TIMEOUT_SECONDS,
                "pgbouncer": False,
                "telemetry": False,
            }
        )
        limits = ChildLimits(settings.check_seconds, settings.check_memory_bytes)
        self._offload = Offload(settings.check_processes, limits)
        self._url = url
        self._options = options
        self._progress = progress
        self._task = progress.add_task("", visible=False, made="")
        self.archived = Archived()

    async def run(self) -> Archived:
        """Reads the catalog, takes a snapshot and writes it. Raises: StartError."""
        database = Database(self._settings, self._url)
        await database.open()
        try:
            plan = await self.plan(database)
            async with open_snapshot(database, self._options.connections) as readers:
                await self.write(plan, readers)
        except RequestError as error:
            raise _start_error(error) from None
        finally:
            await database.close()
            self._offload.close()
        return self.archived

    async def plan(self, database: Database) -> ArchivePlan:
        """Plans the archive. Raises: RequestError, StartError."""
        catalog = await load_catalog(database, served_collections(self._settings), "", "")
        collection = catalog[self._options.collection]
        query = parse_tile_query(
            self._options.values,
            collection,
            rules_of(self._settings, paged=False),
            self._settings.tile_max_features,
        )
        matrix_set = load_tile_matrix_sets([MATRIX_SET]).find(MATRIX_SET)
        most = len(matrix_set.matrices) - 1
        if self._options.most_zoom > most:
            raise StartError(f"--zoom: {MATRIX_SET} has the zooms 0 to {most}")
        style = layer_style(self._settings, collection)
        return ArchivePlan(collection, query, style, matrix_set)

    async def write(self, plan: ArchivePlan, readers: list[SnapshotReader]) -> None:
        """Writes what some readers of one snapshot read. Raises: RequestError, StartError."""
        options = self._options
        pyramid = Pyramid(
            plan.matrix_set,
            plan.layer,
            [self._tile_reader(reader) for reader in readers],
            began_zoom=self._began_zoom,
            looked=self._looked,
        )
        with new_file(options.path, replace=options.replace) as stream:
            contents = TileContents(stream)
            area = TileArea()
            made_tiles = pyramid.tiles(options.least_zoom, options.most_zoom)
            async with aclosing(made_tiles) as made:
                async for tile in made:
                    contents.add(tile)
                    area.add(tile)
                    self._note(tile, contents)
            if not self.archived.tiles:
                raise StartError(
                    f"{plan.collection.id} has no features in the zooms {options.least_zoom} to"
                    f" {options.most_zoom}: there is nothing to write"
                )
            self._progress.update(self._task, description="the directories")
            extent = await _extent(readers[0], plan.collection)
            self._finish(stream, plan, contents, area.bounds(plan.matrix_set, extent))

    def _tile_reader(self, reader: SnapshotReader) -> TileReader:
        settings = self._settings
        layers = LayerReader(
            reader, self._offload, settings.tile_max_bytes, settings.tile_sample_rows
        )
        return TileReader(reader, layers)

    def _began_zoom(self, zoom: int, tiles: int) -> None:
        description = f"zoom {zoom}"
        self._progress.update(
            self._task, description=description, total=tiles, completed=0, visible=True
        )

    def _looked(self) -> None:
        self._progress.advance(self._task)

    def _note(self, tile: MadeTile, contents: TileContents) -> None:
        archived = self.archived
        archived.tiles += 1
        archived.features += tile.features
        archived.contents = contents.number
        archived.bytes = contents.size
        made = (
            f"{archived.tiles:,} tiles, {archived.features:,} features, {decimal(archived.bytes)}"
        )
        self._progress.update(self._task, made=made)

    def _finish(
        self, stream: IO[bytes], plan: ArchivePlan, contents: TileContents, bounds: Bounds
    ) -> None:
        """Writes what follows the tiles, then what stands before them."""
        options = self._options
        zooms = (options.least_zoom, options.most_zoom)
        shown = property_columns(plan.collection, plan.query)
        described = write_archive_metadata(plan.collection, shown, zooms, self._settings.about)
        metadata = compress(orjson.dumps(described))
        directories = contents.index.directories()
        stream.write(metadata)
        stream.write(directories.leaves)
        header = ArchiveHeader(
            contents.index,
            directories,
            contents.size,
            len(metadata),
            contents.number,
            *zooms,
            bounds,
        )
        stream.seek(0)
        stream.write(header.encode())


async def _extent(reader: Reads, collection: Collection) -> Bounds | None:
    """The extent of all features, degrees; None where it is not known."""
    if collection.parameters is not None:
        return None
    try:
        rows = await reader.fetch(select_exact_extent(collection))
    except RequestError:
        return None  # PostGIS refuses a geometry
    west, south, east, north = rows[0][:4]
    if west is None:
        return None
    return published_bounds((west, south, east, north))


def _start_error(error: RequestError) -> StartError:
    """What a person reads. The reason is what the database said."""
    message = error.detail
    if error.parameter is not None and not message.startswith(error.parameter):
        message = f"--{error.parameter}: {message}"
    if error.reason:
        message += f" ({error.reason})"
    return StartError(message)
