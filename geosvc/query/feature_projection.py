"""How SQL writes the features of a media type."""

from dataclasses import dataclass
from typing import Protocol

from geosvc.model.collection import Collection, Column, GeometryColumn
from geosvc.requests.items import GeometryStyle, ItemsQuery
from geosvc.sql.compose import SQL, Composable, Composed


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
