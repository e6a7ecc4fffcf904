"""The statements of `geosvc publish`: they make four functions, and the triggers that call them."""

import json
from collections.abc import Sequence

from geosvc.model.collection import Collection
from geosvc.query.change_log.function_settings import settings_of
from geosvc.query.change_log.published_table import Operation, PublishedTable
from geosvc.query.change_log.triggers import log_changes
from geosvc.query.sql_parts import comma_list
from geosvc.sql.compose import SQL, Composable, DollarQuoted, Identifier, Statement, compose

SCHEMA = "geosvc"
OPERATIONS: tuple[Operation, ...] = ("insert", "update", "delete", "truncate")

_CREATE_FUNCTION = SQL(
    "CREATE OR REPLACE FUNCTION {} () RETURNS pg_catalog.trigger"
    " LANGUAGE plpgsql SECURITY DEFINER{} AS {}"
)
_TRIGGERS = {
    "insert": SQL(
        "CREATE TRIGGER geosvc_insert AFTER INSERT ON {} REFERENCING NEW TABLE AS new_rows"
    ),
    "update": SQL(
        "CREATE TRIGGER geosvc_update AFTER UPDATE ON {}"
        " REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows"
    ),
    "delete": SQL(
        "CREATE TRIGGER geosvc_delete AFTER DELETE ON {} REFERENCING OLD TABLE AS old_rows"
    ),
    "truncate": SQL("CREATE TRIGGER geosvc_truncate AFTER TRUNCATE ON {}"),
}


def published_table(
    publication: int,
    postgis: str,
    collections: Sequence[Collection],
    *,
    keyed: bool,
) -> PublishedTable:
    """Describe the table of some collections.

    Args:
        publication: the id of its row in geosvc.publication.
        postgis: the schema of PostGIS.
        collections: one for each geometry column, in the order of the table.
        keyed: whether the key of the first collection is the key of the table.
    """
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
    """Return the name of the function that logs an operation."""
    return Identifier(SCHEMA, f"change_{publication}_{operation}")


def trigger_name(operation: Operation) -> str:
    """Return the name of a trigger; it is the same on every published table."""
    return f"geosvc_{operation}"


def create_functions(table: PublishedTable) -> Statement:
    """Create or replace the four functions.

    Their comments say what they log; the catalog reads them.
    """
    settings = settings_of(table)
    pieces: list[Composable] = []
    for operation in OPERATIONS:
        name = function_name(table.publication, operation)
        body = DollarQuoted(log_changes(table, operation))
        pieces.append(_CREATE_FUNCTION.format(name, settings, body))
        pieces.append(SQL("REVOKE ALL ON FUNCTION {} () FROM PUBLIC").format(name))
    state = table.state
    key_and_geometry = {"key": state.key, "geometry": state.geometry}
    pieces.append(_comment_on(table, "insert", state.columns))
    pieces.append(_comment_on(table, "update", key_and_geometry))
    return compose("publish.functions", SQL("; ").join(pieces))


def _comment_on(
    table: PublishedTable,
    operation: Operation,
    content: object,
) -> Composable:
    comment = DollarQuoted(json.dumps(content, ensure_ascii=False))
    name = function_name(table.publication, operation)
    return SQL("COMMENT ON FUNCTION {} () IS {}").format(name, comment)


def drop_functions(publication: int) -> Statement:
    """Drop the four functions; no trigger may use them."""
    names = [function_name(publication, operation) for operation in OPERATIONS]
    drop = SQL("DROP FUNCTION IF EXISTS {}").format(comma_list(names))
    return compose("publish.drop_functions", drop)


def create_trigger(
    publication: int,
    operation: Operation,
    schema: str,
    name: str,
    *,
    is_part: bool,
) -> Statement:
    """Create the trigger of an operation on a table.

    Args:
        is_part: whether the table is a partition or a child of the published one.
    """
    argument = SQL("")
    if is_part:
        argument = SQL("'part'")
    table = Identifier(schema, name)
    create = SQL("{trigger} FOR EACH STATEMENT EXECUTE FUNCTION {function} ({argument})").format(
        trigger=_TRIGGERS[operation].format(table),
        function=function_name(publication, operation),
        argument=argument,
    )
    return compose("publish.create_trigger", create)


def enable_trigger(
    operation: Operation,
    schema: str,
    name: str,
) -> Statement:
    """Let a trigger run in every session, also in sessions of replication."""
    enable = SQL("ALTER TABLE ONLY {table} ENABLE ALWAYS TRIGGER {trigger}").format(
        table=Identifier(schema, name),
        trigger=Identifier(trigger_name(operation)),
    )
    return compose("publish.enable_trigger", enable)


def drop_trigger(trigger: str, schema: str, name: str) -> Statement:
    """Drop a trigger."""
    drop = SQL("DROP TRIGGER {trigger} ON {table}").format(
        trigger=Identifier(trigger),
        table=Identifier(schema, name),
    )
    return compose("publish.drop_trigger", drop)
