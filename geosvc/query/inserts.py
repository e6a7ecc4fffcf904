"""The statement that inserts features."""

from collections.abc import Mapping
from enum import Enum

from geosvc.model.collection import Collection
from geosvc.query.posted_rows import PostedColumns, PostedRows, WritePlan
from geosvc.query.returning import Returning, returned_columns
from geosvc.query.sql_parts import comma_list, relation_name
from geosvc.requests.items import ItemsQuery
from geosvc.sql.compose import REQUEST_TAG, SQL, Composable, Identifier, compose


class OnConflict(Enum):
    """What happens where a feature with this id exists."""

    FAIL = "fail"
    UPDATE = "update"
    NOTHING = "nothing"


def plan_insert(
    collection: Collection,
    posted: PostedColumns,
    query: ItemsQuery,
    returning: Returning,
    on_conflict: OnConflict = OnConflict.FAIL,
) -> WritePlan:
    """Compose a statement that inserts features.

    Its rows are what `returning` says, in the order of the features: no part of the statement
    changes the order of the rows `s`.

    Args:
        query: how a returned feature is written.
    """
    rows = PostedRows(collection, posted)
    values = dict(rows.values())
    if collection.geometry.insertable:
        values[collection.geometry.name] = rows.geometry()
    overriding = SQL("")
    if posted.keyed and _has_identity(collection):
        overriding = SQL("OVERRIDING SYSTEM VALUE ")
    is_new = SQL("true")
    if on_conflict is OnConflict.UPDATE:
        is_new = SQL("(t.xmax = 0)")
    insert = SQL(
        "INSERT INTO {relation} AS t ({names}) {overriding}SELECT {values} FROM {rows}"
        " WHERE {tag}{on_conflict} RETURNING {returned}"
    ).format(
        relation=relation_name(collection),
        names=comma_list(map(Identifier, values)),
        overriding=overriding,
        values=comma_list(values.values()),
        rows=rows.from_item(),
        tag=REQUEST_TAG,
        on_conflict=_on_conflict_clause(collection, values, on_conflict),
        returned=returned_columns(collection, query, returning, is_new),
    )
    if returning is Returning.COUNTS:
        insert = SQL(
            "WITH stored (made) AS ({}) SELECT count(*), count(*) FILTER (WHERE made) FROM stored"
        ).format(insert)
    statement = compose("write.insert", insert)
    return rows.plan(statement)


def _has_identity(collection: Collection) -> bool:
    """Whether a column of the key is GENERATED ALWAYS AS IDENTITY."""
    return any(column.always_identity for column in collection.key_columns)


def _on_conflict_clause(
    collection: Collection,
    values: Mapping[str, Composable],
    on_conflict: OnConflict,
) -> Composable:
    if on_conflict is OnConflict.FAIL:
        return SQL("")
    key = comma_list(map(Identifier, collection.key))
    assignments = _assignments(collection, values)
    if on_conflict is OnConflict.NOTHING or not assignments:
        return SQL(" ON CONFLICT ({}) DO NOTHING").format(key)
    return SQL(" ON CONFLICT ({key}) DO UPDATE SET {assignments}").format(
        key=key,
        assignments=comma_list(assignments),
    )


def _assignments(collection: Collection, values: Mapping[str, Composable]) -> list[Composable]:
    """Assign the posted values, and as PUT does the default to columns that get no value."""
    assignments: list[Composable] = []
    for name in values:
        if name not in collection.key:
            assignments.append(SQL("{n} = EXCLUDED.{n}").format(n=Identifier(name)))
    for column in collection.columns:
        is_given = column.name in values or column.name in collection.key
        if column.updatable and column.may_default and not is_given:
            assignments.append(SQL("{} = DEFAULT").format(Identifier(column.name)))
    return assignments
