"""The version of a feature: what its strong ETag says, and what If-Match is compared with.

It is a hash of the stored row, so it is the same on every replica and after a restore, and views have one too. It changes
with the columns of the collection as well, whose names are in the representation (docs/decisions/0014).
"""

from zlib import crc32

from geosvc.model.collection import Collection
from geosvc.sql.compose import SQL, Composable, Identifier, Param


def version_of(collection: Collection) -> Composable:
    """The version of the row `t` as hexadecimal text."""
    names = [collection.geometry.name, *(column.name for column in collection.columns)]
    seed = crc32("\0".join(names).encode())
    row = SQL(", ").join(SQL("t.{}").format(Identifier(name)) for name in names)
    return SQL("to_hex(hashtextextended(ROW({})::text, {}))").format(row, Param(seed, "int8"))


def modified_of(collection: Collection) -> Composable:
    """When the row `t` was last changed, whole seconds since 1970 as float8; NULL where nobody knows."""
    if collection.modified is None:
        return SQL("NULL::float8")
    return SQL("floor(extract(epoch FROM t.{}))::float8").format(Identifier(collection.modified))


def has_key(collection: Collection, values: tuple[Param, ...]) -> Composable:
    """A condition: `t` is the row with these key values, each cast to the type of its column."""
    names = (SQL("t.{}").format(Identifier(column.name)) for column in collection.key_columns)
    return SQL(" AND ").join(SQL("{} = {}").format(name, value) for name, value in zip(names, values, strict=True))
