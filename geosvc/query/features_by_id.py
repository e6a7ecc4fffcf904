"""The statement that finds many features by their ids."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from geosvc.model.collection import Collection
from geosvc.query.feature_format import Projection
from geosvc.query.features import source_of
from geosvc.query.projection import write_feature
from geosvc.query.sql_parts import row_column, type_name
from geosvc.query.versions import modified_of, version_of
from geosvc.requests.items import ItemsQuery
from geosvc.sql.compose import REQUEST_TAG, SQL, Param, Statement, compose


@dataclass(frozen=True, slots=True)
class Lookup:
    """A statement that finds features by id; it is composed once and run with many lists of ids.

    Attributes:
        statement: its rows are (id as text, feature in UTF-8, version, when modified).
        ids_position: where the list of ids is among its arguments.
    """

    statement: Statement
    ids_position: int

    def of(self, ids: Sequence[str]) -> Statement:
        """Return the statement for these ids."""
        args = list(self.statement.args)
        args[self.ids_position] = list(ids)
        return replace(self.statement, args=tuple(args))


def plan_lookup(collection: Collection, query: ItemsQuery, projection: Projection) -> Lookup:
    """Compose the statement for a collection whose key is one column.

    The list of ids is a subquery: so the plan for all lists costs as much as that for one, and
    PostgreSQL plans the statement once.
    """
    column = collection.key_columns[0]
    ids = Param([], "text[]")
    select = SQL(
        "SELECT {key}::text, {feature}, {version}, {modified} FROM {source} t"
        " WHERE {tag} AND {key} = ANY ((SELECT {ids}::{type}[])::{type}[])"
    ).format(
        key=row_column(column.name),
        feature=write_feature(collection, query, projection).feature,
        version=version_of(collection),
        modified=modified_of(collection),
        source=source_of(collection, query),
        tag=REQUEST_TAG,
        ids=ids,
        type=type_name(column),
    )
    statement = compose("items.by_id", select)
    position = _position_of(ids.value, statement)
    return Lookup(statement, position)


def _position_of(value: object, statement: Statement) -> int:
    for position, arg in enumerate(statement.args):
        if arg is value:
            return position
    raise ValueError(f"{statement.name} has no such argument")
