"""Write the values of properties that PostgreSQL refused to write as they are.

A list of values that fails is divided: composites into their attributes, arrays into their
elements, all others into halves. The one value that nothing can write is null in the end, and the
values around it are written as usual (docs/decisions/0027).
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import orjson

from geosvc.database.reads.halving import read_in_halves
from geosvc.database.reads.runner import Reads
from geosvc.encode.ewkb import geojson_of_ewkb
from geosvc.errors import (
    CollectionBroken,
    RequestError,
    StaleCatalog,
    UnreadableGeometry,
    UnreadableValue,
)
from geosvc.query.value_texts import (
    TypeName,
    take_arrays_apart,
    take_composites_apart,
    write_as_json,
    write_as_text,
    write_geometries,
)
from geosvc.sql.compose import Statement
from geosvc.sql.files import load_statement

NULL = "null"
_DIGITS = 9  # as PostGIS's own cast writes them

Texts = Sequence[str | None]
"""Values of one type as that type prints them; None for NULL."""

_WriteList = Callable[[TypeName, Sequence[str]], Statement]
_WriteOne = Callable[[str, RequestError], str]
_Null = TypeVar("_Null", str, None)


def is_refusal(error: RequestError) -> bool:
    """Whether a stored value may be the cause of a failure."""
    if isinstance(error, CollectionBroken):
        # a function that writes a type may be broken
        return not isinstance(error, StaleCatalog)
    return isinstance(error, UnreadableGeometry | UnreadableValue)


@dataclass(frozen=True, slots=True)
class _TypeParts:
    """What a type consists of.

    Attributes:
        kind: geometry, array, composite or other.
        element: the type of an array's elements.
        attributes: (name, type) of a composite type's attributes.
    """

    kind: str
    element: TypeName | None
    attributes: tuple[tuple[str, TypeName], ...]


@dataclass(slots=True)
class ValueWriter:
    """Writes values, and remembers what their types consist of.

    Attributes:
        reasons: why values could not be written, one for each.
    """

    database: Reads
    reasons: list[str] = field(default_factory=list)
    _types: dict[TypeName, _TypeParts] = field(default_factory=dict)

    async def json(self, type_name: TypeName, texts: Texts) -> list[str]:
        """Write each value as JSON, None as null.

        Raises: RequestError if the cause is not a value.
        """
        values = [text for text in texts if text is not None]
        if not values:
            return [NULL] * len(texts)
        written = await self._json(type_name, values)
        return _with_nulls(texts, written, NULL)

    async def text(self, type_name: TypeName, texts: Texts) -> list[str | None]:
        """Write each value as its cast to text does; where the cast fails, as its type prints it.

        Raises: RequestError if the cause is not a value.
        """
        values = [text for text in texts if text is not None]
        written = await self._in_halves(type_name, values, write_as_text, _printed_text)
        return _with_nulls(texts, written, None)

    async def _json(self, type_name: TypeName, texts: list[str]) -> list[str]:
        try:
            return await self._column(write_as_json(type_name, texts))
        except RequestError as error:
            if not is_refusal(error):
                raise
        parts = await self._parts_of(type_name)
        if parts.kind == "composite":
            return await self._composites(type_name, parts, texts)
        if parts.kind == "array" and parts.element is not None:
            return await self._arrays(type_name, parts.element, texts)
        if parts.kind == "geometry":
            return await self._in_halves(type_name, texts, write_geometries, self._geometry)
        return await self._in_halves(type_name, texts, write_as_json, self._refused)

    async def _composites(
        self, type_name: TypeName, parts: _TypeParts, texts: list[str]
    ) -> list[str]:
        names = [name for name, _ in parts.attributes]
        rows = await self.database.fetch(take_composites_apart(type_name, names, texts))
        columns = []
        for position, (_, attribute_type) in enumerate(parts.attributes):
            attribute_texts = [row[0][position] for row in rows]
            columns.append(await self.json(attribute_type, attribute_texts))
        heads = [orjson.dumps(name).decode() + ":" for name in names]
        objects = []
        for values in zip(*columns, strict=True):
            members = [head + value for head, value in zip(heads, values, strict=True)]
            objects.append("{" + ",".join(members) + "}")
        return objects

    async def _arrays(self, type_name: TypeName, element: TypeName, texts: list[str]) -> list[str]:
        rows = await self.database.fetch(take_arrays_apart(type_name, texts))
        element_texts: list[str | None] = []
        for row in rows:
            element_texts += row[0]
        elements = await self.json(element, element_texts)
        arrays = []
        start = 0
        for row in rows:
            end = start + len(row[0])
            arrays.append(_nest(elements[start:end], row[1]))
            start = end
        return arrays

    def _geometry(self, text: str, error: RequestError) -> str:
        """Write one geometry that PostGIS cannot write."""
        geojson = geojson_of_ewkb(bytes.fromhex(text), _DIGITS)
        if geojson is None:
            return self._refused(text, error)
        return geojson

    def _refused(self, _: str, error: RequestError) -> str:
        """Null, for a value that nothing can write."""
        self.reasons.append(error.reason or error.detail)
        return NULL

    async def _in_halves(
        self,
        type_name: TypeName,
        texts: Sequence[str],
        write_list: _WriteList,
        write_one: _WriteOne,
    ) -> list[str]:
        """Write values; a list that fails is halved.

        Args:
            write_one: writes a value that fails by itself.
        """

        async def write(some: Sequence[str]) -> list[str]:
            return await self._column(write_list(type_name, some))

        async def write_refused(text: str, error: RequestError) -> list[str]:
            return [write_one(text, error)]

        return await read_in_halves(texts, write, is_refusal, write_refused)

    async def _column(self, statement: Statement) -> list[str]:
        rows = await self.database.fetch(statement)
        return [row[0] for row in rows]

    async def _parts_of(self, type_name: TypeName) -> _TypeParts:
        known = self._types.get(type_name)
        if known is not None:
            return known
        statement = load_statement("value_type", (type_name.schema, type_name.name))
        rows = await self.database.fetch(statement)
        kind, element_schema, element_name, attributes_json = rows[0]
        element = None
        if element_schema is not None:
            element = TypeName(element_schema, element_name)
        attributes = []
        if attributes_json is not None:
            for name, schema, attribute_type in json.loads(attributes_json):
                attributes.append((name, TypeName(schema, attribute_type)))
        parts = _TypeParts(kind, element, tuple(attributes))
        self._types[type_name] = parts
        return parts


def _printed_text(text: str, _: RequestError) -> str:
    return text


def _with_nulls(texts: Texts, written: Sequence[str], null: _Null) -> list[str | _Null]:
    """The written values, with `null` where a text is None."""
    remaining = iter(written)
    values: list[str | _Null] = []
    for text in texts:
        if text is None:
            values.append(null)
        else:
            values.append(next(remaining))
    return values


def _nest(values: Sequence[str], lengths: Sequence[int]) -> str:
    """The elements of an array as JSON, in as many dimensions as the array has."""
    for length in reversed(lengths[1:]):
        slices = []
        for start in range(0, len(values), length):
            slices.append("[" + ",".join(values[start : start + length]) + "]")
        values = slices
    return "[" + ",".join(values) + "]"
