"""What the doctor finds: facts turned into findings, each with what mends it. Pure."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from geosvc.model.catalog import decode_typmod
from geosvc.model.collection import GeometryColumn
from geosvc.model.crs import UNKNOWN

Severity = Literal["error", "warning", "info"]
Facts = Mapping[str, Any]
Quote = Callable[..., str]

OLDEST_POSTGRESQL = 140_000
OLDEST_POSTGIS = (3, 1)
MANY_ROWS = 1_000
STALE_SHARE = 0.2
SKEW_SECONDS = 1.0
LARGE_SKEW_SECONDS = 60.0
LOG_SLACK_SECONDS = 3_600.0
_DIMENSIONS = {"MULTIPOINT": 1, "MULTILINESTRING": 2, "MULTIPOLYGON": 3}
_STORED = ("r", "m", "p")  # tables, materialised views, partitioned tables


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        subject: a relation, a setting, the server.
        sql: what mends it; None when no SQL does.
    """

    severity: Severity
    code: str
    subject: str
    text: str
    sql: str | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """What some rows of a geometry column tell.

    Attributes:
        srids: that occur.
    """

    rows: int
    invalid: int
    srids: tuple[int, ...]


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())


def judge_server(server: Facts) -> Iterator[Finding]:
    """Versions of PostgreSQL and PostGIS, and the rights of the role."""
    if server["version"] < OLDEST_POSTGRESQL:
        found = server["version"] // 10_000
        yield Finding(
            "error", "old-postgresql", "server", f"PostgreSQL {found} is older than 14, the oldest that geosvc works with"
        )
    installed, available = server["postgis"], server["postgis_available"]
    if installed is None:
        yield Finding(
            "error", "no-postgis", "database", "PostGIS is not installed in this database", "CREATE EXTENSION postgis"
        )
    elif _version(installed) < OLDEST_POSTGIS:
        yield Finding(
            "error", "old-postgis", "database", f"PostGIS {installed} is older than 3.1", "ALTER EXTENSION postgis UPDATE"
        )
    elif available is not None and _version(installed) < _version(available):
        text = f"the extension is PostGIS {installed} and the server has {available}"
        yield Finding("warning", "postgis-behind", "database", text, "ALTER EXTENSION postgis UPDATE")


def judge_role(server: Facts, relations: Sequence[Facts], quote: Quote) -> Iterator[Finding]:
    """Rights that reading does not need."""
    role = server["role"]
    if server["superuser"]:
        yield Finding(
            "warning",
            "superuser",
            f"role {role}",
            "the service connects as a superuser, which may do anything; give it a role of its own",
            "CREATE ROLE geosvc_reader LOGIN; GRANT pg_read_all_data TO geosvc_reader",
        )
        return
    writable = [f"{each['schema']}.{each['name']}" for each in relations if each["writable"]]
    if writable:
        first = next(each for each in relations if each["writable"])
        yield Finding(
            "info",
            "role-may-write",
            f"role {role}",
            f"the role may write to {len(writable)} relations ({', '.join(writable[:3])}…), which reading does not need",
            f"REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON {quote(first['schema'], first['name'])} FROM {quote(role)}",
        )


def judge_schemas(schemas: Sequence[tuple[str, bool, bool]], role: str, quote: Quote) -> Iterator[Finding]:
    """Schemas that are not there or may not be used: (name, exists, usable)."""
    for name, exists, usable in schemas:
        if not exists:
            yield Finding("warning", "no-schema", f"schema {name}", "GEOSVC_SCHEMAS names a schema that is not there")
        elif not usable:
            yield Finding(
                "error",
                "no-usage",
                f"schema {name}",
                f"the role {role} may not use the schema, so nothing in it is published",
                f"GRANT USAGE ON SCHEMA {quote(name)} TO {quote(role)}",
            )


def judge_relation(relation: Facts, role: str, quote: Quote) -> Iterator[Finding]:
    """Privileges, key, statistics and indexes of a relation."""
    subject, name = f"{relation['schema']}.{relation['name']}", quote(relation["schema"], relation["name"])
    if not relation["readable"]:
        text = f"the role {role} may not read it, so it is not published"
        yield Finding("warning", "not-readable", subject, text, f"GRANT SELECT ON {name} TO {quote(role)}")
        return
    if not relation["keyed"]:
        yield _without_key(relation, subject, name)
    if relation["kind"] not in _STORED:
        return
    if relation["rows"] and (not relation["analysed"] or relation["changed"] > relation["rows"] * STALE_SHARE + MANY_ROWS):
        why = f"{relation['changed']} rows have changed since" if relation["analysed"] else "it was never analysed"
        text = f"the planner's statistics are out of date: {why}"
        yield Finding("warning", "stale-statistics", subject, text, f"ANALYZE {name}")
    for geometry in relation["geometries"]:
        yield from _judge_index(relation, geometry, quote)


