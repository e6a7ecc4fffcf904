"""A merge patch of a JSON column, in SQL. Source: RFC 7396 2."""

from collections.abc import Mapping
from typing import Any

import orjson

from geosvc.model.collection import Column
from geosvc.query.posted_rows import to_hstore
from geosvc.query.sql_parts import row_column
from geosvc.sql.compose import SQL, Composable, Param

_NULL = b"null"


def merged_column(column: Column, patch: Mapping[str, Any]) -> Composable:
    """Write the value of a column of the row `t` with a merge patch applied.

    Args:
        patch: member names to JSON values in UTF-8, or to patches of objects within.
    """
    stored = SQL("{}::jsonb").format(row_column(column.name))
    merged = _merge(stored, patch)
    if column.is_hstore:
        return to_hstore(column, merged)
    if column.type_name == "json":
        return SQL("{}::json").format(merged)
    return merged


def _merge(value: Composable, patch: Mapping[str, Any]) -> Composable:
    removed: list[str] = []
    replaced: list[bytes] = []
    patched: dict[str, Mapping[str, Any]] = {}
    for name, member in patch.items():
        if member == _NULL:
            removed.append(name)
        elif isinstance(member, bytes):
            replaced.append(orjson.dumps(name) + b":" + member)
        else:
            patched[name] = member
    # A value that is not an object is replaced by one.
    merged: Composable = SQL(
        "CASE WHEN jsonb_typeof(v.j) = 'object' THEN v.j ELSE '{{}}'::jsonb END"
    ).format()
    if removed:
        names = Param(removed, "text[]")
        merged = SQL("({} - {})").format(merged, names)
    if replaced:
        members = b",".join(replaced).decode()
        added = Param(f"{{{members}}}", "text")
        merged = SQL("({} || {}::jsonb)").format(merged, added)
    for name, inner_patch in patched.items():
        inner = SQL("(v.j -> {})").format(Param(name, "text"))
        merged = SQL("({merged} || jsonb_build_object({name}, {inner}))").format(
            merged=merged,
            name=Param(name, "text"),
            inner=_merge(inner, inner_patch),
        )
    return SQL("(SELECT {} FROM (SELECT {} AS j OFFSET 0) v)").format(merged, value)
