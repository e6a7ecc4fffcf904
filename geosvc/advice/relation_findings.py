"""Findings about relations: privileges, statistics, spatial indexes, keys."""

from collections.abc import Iterator, Sequence

from geosvc.advice.findings import (
    MANY_ROWS,
    Facts,
    Finding,
    Quote,
    quoted_table,
    subject_of,
)
from geosvc.advice.null_rules import NULLS_FROM_ROWS, null_index

STALE_SHARE = 0.2
_STORED = ("r", "m", "p")  # tables, materialised views, partitioned tables
_DERIVED = ("v", "f", "m")  # views, foreign tables, materialised views
_NOT_POPULATED = "55000"


def judge_reading(
    relation: Facts, sqlstate: str, failure: str, grants: Sequence[str], quote: Quote
) -> Finding:
    """The finding for a relation that the role may read, but whose reading failed.

    Args:
        failure: the meaning of the failure, and the message of the database.
        grants: the commands that give the role the missing rights on what a view reads.
    """
    sql = "; ".join(grants) or None
    if sqlstate == _NOT_POPULATED and relation["kind"] == "m":
        sql = f"REFRESH MATERIALIZED VIEW {quoted_table(relation, quote)}"
    return Finding("error", "cannot-be-read", subject_of(relation), failure, sql)


def judge_relation(relation: Facts, role: str, quote: Quote) -> Iterator[Finding]:
    """Privileges, statistics and indexes of a relation."""
    table = quoted_table(relation, quote)
    if not relation["readable"]:
        yield Finding(
            "warning",
            "not-readable",
            subject_of(relation),
            f"the role {role} may not read it, so it is not published",
            f"GRANT SELECT ON {table} TO {quote(role)}",
        )
        return
    if relation["kind"] not in _STORED:
        return
    reason = _why_stale(relation)
    if reason is not None:
        yield Finding(
            "warning",
            "stale-statistics",
            subject_of(relation),
            f"the planner's statistics are out of date: {reason}",
            f"ANALYZE {table}",
        )
    for geometry in relation["geometries"]:
        yield from _judge_index(relation, geometry, quote)
        if geometry["indexes"] and geometry["nullable"] and not geometry["null_index"]:
            yield from _judge_nulls(relation, geometry, quote)


def _why_stale(relation: Facts) -> str | None:
    """Why the statistics of a relation are out of date; None when they are not."""
    if not relation["rows"]:
        return None
    if not relation["analysed"]:
        return "it was never analysed"
    if relation["changed"] > relation["rows"] * STALE_SHARE + MANY_ROWS:
        return f"{relation['changed']} rows have changed since"
    return None


def _judge_index(relation: Facts, geometry: Facts, quote: Quote) -> Iterator[Finding]:
    """The spatial index of a geometry column."""
    indexes = geometry["indexes"]
    if any(index["valid"] for index in indexes):
        return
    sql = f"{_begin_index(relation, quote)} USING gist ({quote(geometry['name'])})"
    subject = f"{subject_of(relation)}.{geometry['name']}"
    if indexes:
        name = indexes[0]["name"]
        yield Finding(
            "warning",
            "invalid-index",
            subject,
            f"its spatial index {name} is invalid: a CREATE INDEX CONCURRENTLY did not complete",
            f"DROP INDEX CONCURRENTLY {quote(relation['schema'], name)}; {sql}",
        )
    elif relation["rows"] >= MANY_ROWS:
        yield Finding(
            "warning",
            "missing-spatial-index",
            subject,
            f"{relation['rows']} rows without a spatial index: each bbox query reads all of them",
            sql,
        )


def _begin_index(relation: Facts, quote: Quote) -> str:
    """The command that makes an index, up to its method and keys."""
    # PostgreSQL refuses CONCURRENTLY for a partitioned table
    create = "CREATE INDEX ON" if relation["kind"] == "p" else "CREATE INDEX CONCURRENTLY ON"
    return f"{create} {quoted_table(relation, quote)}"


def _judge_nulls(relation: Facts, geometry: Facts, quote: Quote) -> Iterator[Finding]:
    """A column that may be NULL, which makes a box read its whole spatial index."""
    if relation["rows"] < NULLS_FROM_ROWS:
        return
    yield Finding(
        "info",
        "missing-null-index",
        f"{subject_of(relation)}.{geometry['name']}",
        "it may be NULL, and a box has to return features without a geometry too: each bbox query "
        "reads the whole spatial index. Declare it NOT NULL if no geometry is missing, or make a "
        "small index of the rows without one",
        null_index(_begin_index(relation, quote), quote(geometry["name"])),
    )


def judge_key(relation: Facts, collection: str, quote: Quote) -> Finding:
    """The finding for a relation whose features have no ids.

    Args:
        collection: the id of its collection.
    """
    subject = subject_of(relation)
    setting = f"name the key columns in collections.{collection}.key"
    if relation["kind"] in _DERIVED:
        return Finding("info", "no-key", subject, f"its features have no ids: {setting}")
    unique = relation["unique"] or ()
    if relation["parts"] and relation["kind"] == "r" and unique:
        return Finding(
            "warning",
            "no-key",
            subject,
            "child tables may repeat its keys, so its features have no ids: if no key is "
            f"repeated, {setting}",
        )
    text = "it has no primary key: its features have no ids, and paging uses row addresses"
    reasons = "; ".join(_why_no_key(index) for index in unique)
    if reasons:
        text = f"{text} ({reasons})"
    add = f"ALTER TABLE {quoted_table(relation, quote)} ADD COLUMN gid bigserial PRIMARY KEY"
    return Finding("warning", "no-key", subject, text, add)


def _why_no_key(index: Facts) -> str:
    """Why a unique index does not give ids."""
    if index["broken"]:
        reason = "is invalid: a CREATE INDEX CONCURRENTLY did not complete"
    elif index["partial"]:
        reason = "contains only some of the rows"
    elif index["of_expressions"]:
        reason = "is of expressions"
    elif index["deferrable"]:
        reason = "is deferrable"
    elif index["nullable"]:
        reason = f"lets {', '.join(index['nullable'])} be NULL"
    else:
        reason = "compares with another operator class or collation"
    return f"the unique index {index['name']} {reason}"


def judge_repeats(
    subject: str, collection: str, key: Sequence[str], repeats: int
) -> Iterator[Finding]:
    """Whether a key that the settings name is unique.

    Args:
        repeats: how many of its values occur in several rows.
    """
    if repeats:
        yield Finding(
            "error",
            "repeated-key",
            subject,
            f"collections.{collection}.key is {', '.join(key)}, of which {repeats} values occur "
            "in several rows each: these features cannot be read or changed by their ids",
        )
