"""The bodies of the four functions that log the changes of a published table.

The functions run with the rights of whoever published the table, in sessions of whoever writes to
it. The search_path of such a session may be anything. So functions, operators, collations and types
are named with their schema, and casts are found by their types. A value of a type that a user may
have made is written by its output function, never by a cast, which the user may have made as well.
No setting of the session matters either (docs/decisions/0020).
"""

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
_UNKNOWN = SQL(
    "RAISE LOG 'geosvc: publication {id} cannot tell what a statement changed in %: %',"
    " TG_RELID::pg_catalog.regclass, SQLERRM;"
    " INSERT INTO geosvc.change (publication, operation, rows) VALUES ({id}, '?', 0);"
)
# Most statements change one row. Its values are read in a block of its own: a block with an
# exception handler that only reads takes no subtransaction id, one that writes takes one.
_INSERT_OR_DELETE = SQL(
    """
DECLARE
  total pg_catalog.int8;
  this_key pg_catalog.text;
  this_box pg_catalog.box;
  this_state pg_catalog.json;
BEGIN
  BEGIN
    SELECT {key}, {box}, {state} INTO STRICT this_key, this_box, this_state FROM {source};
  EXCEPTION
    WHEN no_data_found THEN RETURN NULL;
    WHEN OTHERS THEN
      BEGIN
        SELECT pg_catalog.count(*) INTO total FROM (SELECT FROM {rows} LIMIT {more}) counted;
        IF total OPERATOR(pg_catalog.=) 0 THEN
          RETURN NULL;
        ELSIF total OPERATOR(pg_catalog.<) {more} THEN
          INSERT INTO geosvc.change (publication, operation, key, {box_column}, {state_column})
            SELECT {id}, {operation}, {key}, {box}, {state} FROM {source};
        ELSE
          INSERT INTO geosvc.change (publication, operation, rows, {box_column})
            SELECT {id}, {operation}, pg_catalog.count(*), {extent} FROM {rows} r;
        END IF;
      EXCEPTION WHEN OTHERS THEN
        {unknown}
      END;
      {wake}
      RETURN NULL;
  END;
  INSERT INTO geosvc.change (publication, operation, key, {box_column}, {state_column})
    VALUES ({id}, {operation}, this_key, this_box, this_state);
  {wake}
  RETURN NULL;
END
"""
)
_UPDATE = SQL(
    """
DECLARE
  total pg_catalog.int8;
  old_key pg_catalog.text;
  new_key pg_catalog.text;
  old_extent pg_catalog.box;
  new_extent pg_catalog.box;
  old_state pg_catalog.json;
  new_state pg_catalog.json;
BEGIN
  BEGIN
    SELECT o.key, o.box, o.state, n.key, n.box, n.state
      INTO STRICT old_key, old_extent, old_state, new_key, new_extent, new_state
      FROM (SELECT {key} AS key, {box} AS box, {state} AS state FROM {old_source}) o,
           (SELECT {key} AS key, {box} AS box, {state} AS state FROM {new_source}) n;
  EXCEPTION WHEN OTHERS THEN
    BEGIN
      SELECT pg_catalog.count(*) INTO total FROM (SELECT FROM old_rows LIMIT {more}) counted;
      IF total OPERATOR(pg_catalog.=) 0 THEN
        RETURN NULL;
      ELSIF total OPERATOR(pg_catalog.<) {more} THEN
        INSERT INTO geosvc.change (publication, operation, key, old_box, new_box, old, new)
          SELECT {id}, (CASE WHEN o.key IS NULL THEN 'i' WHEN n.key IS NULL THEN 'd'
                   ELSE 'u' END)::pg_catalog."char",
                 COALESCE(n.key, o.key), o.box, n.box, o.state, n.state
          FROM (SELECT {key} AS key, {box} AS box, {state} AS state FROM {old_source}) o
               FULL JOIN (SELECT {key} AS key, {box} AS box, {state} AS state FROM {new_source}) n
               ON o.key OPERATOR(pg_catalog.=) n.key;
      ELSE
        SELECT pg_catalog.count(*), {extent} INTO total, old_extent FROM old_rows r;
        SELECT {extent} INTO new_extent FROM new_rows r;
        INSERT INTO geosvc.change (publication, operation, rows, old_box, new_box)
          VALUES ({id}, 'u', total, old_extent, new_extent);
      END IF;
    EXCEPTION WHEN OTHERS THEN
      {unknown}
    END;
    {wake}
    RETURN NULL;
  END;
  IF old_key OPERATOR(pg_catalog.=) new_key THEN
    INSERT INTO geosvc.change (publication, operation, key, old_box, new_box, old, new)
      VALUES ({id}, 'u', new_key, old_extent, new_extent, old_state, new_state);
  ELSE
    INSERT INTO geosvc.change (publication, operation, key, old_box, new_box, old, new)
      VALUES ({id}, 'd', old_key, old_extent, NULL, old_state, NULL),
             ({id}, 'i', new_key, NULL, new_extent, NULL, new_state);
  END IF;
  {wake}
  RETURN NULL;
END
"""
)
# For a table without a key: every statement is logged as one change.
_STATEMENT = SQL(
    """
DECLARE
  failed pg_catalog.bool;
  total pg_catalog.int8;
  extent pg_catalog.box;
BEGIN
  BEGIN
    SELECT pg_catalog.count(*), {extent} INTO total, extent FROM {rows} r;
  EXCEPTION WHEN OTHERS THEN
    IF NOT EXISTS (SELECT FROM {rows}) THEN RETURN NULL; END IF;
    failed := true;
    {unknown}
  END;
  IF failed IS NULL THEN
    IF total OPERATOR(pg_catalog.=) 0 THEN RETURN NULL; END IF;
    INSERT INTO geosvc.change (publication, operation, rows, {box_column})
      VALUES ({id}, {operation}, total, extent);
  END IF;
  {wake}
  RETURN NULL;
END
"""
)
_STATEMENT_UPDATE = SQL(
    """
DECLARE
  failed pg_catalog.bool;
  total pg_catalog.int8;
  old_extent pg_catalog.box;
  new_extent pg_catalog.box;
BEGIN
  BEGIN
    SELECT pg_catalog.count(*), {extent} INTO total, old_extent FROM old_rows r;
    SELECT {extent} INTO new_extent FROM new_rows r;
  EXCEPTION WHEN OTHERS THEN
    IF NOT EXISTS (SELECT FROM old_rows) THEN RETURN NULL; END IF;
    failed := true;
    {unknown}
  END;
  IF failed IS NULL THEN
    IF total OPERATOR(pg_catalog.=) 0 THEN RETURN NULL; END IF;
    INSERT INTO geosvc.change (publication, operation, rows, old_box, new_box)
      VALUES ({id}, 'u', total, old_extent, new_extent);
  END IF;
  {wake}
  RETURN NULL;
END
"""
)
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
        "unknown": _UNKNOWN.format(id=publication),
        "extent": extent(table),
    }
    if table.key:
        parts["more"] = NumberLiteral(table.bulk_rows + 1)
        parts["key"] = key_text(table)
        parts["box"] = bounding_box(table)
        parts["state"] = state_json(table)
    if operation == "update":
        return _log_update(table, parts)
    return _log_insert_or_delete(table, operation, parts)


def _log_update(table: PublishedTable, parts: dict[str, Composable]) -> Composable:
    if not table.key:
        return _STATEMENT_UPDATE.format(**parts)
    return _UPDATE.format(
        **parts,
        old_source=rows_with_values(table, SQL("old_rows")),
        new_source=rows_with_values(table, SQL("new_rows")),
    )


def _log_insert_or_delete(
    table: PublishedTable,
    operation: Operation,
    parts: dict[str, Composable],
) -> Composable:
    if operation == "insert":
        rows = SQL("new_rows")
        parts["operation"] = SQL("'i'")
        parts["box_column"] = SQL("new_box")
        parts["state_column"] = SQL("new")
    else:
        rows = SQL("old_rows")
        parts["operation"] = SQL("'d'")
        parts["box_column"] = SQL("old_box")
        parts["state_column"] = SQL("old")
    if not table.key:
        return _STATEMENT.format(**parts, rows=rows)
    return _INSERT_OR_DELETE.format(**parts, rows=rows, source=rows_with_values(table, rows))
