# noqa: INP001 - a folder of scripts that Alembic runs, in the checkout and in the wheel
"""Run one migration inside the transaction that geosvc.database.migrations has begun.

That one transaction contains everything: the timeouts, the lock that lets one command migrate at a
time, the schema `geosvc`, which Alembic's version table needs before the first migration runs, the
migration itself, and its entry in the version table. So a migration cannot commit by itself, and
`op.get_context().autocommit_block()` cannot be used.
"""

from alembic import context
from sqlalchemy import Connection, text

SCHEMA = "geosvc"
VERSION_TABLE = "alembic_version"
ADVISORY_LOCK = 0x67656F737663  # "geosvc"; advisory locks are per database


def set_local(connection: Connection, name: str, seconds: float) -> None:
    """Set a timeout for this transaction; 0 is no limit."""
    milliseconds = 0
    if seconds:
        milliseconds = max(round(seconds * 1000), 1)
    connection.execute(
        text("SELECT pg_catalog.set_config(:name, :value, true)"),
        {"name": name, "value": f"{milliseconds}ms"},
    )


def take_lock(connection: Connection, lock_seconds: float, statement_seconds: float) -> None:
    """Wait until no other command migrates, for as long as a statement may take.

    Afterwards both timeouts are set.
    """
    set_local(connection, "statement_timeout", statement_seconds)
    set_local(connection, "lock_timeout", 0)
    connection.execute(
        text("SELECT pg_catalog.pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK}
    )
    set_local(connection, "lock_timeout", lock_seconds)


def create_schema(connection: Connection) -> None:
    """Create the schema if it does not exist.

    CREATE SCHEMA IF NOT EXISTS needs the privilege even if the schema exists.
    """
    if connection.scalar(text("SELECT pg_catalog.to_regnamespace('geosvc') IS NULL")):
        connection.execute(text("CREATE SCHEMA geosvc"))


def drop_schema(connection: Connection) -> None:
    """Drop the version table and the schema. It fails if the schema contains something else."""
    if connection.scalar(
        text("SELECT pg_catalog.to_regclass('geosvc.alembic_version') IS NOT NULL")
    ):
        connection.execute(text("DROP TABLE geosvc.alembic_version"))
        connection.execute(text("DROP SCHEMA geosvc RESTRICT"))


def run() -> None:
    """Run the revision that geosvc.database.migrations chooses when the lock is held."""
    attributes = context.config.attributes
    connection: Connection = attributes["connection"]
    upgrading: bool = attributes["upgrading"]
    take_lock(connection, attributes["lock_seconds"], attributes["statement_seconds"])
    if upgrading:
        create_schema(connection)
    context.configure(
        connection=connection,
        version_table=VERSION_TABLE,
        version_table_schema=SCHEMA,
        dont_mutate=not upgrading,  # a downgrade at the base would create the version table
    )
    context.run_migrations()
    if not upgrading and not context.get_context().get_current_heads():
        drop_schema(connection)


run()
