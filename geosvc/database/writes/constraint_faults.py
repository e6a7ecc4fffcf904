"""Find the properties of a constraint that a write violates.

PostgreSQL only names the constraint.
"""

from collections.abc import Sequence

from geosvc.bodies.feature_faults import escape
from geosvc.database.reads.runner import Reads
from geosvc.database.writes.write_errors import Rule
from geosvc.errors import Conflict, InvalidFeature, RequestError
from geosvc.model.collection import Collection
from geosvc.sql.files import load_statement


class RuleNames:
    """Adds the names of properties to errors.

    The names are cached, since a load may violate one constraint a thousand times.
    """

    def __init__(self, reads: Reads, collection: Collection) -> None:
        self._reads = reads
        self._collection = collection
        self._known: dict[Rule, tuple[str, ...]] = {}

    async def name(self, error: RequestError) -> None:
        """Add pointer and properties to the error of a violated constraint.

        Nothing is added if the database does not answer, or if a column is not a property.
        """
        rule = error.rule
        if not isinstance(rule, Rule) or error.pointer is not None:
            return
        if not isinstance(error, Conflict | InvalidFeature):
            return
        names = self._known.get(rule)
        if names is None:
            names = await self._columns_of(rule)
            self._known[rule] = names
        if not names or not self._are_published(names):
            return
        error.properties = names
        error.pointer = self._pointer_to(names)

    def _are_published(self, names: Sequence[str]) -> bool:
        """Whether each column is a property or the geometry of the collection."""
        for name in names:
            if name != self._collection.geometry.name and name not in self._collection.by_name:
                return False
        return True

    def _pointer_to(self, names: tuple[str, ...]) -> str:
        """A JSON pointer (RFC 6901) to a member of a feature."""
        if names == (self._collection.geometry.name,):
            return "/geometry"
        if len(names) == 1:
            return f"/properties/{escape(names[0])}"
        return "/properties"

    async def _columns_of(self, rule: Rule) -> tuple[str, ...]:
        if rule.column:
            return (rule.column,)
        if rule.constraint and rule.table:
            return await self._columns_of_constraint(rule)
        if not rule.type:
            return ()
        # a constraint of a domain: the column is known if only one has this type
        names = []
        for column in self._collection.columns:
            type_name = column.type.rpartition(".")[2]
            if type_name == rule.type:
                names.append(column.name)
        if len(names) != 1:
            return ()
        return tuple(names)

    async def _columns_of_constraint(self, rule: Rule) -> tuple[str, ...]:
        arguments = (rule.schema, rule.table, rule.constraint)
        try:
            rows = await self._reads.fetch(load_statement("constraint_columns", arguments))
        except RequestError:
            return ()
        return tuple(row[0] for row in rows)