def _without_key(relation: Facts, subject: str, name: str) -> Finding:
    if relation["kind"] in ("v", "f", "m"):
        text = f"its features have no ids: name the columns that make them in collections.{relation['name']}.key"
        return Finding("info", "no-key", subject, text)
    text = "it has no primary key: its features have no ids, and paging goes by row address"
    return Finding("warning", "no-key", subject, text, f"ALTER TABLE {name} ADD COLUMN gid bigserial PRIMARY KEY")


def _judge_index(relation: Facts, geometry: Facts, quote: Quote) -> Iterator[Finding]:
    subject = f"{relation['schema']}.{relation['name']}.{geometry['name']}"
    table, column = quote(relation["schema"], relation["name"]), quote(geometry["name"])
    # a partitioned table takes no CONCURRENTLY
    create = "CREATE INDEX ON" if relation["kind"] == "p" else "CREATE INDEX CONCURRENTLY ON"
    if any(index["valid"] for index in geometry["indexes"]):
        return
    broken = [index["name"] for index in geometry["indexes"]]
    if broken:
        drop = f"DROP INDEX CONCURRENTLY {quote(relation['schema'], broken[0])}"
        text = f"its spatial index {broken[0]} is invalid: a CREATE INDEX CONCURRENTLY did not end"
        yield Finding("warning", "invalid-index", subject, text, f"{drop}; {create} {table} USING gist ({column})")
    elif relation["rows"] >= MANY_ROWS:
        text = f"{relation['rows']} rows and no spatial index: every box reads all of them"
        yield Finding("warning", "missing-spatial-index", subject, text, f"{create} {table} USING gist ({column})")


def judge_sample(relation: Facts, geometry: Facts, sample: Sample, quote: Quote) -> Iterator[Finding]:
    """SRIDs and validity of the geometries in some rows."""
    subject = f"{relation['schema']}.{relation['name']}.{geometry['name']}"
    table, column = quote(relation["schema"], relation["name"]), quote(geometry["name"])
    declared = decode_typmod(geometry["name"], geometry["spatial"], geometry["typmod"], not_null=False)
    if declared.srid == UNKNOWN:
        if len(sample.srids) > 1:
            told = ", ".join(map(str, sorted(sample.srids)))
            yield Finding(
                "warning",
                "mixed-srids",
                subject,
                f"its rows have several SRIDs: {told}",
                _retype(table, column, declared.type, None),
            )
        else:
            found = next(iter(sample.srids), 0)
            known = f" ({found} in its rows)" if found else ""
            text = f"it does not say its SRID{known}: its rows are looked at one by one for every box"
            yield Finding("warning", "unknown-srid", subject, text, _retype(table, column, declared.type, found))
    if sample.invalid:
        yield Finding(
            "warning",
            "invalid-geometries",
            subject,
            f"{sample.invalid} of {sample.rows} sampled geometries are invalid: filters by shape may miss or refuse them",
            _make_valid(table, column, declared),
        )


def _make_valid(table: str, column: str, declared: GeometryColumn) -> str:
    """The command that mends invalid geometries and keeps the type of the column: what is made valid may be of another one."""
    value = f"{column}::geometry" if declared.geography else column
    made = f"ST_MakeValid({value})"
    if declared.type in _DIMENSIONS:
        made = f"ST_Multi(ST_CollectionExtract({made}, {_DIMENSIONS[declared.type]}))"
    made += "::geography" if declared.geography else ""
    return f"UPDATE {table} SET {column} = {made} WHERE NOT ST_IsValid({value})"  # noqa: S608 - names are quoted


def _retype(table: str, column: str, kind: str, srid: int | None) -> str:
    """The command that gives a column an SRID; 4326 where the rows do not tell another."""
    wanted = srid or 4326
    value = f"ST_Transform({column}, 4326)" if srid is None else f"ST_SetSRID({column}, {wanted})"
    return f"ALTER TABLE {table} ALTER COLUMN {column} TYPE geometry({kind.capitalize()}, {wanted}) USING {value}"


def judge_pooler(server_pid: int, seen_pid: int, told: bool) -> Iterator[Finding]:
    """Whether there is a pooler in between, by the process that the driver was told of and the one that answers."""
    if server_pid != seen_pid and not told:
        text = "a connection pooler is in between, and GEOSVC_PGBOUNCER is not set: prepared statements and settings get lost"
        yield Finding("error", "pooler", "GEOSVC_PGBOUNCER", text)
    elif server_pid == seen_pid and told:
        yield Finding(
            "info",
            "no-pooler",
            "GEOSVC_PGBOUNCER",
            "it is set, and no pooler is in between: each read takes a transaction more",
        )


