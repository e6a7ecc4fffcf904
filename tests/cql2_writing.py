"""Trees of CQL2 written in both encodings, so that what one parser reads can be given to the
other.
"""

from decimal import Decimal
from typing import Any

import orjson
import shapely

from geosvc.cql2.caps import Caps
from geosvc.cql2.tree import (
    And,
    Arithmetic,
    Array,
    ArrayPredicate,
    At,
    Between,
    Boolean,
    Comparison,
    Date,
    Folded,
    Function,
    Geometry,
    In,
    IntervalLiteral,
    IsNull,
    Like,
    Node,
    Not,
    Number,
    Or,
    Property,
    Spatial,
    Temporal,
    Text,
    Timestamp,
)

CAPS = Caps()
_CAMEL = {
    "finishedby": "finishedBy",
    "metby": "metBy",
    "overlappedby": "overlappedBy",
    "startedby": "startedBy",
}


class KeptGeometries:
    """Leaves geometries as they came, in GeoJSON."""

    def geometry(self, geojson: bytes, at: At) -> Geometry:
        return Geometry(
            orjson.dumps(orjson.loads(geojson), option=orjson.OPT_SORT_KEYS), (0, 0, 0, 0), at=at
        )

    def box(self, numbers: Any, at: At) -> Geometry:
        return Geometry(
            orjson.dumps({"bbox": [float(each) for each in numbers]}), (0, 0, 0, 0), at=at
        )


def _number(value: Decimal) -> Any:
    return (
        int(value) if value == value.to_integral_value() and abs(value) < 1 << 53 else float(value)
    )


def to_json(node: Any) -> Any:  # noqa: C901, PLR0911, PLR0912 - one case a kind of node
    """The tree as what `json.dumps` takes."""
    match node:
        case Property():
            return {"property": node.name}
        case Text() | Boolean():
            return node.value
        case Number():
            return _number(node.value)
        case Date():
            return {"date": node.value.isoformat()}
        case Timestamp():
            return {"timestamp": _instant(node)}
        case IntervalLiteral():
            return {"interval": [_edge(node.start), _edge(node.end)]}
        case Geometry():
            return orjson.loads(node.ewkb)
        case Array():
            return [to_json(each) for each in node.elements]
        case Function():
            return {"op": node.name, "args": [to_json(each) for each in node.args]}
        case Folded():
            return {"op": node.what, "args": [to_json(node.text)]}
        case Arithmetic() | Comparison():
            return {"op": node.op, "args": [to_json(node.left), to_json(node.right)]}
        case And() | Or():
            return {
                "op": type(node).__name__.lower(),
                "args": [to_json(each) for each in node.args],
            }
        case Not():
            return {"op": "not", "args": [to_json(node.arg)]}
        case Like():
            return {"op": "like", "args": [to_json(node.text), to_json(node.pattern)]}
        case Between():
            return {
                "op": "between",
                "args": [to_json(node.value), to_json(node.low), to_json(node.high)],
            }
        case In():
            return {
                "op": "in",
                "args": [to_json(node.value), [to_json(each) for each in node.among]],
            }
        case IsNull():
            return {"op": "isNull", "args": [to_json(node.value)]}
        case Spatial():
            return {"op": f"s_{node.op}", "args": [to_json(node.left), to_json(node.right)]}
        case Temporal():
            return {
                "op": f"t_{_CAMEL.get(node.op, node.op)}",
                "args": [to_json(node.left), to_json(node.right)],
            }
        case ArrayPredicate():
            op = "containedBy" if node.op == "containedby" else node.op
            return {"op": f"a_{op}", "args": [to_json(node.left), to_json(node.right)]}
    raise TypeError(node)


def _instant(node: Timestamp) -> str:
    return node.value.isoformat().replace("+00:00", "Z")


def _edge(node: Any) -> Any:
    if node is None:
        return ".."
    if isinstance(node, Date):
        return node.value.isoformat()
    return _instant(node) if isinstance(node, Timestamp) else to_json(node)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _listed(nodes: Any) -> str:
    return "(" + ", ".join(to_text(each) for each in nodes) + ")"


def _text_edge(node: Any) -> str:
    if node is None:
        return "'..'"
    if isinstance(node, Date | Timestamp):
        return _quoted(_edge(node))
    return to_text(node)


def to_text(node: Node) -> str:  # noqa: C901, PLR0911, PLR0912 - one case a kind of node
    """The tree in CQL2 text, with more parentheses than it needs."""
    match node:
        case Property():
            return _name(node.name)
        case Text():
            return _quoted(node.value)
        case Boolean():
            return str(node.value).upper()
        case Number():
            return str(node.value)
        case Date():
            return f"DATE('{node.value.isoformat()}')"
        case Timestamp():
            return f"TIMESTAMP('{_instant(node)}')"
        case IntervalLiteral():
            return f"INTERVAL({_text_edge(node.start)}, {_text_edge(node.end)})"
        case Geometry():
            geojson = orjson.loads(node.ewkb)
            if "bbox" in geojson:
                return f"BBOX({', '.join(map(repr, geojson['bbox']))})"
            if geojson["type"] != "LineString":
                return str(shapely.from_geojson(node.ewkb).wkt)
            return f"LINESTRING({', '.join(f'{x!r} {y!r}' for x, y in geojson['coordinates'])})"
        case Array():
            return _listed(node.elements)
        case Function():
            return f"{_name(node.name)}{_listed(node.args)}"
        case Folded():
            return f"{node.what.upper()}({to_text(node.text)})"
        case Arithmetic() | Comparison():
            return f"({to_text(node.left)} {node.op} {to_text(node.right)})"
        case And() | Or():
            return (
                "("
                + f" {type(node).__name__.upper()} ".join(to_text(each) for each in node.args)
                + ")"
            )
        case Not():
            return f"NOT ({to_text(node.arg)})"
        case Like():
            return f"{to_text(node.text)} LIKE {to_text(node.pattern)}"
        case Between():
            return f"{to_text(node.value)} BETWEEN {to_text(node.low)} AND {to_text(node.high)}"
        case In():
            return f"{to_text(node.value)} IN {_listed(node.among)}"
        case IsNull():
            return f"{to_text(node.value)} IS NULL"
        case Spatial():
            return f"S_{node.op.upper()}{_listed((node.left, node.right))}"
        case Temporal():
            return f"T_{node.op.upper()}{_listed((node.left, node.right))}"
        case ArrayPredicate():
            return f"A_{node.op.upper()}{_listed((node.left, node.right))}"
    raise TypeError(node)
