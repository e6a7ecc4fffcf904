"""A merge patch of a JSON column, in SQL. Source: RFC 7396 2."""

from collections.abc import Mapping
from typing import Any

import orjson

from geosvc.model.collection import Column
from geosvc.query.posted_rows import to_hstore
from geosvc.sql.compose import SQL, Composable, Identifier, Param

_NULL = b"null"


def merged_column(column: Column, patch: Mapping[str, Any]) -> Composable:
    """Write the value of a column of the row `t` with a merge patch applied.

    Args:
        patch: member names to JSON values in UTF-8, or to patches of objects within.
    """
    merged = _merge(SQL("t.{}::jsonb").format(Identifier(column.name)), patch)
    if column.is_hstore:
        return to_hstore(column, merged)
    if column.type_name == "json":
        return SQL("{}::json").format(merged)
    return merged


def _merge(value: Composable, patch: Mapping[str, Any]) -> Composable:
    removed: list[str] = []
    replaced: list[bytes] = []
    for name, member in patch.items():
        if member == _NULL:
            removed.append(name)
        elif isinstance(member, bytes):
            replaced.append(orjson.dumps(name) + b":" + member)
    expression: Composable = SQL(
        "CASE WHEN jsonb_typeof(v.j) = 'object' THEN v.j ELSE '{{}}'::jsonb END"
    ).format()
    if removed:
        expression = SQL("({} - {})").format(expression, Param(removed, "text[]"))
    if replaced:
        members = f"{{{b','.join(replaced).decode()}}}"
        expression = SQL("({} || {}::jsonb)").format(expression, Param(members, "text"))
    for name, member in patch.items():
        if isinstance(member, dict):
            inner = _merge(SQL("(v.j -> {})").format(Param(name, "text")), member)
            expression = SQL("({} || jsonb_build_object({}, {}))").format(
                expression, Param(name, "text"), inner
            )
    return SQL("(SELECT {} FROM (SELECT {} AS j OFFSET 0) v)").format(expression, value)
