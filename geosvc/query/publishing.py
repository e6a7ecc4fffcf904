"""What `geosvc publish` makes of a table: four functions that log its changes, and the triggers that call them.

The functions run with the rights of whoever published the table, in sessions of whoever writes to it, whose search_path may be
anything. So nothing in their bodies is found by it: functions, operators, collations and types are named with their schema,
casts are found by type, and values of types that a user may have made are written by their output functions, never by a cast,
which might be the user's own. No setting of the session matters, either (docs/decisions/0020).
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Literal

from geosvc.model.collection import Collection, Column, GeometryColumn, Publication
from geosvc.sql.compose import SQL, Composable, Composed, DollarQuoted, Identifier, Number, Statement, compose

BULK_ROWS = 1_000
STATE_BYTES = 65_536
SCHEMA = "geosvc"
Operation = Literal["insert", "update", "delete", "truncate"]
OPERATIONS: tuple[Operation, ...] = ("insert", "update", "delete", "truncate")

_TEXTS = frozenset({"text", "varchar", "bytea"})
_OF_FIXED_SIZE = frozenset(
    {"bool", "int2", "int4", "int8", "float4", "float8", "date", "time", "timetz", "timestamp", "timestamptz", "interval"}
    | {"uuid", "oid", "char", "name", "macaddr", "macaddr8", "money", "pg_lsn", "point", "box", "circle", "line", "lseg"}
)
# A reader that sleeps holds this lock shared (database/feed.py). One that is awake reads anyway; a NOTIFY would make all
# commits of the database wait for one another.
_WAKE = SQL(
    "IF (CASE WHEN pg_catalog.pg_try_advisory_lock(1734701942, 0) THEN NOT pg_catalog.pg_advisory_unlock(1734701942, 0)"
    " ELSE true END) THEN NOTIFY geosvc_change; END IF;"
)
_HEAD = SQL(
    "CREATE OR REPLACE FUNCTION {} () RETURNS pg_catalog.trigger LANGUAGE plpgsql SECURITY DEFINER"
    " SET timezone = 'UTC' SET datestyle = 'ISO, YMD' SET intervalstyle = 'iso_8601' SET bytea_output = 'hex'"
    " SET extra_float_digits = 1 AS {}"
)
_UNKNOWN = SQL(
    "RAISE LOG 'geosvc: publication {id} cannot tell what a statement changed in %: %', TG_RELID::pg_catalog.regclass, SQLERRM;"
    " INSERT INTO geosvc.change (publication, operation, rows) VALUES ({id}, '?', 0);"
)
_INSERT_OR_DELETE = SQL(
    """
DECLARE
  many pg_catalog.bool := false;
  total pg_catalog.int8;
  this_key pg_catalog.text;
  this_box pg_catalog.box;
  this_state pg_catalog.json;
BEGIN
  BEGIN
    SELECT {key}, {box}, {state} INTO STRICT this_key, this_box, this_state FROM {source};
  EXCEPTION
    WHEN no_data_found THEN RETURN NULL;
    WHEN OTHERS THEN many := true;
  END;
  IF many THEN
    BEGIN
      SELECT pg_catalog.count(*) INTO total FROM (SELECT FROM {rows} LIMIT {more}) counted;
      IF total OPERATOR(pg_catalog.<) {more} THEN
        INSERT INTO geosvc.change (publication, operation, key, {box_column}, {state_column})
          SELECT {id}, {operation}, {key}, {box}, {state} FROM {source};
      ELSE
        INSERT INTO geosvc.change (publication, operation, rows, {box_column})
          SELECT {id}, {operation}, pg_catalog.count(*), {extent} FROM {rows} r;
      END IF;
    EXCEPTION WHEN OTHERS THEN
      {unknown}
    END;
  ELSE
    INSERT INTO geosvc.change (publication, operation, key, {box_column}, {state_column})
      VALUES ({id}, {operation}, this_key, this_box, this_state);
  END IF;
  {wake}
  RETURN NULL;
END
"""
)
_UPDATE = SQL(
    """
