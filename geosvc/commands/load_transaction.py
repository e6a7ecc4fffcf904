"""The transaction of `geosvc load`: prepares the table, and stores the features of the files."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import msgspec
from rich.progress import Progress, TaskID

from geosvc.bodies.feature_reader import FeatureReader
from geosvc.bodies.geometries import GeometryRules
from geosvc.bodies.properties import Mode
from geosvc.bodies.raw_feature import Posted
from geosvc.commands.load_errors import feature_errors, load_error
from geosvc.commands.load_options import ONE_OBJECT_HINT, FileState, LoadOptions, OpenedFile
from geosvc.database.pool import Database
from geosvc.database.writes.bulk import BulkLoad, BulkOptions, BulkReport
from geosvc.database.writes.plans import Plans
from geosvc.database.writes.tables import (
    check_srid,
    finish_table,
    is_published,
    lacks_geometries,
    prepare_table,
    read_collection,
)
from geosvc.database.writes.transaction import Transaction
from geosvc.database.writes.writer import Writer
from geosvc.errors import RequestError, StartError
from geosvc.model.collection import Collection
from geosvc.model.crs import UNKNOWN, WGS84, Srid, crs_with_x_first
from geosvc.settings import Settings
from geosvc.sources import FeatureBatch, SourceSchema, merge_schemas
from geosvc.sources.fitting import fit_columns, one_object_column, with_types
from geosvc.sources.schema import GEOMETRY_TYPES, GeometryType
from geosvc.sources.table import create_index, create_table, require_geometry

MAX_COLUMNS = 1600  # of a table of PostgreSQL
GEOMETRY_COLUMN = "geom"
KEY = "id"
_TIMEOUT_SECONDS = 86_400.0
_LISTED_NAMES = 20


class TableLoad:
    """Loads files into one table.

    Attributes:
        notes: what the user must know of the load.
        was_published: whether a table was replaced whose changes were logged.
    Raises: StartError.
    """

    def __init__(
        self,
        settings: Settings,
        options: LoadOptions,
        files: Sequence[OpenedFile],
        progress: Progress,
    ) -> None:
        database_url = settings.direct_database_url or settings.database_url
        assert database_url is not None
        self._url = database_url.get_secret_value()
        self._settings = settings.model_copy(
            update={
                "pool_min_size": 0,
                "pool_max_size": 1,
                "statement_timeout_seconds": _TIMEOUT_SECONDS,
                "telemetry": False,
            }
        )
        self._options = options
        self._files = files
        self._progress = progress
        self.was_published = False
        self.notes: list[str] = []
        self._schema, self._name = options.table(settings)
        merged = merge_schemas([file.source.schema for file in files])
        self._file_columns = with_types(merged, options.types)
        self._table_columns = self._file_columns.reserving(GEOMETRY_COLUMN, KEY)
        properties = len(self._table_columns.columns)
        if properties + 2 > MAX_COLUMNS and options.json_column is None:
            raise StartError(
                f"the files have {properties} properties, and a table {MAX_COLUMNS} columns: "
                f"{ONE_OBJECT_HINT}"
            )

    async def run(self) -> BulkReport:
        """Loads all files in one transaction. Raises: StartError; nothing is stored then."""
        database = Database(self._settings, self._url, writes=True)
        await database.open()
        try:
            return await Writer(database).transact(self._load, retry=False)
        except RequestError as error:
            raise load_error(error) from None
        finally:
            await database.close()

    async def _load(self, transaction: Transaction) -> BulkReport:
        is_new = await self._prepare_table(transaction)
        collection = await read_collection(transaction, self._schema, self._name)
        target = self._table_columns
        if not is_new:
            target = self._fit_to(collection)
        self._note_names(target)
        self._note_unknown_crs(target.srid)
        loading = self._loading(collection, target)
        load = BulkLoad(loading)
        present = self._present_columns(loading, target)
        for file in self._files:
            await self._store_file(transaction, load, file, target, present)
        self._check_unchanged()
        if is_new:
            await self._finish_table(transaction)
        return load.report

    async def _prepare_table(self, transaction: Transaction) -> bool:
        """Creates the table where needed. Returns: whether it was created."""
        options = self._options
        columns = self._table_columns
        if options.json_column is not None:
            columns = one_object_column(columns, options.json_column, (GEOMETRY_COLUMN, KEY))
        if options.replace:
            self.was_published = await is_published(transaction, self._schema, self._name)
        is_new = await prepare_table(
            transaction,
            self._schema,
            self._name,
            create_table(self._schema, self._name, columns, GEOMETRY_COLUMN, KEY),
            append=options.append,
            replace=options.replace,
        )
        await check_srid(transaction, self._table_columns.srid)
        return is_new

    async def _store_file(
        self,
        transaction: Transaction,
        load: BulkLoad,
        file: OpenedFile,
        target: SourceSchema,
        present: int,
    ) -> None:
        """Stores the features of a file. A thread reads a batch while the event loop is free.

        Args:
            present: bits of the columns with a default that the file has.
        """
        schema = file.source.schema
        task = self._progress.add_task(
            file.path.name, total=schema.features or schema.bytes, rate=""
        )
        batches = file.source.batches(into=target)
        while (batch := await asyncio.to_thread(next, batches, None)) is not None:
            with feature_errors(batch):
                await load.store(transaction, _posted(batch, present, self._options.json_column))
            load.report.received += len(batch)
            self._show_progress(task, file, batch)

    def _show_progress(self, task: TaskID, file: OpenedFile, last: FeatureBatch) -> None:
        if not file.source.schema.features:
            self._progress.update(task, completed=file.source.done_bytes, rate="")
            return
        shown = self._progress.tasks[task]
        speed = shown.finished_speed or shown.speed or 0
        self._progress.update(task, completed=last.first + len(last), rate=f"{speed:,.0f}/s")

    def _check_unchanged(self) -> None:
        """Raises: StartError for a file that was written to since it was opened."""
        for file in self._files:
            if FileState.of(file.path) != file.state:
                raise StartError(
                    f"{file.path.name}: was changed while it was read; nothing was stored"
                )

    def _note_names(self, target: SourceSchema) -> None:
        """Notes the columns that have other names than in the files."""
        if self._options.json_column is not None:
            return
        renamed: list[str] = []
        for column in target.columns:
            if column.name != column.source:
                renamed.append(f"{column.source!r} is {column.name!r}")
        if not renamed:
            return
        listed = ", ".join(renamed[:_LISTED_NAMES])
        if len(renamed) > _LISTED_NAMES:
            listed += f", and {len(renamed) - _LISTED_NAMES} more"
        self.notes.append(f"columns with other names than in the files: {listed}")

    def _note_unknown_crs(self, srid: int | None) -> None:
        """Notes the files that do not name their CRS.

        Args:
            srid: of the table.
        """
        assumption = "it is stored as not known, and served as degrees"
        if srid:
            assumption = f"EPSG:{srid} is assumed, as of the table"
        for file in self._files:
            schema = file.source.schema
            if schema.srid is None and schema.features:
                self.notes.append(
                    f"{file.path.name}: does not name its CRS: {assumption}; --srid names it"
                )

    def _fit_to(self, collection: Collection) -> SourceSchema:
        """The schema that the features must fit, for a table that exists.

        Raises: StartError when the table lacks a column, or takes no such geometries.
        """
        table = f"{self._schema}.{self._name}"
        json_column = self._options.json_column
        target = self._table_columns
        if json_column is None:
            fitted = fit_columns(self._file_columns, target, collection)
            self.notes += fitted.notes
            target = fitted.schema
        elif json_column not in collection.by_name:
            raise StartError(f"{table} has no column {json_column}")
        column = collection.geometry
        if column.type == "GEOMETRY" and column.srid == UNKNOWN:  # takes any geometries
            return target
        if column.has_m:
            raise StartError(
                f"{table} takes measures (M) in its geometries, which cannot be loaded"
            )
        if target.has_z and not column.has_z:
            raise StartError(f"the geometries of the files have Z, and {table} takes none")
        srid = target.srid if column.srid == UNKNOWN else column.srid
        geometry_type = _geometry_type(column.type)
        return replace(target, geometry_type=geometry_type, has_z=column.has_z, srid=srid)

    def _loading(self, collection: Collection, target: SourceSchema) -> BulkOptions:
        crs = crs_with_x_first(Srid(target.srid or WGS84))
        rules = GeometryRules(collection.geometry, crs, self._settings.max_vertices)
        return BulkOptions(
            collection,
            FeatureReader(collection, Mode.CREATE, rules),
            Plans(),
            crs,
            keyed=False,
            upsert=False,
            lenient=False,
            max_rejected=1,
            max_ids=0,
        )

    def _present_columns(self, loading: BulkOptions, target: SourceSchema) -> int:
        """Bits of the columns with a default that the files have."""
        names = {column.name for column in target.columns}
        if self._options.json_column is not None:
            names = {self._options.json_column}
        present = 0
        for bit, name in enumerate(loading.reader.default_columns):
            if name in names:
                present |= 1 << bit
        return present

    async def _finish_table(self, transaction: Transaction) -> None:
        """Creates the spatial index, and requires geometries if none is missing."""
        task = self._progress.add_task("the spatial index", total=None, rate="")
        table = (self._schema, self._name, GEOMETRY_COLUMN)
        changes = [create_index(*table)]
        if not await lacks_geometries(transaction, *table):
            changes.append(require_geometry(*table))
        await finish_table(transaction, self._schema, self._name, changes)
        self._progress.update(task, total=1, completed=1)


def _geometry_type(name: str) -> GeometryType:
    for geometry_type in GEOMETRY_TYPES:
        if geometry_type == name:
            return geometry_type
    return "GEOMETRY"


def _posted(batch: FeatureBatch, present: int, json_column: str | None) -> Posted:
    """A batch in the form of features that a client posted.

    Args:
        json_column: the column for all properties as one object; None: a column for each.
    """
    count = len(batch)
    properties = batch.properties
    if json_column is not None:
        name = msgspec.json.encode(json_column)
        properties = [b"{%b:%b}" % (name, members) for members in properties]
    indexes = list(range(batch.first, batch.first + count))
    return Posted(indexes, batch.geometries, properties, [None] * count, [present] * count)
