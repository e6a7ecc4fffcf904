"""A published table as its triggers see it."""

from dataclasses import dataclass
from typing import Literal

from geosvc.model.collection import Column, GeometryColumn, Publication

BULK_ROWS = 1_000
Operation = Literal["insert", "update", "delete", "truncate"]


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """A published table.

    Attributes:
        publication: the id of its row in geosvc.publication.
        postgis: the schema of PostGIS.
        columns, geometries: what the state of a row holds, in this order. The logged boxes are
            those of the first geometry.
        key: the columns of the feature id, unique and never NULL. Without a key every statement is
            logged as one change.
        bulk_rows: up to how many rows of one statement are logged row by row.
    """

    publication: int
    schema: str
    name: str
    postgis: str
    columns: tuple[Column, ...]
    geometries: tuple[GeometryColumn, ...]
    key: tuple[str, ...]
    bulk_rows: int = BULK_ROWS

    @property
    def state(self) -> Publication:
        """What the catalog reads of the publication."""
        columns = [column.name for column in self.columns]
        geometries = [geometry.name for geometry in self.geometries]
        names = (*columns, *geometries)
        return Publication(self.publication, names, self.key, self.geometries[0].name)


def is_builtin(column: Column) -> bool:
    """Whether the type of a column is one of PostgreSQL's own."""
    return column.type_schema == "pg_catalog"
