"""How the columns of files fit a table: types that the user chose, and columns of a given table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from geosvc.errors import StartError
from geosvc.model.collection import Collection
from geosvc.sources.schema import ColumnType, SourceColumn, SourceSchema, safe_names

ALL_OTHERS = "*"
_LISTED_NAMES = 50
_TYPES: dict[str, ColumnType] = {
    "bool": "bool",
    "boolean": "bool",
    "smallint": "int2",
    "int2": "int2",
    "int": "int4",
    "integer": "int4",
    "int4": "int4",
    "bigint": "int8",
    "int8": "int8",
    "numeric": "numeric",
    "decimal": "numeric",
    "real": "float4",
    "float4": "float4",
    "float": "float8",
    "float8": "float8",
    "double precision": "float8",
    "text": "text",
    "varchar": "text",
    "date": "date",
    "time": "time",
    "timestamp": "timestamp",
    "timestamptz": "timestamptz",
    "bytea": "bytea",
    "json": "jsonb",
    "jsonb": "jsonb",
}


def parse_types(text: str) -> dict[str, ColumnType]:
    """Types by the names of columns, of `zip=text,height=float8`; `*=text` is for all others.

    Raises: ValueError, in words for a person.
    """
    types: dict[str, ColumnType] = {}
    for part in text.split(","):
        name, equals, type_name = part.rpartition("=")
        name, type_name = name.strip(), type_name.strip()
        if not equals or not name:
            raise ValueError(f"{part!r} is not of the form NAME=TYPE")
        column_type = _TYPES.get(type_name.lower())
        if column_type is None:
            raise ValueError(f"unknown type {type_name!r}; available: {', '.join(_TYPES)}")
        types[name] = column_type
    return types


def with_types(schema: SourceSchema, types: Mapping[str, ColumnType]) -> SourceSchema:
    """The schema with the types that the user chose.

    Raises: StartError for a name that no column has.
    """
    columns = {column.source: column for column in schema.columns}
    named: set[str] = set()
    for name, column_type in types.items():
        if name == ALL_OTHERS:
            continue
        source = _find(name, list(columns), "the files have")
        if source is None:
            available = ", ".join(list(columns)[:_LISTED_NAMES])
            raise StartError(f"--types: the files have no column {name}; available: {available}")
        columns[source] = replace(columns[source], type=column_type)
        named.add(source)
    if ALL_OTHERS in types:
        if ALL_OTHERS in columns:
            named.add(ALL_OTHERS)
        for source in columns.keys() - named:
            columns[source] = replace(columns[source], type=types[ALL_OTHERS])
    return replace(schema, columns=tuple(columns.values()))


def _find(name: str, names: Sequence[str], owner: str) -> str | None:
    """The name that is equal, or the only one that is equal in another case.

    Args:
        owner: of the columns, with its verb, for a person.
    Raises: StartError when several are equal in another case.
    """
    if name in names:
        return name
    similar = [other for other in names if other.lower() == name.lower()]
    if len(similar) > 1:
        raise StartError(f"{name} may be any of the columns that {owner}: {', '.join(similar)}")
    return similar[0] if similar else None


@dataclass(frozen=True, slots=True)
class FittedColumns:
    """The columns of the files, with the names that they have in a table.

    Attributes:
        notes: which columns are left out, for a person.
    """

    schema: SourceSchema
    notes: tuple[str, ...]


def fit_columns(
    schema: SourceSchema, renamed: SourceSchema, collection: Collection
) -> FittedColumns:
    """The columns for a table that exists.

    Args:
        schema: of the files.
        renamed: the same schema with the names of a table that is created for it, which has some
            names for its own columns.
    Raises: StartError when the table lacks columns, or has one for two columns of the files.
    """
    table = f"{collection.schema}.{collection.name}"
    names = [column.name for column in collection.columns]
    found: dict[str, SourceColumn] = {}
    notes: list[str] = []
    missing: list[str] = []
    for own, other in zip(schema.columns, renamed.columns, strict=True):
        name: str | None = other.name  # as in a table that was created for such files
        if name not in names:
            name = _find(own.source, names, f"{table} has")
        if name is None:
            missing.append(own.source)
            continue
        column = collection.by_name[name]
        if not column.insertable or column.always_identity:
            notes.append(
                f"{own.source} is left out: only the database gives values to {name} of {table}"
            )
            continue
        if name in found:
            raise StartError(
                f"{found[name].source} and {own.source} are both for the column {name} of {table}"
            )
        found[name] = replace(own, name=name)
        if name in collection.key and column.may_default:
            notes.append(
                f"{own.source} is stored in the key {name}: the sequence of the key is not advanced"
            )
    if missing:
        listed = ", ".join(missing[:_LISTED_NAMES])
        raise StartError(f"{table} has no column {listed}; available: {', '.join(names)}")
    return FittedColumns(replace(schema, columns=tuple(found.values())), tuple(notes))


def one_object_column(schema: SourceSchema, column: str, reserved: Sequence[str]) -> SourceSchema:
    """The columns of a table that keeps all properties in one column, as a JSON object.

    Raises: StartError for a name that the column cannot have.
    """
    if safe_names([column], reserved) != (column,):
        raise StartError(
            f"--json: a column cannot be called {column!r}: choose another name, such as properties"
        )
    return replace(schema, columns=(SourceColumn(column, "jsonb", column),))
