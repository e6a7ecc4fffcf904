"""What may be said of a request's values in logs: their types and sizes, never themselves."""

import re
from collections.abc import Iterable, Sequence
from math import isfinite

import shapely
from shapely.geometry.base import BaseGeometry

_TYPED = re.compile(r"\$(\d+)::([a-z_][a-z0-9_]*(?:\[\])?)")
_ENVELOPE = re.compile(
    r"ST_MakeEnvelope\(\$(\d+)::float8, \$(\d+)::float8, \$(\d+)::float8, \$(\d+)::float8"
)
_EDGES = ("xmin", "ymin", "xmax", "ymax")
_SHORTEST_SECRET = 3  # shorter texts are in every message by chance
_BEGINNING = 16  # characters by which a value that was cut short is known
_SCRUBBED = "…"
_MAX_FULL = 1_000


def _describe_geometry(geometry: BaseGeometry) -> str:
    kind, vertices = geometry.geom_type.upper(), shapely.get_num_coordinates(geometry)
    if not vertices or not all(map(isfinite, geometry.bounds)):
        return f"geometry({kind}, {vertices} vertices)"
    bbox = " ".join(f"{edge:.7g}" for edge in geometry.bounds)
    return f"geometry({kind}, {vertices} vertices, bbox {bbox})"


def describe_value(value: object, type_name: str | None = None) -> str:
    """Describes the type and size of a value.

    `text(12)`, `bytea[](3, 4711 bytes)`, `geometry(POLYGON, 5 vertices, bbox 5 45 12 52)`.
    """
    name = type_name or type(value).__name__
    if value is None:
        return f"{name}(null)"
    if isinstance(value, BaseGeometry):
        return _describe_geometry(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{name}({len(value)} bytes)"
    if isinstance(value, Sequence) and value and all(isinstance(each, bytes) for each in value):
        return f"{name}({len(value)}, {sum(map(len, value))} bytes)"
    return f"{name}({len(value)})" if isinstance(value, Sequence) else name


def describe_args(text: str, args: Sequence[object]) -> list[str]:
    """What each argument of a statement is, `$1` first.

    The edges of a box are told: they are the bbox of a geometry.
    """
    types = {int(number): name for number, name in _TYPED.findall(text)}
    edges = {
        int(number): edge
        for match in _ENVELOPE.finditer(text)
        for edge, number in zip(_EDGES, match.groups(), strict=True)
    }
    return [
        f"float8({edges[number]} {value:.7g})"
        if number in edges and isinstance(value, int | float)
        else describe_value(value, types.get(number))
        for number, value in enumerate(args, 1)
    ]


def show_args(args: Sequence[object]) -> list[str]:
    """The arguments themselves, long ones cut; only where the settings ask for it."""
    shown = (each.wkt if isinstance(each, BaseGeometry) else repr(each) for each in args)
    return [
        each if len(each) <= _MAX_FULL else f"{each[:_MAX_FULL]}… ({len(each)} characters)"
        for each in shown
    ]


def size_of(args: Iterable[object]) -> int:
    """About how many bytes arguments hold."""
    return sum(_size(each) for each in args)


def _size(value: object) -> int:
    if isinstance(value, str | bytes | bytearray | memoryview):
        return len(value)
    if isinstance(value, BaseGeometry):
        return 32 * int(shapely.get_num_coordinates(value))
    if isinstance(value, Sequence):
        return 8 + size_of(value)
    return 8


def _texts(values: Iterable[object]) -> Iterable[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
            yield from _texts(value)
        elif isinstance(value, int | float):
            yield str(value)


def _quoted(text: str) -> tuple[str, ...]:
    """How messages write a value: as it is, as Python's repr, with quotes doubled as in SQL."""
    return (text, repr(text)[1:-1], text.replace("'", "''"), text.replace('"', '\\"'))


def scrub(message: str, values: Iterable[object]) -> str:
    """The message without the values that it quotes; it ends where it quotes the beginning of a
    long one.
    """
    texts = {
        quoted
        for text in _texts(values)
        if len(text) >= _SHORTEST_SECRET
        for quoted in _quoted(text)
    }
    for text in sorted(texts, key=len, reverse=True):
        message = message.replace(text, _SCRUBBED)
        if len(text) > _BEGINNING and text[:_BEGINNING] in message:
            message = message.partition(text[:_BEGINNING])[0] + _SCRUBBED
    return message
