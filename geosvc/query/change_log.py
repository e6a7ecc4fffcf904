"""What the triggers of a published table do: the bodies of four functions that log its changes.

They run with the rights of whoever published the table, in sessions of whoever writes to it, whose search_path may be anything.
So nothing in them is found by it: functions, operators, collations and types are named with their schema, casts are found by
type, and values of types that a user may have made are written by their output functions, never by a cast, which might be the
user's own. No setting of the session matters, either (docs/decisions/0020).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Literal

from geosvc.model.collection import Column, GeometryColumn, Publication
from geosvc.sql.compose import SQL, Composable, Composed, Identifier, Number

BULK_ROWS = 1_000
STATE_BYTES = 65_536
Operation = Literal["insert", "update", "delete", "truncate"]

_TEXTS = frozenset({"text", "varchar", "bytea"})
_OF_FIXED_SIZE = frozenset(
    {"bool", "int2", "int4", "int8", "float4", "float8", "date", "time", "timetz", "timestamp", "timestamptz", "interval"}
    | {"uuid", "oid", "char", "name", "macaddr", "macaddr8", "money", "pg_lsn", "point", "box", "circle", "line", "lseg"}
)
# Which are written alike in every session, as JSON or as the text of a key; the second of them as JSON only.
_STEADY = frozenset(
    {"bool", "int2", "int4", "int8", "numeric", "text", "varchar", "bpchar", "char", "name", "uuid", "oid", "time", "timetz"}
    | {"json", "jsonb", "jsonpath", "xml", "tsvector", "tsquery", "inet", "cidr", "macaddr", "macaddr8", "bit", "varbit"}
    | {"int4range", "int8range", "numrange", "int4multirange", "int8multirange", "nummultirange", "pg_lsn", "xid8"}
)
_STEADY_AS_JSON = frozenset({"date", "timestamp", "timestamptz"})
# A reader that sleeps holds this lock shared (database/feed.py). One that is awake reads anyway; a NOTIFY would make all
# commits of the database wait for one another.
_WAKE = SQL(
    "IF (CASE WHEN pg_catalog.pg_try_advisory_lock(1734701942, 0) THEN NOT pg_catalog.pg_advisory_unlock(1734701942, 0)"
    " ELSE true END) THEN NOTIFY geosvc_change; END IF;"
)
# Settings of a function cost a twentieth of a commit: they are made where a type is written as they say.
_FLOATS = SQL(" SET extra_float_digits = 1")
_EVERY_SETTING = SQL(
    " SET timezone = 'UTC' SET datestyle = 'ISO, YMD' SET intervalstyle = 'iso_8601' SET bytea_output = 'hex'"
    " SET extra_float_digits = 1"
)
_UNKNOWN = SQL(
    "RAISE LOG 'geosvc: publication {id} cannot tell what a statement changed in %: %', TG_RELID::pg_catalog.regclass, SQLERRM;"
    " INSERT INTO geosvc.change (publication, operation, rows) VALUES ({id}, '?', 0);"
)
# What is one row almost always is read in a block of its own: reading takes no subtransaction id, which writing would.
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
    {wake}
    RETURN NULL;
  END;
  IF old_key OPERATOR(pg_catalog.=) new_key THEN
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


def log_changes(table: PublishedTable, operation: Operation) -> Composable:
    """The body of the function that logs an operation."""
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


def settings_of(table: PublishedTable) -> SQL:
    """The settings that the functions need whatever the session's are."""
    unsteady = set()
    for column in table.columns:
        name = column.type_name.removeprefix("_")
        steady = (
            name in _STEADY or name.startswith("reg") or (column.type_name in _STEADY_AS_JSON and column.name not in table.key)
        )
        if not (column.enum is not None or (_is_builtin(column) and steady)):
            unsteady.add(name if column.name not in table.key else "")
    if not unsteady:
        return SQL("")
    return _FLOATS if unsteady <= {"float4", "float8"} else _EVERY_SETTING


def _is_builtin(column: Column) -> bool:
    return column.type_schema == "pg_catalog"


def _key(table: PublishedTable) -> Composed:
    """The feature id as `query.writing.feature_id` writes it. E'' means the same whatever standard_conforming_strings says."""
    columns = {column.name: column for column in table.columns}
    parts = [_text(columns[name]) for name in table.key]
    if len(parts) > 1:
        escape = SQL("pg_catalog.regexp_replace({}, E'([\\\\\\\\,])', E'\\\\\\\\\\\\1', 'g')")
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
        yield SQL("{} AS {}").format(_value(column), Identifier(column.name))
    for geometry in table.geometries:
        name = Identifier(geometry.name)
        yield SQL("r.{}::pg_catalog.text AS {}").format(name, name)


def _value(column: Column) -> Composed:
    """What json_populate_record makes the value of again: the value itself, or what the input function of its type reads."""
    value = SQL("r.{}").format(Identifier(column.name))
    if not _is_builtin(column):
        template = SQL("CASE WHEN pg_catalog.num_nulls({v}) OPERATOR(pg_catalog.=) 0 THEN pg_catalog.format('%s', {v}) END")
        return template.format(v=value)
    if column.type_name.startswith("reg"):  # names are written and read as the search_path says
        return SQL("{}::pg_catalog.oid").format(value)
    if column.type_name.startswith("_reg"):
        return SQL("{}::pg_catalog._oid::pg_catalog.text").format(value)
    if column.category == "A":  # as JSON an array forgets where it begins
        return SQL("{}::pg_catalog.text").format(value)
    return value


def _state(table: PublishedTable) -> Composed:
    """The row as JSON; NULL where it is too large, which is told without reading what is stored out of line."""
    stored = SQL("COALESCE(pg_catalog.pg_column_size(r.{}), 0)")
    whole = SQL("COALESCE(pg_catalog.octet_length(r.{}), 0)")  # a text may be stored compressed a hundredfold
    sizes = [stored.format(Identifier(geometry.name)) for geometry in table.geometries]
    for column in table.columns:
        if not (_is_builtin(column) and column.type_name in _OF_FIXED_SIZE):
            is_text = _is_builtin(column) and column.type_name in _TEXTS
            sizes.append((whole if is_text else stored).format(Identifier(column.name)))
    conditions = [SQL("{} OPERATOR(pg_catalog.<=) {}").format(SQL(" OPERATOR(pg_catalog.+) ").join(sizes), Number(STATE_BYTES))]
    for column in table.columns:
        if column.type_schema == "pg_catalog" and column.type_name == "json":
            # the type keeps escapes that no text can hold, and json_populate_record would raise for them
            template = SQL("r.{}::pg_catalog.text OPERATOR(pg_catalog.~*) E'\\\\\\\\u(d[89a-f]|0000)' IS NOT TRUE")
            conditions.append(template.format(Identifier(column.name)))
    return SQL("CASE WHEN {} THEN pg_catalog.row_to_json({}) END").format(SQL(" AND ").join(conditions), _row(table))
