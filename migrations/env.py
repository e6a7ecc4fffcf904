# noqa: INP001 - a folder of scripts that Alembic runs, in the checkout and in the wheel
"""Runs one migration inside the transaction that geosvc.database.migrations has begun.

Everything is in that one transaction: the timeouts, the lock that keeps two commands apart, the schema `geosvc`, which
Alembic's version table needs before the first migration runs, the migration and its entry in the version table. So a
migration cannot commit by itself, and `op.get_context().autocommit_block()` is not to be had.
"""

from alembic import context
from sqlalchemy import Connection, text

SCHEMA = "geosvc"
VERSION_TABLE = "alembic_version"
ADVISORY_LOCK = 0x67656F737663  # "geosvc"; advisory locks are per database


def set_local(connection: Connection, name: str, seconds: float) -> None:
    """SET LOCAL name = seconds; 0 is no limit."""
    value = f"{max(round(seconds * 1000), 1) if seconds else 0}ms"
    connection.execute(
        text("SELECT pg_catalog.set_config(:name, :value, true)"), {"name": name, "value": value}
    )


def be_the_only_one(connection: Connection, lock_seconds: float, statement_seconds: float) -> None:
    """Waits for another migrating command to end, as long as a statement may take; from then on the timeouts hold."""
    set_local(connection, "statement_timeout", statement_seconds)
    set_local(connection, "lock_timeout", 0)
    connection.execute(
        text("SELECT pg_catalog.pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK}
    )
    set_local(connection, "lock_timeout", lock_seconds)


def make_schema(connection: Connection) -> None:
    """Makes the schema, unless it is there: CREATE SCHEMA IF NOT EXISTS would want the privilege even then."""
    if connection.scalar(text("SELECT pg_catalog.to_regnamespace('geosvc') IS NULL")):
        connection.execute(text("CREATE SCHEMA geosvc"))


def leave_no_trace(connection: Connection) -> None:
    """Drops the version table and the schema. It fails when somebody else has put something into the schema."""
    if connection.scalar(
        text("SELECT pg_catalog.to_regclass('geosvc.alembic_version') IS NOT NULL")
    ):
        connection.execute(text("DROP TABLE geosvc.alembic_version"))
        connection.execute(text("DROP SCHEMA geosvc RESTRICT"))


def run() -> None:
    """Runs what geosvc.database.migrations chooses; it chooses once the lock is held."""
    attributes = context.config.attributes
    connection: Connection = attributes["connection"]
    upgrading: bool = attributes["upgrading"]
    be_the_only_one(connection, attributes["lock_seconds"], attributes["statement_seconds"])
    if upgrading:
        make_schema(connection)
    context.configure(
        connection=connection,
        version_table=VERSION_TABLE,
        version_table_schema=SCHEMA,
        dont_mutate=not upgrading,  # a downgrade at the base would make the version table
    )
    context.run_migrations()
    if not upgrading and not context.get_context().get_current_heads():
        leave_no_trace(connection)


run()
