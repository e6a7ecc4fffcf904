"""The bodies of the four functions that log the changes of a published table.

The functions run with the rights of whoever published the table, in sessions of whoever writes to
it. The search_path of such a session may be anything. So functions, operators, collations and types
are named with their schema, and casts are found by their types. A value of a type that a user may
have made is written by its output function, never by a cast, which the user may have made as well.
No setting of the session matters either (docs/decisions/0020).
"""

from dataclasses import dataclass

from geosvc.query.change_log.advisory_locks import READER_IDLE_LOCK
from geosvc.query.change_log.logged_row import (
    bounding_box,
    extent,
    key_text,
    rows_with_values,
    state_json,
)
from geosvc.query.change_log.published_table import Operation, PublishedTable
from geosvc.sql.compose import SQL, Composable, NumberLiteral

# A reader that is idle holds READER_IDLE_LOCK shared (database/changefeed/feed.py). A reader that
# is not idle polls anyway. NOTIFY makes all commits of the database wait for each other, so it is
# sent only when a reader is idle.
_WAKE = SQL(
    "IF (CASE WHEN pg_catalog.pg_try_advisory_lock({first}, {second})"
    " THEN NOT pg_catalog.pg_advisory_unlock({first}, {second})"
    " ELSE true END) THEN NOTIFY geosvc_change; END IF;"
).format(
    first=NumberLiteral(READER_IDLE_LOCK[0]),
    second=NumberLiteral(READER_IDLE_LOCK[1]),
)
_LOG_UNKNOWN = SQL(
    "RAISE LOG 'geosvc: publication {id} cannot tell what a statement changed in %: %',"
    " TG_RELID::pg_catalog.regclass, SQLERRM;"
    " INSERT INTO geosvc.change (publication, operation, rows) VALUES ({id}, '?', 0);"
)
# Most statements change one row, which is read in a block of its own: a block with an exception
# handler takes no subtransaction id if it only reads; one that writes takes one. `read_row` raises
# an exception if not exactly one row has changed.
_WITH_KEY = SQL(
    """
DECLARE
  {variables}
BEGIN
  BEGIN
    {read_row}
  EXCEPTION WHEN OTHERS THEN
    BEGIN
      SELECT pg_catalog.count(*) INTO total FROM (SELECT FROM {rows} LIMIT {more}) counted;
      IF total OPERATOR(pg_catalog.=) 0 THEN
        RETURN NULL;
      ELSIF total OPERATOR(pg_catalog.<) {more} THEN
        {log_each_row}
      ELSE
        {read_extent}
        {log_extent}
      END IF;
    EXCEPTION WHEN OTHERS THEN
      {log_unknown}
    END;
    {wake}
    RETURN NULL;
  END;
  {log_row}
  {wake}
  RETURN NULL;
END
"""
)
# Without a key no row can be named, so every statement is logged as one change.
_WITHOUT_KEY = SQL(
    """
DECLARE
  {variables}
BEGIN
  BEGIN
    {read_extent}
  EXCEPTION WHEN OTHERS THEN
    IF EXISTS (SELECT FROM {rows}) THEN
      {log_unknown}
      {wake}
    END IF;
    RETURN NULL;
  END;
  IF total OPERATOR(pg_catalog.>) 0 THEN
    {log_extent}
    {wake}
  END IF;
  RETURN NULL;
END
"""
)


@dataclass(frozen=True, slots=True)
class _Steps:
    """How the functions of an operation read the rows that have changed, and log them.

    Attributes:
        variables: what `read_row` and `read_extent` set.
        read_row: reads the one row; raises an exception if there are none or several.
        log_row: logs what `read_row` has read.
        log_each_row: reads and logs several rows.
        read_extent: counts the rows, and reads the box around all of them.
        log_extent: logs what `read_extent` has read, as one change.
    """

    variables: SQL
    read_row: SQL
    log_row: SQL
    log_each_row: SQL
    read_extent: SQL
    log_extent: SQL