DECLARE
  many pg_catalog.bool := false;
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
  EXCEPTION
    WHEN no_data_found THEN
      IF NOT EXISTS (SELECT FROM old_rows) THEN RETURN NULL; END IF;
      many := true;
    WHEN OTHERS THEN many := true;
  END;
  IF many THEN
    BEGIN
      SELECT pg_catalog.count(*) INTO total FROM (SELECT FROM old_rows LIMIT {more}) counted;
      IF total OPERATOR(pg_catalog.<) {more} THEN
        INSERT INTO geosvc.change (publication, operation, key, old_box, new_box, old, new)
          SELECT {id}, (CASE WHEN o.key IS NULL THEN 'i' WHEN n.key IS NULL THEN 'd' ELSE 'u' END)::pg_catalog."char",
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
  ELSIF old_key OPERATOR(pg_catalog.=) new_key THEN
    INSERT INTO geosvc.change (publication, operation, key, old_box, new_box, old, new)
      VALUES ({id}, 'u', new_key, old_extent, new_extent, old_state, new_state);
  ELSE
    INSERT INTO geosvc.change (publication, operation, key, old_box, new_box, old, new)
      VALUES ({id}, 'd', old_key, old_extent, NULL, old_state, NULL), ({id}, 'i', new_key, NULL, new_extent, NULL, new_state);
  END IF;
  {wake}
  RETURN NULL;
END
"""
)
# a table without a key: every statement is logged as one
_STATEMENT = SQL(
    """
DECLARE
  failed pg_catalog.bool := false;
  total pg_catalog.int8;
  extent pg_catalog.box;
BEGIN
  BEGIN
    SELECT pg_catalog.count(*), {extent} INTO total, extent FROM {rows} r;
  EXCEPTION WHEN OTHERS THEN
    failed := true;
    {unknown}
  END;
  IF NOT failed THEN
    IF total OPERATOR(pg_catalog.=) 0 THEN RETURN NULL; END IF;
    INSERT INTO geosvc.change (publication, operation, rows, {box_column}) VALUES ({id}, {operation}, total, extent);
  END IF;
  {wake}
  RETURN NULL;
END
"""
)
_STATEMENT_UPDATE = SQL(
    """
DECLARE
  failed pg_catalog.bool := false;
  total pg_catalog.int8;
  old_extent pg_catalog.box;
  new_extent pg_catalog.box;
BEGIN
  BEGIN
    SELECT pg_catalog.count(*), {extent} INTO total, old_extent FROM old_rows r;
    SELECT {extent} INTO new_extent FROM new_rows r;
  EXCEPTION WHEN OTHERS THEN
    failed := true;
    {unknown}
  END;
  IF NOT failed THEN
    IF total OPERATOR(pg_catalog.=) 0 THEN RETURN NULL; END IF;
    INSERT INTO geosvc.change (publication, operation, rows, old_box, new_box)
      VALUES ({id}, 'u', total, old_extent, new_extent);
  END IF;
  {wake}
  RETURN NULL;
END
"""
)
# of a part of the table alone nobody knows what went
_TRUNCATE = SQL(
    """
BEGIN
  INSERT INTO geosvc.change (publication, operation, rows)
    VALUES ({id}, (CASE WHEN TG_NARGS OPERATOR(pg_catalog.=) 0 THEN 't' ELSE '?' END)::pg_catalog."char", 0);
  {wake}
  RETURN NULL;
