"""A collection: a table, view or function with a geometry column, as the catalog describes it."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

from geosvc.model.composite import Composite
from geosvc.model.crs import Srid
from geosvc.model.value_bounds import UNBOUNDED, ValueBounds

CollectionId = NewType("CollectionId", str)

_SCALAR_CATEGORIES = frozenset("NSBDTEI")
_SCALAR_TYPES = frozenset({"uuid", "macaddr", "macaddr8", "pg_lsn", "char"})
_TEMPORAL_TYPES = ("timestamptz", "timestamp", "date")


class RelationKind(StrEnum):
    """The kind of a collection in PostgreSQL: `pg_class.relkind`, or a function."""

    TABLE = "r"
    VIEW = "v"
    MATERIALISED_VIEW = "m"
    PARTITIONED_TABLE = "p"
    FOREIGN_TABLE = "f"
    FUNCTION = "function"


class Parts(StrEnum):
    """Whether a table has partitions or child tables, and where those are."""

    NONE = ""
    OWN = "own"
    FOREIGN = "foreign"
    """At least one partition or child table is a foreign table."""


@dataclass(frozen=True, slots=True)
class TypedName:
    """A name with a PostgreSQL type.

    Attributes:
        type: as `format_type` writes it, for people.
        type_schema, type_name: of the type; of a domain, those of its base type.
        category: `pg_type.typcategory`.
        enum: the labels of an enum, in order; None for other types.
    """

    name: str
    type: str
    type_schema: str
    type_name: str
    category: str
    enum: tuple[str, ...] | None = None

    @property
    def is_scalar(self) -> bool:
        """Whether values can be compared, ordered, and written as text in a URL."""
        if self.type_schema == "pg_catalog" and self.type_name.startswith("reg"):
            return False
        return self.category in _SCALAR_CATEGORIES or self.type_name in _SCALAR_TYPES

    @property
    def is_temporal(self) -> bool:
        """Whether values are dates or timestamps."""
        return self.type_schema == "pg_catalog" and self.type_name in _TEMPORAL_TYPES


@dataclass(frozen=True, slots=True)
class Reference:
    """The column that a foreign key refers to."""

    schema: str
    table: str
    column: str


@dataclass(frozen=True, slots=True)
class Column(TypedName):
    """A property of the features.

    Attributes:
        deterministic: whether texts are equal in its collation only if they have the same bytes.
        comparable, ordered: whether the search path has the operators = and > of the default
            index of its type.
        not_null: whether the table forbids NULL.
        may_default: whether the database may set a value when none is given.
        always_identity: whether it is GENERATED ALWAYS AS IDENTITY: only OVERRIDING SYSTEM VALUE
            sets another value.
        insertable, updatable: whether it can be written; depends on the column, the privileges
            and the settings.
        bounds: from its type modifier, its domain and the CHECK constraints that geosvc can read.
        refers_to: what a foreign key of this column alone refers to.
        composite: the composite type of its values, or of the elements of an array; None for
            other types and for row types of tables.
    """

    deterministic: bool = True
    comparable: bool = True
    ordered: bool = True
    not_null: bool = False
    description: str | None = None
    may_default: bool = False
    always_identity: bool = False
    insertable: bool = False
    updatable: bool = False
    bounds: ValueBounds = UNBOUNDED
    refers_to: Reference | None = None
    composite: Composite | None = None

    @property
    def required(self) -> bool:
        """Whether a new feature must have a value for it."""
        return self.not_null and not self.may_default

    @property
    def sortable(self) -> bool:
        """Whether features can be sorted by it, and a query parameter compared with it.

        The search path must have its operators. Without those of citext, PostgreSQL would use those
        of text, which order values differently.
        """
        return self.is_scalar and self.ordered

    @property
    def is_usable_as_key(self) -> bool:
        """Whether the text of a value finds exactly the rows with this value.

        The output of the `reg` types depends on the search path. Geometric types, json and xml have
        no equality, or one that takes different values as equal.
        """
        if self.type_schema != "pg_catalog":
            return self.comparable
        if self.type_name.startswith("reg") or self.type_name in ("json", "xml"):
            return False
        return self.category != "G"

    @property
    def is_hstore(self) -> bool:
        """Whether the type is hstore.

        Its values are written as JSON objects, which its input function does not accept.
        """
        return self.type_name == "hstore" and self.category == "U"

    @property
    def is_merged_by_patch(self) -> bool:
        """Whether a merge patch can change a part of a value."""
        is_json = self.type_schema == "pg_catalog" and self.type_name in ("json", "jsonb")
        return is_json or self.is_hstore


@dataclass(frozen=True, slots=True)
class Parameter(TypedName):
    """An argument of a function. It is required if it has no default."""

    required: bool = True


@dataclass(frozen=True, slots=True)
class GeometryColumn:
    """The geometry of the features.

    Attributes:
        type: in capitals, such as MULTIPOLYGON; GEOMETRY: any type.
        srid: 0 if the column has none; its rows may have different ones.
        modifier: (type with dimensions, SRID) in the declaration of the column; None if it has
            none, or its type is a domain.
    """

    name: str
    type: str
    srid: Srid
    has_z: bool = False
    has_m: bool = False
    geography: bool = False
    not_null: bool = False
    may_default: bool = False
    insertable: bool = False
    updatable: bool = False
    modifier: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Publication:
    """How the changes of a table are logged in geosvc.change.

    Attributes:
        id: of its row in geosvc.publication.
        columns: the columns in the logged states of a row, with geometries.
        key: the columns of the logged keys; empty if each statement is logged as one change.
        geometry: the column whose bounds are logged, if the table has several.
    """

    id: int
    columns: tuple[str, ...]
    key: tuple[str, ...] = ()
    geometry: str = ""


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection with everything that is needed to plan a query.

    Attributes:
        id: the name if it is in the first schema, else schema.name; `.column` is added for a second
            geometry column.
        columns: the properties, in the order of the table, without geometries.
        key: the names of the columns that make the feature id; empty: features have no id.
        key_is_unique: whether the database enforces that the key is unique; false: only the
            settings say so.
        parts: whether its rows are in partitions or child tables.
        temporal: the names of the column of an instant or the two columns of an interval; or empty.
        rows: the planner's estimate; None if the table was never analysed.
        row_bytes: the estimated stored size of a row.
        parameters: of a function; None for other kinds.
        ambiguous_with: the function that each call of this function matches as well; or empty.
        by_name: the properties by name.
        insertable, updatable, deletable: whether features can be created, changed and deleted;
            depends on the relation, the privileges and the settings.
        modified: the column with the time of the last change, which the database maintains.
        require_precondition: whether a change needs If-Match or If-Unmodified-Since.
        put_creates: whether a PUT to an id that does not exist creates the feature.
        publication: how all its changes are logged; None if they are not.
        row_security: whether row security policies select rows for the service; of a view, whether
            a table that it reads has some. Then the statistics of all rows are not shown.
    """

    id: CollectionId
    title: str
    description: str | None
    schema: str
    name: str
    kind: RelationKind
    geometry: GeometryColumn
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    key_is_unique: bool = True
    parts: Parts = Parts.NONE
    temporal: tuple[str, ...] = ()
    rows: int | None = None
    row_bytes: int = 256
    parameters: tuple[Parameter, ...] | None = None
    ambiguous_with: str = ""
    by_name: dict[str, Column] = field(default_factory=dict, compare=False)
    insertable: bool = False
    updatable: bool = False
    deletable: bool = False
    modified: str | None = None
    require_precondition: bool = False
    put_creates: bool = False
    publication: Publication | None = None
    row_security: bool = False

    @property
    def is_publishable(self) -> bool:
        """Whether its changes can be logged."""
        return self.kind in (RelationKind.TABLE, RelationKind.PARTITIONED_TABLE)

    @property
    def may_be_layer(self) -> bool:
        """Whether it can be shown without arguments, together with other collections."""
        return not any(parameter.required for parameter in self.parameters or ())

    @property
    def has_change_stream(self) -> bool:
        """Whether clients can subscribe to its changes."""
        return self.publication is not None and not self.row_security

    @property
    def key_columns(self) -> tuple[Column, ...]:
        """The columns of the key."""
        return tuple(self.by_name[name] for name in self.key)

    @property
    def needs_key(self) -> bool:
        """Whether a new feature must have its key, since the database does not make one."""
        return any(not column.may_default for column in self.key_columns)

    @property
    def is_view_or_foreign(self) -> bool:
        """Whether its rows belong to other relations, so that PostgreSQL cannot lock them."""
        return self.kind in (RelationKind.VIEW, RelationKind.FOREIGN_TABLE)

    @property
    def has_row_address(self) -> bool:
        """Whether its rows have a ctid, by which pages are made if there is no key."""
        stores_rows = self.kind in (
            RelationKind.TABLE,
            RelationKind.MATERIALISED_VIEW,
            RelationKind.PARTITIONED_TABLE,
        )
        return stores_rows and self.parts is not Parts.FOREIGN

    @property
    def key_orders_rows(self) -> bool:
        """Whether the key alone orders the rows: it is unique and never NULL.

        False for materialised views, whose columns cannot be declared NOT NULL.
        """
        if not self.key or not self.key_is_unique:
            return False
        return all(column.not_null and column.ordered for column in self.key_columns)
