"""`geosvc publish` and `geosvc unpublish`: the triggers that log the changes of a table, each in one transaction.

Errors are one line without SQL and without the URL. Publishing again repairs what has changed since, and keeps the id.
"""

import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

import asyncpg
import orjson

from geosvc.database.catalog import selection_of
from geosvc.database.pool import connect_arguments
from geosvc.database.sqlstate import DATABASE_ERRORS
from geosvc.errors import PublishError
from geosvc.model.catalog import Catalog, Selection, build_catalog
from geosvc.model.collection import Collection, Kind
from geosvc.query.publishing import (
    OPERATIONS,
    create_functions,
    create_trigger,
    drop_functions,
    drop_trigger,
    enable_trigger,
    function_name,
    published_table,
    trigger_name,
)
from geosvc.settings import Settings
from geosvc.sql.compose import SQL, Identifier, Statement, compose
from geosvc.sql.files import load_statement

LOCK_SECONDS = 5.0
_FOREIGN = "f"
_KINDS = {
    Kind.VIEW: "a view, whose rows change with those of its tables: publish the tables that it reads",
    Kind.MATERIALISED_VIEW: "a materialised view, which no trigger watches: publish the tables that it reads",
    Kind.FOREIGN_TABLE: "a foreign table, whose rows change elsewhere: publish it in the database that it is of",
    Kind.FUNCTION: "a function, whose rows come from elsewhere: publish the tables that it reads",
}
_REASONS = {
    "25006": "the database is read only: a standby, perhaps; publish on the primary",
    "40P01": "another transaction was in the way (a deadlock); try again",
    "42501": "the database role may not do it: {words}",
    "55P03": "it waited {seconds:g} s for a lock that somebody else holds; try again",
    "57014": "it took too long",
}
Row = Any  # asyncpg.Record


@dataclass(frozen=True, slots=True)
class Published:
    """What was published, or is no more.

    Attributes:
        publication: its id.
        relation: schema.table.
        parts: partitions and children that have the triggers as well.
        warnings: what somebody should know.
    """

    publication: int
    relation: str
    parts: int = 0
    warnings: tuple[str, ...] = ()


async def publish(settings: Settings, url: str, collection_id: str) -> Published:
    """Logs the changes of the table of a collection from now on; mends the triggers where it is published already.

    `url` is the database itself, not a pooler in transaction mode. Raises: PublishError; SettingsError.
    """
    async with _transaction(settings, url) as connection:
        await _require_log(connection)
        collections = await _collections(connection, settings, collection_id)
        first = collections[0]
        await _tree(connection, first)  # who may not is told before anybody waits for a lock
        lock = SQL("LOCK TABLE ONLY {} IN SHARE UPDATE EXCLUSIVE MODE").format(Identifier(first.schema, first.name))
        await _run(connection, compose("publish.lock", lock))  # no partition comes or goes meanwhile
        tree = await _tree(connection, first)
        publication = await _publication(connection, first, tree[0])
        if await _end_others(connection, publication, tree):
            tree = await _tree(connection, first)
        keyed = bool(first.key) and all(each["keyed"] for each in tree)
        (postgis,) = await _run(connection, load_statement("postgis_schema"))
        table = published_table(publication, postgis[0], collections, keyed=keyed)
        await _execute(connection, create_functions(table))
        for each in tree:
            await _mend_triggers(connection, publication, each)
        await _run(connection, load_statement("publishing_told", (publication, "+")))
    warnings = tuple(_warnings(first, tree, keyed))
    return Published(publication, f"{first.schema}.{first.name}", len(tree) - 1, warnings)


async def unpublish(settings: Settings, url: str, collection_id: str) -> Published:
    """Ends the logging of a collection's changes, and leaves nothing in its table. Works when the table is gone as well.

    `url` as above. Raises: PublishError; SettingsError.
    """
    async with _transaction(settings, url) as connection:
        await _require_log(connection)
        schema, name = await _relation(connection, settings, collection_id)
        publications = await _publications_of(connection, schema, name)
        if not publications:
            raise PublishError(f"{collection_id} is not published")
        for publication in publications:
            await _end(connection, publication)
    return Published(publications[0], f"{schema}.{name}")


