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
    """What a collection is in PostgreSQL: `pg_class.relkind`, or a function."""

    TABLE = "r"
    VIEW = "v"
    MATERIALISED_VIEW = "m"
    PARTITIONED_TABLE = "p"
    FOREIGN_TABLE = "f"
    FUNCTION = "function"


class Parts(StrEnum):
    """Whether rows lie in partitions or children of a table, and whether some of those are on other servers."""

    NONE = ""
    OWN = "own"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class TypedName:
    """A name with a PostgreSQL type.

    Attributes:
        type: as `format_type` writes it, for people.
        type_schema, type_name: the type, or the type below a domain.
        category: `pg_type.typcategory`.
        enum: the labels of an enum, in order.
    """

    name: str
    type: str
    type_schema: str
    type_name: str
    category: str
    enum: tuple[str, ...] | None = None

    @property
    def is_scalar(self) -> bool:
        """Whether values can be written as text in a URL, compared and ordered."""
        if self.type_name.startswith("reg") and self.type_schema == "pg_catalog":
            return False
        return self.category in _SCALAR_CATEGORIES or self.type_name in _SCALAR_TYPES

    @property
    def is_temporal(self) -> bool:
        """Whether values are dates or timestamps."""
        return self.type_schema == "pg_catalog" and self.type_name in _TEMPORAL_TYPES


@dataclass(frozen=True, slots=True)
class Reference:
    """The column of a table that a foreign key points at."""

    schema: str
    table: str
    column: str


@dataclass(frozen=True, slots=True)
class Column(TypedName):
    """A property of the features.

    Attributes:
        deterministic: whether only equal texts are equal by its collation.
        comparable, ordered: whether its type has the operators = and > that its index goes by, where statements find them.
        bounds: what its type modifier and CHECK constraints say of values, as far as that is plain.
        refers_to: where a foreign key of it alone points at.
        may_default: whether the database may give it a value when it gets none.
        always_identity: whether only the database gives it values, save when it is overruled.
        insertable, updatable: whether it can be written, by what it is, by privilege and by the settings.
        composite: what its type is or holds, where that is a composite; the row types of tables are not looked at.
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
        """Whether features can be sorted by it and a parameter compared with it, by its operators.

        Those of an extension outside the search path are not found; of citext PostgreSQL then
        takes those of text, which have another order.
        """
        return self.is_scalar and self.ordered

    @property
    def is_usable_as_key(self) -> bool:
        """Whether a value is found by the text that the database writes it as. Names of relations and the like are no such
        texts, and shapes and documents have no equality, or one that tells different ones for equal.
        """
        if self.type_schema != "pg_catalog":
            return self.comparable
        return (
            not self.type_name.startswith("reg")
            and self.category != "G"
            and self.type_name not in ("json", "xml")
        )

    @property
    def is_hstore(self) -> bool:
        """Whether its values are objects in JSON, as which PostgreSQL does not read them."""
        return self.type_name == "hstore" and self.category == "U"

    @property
    def is_merged_by_patch(self) -> bool:
        """Whether a merge patch changes parts of its values."""
        return self.is_hstore or (
            self.type_schema == "pg_catalog" and self.type_name in ("json", "jsonb")
        )


@dataclass(frozen=True, slots=True)
class Parameter(TypedName):
    """An argument of a function; one without a default is required."""

    required: bool = True


@dataclass(frozen=True, slots=True)
class GeometryColumn:
    """The geometry of the features.

    Attributes:
        type: in capitals, such as MULTIPOLYGON; GEOMETRY when any is allowed.
        srid: 0 when the column does not say; its rows may then differ.
        modifier: the type, with its dimensions, and the SRID that the column itself is declared with; None where it is not,
            or is by a domain.
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
        id: its row in geosvc.publication.
        columns: what the states of rows hold, geometries included.
        key: the columns that make the keys; none where every statement is logged as one.
        geometry: the column whose boxes are logged, of a table that has several.
    """

    id: int
    columns: tuple[str, ...]
    key: tuple[str, ...] = ()
    geometry: str = ""


@dataclass(frozen=True, slots=True)
class Collection:
    """Everything that is needed to plan a query.

    Attributes:
        id: the bare name in the first schema, else schema.name; `.column` follows for a second geometry.
        columns: the properties, in the order of the table; no geometries.
        key: the names of the columns that make the feature id; empty when there is none.
        key_is_unique: whether the database keeps the key unique; else somebody says so in the settings.
        parts: whether its rows lie in partitions or children.
        temporal: the column of the instant, the two of the interval, or none.
        rows: the planner's estimate; None when it was never analysed.
        row_bytes: stored bytes of a row, estimated.
        parameters: of a function; None for everything else.
        ambiguous_with: of a function the other one that each call of it names as well; empty where there is none.
        insertable, updatable, deletable: whether features can be made, changed, deleted: by what it is, by privilege and by
            the settings.
        modified: the column that says when a feature was last changed, which the database maintains.
        require_precondition: whether changes need If-Match or If-Unmodified-Since.
        put_creates: whether a PUT to an id that is free makes the feature.
        publication: how its changes are logged, where all of them are; None where they are not.
        row_security: whether policies, which may look at anything, decide which rows there are for the service; of a view,
            whether it is read from a table that has some. Statistics, which know all rows, are not told then.
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
        """Whether it is of a kind whose changes can be logged."""
        return self.kind in (RelationKind.TABLE, RelationKind.PARTITIONED_TABLE)

    @property
    def has_change_stream(self) -> bool:
        """Whether its changes are told."""
        return self.publication is not None and not self.row_security

    @property
    def key_columns(self) -> tuple[Column, ...]:
        """The columns of the key."""
        return tuple(self.by_name[name] for name in self.key)

    @property
    def is_view(self) -> bool:
        """Whether rows are not the collection's own, so that PostgreSQL cannot lock them."""
        return self.kind in (RelationKind.VIEW, RelationKind.FOREIGN_TABLE)

    @property
    def has_row_address(self) -> bool:
        """Whether rows have a ctid to page by when there is no key."""
        return (
            self.kind
            in (RelationKind.TABLE, RelationKind.MATERIALISED_VIEW, RelationKind.PARTITIONED_TABLE)
            and self.parts is not Parts.FOREIGN
        )

    @property
    def key_orders_rows(self) -> bool:
        """Whether no two rows have the same key, so that it alone puts them in order. Columns of materialised views cannot
        be declared not to be NULL.
        """
        return (
            bool(self.key)
            and self.key_is_unique
            and all(column.not_null and column.ordered for column in self.key_columns)
        )
