"""The settings of a session, made before a statement runs in it (docs/decisions/0031).

A database, a role, a pooler or a function may have changed any setting. Every setting that changes
the meaning or the result of geosvc's statements is made here. Settings that belong to the data
(`lc_monetary`, `default_text_search_config`), or only influence plans, are left alone.
"""

from collections.abc import Mapping

import asyncpg

from geosvc.settings import Settings
from geosvc.sql.compose import SQL, Identifier, Params
from geosvc.sql.files import load_statement

# asyncpg's timeout is so much longer than that of the server; it also limits cancels
CANCEL_GRACE_SECONDS = 5.0
UTC = "UTC"

# How texts are read and written, and which rows are found. Old versions do not have all of them.
_FIXED = {
    "timezone": UTC,
    "timezone_abbreviations": "Default",
    "datestyle": "ISO, YMD",
    "intervalstyle": "iso_8601",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    "backslash_quote": "safe_encoding",
    "escape_string_warning": "off",
    "array_nulls": "on",
    "quote_all_identifiers": "off",
    "xmlbinary": "base64",
    "xmloption": "content",
    "transform_null_equals": "off",
    "row_security": "on",
    "gin_fuzzy_search_limit": "0",
    "restrict_nonsystem_relation_kind": "",
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    "exit_on_error": "off",
    "idle_session_timeout": "0",
    "transaction_timeout": "0",
    "jit": "off",
    # a statement whose plan depends on its values says so itself: see `PLANNED_BY_VALUES`
    "plan_cache_mode": "auto",
    # starting workers takes longer than reading a page, and requests share the cores
    "max_parallel_workers_per_gather": "0",
    "synchronize_seqscans": "off",
}
# PostgreSQL reads a file to set it, 0.1 ms: it is set only if the value differs
_SLOW_SETTING = "timezone_abbreviations"
# Only a superuser may set them. They are set if the value differs and the role may set them.
_SUPERUSER_SETTINGS = {"session_replication_role": "origin", "lc_messages": "C"}

# The server reports changes of these at once, so that no query is needed to find out that a
# function has changed one. PostgreSQL 18 reports the search path too.
REPORTED = (
    *("TimeZone", "DateStyle", "IntervalStyle", "standard_conforming_strings", "client_encoding"),
    *("default_transaction_read_only", "session_authorization", "is_superuser", "search_path"),
)


def milliseconds(seconds: float) -> str:
    """A time as a setting of PostgreSQL; never 0, which would be no limit."""
    return f"{max(round(seconds * 1000), 1)}ms"


def session_settings(settings: Settings, writes: bool) -> dict[str, str]:
    """All settings of a session, except those that only a superuser may set."""
    stall_seconds = settings.write_stall_seconds
    lock_timeout = milliseconds(settings.lock_timeout_seconds)
    if writes:
        stall_seconds = settings.read_stall_seconds
        # a write waits for other writes of the same row as long as a statement may take
        lock_timeout = "0"
    messages = settings.server_messages
    return {
        **_FIXED,
        "client_min_messages": "warning" if messages == "off" else messages,
        "statement_timeout": milliseconds(settings.statement_timeout_seconds),
        "lock_timeout": lock_timeout,
        "idle_in_transaction_session_timeout": milliseconds(stall_seconds + CANCEL_GRACE_SECONDS),
    }


def first_settings(settings: Settings) -> dict[str, str]:
    """The settings that are made before all others can be chosen.

    The statements of `choose_settings` need them: a short limit of a database or role would end
    them, and so would an error with `exit_on_error`.
    """
    wanted = session_settings(settings, writes=False)
    names = (
        "exit_on_error",
        "statement_timeout",
        "lock_timeout",
        "idle_session_timeout",
        "idle_in_transaction_session_timeout",
    )
    return {name: wanted[name] for name in names}


def _quote(value: str) -> str:
    # an E string is read the same whatever standard_conforming_strings is
    return "E'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _search_path(settings: Settings, postgis_schema: str | None) -> str:
    """The schema of PostGIS, then the published ones, each once."""
    names = list(settings.schemas)
    if postgis_schema is not None:
        names.insert(0, postgis_schema)
    distinct = dict.fromkeys(name for name in names if name)
    return SQL(", ").join(Identifier(name) for name in distinct).render(Params())


def set_command(values: Mapping[str, str], local: bool) -> str:
    """One statement that makes settings.

    Args:
        values: by name; the names are constants of geosvc.
        local: for the transaction, not for the session.
    """
    is_local = "true" if local else "false"
    calls: list[str] = []
    for name, value in values.items():
        calls.append(f"set_config('{name}', {_quote(value)}, {is_local})")
    return f"SELECT {', '.join(calls)}"


async def choose_settings(
    connection: asyncpg.Connection, settings: Settings, writes: bool, postgis_schema: str | None
) -> dict[str, str]:
    """The settings to make in this session: those that the server has and the role may set."""
    wanted = session_settings(settings, writes)
    names = [*wanted, *_SUPERUSER_SETTINGS]
    statement = load_statement("session_settings", (names,))
    rows = await connection.fetch(statement.text, *statement.args)
    present: dict[str, str] = {row[0]: row[1] for row in rows}
    chosen = {name: value for name, value in wanted.items() if name in present}
    if chosen.get(_SLOW_SETTING) == present.get(_SLOW_SETTING):
        chosen.pop(_SLOW_SETTING, None)
    for name, value in _SUPERUSER_SETTINGS.items():
        differs = present.get(name, value) != value
        if differs and await _may_set(connection, name, value):
            chosen[name] = value
    chosen["search_path"] = _search_path(settings, postgis_schema)
    return chosen


async def _may_set(connection: asyncpg.Connection, name: str, value: str) -> bool:
    """Whether the role may make a setting: it is tried, within the transaction."""
    await connection.execute("SAVEPOINT tried")
    try:
        await connection.execute(set_command({name: value}, local=True))
    except asyncpg.PostgresError:
        await connection.execute("ROLLBACK TO tried")
        return False
    return True