_INSERT_OR_DELETE = _Steps(
    variables=SQL(
        """
  total pg_catalog.int8;
  this_key pg_catalog.text;
  this_box pg_catalog.box;
  this_state pg_catalog.json;
"""
    ),
    read_row=SQL(
        """
    SELECT r.key, r.box, r.state INTO STRICT this_key, this_box, this_state FROM {values} r;
"""
    ),
    log_row=SQL(
        """
  INSERT INTO geosvc.change (publication, operation, key, {box_column}, {state_column})
    VALUES ({id}, {operation}, this_key, this_box, this_state);
"""
    ),
    log_each_row=SQL(
        """
        INSERT INTO geosvc.change (publication, operation, key, {box_column}, {state_column})
          SELECT {id}, {operation}, r.key, r.box, r.state FROM {values} r;
"""
    ),
    read_extent=SQL("SELECT pg_catalog.count(*), {extent} INTO total, this_box FROM {rows} r;"),
    log_extent=SQL(
        "INSERT INTO geosvc.change (publication, operation, rows, {box_column})"
        " VALUES ({id}, {operation}, total, this_box);"
    ),
)
# The key is the feature id: a row whose key has changed is logged as a delete and an insert.
# Several rows are joined by key, as keys may move among them.
_UPDATE = _Steps(
    variables=SQL(
        """
  total pg_catalog.int8;
  old_key pg_catalog.text;
  new_key pg_catalog.text;
  old_extent pg_catalog.box;
  new_extent pg_catalog.box;
  old_state pg_catalog.json;
  new_state pg_catalog.json;
"""
    ),
    read_row=SQL(
        """
    SELECT o.key, o.box, o.state, n.key, n.box, n.state
      INTO STRICT old_key, old_extent, old_state, new_key, new_extent, new_state
      FROM {old_values} o, {new_values} n;
"""
    ),
    log_row=SQL(
        """
  IF old_key OPERATOR(pg_catalog.=) new_key THEN
    INSERT INTO geosvc.change (publication, operation, key, old_box, new_box, old, new)
      VALUES ({id}, 'u', new_key, old_extent, new_extent, old_state, new_state);
  ELSE
    INSERT INTO geosvc.change (publication, operation, key, old_box, new_box, old, new)
      VALUES ({id}, 'd', old_key, old_extent, NULL, old_state, NULL),
             ({id}, 'i', new_key, NULL, new_extent, NULL, new_state);
  END IF;
"""
    ),
    log_each_row=SQL(
        """
        INSERT INTO geosvc.change (publication, operation, key, old_box, new_box, old, new)
          SELECT {id}, (CASE WHEN o.key IS NULL THEN 'i' WHEN n.key IS NULL THEN 'd'
                   ELSE 'u' END)::pg_catalog."char",
                 COALESCE(n.key, o.key), o.box, n.box, o.state, n.state
          FROM {old_values} o FULL JOIN {new_values} n ON o.key OPERATOR(pg_catalog.=) n.key;
"""
    ),
    read_extent=SQL(
        "SELECT pg_catalog.count(*), {extent} INTO total, old_extent FROM old_rows r;"
        " SELECT {extent} INTO new_extent FROM new_rows r;"
    ),
    log_extent=SQL(
        "INSERT INTO geosvc.change (publication, operation, rows, old_box, new_box)"
        " VALUES ({id}, 'u', total, old_extent, new_extent);"
    ),
)
_PARTS: dict[Operation, dict[str, Composable]] = {
    "insert": {
        "rows": SQL("new_rows"),
        "operation": SQL("'i'"),
        "box_column": SQL("new_box"),
        "state_column": SQL("new"),
    },
    "update": {"rows": SQL("old_rows")},
    "delete": {
        "rows": SQL("old_rows"),
        "operation": SQL("'d'"),
        "box_column": SQL("old_box"),
        "state_column": SQL("old"),
    },
}
# If only a part of the table is truncated, it is unknown which rows are gone.
_TRUNCATE = SQL(
    """
BEGIN
  INSERT INTO geosvc.change (publication, operation, rows)
    VALUES ({id}, (CASE WHEN TG_NARGS OPERATOR(pg_catalog.=) 0 THEN 't'
              ELSE '?' END)::pg_catalog."char", 0);
  {wake}
  RETURN NULL;
END
"""
)


def log_changes(table: PublishedTable, operation: Operation) -> Composable:
    """Write the body of the function that logs an operation."""
    publication = NumberLiteral(table.publication)
    if operation == "truncate":
        return _TRUNCATE.format(id=publication, wake=_WAKE)
    parts: dict[str, Composable] = {
        "id": publication,
        "wake": _WAKE,
        "log_unknown": _LOG_UNKNOWN.format(id=publication),
        "extent": extent(table),
        **_PARTS[operation],
    }
    steps = _INSERT_OR_DELETE
    if operation == "update":
        steps = _UPDATE
    if table.key:
        return _log_with_key(table, steps, parts)
    return _WITHOUT_KEY.format(
        **parts,
        variables=steps.variables,
        read_extent=steps.read_extent.format(**parts),
        log_extent=steps.log_extent.format(**parts),
    )


def _log_with_key(
    table: PublishedTable,
    steps: _Steps,
    parts: dict[str, Composable],
) -> Composable:
    parts["more"] = NumberLiteral(table.bulk_rows + 1)
    parts["values"] = _values(table, parts["rows"])
    parts["old_values"] = _values(table, SQL("old_rows"))
    parts["new_values"] = _values(table, SQL("new_rows"))
    return _WITH_KEY.format(
        **parts,
        variables=steps.variables,
        read_row=steps.read_row.format(**parts),
        log_row=steps.log_row.format(**parts),
        log_each_row=steps.log_each_row.format(**parts),
        read_extent=steps.read_extent.format(**parts),
        log_extent=steps.log_extent.format(**parts),
    )


def _values(table: PublishedTable, rows: Composable) -> Composable:
    """Write the rows of a transition table as (key, box, state)."""
    return SQL("(SELECT {key} AS key, {box} AS box, {state} AS state FROM {source})").format(
        key=key_text(table),
        box=bounding_box(table),
        state=state_json(table),
        source=rows_with_values(table, rows),
    )
