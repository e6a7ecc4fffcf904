"""Collections as the catalog would describe them, for the tests of pure code."""

from geosvc.model.collection import (
    Collection,
    CollectionId,
    Column,
    GeometryColumn,
    Parameter,
    RelationKind,
)
from geosvc.model.crs import WGS84, Srid

_CATEGORIES = {
    **dict.fromkeys(
        ("int2", "int4", "int8", "numeric", "float4", "float8", "oid", "regclass"), "N"
    ),
    **dict.fromkeys(("text", "varchar"), "S"),
    **dict.fromkeys(("date", "timestamp", "timestamptz", "time", "timetz"), "D"),
    "bool": "B",
    "inet": "I",
    "cidr": "I",
    "uuid": "U",
    "jsonb": "U",
    "bytea": "U",
}


def column(
    name: str,
    type_name: str = "text",
    *,
    not_null: bool = False,
    enum: tuple[str, ...] | None = None,
) -> Column:
    """A column of a built-in type, or of an enum in the schema public."""
    schema = "pg_catalog" if enum is None else "public"
    category = _CATEGORIES[type_name] if enum is None else "E"
    return Column(name, type_name, schema, type_name, category, enum, not_null=not_null)


def parameter(name: str, type_name: str = "int4", *, required: bool = True) -> Parameter:
    """A parameter of a function, of a built-in type."""
    return Parameter(
        name, type_name, "pg_catalog", type_name, _CATEGORIES[type_name], required=required
    )


def geometry(
    name: str = "geom", kind: str = "POINT", srid: int = WGS84, *, not_null: bool = False
) -> GeometryColumn:
    """A geometry column."""
    return GeometryColumn(name, kind, Srid(srid), not_null=not_null)


def collection(
    *columns: Column,
    key: tuple[str, ...] = (),
    kind: RelationKind = RelationKind.TABLE,
    temporal: tuple[str, ...] = (),
    parameters: tuple[Parameter, ...] | None = None,
    geometry_column: GeometryColumn | None = None,
    name: str = "places",
) -> Collection:
    """A collection of these columns in the schema public."""
    return Collection(
        id=CollectionId(name),
        title=name,
        description=None,
        schema="public",
        name=name,
        kind=kind,
        geometry=geometry_column or geometry(),
        columns=columns,
        key=key,
        temporal=temporal,
        parameters=parameters,
        by_name={each.name: each for each in columns},
    )
