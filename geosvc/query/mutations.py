"""The statements that update and delete a feature.

The preconditions are part of the statement that changes the row, so that no other session can
change the row in between.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from geosvc.bodies.feature_change import FeatureChange
from geosvc.model.collection import Collection, RelationKind
from geosvc.model.crs import Crs
from geosvc.query.conditions import cast_text
from geosvc.query.json_merge import merged_column
from geosvc.query.posted_rows import PostedColumns, PostedRows
from geosvc.query.returning import Returning, returned_columns
from geosvc.query.sql_parts import all_of, comma_list, relation_name
from geosvc.query.versions import content_hash_of, key_condition, modified_of, version_of
from geosvc.requests.items import ItemsQuery
from geosvc.requests.preconditions import Preconditions, Tags
from geosvc.sql.compose import REQUEST_TAG, SQL, Composable, Identifier, Param, Statement, compose


@dataclass(frozen=True, slots=True)
class ContentHash:
    """The hash of columns that were read before a change: they must still be the same.

    Attributes:
        names: the columns.
        value: the hash, hexadecimal.
    """

    names: tuple[str, ...]
    value: str


@dataclass(frozen=True, slots=True)
class Update:
    """A change of the feature with a key.

    Attributes:
        crs: the CRS of its coordinates.
        preconditions: what the row must fulfil.
        query: how the changed feature is written and returned; None for not at all.
        content_hash: the hash that columns of the row must have.
    """

    change: FeatureChange
    crs: Crs
    preconditions: Preconditions
    query: ItemsQuery | None = None
    content_hash: ContentHash | None = None


class UpdateResult(NamedTuple):
    """The row of `update_feature`. All but `found` are None if the feature was not changed.

    Attributes:
        found: how many features have this id; 2 for several.
        modified: in seconds since 1970; None also if no column tells it.
        text: the changed feature as GeoJSON in UTF-8; None also if it was not asked for.
    """

    found: int
    feature_id: str | None
    version: str | None
    modified: float | None
    text: bytes | None


def update_feature(
    collection: Collection,
    key: Sequence[str],
    update: Update,
) -> Statement:
    """Update a feature. The row is an `UpdateResult`."""
    change = update.change
    params = _key_params(collection, key)
    rows = PostedRows(collection, PostedColumns(change.columns, False, update.crs))
    conditions = _change_conditions(collection, params, update.preconditions)
    if update.content_hash is not None:
        stored_hash = content_hash_of(update.content_hash.names)
        known_hash = Param(update.content_hash.value, "text")
        conditions.append(SQL("{} = {}").format(stored_hash, known_hash))
    query = update.query
    returning = Returning.FEATURES
    if query is None:
        query = ItemsQuery(limit=1)
        returning = Returning.VALIDATORS
    updated = SQL(
        "UPDATE {relation} AS t SET {assignments} FROM {rows} WHERE {conditions}"
        " RETURNING {returned}"
    ).format(
        relation=relation_name(collection),
        assignments=comma_list(_assignments(collection, change, rows)),
        rows=rows.from_item(),
        conditions=all_of(conditions),
        returned=returned_columns(collection, query, returning, SQL("true")),
    )
    statement = _count_and_change("write.update", collection, updated, params)
    return rows.plan(statement).of(change.posted)


def delete_feature(
    collection: Collection,
    key: Sequence[str],
    preconditions: Preconditions,
) -> Statement:
    """Delete a feature.

    The row is (number of features with this id, true). The second is NULL if the feature was not
    deleted.
    """
    params = _key_params(collection, key)
    conditions = _change_conditions(collection, params, preconditions)
    deleted = SQL(
        "DELETE FROM {relation} AS t WHERE {conditions} RETURNING true AS deleted"
    ).format(
        relation=relation_name(collection),
        conditions=all_of(conditions),
    )
    return _count_and_change("write.delete", collection, deleted, params)


def _count_and_change(
    name: str,
    collection: Collection,
    change: Composable,
    key: tuple[Param, ...],
) -> Statement:
    """Run a change and count the features with this id before it.

    The row is (number of features, 2 for several; what the change returned, or NULLs).
    """
    part = SQL(
        "WITH changed AS ({change}) SELECT was.there, changed.*"
        " FROM (SELECT {count} AS there) was LEFT JOIN changed ON true"
    ).format(
        change=change,
        count=_count_rows(collection, key),
    )
    return compose(name, part)


def _key_params(collection: Collection, key: Sequence[str]) -> tuple[Param, ...]:
    params = []
    for column, text in zip(collection.key_columns, key, strict=True):
        params.append(cast_text(column, text))
    return tuple(params)


def _count_rows(collection: Collection, key: tuple[Param, ...]) -> Composable:
    """Count the rows with this key; 2 means several."""
    return SQL(
        "(SELECT count(*) FROM (SELECT FROM {relation} t WHERE {has_key} LIMIT 2) named)"
    ).format(
        relation=relation_name(collection),
        has_key=key_condition(collection, key),
    )


def _change_conditions(
    collection: Collection,
    key: tuple[Param, ...],
    preconditions: Preconditions,
) -> list[Composable]:
    """Write what a row must fulfil to be changed."""
    return [
        REQUEST_TAG,
        *_row_conditions(collection, key),
        *_precondition_conditions(collection, preconditions),
    ]


def _row_conditions(collection: Collection, key: tuple[Param, ...]) -> list[Composable]:
    """Write conditions: the row has this key, and no other row has it."""
    conditions = [key_condition(collection, key)]
    if not collection.key_is_unique:
        count = _count_rows(collection, key)
        conditions.append(SQL("{} = 1").format(count))
    if collection.kind is RelationKind.FOREIGN_TABLE:
        # postgres_fdw changes rows by their ctid. Rows of a remote table that has children or
        # partitions may share a ctid.
        has_own_ctid = SQL(
            "(t.ctid = '(4294967295,0)' OR (SELECT count(*) FROM"
            " (SELECT FROM {relation} u WHERE u.ctid = t.ctid LIMIT 2) same) = 1)"
        ).format(relation=relation_name(collection))
        conditions.append(has_own_ctid)
    return conditions


def _precondition_conditions(
    collection: Collection, preconditions: Preconditions
) -> list[Composable]:
    """Write what the preconditions demand of the row that is changed."""
    conditions: list[Composable] = []
    if preconditions.match not in (None, "*"):
        conditions.append(_version_in(collection, preconditions.match))
    if preconditions.none_match == "*":
        conditions.append(SQL("false"))
    elif preconditions.none_match is not None:
        has_version = _version_in(collection, preconditions.none_match)
        conditions.append(SQL("NOT {}").format(has_version))
    if preconditions.unmodified_since is not None and collection.modified is not None:
        seconds = Param(preconditions.unmodified_since, "float8")
        modified = modified_of(collection)
        conditions.append(SQL("{} <= {}").format(modified, seconds))
    return conditions


def _version_in(collection: Collection, tags: Tags) -> Composable:
    versions = Param(list(tags or ()), "text[]")
    return SQL("{} = ANY ({})").format(version_of(collection), versions)


def _assignments(
    collection: Collection,
    change: FeatureChange,
    rows: PostedRows,
) -> list[Composable]:
    """Write the assignments of SET, one at least."""
    values = rows.values()
    merged = change.merged or {}
    assignments: list[Composable] = []
    for column in change.columns:
        value = values[column.name]
        if column.name in merged:
            value = merged_column(column, merged[column.name])
        assignments.append(_assign(column.name, value))
    for name in change.defaults:
        assignments.append(_assign(name, SQL("DEFAULT")))
    if change.sets_geometry:
        assignments.append(_assign(rows.geometry_name, rows.geometry()))
    if not assignments:
        # A change of nothing is a change as well: triggers run and preconditions are checked.
        name = _updatable_column(collection)
        assignments.append(SQL("{n} = t.{n}").format(n=Identifier(name)))
    return assignments


def _assign(name: str, value: Composable) -> Composable:
    return SQL("{} = {}").format(Identifier(name), value)


def _updatable_column(collection: Collection) -> str:
    for column in collection.columns:
        if column.updatable:
            return column.name
    return collection.geometry.name
