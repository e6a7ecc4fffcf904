"""Create, replace and fill the tables of `geosvc load`, within one transaction."""

from collections.abc import Sequence

from geosvc.catalog.collections import ServedCollections, build_catalog
from geosvc.database.writes.transaction import Transaction
from geosvc.errors import StartError
from geosvc.model.collection import Collection
from geosvc.sql.compose import SQL, Identifier, Param, Statement, compose
from geosvc.sql.files import load_statement

_TABLE_KINDS = ("r", "p")
_KIND_NAMES = {
    "v": "a view",
    "m": "a materialized view",
    "f": "a foreign table",
    "S": "a sequence",
    "i": "an index",
    "I": "an index",
    "c": "a type",
}


async def prepare_table(
    transaction: Transaction,
    schema: str,
    name: str,
    create: Statement,
    *,
    append: bool,
    replace: bool,
) -> bool:
    """Create the table unless it exists and `append` is set. Removes the statement timeout.

    Returns: whether it was created.
    Raises: StartError if the state of the table and the options do not match.
    """
    await transaction.fetch(compose("load.unbound", SQL("SET LOCAL statement_timeout = 0")))
    rows = await transaction.fetch(load_statement("table_exists", (schema, name)))
    has_schema, kind = rows[0]
    if not has_schema:
        raise StartError(
            f"the schema {schema} does not exist: CREATE SCHEMA makes it, and a collection is"
            " TABLE or SCHEMA.TABLE"
        )
    exists = kind is not None
    if exists and append:
        return False
    _check_options(f"{schema}.{name}", kind, append=append, replace=replace)
    if exists:
        drop = SQL("DROP TABLE {}").format(Identifier(schema, name))
        await transaction.fetch(compose("load.drop", drop))
    await transaction.fetch(create)
    return True


def _check_options(relation: str, kind: str | None, *, append: bool, replace: bool) -> None:
    """Raises: StartError if a table must exist and does not, or exists and cannot be replaced.

    Args:
        kind: of pg_class; None if the relation does not exist.
    """
    if kind is not None and not replace:
        raise StartError(f"the table {relation} already exists: --append to it, or --replace it")
    if append:
        raise StartError(f"the table {relation} does not exist: --append needs one")
    if kind is not None and kind not in _TABLE_KINDS:
        kind_name = _KIND_NAMES.get(kind, "not a table")
        raise StartError(
            f"{relation} is {kind_name}, which --replace does not drop: choose another name"
        )


async def check_srid(transaction: Transaction, srid: int | None) -> None:
    """Raises: StartError if this PostGIS does not know an SRID."""
    if srid is None:
        return
    query = SQL("SELECT FROM spatial_ref_sys WHERE srid = {}").format(Param(srid, "int4"))
    if not await transaction.fetch(compose("load.srid", query)):
        raise StartError(f"PostGIS knows no CRS with the SRID {srid}")


async def is_published(transaction: Transaction, schema: str, name: str) -> bool:
    """Whether the changes of a table are logged."""
    rows = await transaction.fetch(load_statement("table_published", (schema, name)))
    return bool(rows[0][0])


async def lacks_geometries(
    transaction: Transaction, schema: str, name: str, geometry_column: str
) -> bool:
    """Whether some rows have no geometry."""
    query = SQL("SELECT EXISTS (SELECT FROM {} WHERE {} IS NULL)").format(
        Identifier(schema, name), Identifier(geometry_column)
    )
    rows = await transaction.fetch(compose("load.lacks_geometries", query))
    return bool(rows[0][0])


async def finish_table(
    transaction: Transaction, schema: str, name: str, changes: Sequence[Statement]
) -> None:
    """Change the table that is filled, and collect the planner's statistics."""
    for statement in changes:
        await transaction.fetch(statement)
    analyze = SQL("ANALYZE {}").format(Identifier(schema, name))
    await transaction.fetch(compose("load.analyze", analyze))


async def read_collection(transaction: Transaction, schema: str, name: str) -> Collection:
    """Return the collection of a table, which this transaction may have created.

    Raises: StartError if the table is not a collection that the role can insert into.
    """
    rows = await transaction.fetch(load_statement("catalog", ([schema],)))
    descriptions = (row[0] for row in rows)
    served = ServedCollections(schemas=(schema,), writable=("*",))
    catalog = build_catalog(descriptions, served, "")
    for collection in catalog.collections.values():
        if (collection.schema, collection.name) == (schema, name):
            if not collection.insertable:
                break
            return collection
    raise StartError(
        f"{schema}.{name} is not a table with a geometry column that the role may write to"
    )
