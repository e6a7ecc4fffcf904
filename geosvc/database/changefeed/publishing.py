"""`geosvc publish` and `geosvc unpublish`: the triggers that log the changes of a table.

Each command is one transaction. To publish a table again repairs what has changed since, and keeps
the id of the publication.
"""

from dataclasses import dataclass, replace
from difflib import get_close_matches

from geosvc.catalog.collections import ServedCollections
from geosvc.database.catalog import served_collections
from geosvc.database.changefeed.publish_session import PublishSession, publish_session
from geosvc.database.changefeed.published_tree import (
    end_others,
    end_publication,
    publications_of,
    read_tree,
    repair_triggers,
    warnings_of,
)
from geosvc.errors import PublishError
from geosvc.model.collection import Collection, RelationKind
from geosvc.query.change_log.ddl import create_functions, published_table
from geosvc.settings import Settings
from geosvc.sql.compose import SQL, Identifier, compose

_UNPUBLISHABLE = {
    RelationKind.VIEW: (
        "a view, whose rows change with its tables: publish the tables that it reads"
    ),
    RelationKind.MATERIALISED_VIEW: (
        "a materialised view, which has no triggers: publish the tables that it reads"
    ),
    RelationKind.FOREIGN_TABLE: (
        "a foreign table, whose rows change on another server: publish the table there"
    ),
    RelationKind.FUNCTION: (
        "a function, whose rows come from tables: publish the tables that it reads"
    ),
}


@dataclass(frozen=True, slots=True)
class Published:
    """What was published or unpublished.

    Attributes:
        publication: its id.
        relation: schema.table.
        parts: number of partitions and children that have the triggers as well.
        warnings: what the publisher should know.
    """

    publication: int
    relation: str
    parts: int = 0
    warnings: tuple[str, ...] = ()


async def publish(settings: Settings, url: str, collection_id: str) -> Published:
    """Log the changes of a collection's table from now on; repair the triggers if it is published.

    Args:
        url: of the database itself, not of a pooler in transaction mode.
    Raises: PublishError, SettingsError.
    """
    async with publish_session(settings, url) as session:
        await _require_log(session)
        collections = await _collections(session, settings, collection_id)
        table = collections[0]
        # first without a lock: a role that is not permitted to publish must not wait for one
        await read_tree(session, table)
        await _lock(session, table)
        tree = await read_tree(session, table)
        publication = await _register(session, table)
        if await end_others(session, publication, tree):
            tree = await read_tree(session, table)
        keyed = bool(table.key) and all(member["keyed"] for member in tree)
        await _create_functions(session, publication, collections, keyed=keyed)
        for member in tree:
            await repair_triggers(session, publication, member)
        await session.fetch_file("publishing_told", publication, "+")
    warnings = tuple(warnings_of(table, tree, keyed))
    return Published(publication, f"{table.schema}.{table.name}", len(tree) - 1, warnings)


async def unpublish(settings: Settings, url: str, collection_id: str) -> Published:
    """Stop logging the changes of a collection, and leave nothing in its table.

    It also works if the table was dropped.

    Raises: PublishError, SettingsError.
    """
    async with publish_session(settings, url) as session:
        await _require_log(session)
        schema, name = await _relation(session, settings, collection_id)
        publications = await publications_of(session, schema, name)
        if not publications:
            raise PublishError(f"{collection_id} is not published")
        for publication in publications:
            await end_publication(session, publication)
    return Published(publications[0], f"{schema}.{name}")


async def _require_log(session: PublishSession) -> None:
    rows = await session.fetch_file("publishing_server")
    server = rows[0]
    if not server["migrated"]:
        raise PublishError("the database has no change log yet: geosvc migrate up")
    if not server["permitted"]:
        raise PublishError(
            f"the role {server['role']} may not write to the schema geosvc: run this as"
            f" {server['owner']}, the owner of that schema"
        )


async def _collections(
    session: PublishSession, settings: Settings, collection_id: str
) -> list[Collection]:
    """The collections of one table, in the order of its geometry columns.

    All have the key of the collection with this id.

    Raises: PublishError if there is none, or if it cannot be published.
    """
    catalog = await session.read_catalog(served_collections(settings))
    named = catalog.collections.get(collection_id)
    if named is None:
        similar = get_close_matches(collection_id, catalog.collections, n=3)
        hint = ""
        if similar:
            hint = f"; similar: {', '.join(similar)}"
        raise PublishError(f"the collection {collection_id} does not exist{hint}")
    if not named.is_publishable:
        raise PublishError(f"{collection_id} is {_UNPUBLISHABLE[named.kind]}")
    whole_catalog = await session.read_catalog(ServedCollections(schemas=settings.schemas))
    collections = []
    for collection in whole_catalog.collections.values():
        if (collection.schema, collection.name) == (named.schema, named.name):
            collections.append(replace(collection, key=named.key))
    # the id of the first geometry column is the shortest one
    collections.sort(key=_id_length)
    return collections


def _id_length(collection: Collection) -> int:
    return len(collection.id)


async def _lock(session: PublishSession, table: Collection) -> None:
    """Lock a table, so that no partition is attached or detached meanwhile."""
    relation = Identifier(table.schema, table.name)
    lock = SQL("LOCK TABLE ONLY {} IN SHARE UPDATE EXCLUSIVE MODE").format(relation)
    await session.fetch(compose("publish.lock", lock))


async def _create_functions(
    session: PublishSession, publication: int, collections: list[Collection], *, keyed: bool
) -> None:
    rows = await session.fetch_file("postgis_schema")
    postgis_schema = rows[0][0]
    table = published_table(publication, postgis_schema, collections, keyed=keyed)
    await session.execute(create_functions(table))


async def _relation(
    session: PublishSession, settings: Settings, collection_id: str
) -> tuple[str, str]:
    """The schema and name of a collection's table, which may have been dropped."""
    catalog = await session.read_catalog(served_collections(settings))
    collection = catalog.collections.get(collection_id)
    if collection is not None:
        return collection.schema, collection.name
    schema, _, name = collection_id.rpartition(".")
    return schema or settings.schemas[0], name


async def _register(session: PublishSession, table: Collection) -> int:
    """The id of the publication that the table has already, or a new one."""
    for publication in await publications_of(session, table.schema, table.name):
        if await session.has_publication(publication):
            await session.fetch_file("publishing_rename", publication, table.schema, table.name)
            return publication
    rows = await session.fetch_file("publishing_register", table.schema, table.name)
    return int(rows[0][0])
