"""A format of features: what differs from one media type to another.

PostgreSQL writes each feature (a `Projection`), and Python joins the features (an `Encoder`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from geosvc.model.collection import Collection, Column, GeometryColumn
from geosvc.model.crs import Crs
from geosvc.model.media_type import MediaType
from geosvc.model.row import Row
from geosvc.requests.items import GeometryStyle, ItemsQuery
from geosvc.sql.compose import SQL, Composable, Composed

EwkbWriter = Callable[[bytes, int, Crs], str | None]
"""Writes a geometry that PostGIS refuses: (EWKB, digits, CRS); None where it cannot."""

PropertiesWriter = Callable[[Sequence[str], Sequence[str | None], bool], str]
"""Joins properties that are written already: (names, values, whether a geometry stands before)."""

OneFeatureWriter = Callable[[bytes, Sequence[Mapping[str, str]]], bytes]
"""Writes the body of a single feature: (the feature, its links)."""

CellWriter = Callable[[str | None, bool], str]
"""Writes a value as its type prints it: (text, whether formulas are escaped)."""


@dataclass(frozen=True, slots=True)
class FeatureProjection:
    """A feature as three SQL texts, none of them NULL; the feature is all three in a row.

    Attributes:
        header: the names of the cells of a line, for CSV.
    """

    head: Composable
    geometry: Composable
    tail: Composable
    header: tuple[str, ...] = ()

    @property
    def feature(self) -> Composed:
        """The feature as one bytea in UTF-8: Python would decode a text only to encode it again."""
        return SQL("convert_to({} || {} || {}, 'UTF8')").format(self.head, self.geometry, self.tail)


class Projection(Protocol):
    """Writes features in SQL.

    Attributes:
        distance_is_property: whether the distance of a search follows the properties.
    """

    distance_is_property: bool

    def write_feature(
        self,
        collection: Collection,
        query: ItemsQuery,
        metres: Composable | None,
        raising: bool,
    ) -> FeatureProjection:
        """Write the feature `t`.

        Args:
            metres: the distance to the geometry of the search as text.
            raising: as for `write_geometry`.
        """
        ...

    def write_geometry(
        self,
        geometry: GeometryColumn,
        style: GeometryStyle,
        value: Composable,
        raising: bool,
    ) -> Composable:
        """Write a value of a geometry column; the text is never NULL.

        Args:
            raising: whether the statement raises for a geometry that the media type does not allow,
                so that the page is read again and each geometry is checked. Otherwise the geometry
                is null.
        """
        ...

    def write_property(self, column: Column, query: ItemsQuery) -> Composable:
        """Write the value of one column by itself, as text."""
        ...


class Encoder(Protocol):
    """Writes the features of a body, one batch at a time.

    The first value of each row is a feature in UTF-8, as the projection of the format writes it.
    """

    def begin(self) -> bytes:
        """The bytes before the first feature."""
        ...

    def batch(self, rows: Sequence[Row]) -> bytes:
        """The bytes of some features, at least one."""
        ...

    def end(self, members: Mapping[str, object]) -> bytes:
        """The bytes after the last feature.

        Args:
            members: of the FeatureCollection: links, counts, time.
        """
        ...


def first_column_bytes(rows: Sequence[Row]) -> int:
    """The bytes of features that stand encoded in the first column."""
    return sum(len(row[0]) for row in rows)


@dataclass(frozen=True, slots=True)
class FeatureFormat:
    """How features are written in a media type.

    Attributes:
        projection: how SQL writes a feature.
        make_encoder: makes the encoder of a body from the names of the columns.
        null_geometry: the text of a geometry that is null, or that cannot be written.
        write_ewkb: None where a geometry that PostGIS refuses becomes null.
        join_properties: what follows the geometry of a feature.
        write_cell: None where values are JSON.
        links_in_body: whether a body has a place for links; else they are headers.
        streams: whether a body can be sent before all of it is made.
        write_one: None where a single feature cannot be requested in it.
        encoded_bytes: measures the features in some rows.
    """

    media_type: MediaType
    projection: Projection
    make_encoder: Callable[[Sequence[str]], Encoder]
    null_geometry: str
    write_ewkb: EwkbWriter | None
    join_properties: PropertiesWriter
    write_cell: CellWriter | None = None
    links_in_body: bool = False
    streams: bool = True
    write_one: OneFeatureWriter | None = None
    encoded_bytes: Callable[[Sequence[Row]], int] = first_column_bytes
