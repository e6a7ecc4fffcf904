"""The tables of a publication: a table, its partitions and its children, and their triggers."""

from collections.abc import Iterator, Sequence

import orjson

from geosvc.database.changefeed.publish_session import PublishSession, Row
from geosvc.errors import PublishError
from geosvc.model.collection import Collection
from geosvc.query.change_log.ddl import (
    OPERATIONS,
    create_trigger,
    drop_functions,
    drop_trigger,
    enable_trigger,
    function_name,
    trigger_name,
)

_FOREIGN_TABLE = "f"
_ENABLED_ALWAYS = "A"


async def read_tree(session: PublishSession, table: Collection) -> list[Row]:
    """Read a table, its partitions and its children, the table first.

    Raises: PublishError if they cannot be published, or not by this role.
    """
    key = list(table.key)
    tree = await session.fetch_file("publishing_tree", table.schema, table.name, key)
    if not tree:
        raise PublishError(f"the table {table.schema}.{table.name} does not exist any more")
    parent = tree[0]["parent"]
    if parent is not None:
        raise PublishError(
            f"{table.schema}.{table.name} is a child of {parent}, and writes to {parent} do not"
            f" fire its triggers: publish {parent}"
        )
    for member in tree:
        _check_member(member)
    return tree


def _check_member(member: Row) -> None:
    """Raises: PublishError if a table cannot have triggers, or not of this role."""
    relation = f"{member['schema']}.{member['name']}"
    if member["kind"] == _FOREIGN_TABLE:
        raise PublishError(
            f"{relation} is a foreign table, and PostgreSQL does not report the changes of those"
        )
    if not member["owned"]:
        raise PublishError(
            f"only {member['owner']}, the owner of the table {relation}, may publish it"
        )


async def publications_of(session: PublishSession, schema: str, name: str) -> list[int]:
    """Return the publications of a table: those to which its triggers log, and those of its name.

    A publication of its name that has triggers on other tables only is left out.
    """
    tree = await session.fetch_file("publishing_tree", schema, name, [])
    table_oids = {member["oid"] for member in tree}
    found: set[int] = set()
    if tree:
        found |= _logged_to(tree[0])
    registered = await session.fetch_file("publishing_registered", schema, name)
    for (publication,) in registered:
        triggers = await _triggers_of(session, publication)
        relations = {trigger["relation"] for trigger in triggers}
        if not relations or relations & table_oids:
            found.add(publication)
    return sorted(found)


async def _triggers_of(session: PublishSession, publication: int) -> list[Row]:
    return await session.fetch_file("publishing_triggers", publication)


def _logged_to(member: Row) -> set[int]:
    """The publications whose functions the triggers of a table call."""
    found = set()
    for function, _, _ in orjson.loads(member["triggers"]).values():
        number = (function or "").removeprefix("change_").partition("_")[0]
        if number.isdecimal():
            found.add(int(number))
    return found


async def end_others(session: PublishSession, publication: int, tree: Sequence[Row]) -> bool:
    """End the publications of tables that have become parts of this one.

    Also drops the triggers of tables that are no longer parts of it.

    Returns: whether there were publications to end.
    """
    others: set[int] = set()
    table_oids = set()
    for member in tree:
        others |= _logged_to(member)
        table_oids.add(member["oid"])
    others.discard(publication)
    for other in sorted(others):
        await end_publication(session, other)
    for trigger in await _triggers_of(session, publication):
        if trigger["relation"] not in table_oids:
            await _drop(session, trigger)
    return bool(others)


async def end_publication(session: PublishSession, publication: int) -> None:
    """Drop the triggers and functions of a publication, and notify its followers."""
    for trigger in await _triggers_of(session, publication):
        await _drop(session, trigger)
    await session.execute(drop_functions(publication))
    await session.fetch_file("publishing_forget", publication)
    await session.fetch_file("publishing_told", publication, "-")


async def _drop(session: PublishSession, trigger: Row) -> None:
    await session.execute(drop_trigger(trigger["trigger"], trigger["schema"], trigger["name"]))


async def repair_triggers(session: PublishSession, publication: int, member: Row) -> None:
    """Create and enable the triggers that a table needs.

    Triggers that are right are not touched, so that no lock is taken.
    """
    schema, name = member["schema"], member["name"]
    existing = orjson.loads(member["triggers"])
    for operation in OPERATIONS:
        trigger = trigger_name(operation)
        function, enabled, arguments = existing.get(trigger, (None, "", 0))
        right_function = function_name(publication, operation).names[-1]
        is_right = function == right_function and arguments == int(member["is_part"])
        if trigger in existing and not is_right:
            await session.execute(drop_trigger(trigger, schema, name))
            enabled = ""
        if not enabled:
            is_part = member["is_part"]
            create = create_trigger(publication, operation, schema, name, is_part=is_part)
            await session.execute(create)
        if enabled != _ENABLED_ALWAYS:
            await session.execute(enable_trigger(operation, schema, name))


def warnings_of(table: Collection, tree: Sequence[Row], keyed: bool) -> Iterator[str]:
    """Yield what the publisher of a table should know.

    Args:
        keyed: whether each feature has a unique id.
    """
    if not keyed:
        reason = _reason_without_key(table, tree)
        yield f"{reason}: one change is logged for each statement, without the ids of features"
    for member in tree:
        subscription = member["subscription"]
        if subscription is not None:
            yield (
                f"the subscription {subscription} writes to {member['schema']}.{member['name']},"
                " and its changes are not logged: publish the table where they are made"
            )


def _reason_without_key(table: Collection, tree: Sequence[Row]) -> str:
    if not table.key:
        return "the table has no key"
    without_index = tree[0]
    for member in tree:
        if not member["keyed"]:
            without_index = member
            break
    relation = f"{without_index['schema']}.{without_index['name']}"
    return f"no unique index of {relation} covers the key"
