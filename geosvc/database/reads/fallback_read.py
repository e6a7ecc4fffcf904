"""Read features again after PostgreSQL refused to write one of them (docs/decisions/0005, 0027).

The geometries are read as stored (EWKB), and properties of doubtful types as the output functions
of their types print them. PostGIS then writes the geometries in lists; a list that fails is halved.
A single geometry that PostGIS refuses is written by `encode.ewkb`, or is null. The properties are
written by `database.reads.unwritable_values`.
"""

from collections.abc import Collection, Sequence

from geosvc.database.reads.runner import Reads
from geosvc.database.reads.stored_geometries import write_stored_geometries
from geosvc.database.reads.unwritable_values import Texts, ValueWriter, is_refusal
from geosvc.errors import InvalidValue, RequestError, UnreadableGeometry
from geosvc.events import ValuesRefused, emit
from geosvc.model.collection import Column, RelationKind
from geosvc.model.row import Row
from geosvc.query.features import FeaturePage
from geosvc.query.property_columns import property_columns
from geosvc.query.stored_features import select_stored
from geosvc.query.value_texts import TypeName, is_doubtful

_STORED_KINDS = (RelationKind.TABLE, RelationKind.MATERIALISED_VIEW)


def allows_fallback(page: FeaturePage, error: RequestError) -> bool:
    """Whether a stored value may be the cause of a failure, so that a second read may succeed."""
    if isinstance(error, UnreadableGeometry):
        return True
    if not is_refusal(error):
        return False
    columns = property_columns(page.collection, page.query)
    return any(is_doubtful(column) for column in columns)


async def read_fallback(database: Reads, page: FeaturePage, rows: int) -> list[Row]:
    """Read the first rows of a page: (feature in UTF-8, sort values, extra values).

    Raises: RequestError if the cause is not a stored value.
    """
    return await _FallbackRead(database, page, rows).read()


def _doubtful_names(columns: Sequence[Column]) -> frozenset[str]:
    return frozenset(column.name for column in columns if is_doubtful(column))


class _FallbackRead:
    """The read of the first rows of one page."""

    def __init__(self, database: Reads, page: FeaturePage, rows: int) -> None:
        self._database = database
        self._page = page
        self._rows = rows
        self._format = page.format
        self._columns = property_columns(page.collection, page.query)
        self._printed = _doubtful_names(self._columns)

    async def read(self) -> list[Row]:
        """Read and write the features. Raises: RequestError if the cause is not a stored value."""
        rows = await self._read_stored()
        stored_geometries = [row[1] for row in rows]
        geometries = await write_stored_geometries(self._database, self._page, stored_geometries)
        values = [row[2] for row in rows]
        await self._write_printed(values)

        names = [column.name for column in self._columns]
        has_geometry = not self._page.query.geometry.skip
        features: list[Row] = []
        for row, geometry, own_values in zip(rows, geometries, values, strict=True):
            head, _, _, *sort_values = row
            properties = self._format.join_properties(names, own_values, has_geometry)
            feature = head + geometry + properties
            features.append((feature.encode(), *sort_values))
        return features

    async def _read_stored(self) -> Sequence[Row]:
        """Read the rows. If a column of a table cannot be read at all, its values are null."""
        try:
            return await self._fetch(self._printed, ())
        except RequestError as error:
            if not is_refusal(error):
                raise
            failure = error
        unreadable = await self._unreadable_columns()
        # some rows of a view may be readable: the error then says which one is not
        is_table = self._page.collection.kind in _STORED_KINDS
        if not unreadable or not is_table:
            raise failure
        reason = failure.reason or failure.detail
        self._report(sorted(unreadable), self._rows * len(unreadable), reason)
        return await self._fetch(self._printed - unreadable, unreadable)

    async def _fetch(self, printed: frozenset[str], left_out: Collection[str]) -> Sequence[Row]:
        """Fetch the rows as stored. Raises: RequestError.

        Args:
            printed: the columns that are read as their types print them.
            left_out: the columns that are not read.
        """
        statement = select_stored(self._page, self._rows, printed, left_out)
        return await self._database.fetch(statement)

    def _report(self, columns: Sequence[str], values: int, reason: str) -> None:
        emit(
            ValuesRefused(
                collection=self._page.collection.id,
                columns=", ".join(columns),
                values=values,
                reason=reason,
            )
        )

    async def _unreadable_columns(self) -> frozenset[str]:
        """The names of the columns that fail when no other column is read.

        Raises: RequestError if the rows cannot be read without any of these columns.
        """
        names = {column.name for column in self._columns}
        await self._read_without_properties(names)
        unreadable = set()
        for name in names:
            others = names - {name}
            if not await self._is_readable_without(others):
                unreadable.add(name)
        return frozenset(unreadable)

    async def _read_without_properties(self, names: set[str]) -> None:
        """Raises: RequestError if the cause of the failure is not a property."""
        try:
            await self._fetch(frozenset(), names)
        except UnreadableGeometry as error:
            if self._page.collection.parameters is None:
                raise
            # no geometry was written yet: PostGIS refused what the function made of its arguments
            raise InvalidValue(
                "the function cannot take these arguments", reason=error.reason
            ) from None

    async def _is_readable_without(self, others: set[str]) -> bool:
        """Whether the rows can be read without the other columns. Raises: RequestError."""
        printed = _doubtful_names(self._page.collection.columns)
        try:
            await self._fetch(printed, others)
        except RequestError as error:
            if not is_refusal(error):
                raise
            return False
        return True

    async def _write_printed(self, values: Sequence[list[str | None]]) -> None:
        """Replace printed values by what the media type has for them: JSON, or a cell of CSV.

        Args:
            values: of the properties, a list for each row; it is changed in place.
        """
        writer = ValueWriter(self._database)
        refused: list[str] = []
        for position, column in enumerate(self._columns):
            if column.name not in self._printed:
                continue
            number_refused = len(writer.reasons)
            texts = [row_values[position] for row_values in values]
            written = await self._write_column(writer, column, texts)
            for row_values, value in zip(values, written, strict=True):
                row_values[position] = value
            if len(writer.reasons) > number_refused:
                refused.append(column.name)
        if refused:
            self._report(refused, len(writer.reasons), writer.reasons[0])

    async def _write_column(self, writer: ValueWriter, column: Column, texts: Texts) -> Texts:
        """The values of one column as JSON or as cells of CSV. Raises: RequestError."""
        type_name = TypeName(column.type_schema, column.type_name)
        write_cell = self._format.write_cell
        if write_cell is None:
            return await writer.json(type_name, texts)
        escapes = self._page.query.escapes_formulas
        cells = []
        for text in await writer.text(type_name, texts):
            cells.append(write_cell(text, escapes))
        return cells
