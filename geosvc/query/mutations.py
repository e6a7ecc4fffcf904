"""The statements that update and delete a feature.

The preconditions are part of the statement that changes the row, so that no other session can
change the row in between.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from geosvc.bodies.changed_properties import FeatureChange
from geosvc.model.collection import Collection, RelationKind
from geosvc.model.crs import Crs
from geosvc.query.conditions import cast_text
from geosvc.query.json_merge import merged_column
from geosvc.query.posted_rows import PostedColumns, PostedRows
from geosvc.query.returning import Returning, returned_columns
from geosvc.query.versions import content_hash_of, has_key, modified_of, version_of
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


def update_feature(collection: Collection, key: Sequence[str], update: Update) -> Statement:
    """Update a feature.

    The row is (number of features with this id, id, version, when modified, feature). All but the
    number are NULL if the feature was not changed.
    """
    params = _key_params(collection, key)
    change = update.change
    rows = PostedRows(collection, PostedColumns(change.columns, False, update.crs))
    tests = [
        REQUEST_TAG,
        *_is_the_row(collection, params),
        *_precondition_tests(collection, update.preconditions),
    ]
    if update.content_hash is not None:
        content_hash = Param(update.content_hash.value, "text")
        tests.append(
            SQL("{} = {}").format(content_hash_of(update.content_hash.names), content_hash)
        )
    query, returning = update.query, Returning.FEATURES
    if query is None:
        query, returning = ItemsQuery(limit=1), Returning.VALIDATORS
    updated = SQL("UPDATE {} AS t SET {} FROM {} WHERE {} RETURNING {}").format(
        _relation(collection),
        SQL(", ").join(_assignments(collection, change, rows)),
        rows.from_item(),
        SQL(" AND ").join(tests),
        returned_columns(collection, query, returning, SQL("true")),
    )
    return rows.plan(_change("write.update", collection, updated, params)).of(change.posted)


def delete_feature(
    collection: Collection, key: Sequence[str], preconditions: Preconditions
) -> Statement:
    """Delete a feature.

    The row is (number of features with this id, true). The second is NULL if the feature was not
    deleted.
    """
    params = _key_params(collection, key)
    tests = [
        REQUEST_TAG,
        *_is_the_row(collection, params),
        *_precondition_tests(collection, preconditions),
    ]
    deleted = SQL("DELETE FROM {} AS t WHERE {} RETURNING true AS deleted").format(
        _relation(collection), SQL(" AND ").join(tests)
    )
    return _change("write.delete", collection, deleted, params)


def _change(
    name: str, collection: Collection, change: Composable, key: tuple[Param, ...]
) -> Statement:
    """Run a change and count the features with this id before it.

    The row is (number of features, 2 for several; what the change returned, or NULLs).
    """
    part = SQL(
        "WITH changed AS ({}) SELECT was.there, changed.*"
        " FROM (SELECT {} AS there) was LEFT JOIN changed ON true"
    )
    return compose(name, part.format(change, _count_rows(collection, key)))


def _relation(collection: Collection) -> Identifier:
    return Identifier(collection.schema, collection.name)


def _key_params(collection: Collection, key: Sequence[str]) -> tuple[Param, ...]:
    params = []
    for column, text in zip(collection.key_columns, key, strict=True):
        params.append(cast_text(column, text))
    return tuple(params)


def _count_rows(collection: Collection, key: tuple[Param, ...]) -> Composable:
    """Count the rows with this key; 2 means several."""
    template = SQL("(SELECT count(*) FROM (SELECT FROM {} t WHERE {} LIMIT 2) named)")
    return template.format(_relation(collection), has_key(collection, key))


def _is_the_row(collection: Collection, key: tuple[Param, ...]) -> list[Composable]:
    """Write conditions: the row has this key, and no other row has it."""
    tests = [has_key(collection, key)]
    if not collection.key_is_unique:
        tests.append(SQL("{} = 1").format(_count_rows(collection, key)))
    if collection.kind is RelationKind.FOREIGN_TABLE:
        # postgres_fdw changes rows by their ctid. Rows of a remote table that has children or
        # partitions may share a ctid.
        same_ctid = SQL(
            "SELECT count(*) FROM (SELECT FROM {} u WHERE u.ctid = t.ctid LIMIT 2) same"
        ).format(_relation(collection))
        tests.append(SQL("(t.ctid = '(4294967295,0)' OR ({}) = 1)").format(same_ctid))
    return tests


def _precondition_tests(collection: Collection, preconditions: Preconditions) -> list[Composable]:
    """Write what the row that is changed must fulfil."""
    tests: list[Composable] = []
    if preconditions.match not in (None, "*"):
        tests.append(_version_in(collection, preconditions.match))
    if preconditions.none_match == "*":
        tests.append(SQL("false"))
    elif preconditions.none_match is not None:
        tests.append(SQL("NOT {}").format(_version_in(collection, preconditions.none_match)))
    if preconditions.unmodified_since is not None and collection.modified is not None:
        seconds = Param(preconditions.unmodified_since, "float8")
        tests.append(SQL("{} <= {}").format(modified_of(collection), seconds))
    return tests


def _version_in(collection: Collection, tags: Tags) -> Composable:
    versions = Param(list(tags or ()), "text[]")
    return SQL("{} = ANY ({})").format(version_of(collection), versions)


def _assignments(
    collection: Collection, change: FeatureChange, rows: PostedRows
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
    if change.geometry:
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
