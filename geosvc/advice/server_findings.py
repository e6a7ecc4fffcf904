"""Findings about the server and the connection: versions, rights, pooler, clock, connections."""

from collections.abc import Iterator, Sequence

from geosvc.advice.findings import Facts, Finding, Quote, Severity, quoted_table, subject_of

OLDEST_POSTGRESQL = 140_000
OLDEST_POSTGIS = (3, 1)
SKEW_SECONDS = 1.0
LARGE_SKEW_SECONDS = 60.0


def _parse_version(text: str) -> tuple[int, ...]:
    """The first two numbers of a version."""
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())


def judge_server(server: Facts) -> Iterator[Finding]:
    """The versions of PostgreSQL and PostGIS."""
    if server["version"] < OLDEST_POSTGRESQL:
        major = server["version"] // 10_000
        yield Finding(
            "error",
            "old-postgresql",
            "server",
            f"PostgreSQL {major} is older than 14, the oldest that geosvc supports",
        )
    installed, available = server["postgis"], server["postgis_available"]
    if installed is None:
        yield Finding(
            "error",
            "no-postgis",
            "database",
            "PostGIS is not installed in this database",
            "CREATE EXTENSION postgis",
        )
    elif _parse_version(installed) < OLDEST_POSTGIS:
        yield Finding(
            "error",
            "old-postgis",
            "database",
            f"PostGIS {installed} is older than 3.1",
            "ALTER EXTENSION postgis UPDATE",
        )
    elif available is not None and _parse_version(installed) < _parse_version(available):
        yield Finding(
            "warning",
            "postgis-behind",
            "database",
            f"the extension is PostGIS {installed}, but the server has {available}",
            "ALTER EXTENSION postgis UPDATE",
        )


def judge_role(server: Facts, relations: Sequence[Facts], quote: Quote) -> Iterator[Finding]:
    """Rights of the role that reading does not need."""
    role = server["role"]
    if server["superuser"]:
        yield Finding(
            "warning",
            "superuser",
            f"role {role}",
            "the service connects as a superuser, which has all rights; create a role for it",
            "CREATE ROLE geosvc_reader LOGIN; GRANT pg_read_all_data TO geosvc_reader",
        )
        return
    writable = [relation for relation in relations if relation["writable"]]
    if writable:
        names = ", ".join(map(subject_of, writable[:3]))
        table = quoted_table(writable[0], quote)
        yield Finding(
            "info",
            "role-may-write",
            f"role {role}",
            f"the role may write to {len(writable)} relations ({names}…); reading does not need "
            "this right",
            f"REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON {table} FROM {quote(role)}",
        )


def judge_schemas(
    schemas: Sequence[tuple[str, bool, bool]], role: str, quote: Quote
) -> Iterator[Finding]:
    """Schemas of the settings that do not exist or that the role may not use.

    Args:
        schemas: (name, exists, usable) of each.
    """
    for name, exists, usable in schemas:
        if not exists:
            yield Finding(
                "warning",
                "no-schema",
                f"schema {name}",
                "GEOSVC_SCHEMAS names a schema that does not exist",
            )
        elif not usable:
            yield Finding(
                "error",
                "no-usage",
                f"schema {name}",
                f"the role {role} may not use the schema, so nothing in it is published",
                f"GRANT USAGE ON SCHEMA {quote(name)} TO {quote(role)}",
            )


def judge_pooler(server_pid: int, seen_pid: int, is_configured: bool) -> Iterator[Finding]:
    """Whether a pooler is between the service and the server, and the settings agree.

    Args:
        server_pid: the process that the driver was told of.
        seen_pid: the process that answers.
        is_configured: whether GEOSVC_PGBOUNCER is set.
    """
    has_pooler = server_pid != seen_pid
    if has_pooler and not is_configured:
        yield Finding(
            "error",
            "pooler",
            "GEOSVC_PGBOUNCER",
            "the service connects through a connection pooler, but GEOSVC_PGBOUNCER is not set: "
            "prepared statements and settings get lost",
        )
    elif is_configured and not has_pooler:
        yield Finding(
            "info",
            "no-pooler",
            "GEOSVC_PGBOUNCER",
            "it is set, but the service connects without a pooler: each read needs one more "
            "transaction",
        )


def judge_skew(seconds: float) -> Iterator[Finding]:
    """The difference between the clocks of the server and of this machine.

    Args:
        seconds: positive when the server's clock is ahead.
    """
    difference = abs(seconds)
    if difference < SKEW_SECONDS:
        return
    severity: Severity = "warning"
    if difference >= LARGE_SKEW_SECONDS:
        severity = "error"
    direction = "ahead" if seconds > 0 else "behind"
    text = f"the clock of the server is {difference:.1f} s {direction}: the times in logs differ"
    yield Finding(severity, "time-skew", "server", text)


def judge_connections(available: int, needed: int) -> Iterator[Finding]:
    """Whether the server accepts as many connections as all workers may open."""
    if needed > available:
        yield Finding(
            "warning",
            "max-connections",
            "server",
            f"the workers may open {needed} connections (GEOSVC_WORKERS, GEOSVC_POOL_MAX_SIZE), "
            f"but the server accepts {available}",
            f"ALTER SYSTEM SET max_connections = {needed * 2}",
        )
