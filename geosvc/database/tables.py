"""Tables made, replaced and filled by `geosvc load`, within one transaction."""

from collections.abc import Sequence

from geosvc.database.writing import Transaction
from geosvc.errors import StartError
from geosvc.model.catalog import Selection, build_catalog
from geosvc.model.collection import Collection
from geosvc.sql.compose import SQL, Identifier, Statement, compose
from geosvc.sql.files import load_statement


async def prepare_table(
    transaction: Transaction, schema: str, name: str, create: Statement, *, append: bool, replace: bool
) -> bool:
    """Makes the table, unless it is there and is to be appended to. Nothing bounds the time of what follows.

    Returns: whether it was made.
    Raises: StartError when it is there and should not, or should and is not.
    """
    await transaction.fetch(compose("load.unbound", SQL("SET LOCAL statement_timeout = 0")))
    there = (await transaction.fetch(load_statement("table_exists", (schema, name))))[0][0]
    if there and append:
        return False
    if there and not replace:
        raise StartError(f"the table {schema}.{name} is there already: --append to it, or --replace it")
    if append:
        raise StartError(f"there is no table {schema}.{name} to append to")
    if there:
        await transaction.fetch(compose("load.drop", SQL("DROP TABLE {}").format(Identifier(schema, name))))
    await transaction.fetch(create)
    return True


async def is_published(transaction: Transaction, schema: str, name: str) -> bool:
    """Whether the changes of a table are logged."""
    return bool((await transaction.fetch(load_statement("table_published", (schema, name))))[0][0])


async def finish_table(transaction: Transaction, schema: str, name: str, indexes: Sequence[Statement]) -> None:
    """Makes the indexes, and tells the planner what is in the table."""
    for statement in indexes:
        await transaction.fetch(statement)
    await transaction.fetch(compose("load.analyze", SQL("ANALYZE {}").format(Identifier(schema, name))))


async def read_collection(transaction: Transaction, schema: str, name: str) -> Collection:
    """The collection of a table, which may have been made in this transaction. Raises: StartError when it is none."""
    rows = await transaction.fetch(load_statement("catalog", ([schema],)))
    catalog = build_catalog((row[0] for row in rows), Selection(schemas=(schema,), writable=("*",)), "")
    found = next((each for each in catalog.collections.values() if each.name == name and each.schema == schema), None)
    if found is None or not found.insertable:
        raise StartError(f"{schema}.{name} is no table with a geometry column that the role may write to")
    return found
