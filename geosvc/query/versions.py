"""The version of a feature: the value of its strong ETag, with which If-Match is compared.

The version is a hash of the stored row, so it is the same on every replica and after a restore, and
the rows of views have one too. It also changes with the names of the columns of the collection,
which are in the representation (docs/decisions/0014).
"""

from collections.abc import Sequence
from zlib import crc32

from geosvc.model.collection import Collection
from geosvc.sql.compose import SQL, Composable, Identifier, Param


def version_of(collection: Collection) -> Composable:
    """Write the version of the row `t`, hexadecimal."""
    names = [collection.geometry.name, *(column.name for column in collection.columns)]
    seed = crc32("\0".join(names).encode())
    return SQL("to_hex(hashtextextended(ROW({})::text, {}))").format(
        _columns(names), Param(seed, "int8")
    )


def content_hash_of(names: Sequence[str]) -> Composable:
    """Write a hash of these columns of the row `t`, hexadecimal; it shows whether they changed."""
    return SQL("to_hex(hashtextextended(ROW({})::text, 0))").format(_columns(names))


def row_number_of(names: Sequence[str]) -> Composable:
    """Write a number that two rows share only if they have the same content in these columns."""
    return SQL("hashtextextended(ROW({})::text, 0)").format(_columns(names))


def _columns(names: Sequence[str]) -> Composable:
    return SQL(", ").join(SQL("t.{}").format(Identifier(name)) for name in names)


def modified_of(collection: Collection) -> Composable:
    """Write when the row `t` was last modified: whole seconds since 1970 as float8.

    It is NULL where no column of the collection tells it.
    """
    if collection.modified is None:
        return SQL("NULL::float8")
    return SQL("floor(extract(epoch FROM t.{}))::float8").format(Identifier(collection.modified))


def has_key(collection: Collection, values: tuple[Param, ...]) -> Composable:
    """Write the condition that `t` is the row with this key.

    Args:
        values: one for each column of the key, cast to its type.
    """
    tests = []
    for column, value in zip(collection.key_columns, values, strict=True):
        tests.append(SQL("t.{} = {}").format(Identifier(column.name), value))
    return SQL(" AND ").join(tests)