END
"""
)
_TRIGGERS = {
    "insert": SQL("CREATE TRIGGER geosvc_insert AFTER INSERT ON {} REFERENCING NEW TABLE AS new_rows"),
    "update": SQL("CREATE TRIGGER geosvc_update AFTER UPDATE ON {} REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows"),
    "delete": SQL("CREATE TRIGGER geosvc_delete AFTER DELETE ON {} REFERENCING OLD TABLE AS old_rows"),
    "truncate": SQL("CREATE TRIGGER geosvc_truncate AFTER TRUNCATE ON {}"),
}


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """A table as its triggers see it.

    Attributes:
        publication: the id of its row in geosvc.publication.
        postgis: the schema of PostGIS.
        columns, geometries: what the state of a row holds, in this order. The boxes are those of the first geometry.
        key: what makes the feature id; unique and never NULL. Without it every statement is logged as one.
        bulk_rows: how many rows of one statement are logged one by one.
    """

    publication: int
    schema: str
    name: str
    postgis: str
    columns: tuple[Column, ...]
    geometries: tuple[GeometryColumn, ...]
    key: tuple[str, ...]
    bulk_rows: int = BULK_ROWS

    @property
    def state(self) -> Publication:
        """What the catalog is to read of it."""
        names = (*(column.name for column in self.columns), *(geometry.name for geometry in self.geometries))
        return Publication(self.publication, names, self.key, self.geometries[0].name)


def published_table(publication: int, postgis: str, collections: Sequence[Collection], *, keyed: bool) -> PublishedTable:
    """The table of some collections, one for each geometry column in the order of the table; the key is that of the first."""
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
    """The function that logs an operation."""
    return Identifier(SCHEMA, f"change_{publication}_{operation}")


def trigger_name(operation: Operation) -> str:
    """The name of a trigger, the same on every published table."""
    return f"geosvc_{operation}"


def create_functions(table: PublishedTable) -> Statement:
    """Creates or replaces the four functions; the comments tell the catalog what they write."""
    pieces: list[Composable] = []
    for operation in OPERATIONS:
        name = function_name(table.publication, operation)
        pieces.append(_HEAD.format(name, DollarQuoted(_body(table, operation))))
        pieces.append(SQL("REVOKE ALL ON FUNCTION {} () FROM PUBLIC").format(name))
    state = table.state
    for operation, told in (("insert", state.columns), ("update", {"key": state.key, "geometry": state.geometry})):
        comment = DollarQuoted(json.dumps(told, ensure_ascii=False))
        pieces.append(SQL("COMMENT ON FUNCTION {} () IS {}").format(function_name(table.publication, operation), comment))
    return compose("publish.functions", SQL("; ").join(pieces))


def drop_functions(publication: int) -> Statement:
    """Drops the four functions, of which no trigger is left."""
    names = SQL(", ").join(function_name(publication, operation) for operation in OPERATIONS)
    return compose("publish.drop_functions", SQL("DROP FUNCTION IF EXISTS {}").format(names))


def create_trigger(publication: int, operation: Operation, schema: str, name: str, *, is_part: bool) -> Statement:
    """Creates the trigger of an operation on a table, or on a part of one: a partition or a child."""
    function = function_name(publication, operation)
    argument = SQL("'part'") if is_part else SQL("")
    create = SQL("{} FOR EACH STATEMENT EXECUTE FUNCTION {} ({})")
    trigger = _TRIGGERS[operation].format(Identifier(schema, name))
    return compose("publish.create_trigger", create.format(trigger, function, argument))


def enable_trigger(operation: Operation, schema: str, name: str) -> Statement:
    """Lets a trigger run in every session, also in those of replication."""
    template = SQL("ALTER TABLE ONLY {} ENABLE ALWAYS TRIGGER {}")
    return compose("publish.enable_trigger", template.format(Identifier(schema, name), Identifier(trigger_name(operation))))


def drop_trigger(trigger: str, schema: str, name: str) -> Statement:
    """Drops a trigger."""
    template = SQL("DROP TRIGGER {} ON {}")
    return compose("publish.drop_trigger", template.format(Identifier(trigger), Identifier(schema, name)))


def _body(table: PublishedTable, operation: Operation) -> Composable:
    number = Number(table.publication)
    parts: dict[str, Composable] = {"id": number, "wake": _WAKE}
    if operation == "truncate":
        return _TRUNCATE.format(**parts)
    parts |= {"unknown": _UNKNOWN.format(id=number), "extent": _extent(table)}
    if operation == "insert":
        parts |= {"operation": SQL("'i'"), "rows": SQL("new_rows"), "box_column": SQL("new_box"), "state_column": SQL("new")}
    elif operation == "delete":
        parts |= {"operation": SQL("'d'"), "rows": SQL("old_rows"), "box_column": SQL("old_box"), "state_column": SQL("old")}
    if not table.key:
        return (_STATEMENT_UPDATE if operation == "update" else _STATEMENT).format(**parts)
    parts |= {"more": Number(table.bulk_rows + 1), "key": _key(table), "box": _box(table), "state": _state(table)}
    if operation == "update":
        sources = {"old_source": _source(table, SQL("old_rows")), "new_source": _source(table, SQL("new_rows"))}
        return _UPDATE.format(**parts, **sources)
    return _INSERT_OR_DELETE.format(**parts, source=_source(table, parts["rows"]))


def _is_builtin(column: Column) -> bool:
    return column.type_schema == "pg_catalog"


def _key(table: PublishedTable) -> Composed:
    """The feature id as `query.writing.feature_id` writes it. E'' means the same whatever standard_conforming_strings says."""
    columns = {column.name: column for column in table.columns}
    parts = [_text(columns[name]) for name in table.key]
    if len(parts) > 1:
        escape = SQL("pg_catalog.regexp_replace({}, E'([\\\\,])', E'\\\\\\\\\\\\1', 'g')")
        parts = [escape.format(part) for part in parts]
    return SQL(" OPERATOR(pg_catalog.||) ',' OPERATOR(pg_catalog.||) ").join(parts)


def _text(column: Column) -> Composed:
    """A value that is not NULL, as text."""
    template = SQL("r.{}::pg_catalog.text") if _is_builtin(column) else SQL("pg_catalog.format('%s', r.{})")
    return SQL('{} COLLATE pg_catalog."C"').format(template.format(Identifier(column.name)))


def _geometry(table: PublishedTable) -> Composed:
    geometry = Identifier(table.geometries[0].name)
    return SQL("r.{}::{}").format(geometry, Identifier(table.postgis, "geometry"))


def _box(table: PublishedTable) -> Composed:
    return SQL("{}::pg_catalog.box").format(_geometry(table))


def _extent(table: PublishedTable) -> Composed:
    extent, box3d = Identifier(table.postgis, "st_extent"), Identifier(table.postgis, "box3d")
    return SQL("{}({})::{}::pg_catalog.box").format(extent, _geometry(table), box3d)


def _source(table: PublishedTable, rows: Composable) -> Composed:
    return SQL("{} r, LATERAL (SELECT {}) {}").format(rows, SQL(", ").join(_values(table)), _row(table))


def _row(table: PublishedTable) -> Identifier:
    """In row_to_json(x) a column called x would win over the row x."""
    names = table.state.columns
    return Identifier(next(name for name in map("s{}".format, count()) if name not in names))


def _values(table: PublishedTable) -> Iterator[Composable]:
    for column in table.columns:
        value = SQL("r.{}").format(Identifier(column.name))
        if not _is_builtin(column):
            # json_populate_record reads it by the type's input function
            template = SQL("CASE WHEN pg_catalog.num_nulls({v}) OPERATOR(pg_catalog.=) 0 THEN pg_catalog.format('%s', {v}) END")
            value = template.format(v=value)
        yield SQL("{} AS {}").format(value, Identifier(column.name))
    for geometry in table.geometries:
        name = Identifier(geometry.name)
        yield SQL("r.{}::pg_catalog.text AS {}").format(name, name)


def _state(table: PublishedTable) -> Composed:
    """The row as JSON; NULL where it is too large, which is told without reading what is stored out of line."""
    stored = SQL("COALESCE(pg_catalog.pg_column_size(r.{}), 0)")
    whole = SQL("COALESCE(pg_catalog.octet_length(r.{}), 0)")  # a text may be stored compressed a hundredfold
    sizes = [stored.format(Identifier(geometry.name)) for geometry in table.geometries]
    for column in table.columns:
        if not (_is_builtin(column) and column.type_name in _OF_FIXED_SIZE):
            is_text = _is_builtin(column) and column.type_name in _TEXTS
            sizes.append((whole if is_text else stored).format(Identifier(column.name)))
    return SQL("CASE WHEN {} OPERATOR(pg_catalog.<=) {} THEN pg_catalog.row_to_json({}) END").format(
        SQL(" OPERATOR(pg_catalog.+) ").join(sizes), Number(STATE_BYTES), _row(table)
    )