def judge_skew(seconds: float) -> Iterator[Finding]:
    """The server's clock against this machine's; positive when it is ahead."""
    if abs(seconds) >= SKEW_SECONDS:
        severity: Severity = "error" if abs(seconds) >= LARGE_SKEW_SECONDS else "warning"
        text = f"the clock of the server is {abs(seconds):.1f} s {'ahead' if seconds > 0 else 'behind'}: logs do not match"
        yield Finding(severity, "time-skew", "server", text)


def judge_connections(available: int, wanted: int) -> Iterator[Finding]:
    """Whether the server lets in as many connections as all workers may open."""
    if wanted > available:
        text = f"the workers may open {wanted} connections (GEOSVC_WORKERS, GEOSVC_POOL_MAX_SIZE), the server takes {available}"
        yield Finding("warning", "max-connections", "server", text, f"ALTER SYSTEM SET max_connections = {wanted * 2}")


def judge_publication(facts: Facts, collection: str, key: tuple[str, ...] | None) -> Iterator[Finding]:
    """Whether all changes of a published table are logged, and as they should be.

    Args:
        collection: what `geosvc publish` calls it.
        key: of the collection now; None when it is not served.
    """
    if facts["name"] is None:
        text = f"the table of publication {facts['publication']} is gone, and its functions are left"
        drop = ", ".join(f"geosvc.change_{facts['publication']}_{each}" for each in ("insert", "update", "delete", "truncate"))
        sql = f"DROP FUNCTION {drop}; DELETE FROM geosvc.publication WHERE id = {facts['publication']}"  # noqa: S608 - a number
        yield Finding("info", "publication-orphaned", f"publication {facts['publication']}", text, sql)
        return
    subject, again = f"{facts['schema']}.{facts['name']}", f"geosvc publish {collection}"
    if facts["unlogged"]:
        text = f"changes of {', '.join(facts['unlogged'][:5])} are not logged, for want of triggers: {again}"
        yield Finding("warning", "publication-incomplete", subject, text)
    if facts["strays"]:
        text = f"changes of {', '.join(facts['strays'][:5])}, which is no part of it now, are logged as its own: {again}"
        yield Finding("warning", "publication-incomplete", subject, text)
    if (outdated := _outdated(facts, key)) is not None:
        yield Finding("warning", "publication-outdated", subject, f"{outdated}: {again}")
    if facts["subscription"] is not None:
        text = f"what the subscription {facts['subscription']} changes passes no trigger, so it is not logged: publish it there"
        yield Finding("warning", "publication-subscribed", subject, text)


def _outdated(facts: Facts, key: tuple[str, ...] | None) -> str | None:
    try:
        state, logged_key = json.loads(facts["state"]), tuple(json.loads(facts["more"])["key"])
    except (KeyError, TypeError, ValueError):
        return "the comments of its functions are not what geosvc wrote"
    if gone := [each for each in state if each not in facts["columns"]]:
        return f"it has no column {', '.join(gone)} any more, and its changes are logged without saying what they were"
    if new := [each for each in facts["columns"] if each not in state]:
        return f"its column {', '.join(new)} is not logged"
    if logged_key and key is not None and logged_key != key:
        return f"its key is {', '.join(key) or 'no more'}, and changes are logged by {', '.join(logged_key)}"
    return None


def judge_log(log: Facts, role: str, quote: Quote) -> Iterator[Finding]:
    """What the service's role may do with the change log."""
    if not log["readable"]:
        grant = (
            f"GRANT USAGE ON SCHEMA geosvc TO {quote(role)}; GRANT SELECT ON geosvc.change, geosvc.publication TO {quote(role)}"
        )
        text = f"the role {role} may not read the log, so nobody is told of changes and nothing is cached"
        yield Finding("warning", "change-log-not-readable", "geosvc.change", text, grant)
    elif not log["prunable"]:
        grant = f"GRANT DELETE ON geosvc.change TO {quote(role)}; GRANT UPDATE ON geosvc.publication TO {quote(role)}"
        text = f"the role {role} may not delete old changes, so the log grows"
        yield Finding("warning", "change-log-not-pruned", "geosvc.change", text, grant)


def judge_log_size(rows: int, age_seconds: float, most_rows: int, retention_seconds: float) -> Iterator[Finding]:
    """Whether somebody prunes the change log."""
    old = age_seconds > 2 * retention_seconds + LOG_SLACK_SECONDS
    if old or rows > 2 * most_rows:
        told = f"its oldest change is {age_seconds / 3600:.0f} hours old" if old else f"it holds about {rows} changes"
        yield Finding(
            "warning",
            "change-log-not-pruned",
            "geosvc.change",
            f"{told}: no service runs that prunes it, or it does not keep up",
        )