@asynccontextmanager
async def _transaction(settings: Settings, url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection within a transaction; one publisher at a time. Raises: PublishError for whatever the database refuses."""
    arguments = connect_arguments(settings, url) | {"statement_cache_size": 0}
    try:
        try:
            connection = await asyncpg.connect(**arguments)
        except ValueError:  # it may quote a piece of the URL, which may be of the password
            raise PublishError("the database URL cannot be used: asyncpg does not understand it") from None
        try:
            async with connection.transaction():
                await connection.execute(
                    f"SET LOCAL lock_timeout = {LOCK_SECONDS * 1000:.0f}; SET LOCAL search_path = pg_catalog"
                )
                await connection.execute("SELECT pg_advisory_xact_lock(1734701942, 1)")
                yield connection
        finally:
            connection.terminate()
    except DATABASE_ERRORS as error:
        raise PublishError(_reason(error)) from None


def _reason(error: BaseException) -> str:
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or "XX000"
        words = str(error.args[0] if error.args else "").partition("\n")[0]
        return _REASONS.get(state, f"{{words}} ({state})").format(words=words, seconds=LOCK_SECONDS)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of the database is not trusted: {error.verify_message}"
    return "the database cannot be reached"


async def _run(connection: asyncpg.Connection, statement: Statement) -> list[Row]:
    return list(await connection.fetch(statement.text, *statement.args))


async def _execute(connection: asyncpg.Connection, statement: Statement) -> None:
    await connection.execute(statement.text)


async def _require_log(connection: asyncpg.Connection) -> None:
    (server,) = await _run(connection, load_statement("publishing_server"))
    if not server["migrated"]:
        raise PublishError("the database has no change log yet: geosvc migrate up")
    if not server["permitted"]:
        raise PublishError(
            f"the role {server['role']} may not write to the schema geosvc: let {server['owner']} do it, who migrated it"
        )


async def _catalog(connection: asyncpg.Connection, selection: Selection) -> Catalog:
    statement = load_statement("catalog", (list(selection.schemas),))
    rows = await connection.fetch(statement.text.replace("AS collection", "::text AS collection"), *statement.args)
    return build_catalog((orjson.loads(row[0]) for row in rows), selection, "")


async def _collections(connection: asyncpg.Connection, settings: Settings, collection_id: str) -> list[Collection]:
    """Those of the table, in the order of its geometry columns, with the key of the one that is asked for."""
    catalog = await _catalog(connection, selection_of(settings))
    wanted = catalog.collections.get(collection_id)
    if wanted is None:
        near = get_close_matches(collection_id, catalog.collections, n=3)
        raise PublishError(f"there is no collection {collection_id}" + (f"; there is {', '.join(near)}" if near else ""))
    if not wanted.is_publishable:
        raise PublishError(f"{collection_id} is {_KINDS[wanted.kind]}")
    every = (await _catalog(connection, Selection(schemas=settings.schemas))).collections.values()
    same = [each for each in every if (each.schema, each.name) == (wanted.schema, wanted.name)]
    return [replace(each, key=wanted.key) for each in sorted(same, key=lambda each: len(each.id))]


async def _tree(connection: asyncpg.Connection, table: Collection) -> list[Row]:
    """The table, its partitions and its children. Raises: PublishError where they cannot be published, or not by this role."""
    tree = await _run(connection, load_statement("publishing_tree", (table.schema, table.name, list(table.key))))
    if not tree:
        raise PublishError(f"the table {table.schema}.{table.name} is gone")
    if tree[0]["parent"] is not None:
        raise PublishError(
            f"{table.schema}.{table.name} is a child of {tree[0]['parent']}, and what is written through that does not"
            f" pass its triggers: publish {tree[0]['parent']}"
        )
    for each in tree:
        if each["kind"] == _FOREIGN:
            raise PublishError(
                f"{each['schema']}.{each['name']} is a foreign table, and PostgreSQL does not tell what changes in those"
            )
        if not each["owned"]:
            raise PublishError(f"the table {each['schema']}.{each['name']} is {each['owner']}'s, who alone may publish it")
    return tree


async def _relation(connection: asyncpg.Connection, settings: Settings, collection_id: str) -> tuple[str, str]:
    """The schema and name of a collection's table; of one that is not there, what they would be."""
    found = (await _catalog(connection, selection_of(settings))).collections.get(collection_id)
    if found is not None:
        return found.schema, found.name
    schema, _, name = collection_id.rpartition(".")
    return schema or settings.schemas[0], name


async def _publications_of(connection: asyncpg.Connection, schema: str, name: str) -> list[int]:
    """Those whose triggers the table has, and those of its name that have no other table."""
    tree = await _run(connection, load_statement("publishing_tree", (schema, name, [])))
    found = {publication for each in tree[:1] for publication in _logged_to(each)}
    for (publication,) in await _run(connection, load_statement("publishing_registered", (schema, name))):
        triggers = await _run(connection, load_statement("publishing_triggers", (publication,)))
        if not triggers or {trigger["relation"] for trigger in triggers} & {each["oid"] for each in tree}:
            found.add(publication)
    return sorted(found)


async def _publication(connection: asyncpg.Connection, table: Collection, root: Row) -> int:
    """The id that the table has already, or a new one."""
    for publication in await _publications_of(connection, table.schema, table.name):
        known = await connection.fetchval("SELECT 1 FROM geosvc.publication WHERE id = $1", publication)
        if known is not None:
            await _run(connection, load_statement("publishing_rename", (publication, table.schema, table.name)))
            return publication
    ((publication,),) = await _run(connection, load_statement("publishing_register", (table.schema, table.name)))
    return int(publication)


def _logged_to(table: Row) -> set[int]:
    """The publications whose functions the triggers of a table call."""
    found = set()
    for function, _, _ in orjson.loads(table["triggers"]).values():
        number = (function or "").removeprefix("change_").partition("_")[0]
        if number.isdecimal():
            found.add(int(number))
    return found


async def _end_others(connection: asyncpg.Connection, publication: int, tree: Sequence[Row]) -> bool:
    """Ends publications of tables that have become parts of this one, and drops the triggers of parts that have left it.

    Returns: whether there were publications to end.
    """
    others = {each for table in tree for each in _logged_to(table)} - {publication}
    for other in sorted(others):
        await _end(connection, other)
    there = {each["oid"] for each in tree}
    for trigger in await _run(connection, load_statement("publishing_triggers", (publication,))):
        if trigger["relation"] not in there:
            await _execute(connection, drop_trigger(trigger["trigger"], trigger["schema"], trigger["name"]))
    return bool(others)


async def _end(connection: asyncpg.Connection, publication: int) -> None:
    for trigger in await _run(connection, load_statement("publishing_triggers", (publication,))):
        await _execute(connection, drop_trigger(trigger["trigger"], trigger["schema"], trigger["name"]))
    await _execute(connection, drop_functions(publication))
    await _run(connection, load_statement("publishing_forget", (publication,)))
    await _run(connection, load_statement("publishing_told", (publication, "-")))


async def _mend_triggers(connection: asyncpg.Connection, publication: int, table: Row) -> None:
    """Creates and enables the triggers that a table lacks; those that are right are left alone, and take no lock."""
    schema, name, is_part = table["schema"], table["name"], table["is_part"]
    there = orjson.loads(table["triggers"])
    for operation in OPERATIONS:
        trigger = trigger_name(operation)
        function, enabled, arguments = there.get(trigger, (None, "", 0))
        if trigger in there and (function, arguments) != (function_name(publication, operation).names[-1], int(is_part)):
            await _execute(connection, drop_trigger(trigger, schema, name))
            enabled = ""
        if not enabled:
            await _execute(connection, create_trigger(publication, operation, schema, name, is_part=is_part))
        if enabled != "A":
            await _execute(connection, enable_trigger(operation, schema, name))


def _warnings(table: Collection, tree: Sequence[Row], keyed: bool) -> Iterator[str]:
    if not keyed:
        without = next((each for each in tree if not each["keyed"]), tree[0])
        why = f"no unique index of {without['schema']}.{without['name']} makes its ids" if table.key else "it has no key"
        yield f"{why}: every statement is logged as one, without saying which features it changed"
    for each in tree:
        if each["subscription"] is not None:
            yield (
                f"{each['schema']}.{each['name']} is filled by the subscription {each['subscription']}, whose changes are not"
                " logged: publish it where they are made"
            )
