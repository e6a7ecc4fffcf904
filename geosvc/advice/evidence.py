"""The facts about a slow query that the rules use, and the advice that they give."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from geosvc.advice.plan import Node
from geosvc.sql.compose import Identifier, Params

MANY_ROWS = 1_000  # with fewer rows, a sequential scan is as fast as any other
FAR_OFF = 10.0  # a large factor between an estimated and a real number of rows
MEGABYTE = 1 << 20

Relation = Mapping[str, Any]
"""A row of sql/plan_relations.sql."""

RelationName = tuple[str, str]
"""(schema, name)"""


@dataclass(frozen=True, slots=True)
class Advice:
    """A cause of slowness and its remedy.

    Attributes:
        sql: a command for the owner of the tables; None when no SQL helps.
    """

    code: str
    text: str
    sql: str | None = None

    def as_fields(self) -> dict[str, object]:
        """The advice as the log contains it."""
        fields: dict[str, object] = {"code": self.code, "text": self.text}
        if self.sql:
            fields["sql"] = self.sql
        return fields


@dataclass(frozen=True, slots=True)
class ColumnSample:
    """Properties of the first geometries of a column.

    Attributes:
        vertices: the average number of vertices of a geometry.
        srids: the SRIDs that occur.
        dimensions: the dimensions that occur, as numbers of ST_Zmflag.
    """

    vertices: float = 0.0
    srids: tuple[int, ...] = ()
    dimensions: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The plan of a statement and what the catalog says of the relations in it.

    All fields are empty when the database was not asked or did not answer.

    Attributes:
        relations: the rows of sql/plan_relations.sql, by schema and name. System catalogs are not
            among them.
        functions: the rows of sql/plan_functions.sql, by name.
        work_mem_bytes: the memory that a sort may use; 0 when it is not known.
        role, database: the role and the database of the connection; None when not known.
        postgis: the schema of PostGIS.
        column_samples: by schema, table and column.
    """

    plan: Node | None = None
    relations: Mapping[RelationName, Relation] = field(default_factory=dict)
    functions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    work_mem_bytes: int = 0
    role: str | None = None
    database: str | None = None
    postgis: str | None = None
    column_samples: Mapping[tuple[str, str, str], ColumnSample] = field(default_factory=dict)

    def nodes(self) -> Iterator[Node]:
        """The nodes of the plan from the top; none without a plan."""
        if self.plan is not None:
            yield from self.plan.walk()

    def relation_of(self, node: Node) -> Relation | None:
        """The relation that a node scans; None when no advice may be given for it."""
        return self.relations.get(node.relation or ("", ""))


@dataclass(frozen=True, slots=True)
class Evidence:
    """The numbers of a slow query and its diagnosis.

    Attributes:
        rows: the number of rows of the result; None when it is not known.
        bytes: the size of the response before compression.
    """

    pool_wait_ms: float
    duration_ms: float
    send_ms: float
    total_ms: float
    rows: int | None
    bytes: int
    offset: int = 0
    pool_max_size: int = 0
    pool_was_full: bool = False
    diagnosis: Diagnosis = field(default_factory=Diagnosis)


Rule = Callable[[Evidence], Iterator[Advice]]


def quote(*names: str) -> str:
    """A name, with its schema if given, as SQL writes it."""
    return Identifier(*names).render(Params())


def table_of(relation: Relation) -> str:
    """The name of a relation for people."""
    return f"{relation['schema']}.{relation['name']}"


def root_of(relation: Relation) -> RelationName:
    """(schema, name) of the table that gets an index or a type.

    For a partition this is the partitioned table above it.
    """
    schema, name = relation["partition_of"] or (relation["schema"], relation["name"])
    return schema, name


def analyze(relation: Relation) -> str:
    """The command that updates the planner's statistics."""
    return f"ANALYZE {quote(*root_of(relation))}"


def write_size(number_of_bytes: float) -> str:
    """A size for people: `12 kB`, `3 MB`."""
    if number_of_bytes < MEGABYTE:
        return f"{number_of_bytes / 1024:.0f} kB"
    return f"{number_of_bytes / MEGABYTE:.0f} MB"
