"""The version of a feature: the value of its strong ETag, with which If-Match is compared.

The version is a hash of the stored row, so it is the same on every replica and after a restore, and
the rows of views have one too. It also changes with the names of the columns of the collection,
which are in the representation (docs/decisions/0014).
"""

from collections.abc import Sequence
from zlib import crc32

from geosvc.model.collection import Collection
from geosvc.query.sql_parts import all_of, row_column, row_columns
from geosvc.sql.compose import SQL, Composable, Param


def version_of(collection: Collection) -> Composable:
    """Write the version of the row `t`, hexadecimal."""
    names = [collection.geometry.name]
    for column in collection.columns:
        names.append(column.name)
    all_names = "\0".join(names)
    seed = crc32(all_names.encode())
    return SQL("to_hex(hashtextextended(ROW({columns})::text, {seed}))").format(
        columns=row_columns(names),
        seed=Param(seed, "int8"),
    )


def content_hash_of(names: Sequence[str]) -> Composable:
    """Write a hash of these columns of the row `t`, hexadecimal; it shows whether they changed."""
    template = SQL("to_hex(hashtextextended(ROW({})::text, 0))")
    return template.format(row_columns(names))


def row_number_of(names: Sequence[str]) -> Composable:
    """Write a number that two rows share only if they have the same content in these columns."""
    template = SQL("hashtextextended(ROW({})::text, 0)")
    return template.format(row_columns(names))


def modified_of(collection: Collection) -> Composable:
    """Write when the row `t` was last modified: whole seconds since 1970 as float8.

    It is NULL where no column of the collection tells it.
    """
    if collection.modified is None:
        return SQL("NULL::float8")
    template = SQL("floor(extract(epoch FROM {}))::float8")
    return template.format(row_column(collection.modified))


def key_condition(collection: Collection, values: tuple[Param, ...]) -> Composable:
    """Write the condition that `t` is the row with this key.

    Args:
        values: one for each column of the key, cast to its type.
    """
    conditions = []
    for name, value in zip(collection.key, values, strict=True):
        is_equal = SQL("{} = {}").format(row_column(name), value)
        conditions.append(is_equal)
    return all_of(conditions)
