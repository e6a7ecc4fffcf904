"""What a session is set to before a statement runs in it (docs/decisions/0031).

A database, a role, a pooler or a function may bring any setting. All that changes what a statement of geosvc's means or
answers is set here; what belongs to the data (`lc_monetary`, `default_text_search_config`) or only makes plans is left alone.
"""

from collections.abc import Mapping

import asyncpg

from geosvc.settings import Settings
from geosvc.sql.compose import SQL, Identifier, Params
from geosvc.sql.files import load_statement

CANCEL_GRACE_SECONDS = (
    5.0  # asyncpg's own timeout comes after the server's, and bounds cancels as well
)
UTC = "UTC"

# How texts are read and written, and which rows are found. Not every version has all of them.
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
    "max_parallel_workers_per_gather": "0",  # starting workers costs more than a page, and requests share the cores
    "synchronize_seqscans": "off",
}
_A_FILE = "timezone_abbreviations"  # to set it reads a file, 0.1 ms: only where it is another
# Only a superuser may set them: set where they are not what geosvc needs and the role may do it.
_SUPERUSERS = {"session_replication_role": "origin", "lc_messages": "C"}

# The server tells at once when one of these changes: a function that did it is found out without a question.
# PostgreSQL 18 tells of the search path too.
REPORTED = (
    *("TimeZone", "DateStyle", "IntervalStyle", "standard_conforming_strings", "client_encoding"),
    *("default_transaction_read_only", "session_authorization", "is_superuser", "search_path"),
)


def milliseconds(seconds: float) -> str:
    """A time as PostgreSQL's settings take it; never 0, which would be no limit."""
    return f"{max(round(seconds * 1000), 1)}ms"


def session_settings(settings: Settings, writes: bool) -> dict[str, str]:
    """All settings of a session, those of superusers aside."""
    stall_seconds = settings.read_stall_seconds if writes else settings.write_stall_seconds
    return {
        **_FIXED,
        "client_min_messages": "warning"
        if settings.server_messages == "off"
        else settings.server_messages,
        "plan_cache_mode": "auto" if writes else "force_custom_plan",
        "statement_timeout": milliseconds(settings.statement_timeout_seconds),
        # a write waits for other writes of the same row as long as a statement may take
        "lock_timeout": "0" if writes else milliseconds(settings.lock_timeout_seconds),
        "idle_in_transaction_session_timeout": milliseconds(stall_seconds + CANCEL_GRACE_SECONDS),
    }


def first_settings(settings: Settings) -> dict[str, str]:
    """What the questions need that find out the rest: short limits of a database or role, or an error, would end them."""
    wanted = session_settings(settings, writes=False)
    names = (
        "exit_on_error",
        "statement_timeout",
        "lock_timeout",
        "idle_session_timeout",
        "idle_in_transaction_session_timeout",
    )
    return {name: wanted[name] for name in names}


def _literal(value: str) -> str:
    # the session may read backslashes either way yet
    return "E'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _search_path(settings: Settings, postgis_schema: str | None) -> str:
    schemas = dict.fromkeys(filter(None, (postgis_schema, *settings.schemas)))
    return SQL(", ").join(Identifier(schema) for schema in schemas).render(Params())


def set_command(values: Mapping[str, str], local: bool) -> str:
    """One statement that makes settings, for the session or for the transaction. The names are the service's own."""
    calls = (
        f"set_config('{name}', {_literal(value)}, {str(local).lower()})"
        for name, value in values.items()
    )
    return f"SELECT {', '.join(calls)}"


async def choose_settings(
    connection: asyncpg.Connection, settings: Settings, writes: bool, postgis_schema: str | None
) -> dict[str, str]:
    """What this session is to be set to, of all that the server knows and the role may set."""
    wanted = session_settings(settings, writes)
    statement = load_statement("session_settings", ([*wanted, *_SUPERUSERS],))
    found: dict[str, str] = {
        row[0]: row[1] for row in await connection.fetch(statement.text, *statement.args)
    }
    chosen = {name: value for name, value in wanted.items() if name in found}
    if chosen.get(_A_FILE) == found.get(_A_FILE):
        chosen.pop(_A_FILE, None)
    strange = {
        name: value for name, value in _SUPERUSERS.items() if found.get(name, value) != value
    }
    chosen |= {
        name: value for name, value in strange.items() if await _may_set(connection, name, value)
    }
    return {**chosen, "search_path": _search_path(settings, postgis_schema)}


async def _may_set(connection: asyncpg.Connection, name: str, value: str) -> bool:
    try:
        async with connection.transaction():
            await connection.execute(set_command({name: value}, local=True))
    except asyncpg.PostgresError:
        return False
    return True
