"""What `geosvc publish` makes of a table: four functions, and the triggers that call them."""

import json
from collections.abc import Sequence

from geosvc.model.collection import Collection
from geosvc.query.change_log import Operation, PublishedTable, log_changes, settings_of
from geosvc.sql.compose import SQL, Composable, DollarQuoted, Identifier, Statement, compose

SCHEMA = "geosvc"
OPERATIONS: tuple[Operation, ...] = ("insert", "update", "delete", "truncate")

_HEAD = SQL("CREATE OR REPLACE FUNCTION {} () RETURNS pg_catalog.trigger LANGUAGE plpgsql SECURITY DEFINER{} AS {}")
_TRIGGERS = {
    "insert": SQL("CREATE TRIGGER geosvc_insert AFTER INSERT ON {} REFERENCING NEW TABLE AS new_rows"),
    "update": SQL("CREATE TRIGGER geosvc_update AFTER UPDATE ON {} REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows"),
    "delete": SQL("CREATE TRIGGER geosvc_delete AFTER DELETE ON {} REFERENCING OLD TABLE AS old_rows"),
    "truncate": SQL("CREATE TRIGGER geosvc_truncate AFTER TRUNCATE ON {}"),
}


def published_table(publication: int, postgis: str, collections: Sequence[Collection], *, keyed: bool) -> PublishedTable:
    """The table of some collections, one for each geometry column in the order of the table; the key is that of the first."""
    first = collections[0]
    return PublishedTable(
        publication,
        first.schema,
        first.name,
        postgis,
        first.columns,
        tuple(collection.geometry for collection in collections),
        first.key if keyed else (),
    )


def function_name(publication: int, operation: Operation) -> Identifier:
    """The function that logs an operation."""
    return Identifier(SCHEMA, f"change_{publication}_{operation}")


def trigger_name(operation: Operation) -> str:
    """The name of a trigger, the same on every published table."""
    return f"geosvc_{operation}"


def create_functions(table: PublishedTable) -> Statement:
    """Creates or replaces the four functions; the comments tell the catalog what they write."""
    pieces: list[Composable] = []
    for operation in OPERATIONS:
        name = function_name(table.publication, operation)
        pieces.append(_HEAD.format(name, settings_of(table), DollarQuoted(log_changes(table, operation))))
        pieces.append(SQL("REVOKE ALL ON FUNCTION {} () FROM PUBLIC").format(name))
    state = table.state
    for operation, told in (("insert", state.columns), ("update", {"key": state.key, "geometry": state.geometry})):
        comment = DollarQuoted(json.dumps(told, ensure_ascii=False))
        pieces.append(SQL("COMMENT ON FUNCTION {} () IS {}").format(function_name(table.publication, operation), comment))
    return compose("publish.functions", SQL("; ").join(pieces))


def drop_functions(publication: int) -> Statement:
    """Drops the four functions, of which no trigger is left."""
    names = SQL(", ").join(function_name(publication, operation) for operation in OPERATIONS)
    return compose("publish.drop_functions", SQL("DROP FUNCTION IF EXISTS {}").format(names))


def create_trigger(publication: int, operation: Operation, schema: str, name: str, *, is_part: bool) -> Statement:
    """Creates the trigger of an operation on a table, or on a part of one: a partition or a child."""
    function = function_name(publication, operation)
    argument = SQL("'part'") if is_part else SQL("")
    create = SQL("{} FOR EACH STATEMENT EXECUTE FUNCTION {} ({})")
    trigger = _TRIGGERS[operation].format(Identifier(schema, name))
    return compose("publish.create_trigger", create.format(trigger, function, argument))


def enable_trigger(operation: Operation, schema: str, name: str) -> Statement:
    """Lets a trigger run in every session, also in those of replication."""
    template = SQL("ALTER TABLE ONLY {} ENABLE ALWAYS TRIGGER {}")
    return compose("publish.enable_trigger", template.format(Identifier(schema, name), Identifier(trigger_name(operation))))


def drop_trigger(trigger: str, schema: str, name: str) -> Statement:
    """Drops a trigger."""
    template = SQL("DROP TRIGGER {} ON {}")
    return compose("publish.drop_trigger", template.format(Identifier(trigger), Identifier(schema, name)))
