"""Read features again after PostgreSQL refused to write one of them (docs/decisions/0005, 0027).

The geometries are read as stored (EWKB), and properties of doubtful types as the output functions
of their types print them. PostGIS then writes the geometries in lists; a list that fails is halved.
A single geometry that PostGIS refuses is written by `encode.ewkb`, or is null. The properties are
written by `database.reads.unwritable_values`.
"""

from collections.abc import Sequence

from geosvc.database.reads.runner import Reads
from geosvc.database.reads.stored_geometries import write_stored_geometries
from geosvc.database.reads.unwritable_values import ValueWriter, is_refusal
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
    columns = property_columns(page.collection, page.query)
    printed, stored = await _read_stored(database, page, rows, columns)
    geometries = await write_stored_geometries(database, page, [row[1] for row in stored])
    values = [row[2] for row in stored]
    await _write_printed(database, page, columns, printed, values)

    names = [column.name for column in columns]
    has_geometry = not page.query.geometry.skip
    join_properties = page.format.join_properties
    features: list[Row] = []
    for row, geometry, own_values in zip(stored, geometries, values, strict=True):
        head, _, _, *sort_values = row
        properties = join_properties(names, own_values, has_geometry)
        feature = head + geometry + properties
        features.append((feature.encode(), *sort_values))
    return features


def _doubtful_names(columns: Sequence[Column]) -> frozenset[str]:
    return frozenset(column.name for column in columns if is_doubtful(column))


async def _read_stored(
    database: Reads, page: FeaturePage, rows: int, columns: Sequence[Column]
) -> tuple[frozenset[str], Sequence[Row]]:
    """Read the rows, and the names of the columns that come as their types print them.

    If a column of a table cannot be read at all, all of its values are null.
    """
    printed = _doubtful_names(columns)
    try:
        return printed, await database.fetch(select_stored(page, rows, printed, ()))
    except RequestError as error:
        if not is_refusal(error):
            raise
        failure = error
    unreadable = await _unreadable_columns(database, page, rows, columns)
    # some rows of a view may be readable: the error then says which one is not
    if not unreadable or page.collection.kind not in _STORED_KINDS:
        raise failure
    emit(
        ValuesRefused(
            collection=page.collection.id,
            columns=", ".join(sorted(unreadable)),
            values=rows * len(unreadable),
            reason=failure.reason or failure.detail,
        )
    )
    statement = select_stored(page, rows, printed - unreadable, unreadable)
    return printed, await database.fetch(statement)


async def _unreadable_columns(
    database: Reads, page: FeaturePage, rows: int, columns: Sequence[Column]
) -> frozenset[str]:
    """The names of the columns that fail when no other column is read.

    Raises: RequestError if the rows cannot be read without any of these columns.
    """
    names = {column.name for column in columns}
    await _read_without_properties(database, page, rows, names)
    unreadable = set()
    for name in names:
        if not await _is_readable(database, page, rows, names - {name}):
            unreadable.add(name)
    return frozenset(unreadable)


async def _read_without_properties(
    database: Reads, page: FeaturePage, rows: int, names: set[str]
) -> None:
    """Raises: RequestError if the cause of the failure is not a property."""
    try:
        await database.fetch(select_stored(page, rows, (), names))
    except UnreadableGeometry as error:
        if page.collection.parameters is None:
            raise
        # no geometry was written yet: PostGIS refused what the function made of its arguments
        raise InvalidValue(
            "the function cannot take these arguments", reason=error.reason
        ) from None


async def _is_readable(database: Reads, page: FeaturePage, rows: int, others: set[str]) -> bool:
    """Whether the rows can be read without the other columns. Raises: RequestError."""
    printed = _doubtful_names(page.collection.columns)
    try:
        await database.fetch(select_stored(page, rows, printed, others))
    except RequestError as error:
        if not is_refusal(error):
            raise
        return False
    return True


async def _write_printed(
    database: Reads,
    page: FeaturePage,
    columns: Sequence[Column],
    printed: frozenset[str],
    values: Sequence[list[str | None]],
) -> None:
    """Replace printed values by what the media type has for them: JSON, or a cell of CSV.

    Args:
        values: of the properties, a list for each row; it is changed in place.
    """
    writer = ValueWriter(database)
    refused: list[str] = []
    for position, column in enumerate(columns):
        if column.name not in printed:
            continue
        number_refused = len(writer.reasons)
        texts = [row_values[position] for row_values in values]
        written = await _write_column(writer, page, column, texts)
        for row_values, value in zip(values, written, strict=True):
            row_values[position] = value
        if len(writer.reasons) > number_refused:
            refused.append(column.name)
    if refused:
        emit(
            ValuesRefused(
                collection=page.collection.id,
                columns=", ".join(refused),
                values=len(writer.reasons),
                reason=writer.reasons[0],
            )
        )


async def _write_column(
    writer: ValueWriter, page: FeaturePage, column: Column, texts: Sequence[str | None]
) -> Sequence[str | None]:
    """The values of one column as JSON or as cells of CSV. Raises: RequestError."""
    type_name = TypeName(column.type_schema, column.type_name)
    write_cell = page.format.write_cell
    if write_cell is None:
        return await writer.json(type_name, texts)
    escapes = page.query.escapes_formulas
    cells = []
    for text in await writer.text(type_name, texts):
        cells.append(write_cell(text, escapes))
    return cells
