"""`geosvc load`: files into a table, all of them or nothing, by the same way as posted features."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from geosvc.database.bulk import BulkLoad, Loading, Report
from geosvc.database.mutations import Plans
from geosvc.database.pool import Database
from geosvc.database.tables import finish_table, is_published, prepare_table, read_collection
from geosvc.database.writing import Transaction, Writer
from geosvc.errors import RequestError, StartError
from geosvc.model.collection import Collection
from geosvc.model.crs import UNKNOWN, WGS84, Srid, in_file_order
from geosvc.requests.geometries import GeometryRules
from geosvc.requests.posted import FeatureReader, Posted
from geosvc.requests.properties import Mode
from geosvc.settings import Settings
from geosvc.sources import FeatureBatch, Source, SourceSchema, merge_schemas, open_source
from geosvc.sources.schema import GEOMETRY_TYPES, GeometryType
from geosvc.sources.table import create_index, create_table

GEOMETRY_COLUMN = "geom"
KEY = "id"
NO_LIMIT = 86_400.0


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What is loaded, and where to.

    Attributes:
        collection: the table, or schema.table.
        srid: of files that do not say.
        append, replace: what happens to a table that is there; neither: that is an error.
    """

    files: Sequence[Path]
    collection: str
    srid: int | None = None
    layer: str | None = None
    append: bool = False
    replace: bool = False


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was loaded.

    Attributes:
        was_published: whether changes of a table were logged that has been replaced.
    """

    features: int
    was_published: bool


def load_files(settings: Settings, options: LoadOptions) -> Loaded:
    """Loads files, with a progress bar. Raises: StartError, and nothing is stored then."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[rate]}"))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn()) as progress:
        looking = progress.add_task("looking at the files", total=len(options.files), rate="")
        sources = []
        for path in options.files:
            sources.append(open_source(path, options.srid, options.layer))
            progress.advance(looking)
        for note in (note for source in sources for note in source.notes):
            progress.console.print(f"[yellow]{note}[/yellow]")
        load = _Load(settings, options, sources, progress)
        report = asyncio.run(load.run())
        return Loaded(report.created, load.was_published)


class _Load:
    def __init__(self, settings: Settings, options: LoadOptions, sources: Sequence[Source], progress: Progress) -> None:
        assert settings.database_url is not None
        chosen = settings.direct_database_url or settings.database_url
        self._settings = settings.model_copy(
            update={"pool_min_size": 0, "pool_max_size": 1, "statement_timeout_seconds": NO_LIMIT, "telemetry": False}
        )
        self._url = chosen.get_secret_value()
        self._options = options
        self._sources = sources
        self._progress = progress
        self.was_published = False
        schema, _, name = options.collection.rpartition(".")
        self._schema, self._name = schema or settings.schemas[0], name
        self._wanted = merge_schemas([source.schema for source in sources]).reserving(GEOMETRY_COLUMN, KEY)

    async def run(self) -> Report:
        database = Database(self._settings, self._url, writes=True)
        await database.open()
        try:
            return await Writer(database).transact(self._load, retry=False)
        except RequestError as error:
            where = f"feature {error.index}: " if error.index is not None else ""
            said = f" ({error.reason})" if error.reason else ""
            raise StartError(f"{where}{error.detail}{said}; nothing was stored") from None
        finally:
            await database.close()

    async def _load(self, transaction: Transaction) -> Report:
        options = self._options
        create = create_table(self._schema, self._name, self._wanted, GEOMETRY_COLUMN, KEY)
        self.was_published = options.replace and await is_published(transaction, self._schema, self._name)
        made = await prepare_table(
            transaction, self._schema, self._name, create, append=options.append, replace=options.replace
        )
        collection = await read_collection(transaction, self._schema, self._name)
        into = self._wanted if made else self._fitting(collection)
        loading = self._loading(collection, into)
        load, present = BulkLoad(loading), self._present(loading)
        for path, source in zip(options.files, self._sources, strict=True):
            task = self._progress.add_task(path.name, total=source.schema.features or source.schema.bytes, rate="")
            batches = source.batches(into=into)
            while (batch := await asyncio.to_thread(next, batches, None)) is not None:
                await load.store(transaction, _posted(batch, present))
                load.report.received += len(batch)
                self._show(task, source, batch)
        if made:
            await self._finish(transaction)
        return load.report

    def _fitting(self, collection: Collection) -> SourceSchema:
        """What the files are to be for a table that is there. Raises: StartError for columns that it has not."""
        missing = [column.source for column in self._wanted.columns if column.name not in collection.by_name]
        if missing:
            raise StartError(f"{self._schema}.{self._name} has no column {', '.join(missing)}")
        column = collection.geometry
        if column.type == "GEOMETRY" and column.srid == UNKNOWN:  # takes whatever there is
            return self._wanted
        if self._wanted.has_z and not column.has_z:
            raise StartError(f"the files have heights, and {self._schema}.{self._name} takes none")
        kind: GeometryType = next((each for each in GEOMETRY_TYPES if each == column.type), "GEOMETRY")
        srid = self._wanted.srid if column.srid == UNKNOWN else column.srid
        return replace(self._wanted, geometry_type=kind, has_z=column.has_z, srid=srid)

    def _loading(self, collection: Collection, into: SourceSchema) -> Loading:
        crs = in_file_order(Srid(into.srid or WGS84))
        rules = GeometryRules(collection.geometry, crs, self._settings.max_vertices)
        reader = FeatureReader(collection, Mode.CREATE, rules)
        return Loading(collection, reader, Plans(), crs, keyed=False, upsert=False, lenient=False, max_rejected=1, max_ids=0)

    def _show(self, task: TaskID, source: Source, last: FeatureBatch) -> None:
        """How far a file is read."""
        speed = self._progress.tasks[task].finished_speed or self._progress.tasks[task].speed or 0
        done = last.first + len(last) if source.schema.features else source.done_bytes
        self._progress.update(task, completed=done, rate=f"{speed:,.0f}/s" if source.schema.features else "")

    def _present(self, loading: Loading) -> int:
        """Which of the columns with a default the file has."""
        names = {column.name for column in self._wanted.columns}
        return sum(1 << bit for bit, name in enumerate(loading.reader.default_columns) if name in names)

    async def _finish(self, transaction: Transaction) -> None:
        task = self._progress.add_task("the spatial index", total=None, rate="")
        indexes = [create_index(self._schema, self._name, GEOMETRY_COLUMN)]
        await finish_table(transaction, self._schema, self._name, indexes)
        self._progress.update(task, total=1, completed=1)


def _posted(batch: FeatureBatch, present: int) -> Posted:
    indexes = list(range(batch.first, batch.first + len(batch)))
    return Posted(indexes, batch.geometries, batch.properties, [None] * len(batch), [present] * len(batch))
