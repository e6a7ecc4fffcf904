"""What would help a slow query, drawn from its times, its plan and what the catalog says of the relations in it.

Each rule is a function from the evidence to pieces of advice; the order of RULES is the order in which they are told.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from geosvc.observe.plan import Node, functions_of, parameters_of
from geosvc.sql.compose import Identifier, Params

MANY_ROWS = 1_000  # below, a sequential scan is as good as any
FAR_OFF = 10.0  # times between what was estimated and what was seen
HEAVY_FEATURE_BYTES = 50_000
VERTEX_BYTES = 22  # of a position in GeoJSON with seven decimals
DEEP_OFFSET = 10_000
_SPATIAL_METHODS = ("gist", "spgist", "brin")
_SPATIAL_TEST = re.compile(r"&&|@|~|\bst_(?:dwithin|intersects|within|contains|covers|coveredby|touches|crosses|overlaps)\(")
_EQUALITY = re.compile(r"\((?:\w+\.)?(\w+)(?:\)::\w+)? = (?!ANY)")
_CAST = r"(?:\)::(geometry\(\w+,\d+\)))?"  # as a view has it that tells its type
_SORT_KEY = re.compile(r"(?:\w+\.)?(\w+)(?: DESC)?(?: NULLS (?:FIRST|LAST))?")
_HARMLESS = frozenset({"random", "clock_timestamp", "timeofday", "nextval", "set_config", "currval"})


@dataclass(frozen=True, slots=True)
class Advice:
    """A cause, and what would mend it.

    Attributes:
        sql: to be run by who owns the tables; None when there is none.
    """

    code: str
    text: str
    sql: str | None = None

    def as_fields(self) -> dict[str, object]:
        """As the log has it."""
        return {"code": self.code, "text": self.text, **({"sql": self.sql} if self.sql else {})}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a slow query.

    Attributes:
        rows: that came; None when that is not known.
        bytes: of the response before it is compressed.
        relations: what sql/plan_relations.sql found, by schema and name.
        functions: what sql/plan_functions.sql found, by name.
        work_mem_bytes: what a sort may take; 0 when it is not known.
        vertices: of a geometry of the collection on average; None when nobody looked.
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
    plan: Node | None = None
    relations: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    functions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    work_mem_bytes: int = 0
    vertices: float | None = None


Rule = Callable[[Evidence], Iterator[Advice]]


def _name(*names: str) -> str:
    return Identifier(*names).render(Params())


def _size(number_of_bytes: float) -> str:
    return f"{number_of_bytes / 1024:.0f} kB" if number_of_bytes < 1 << 20 else f"{number_of_bytes / (1 << 20):.0f} MB"


def waited_for_pool(evidence: Evidence) -> Iterator[Advice]:
    """Most of the time went by before there was a connection."""
    if evidence.pool_wait_ms <= evidence.total_ms / 2:
        return
    if not evidence.pool_was_full:
        yield Advice(
            "slow-connect",
            f"{evidence.pool_wait_ms:.0f} of {evidence.total_ms:.0f} ms were spent opening a connection. GEOSVC_POOL_MIN_SIZE "
            "keeps more of them open; if it takes as long every time, look at the network, TLS and the database's name lookup.",
        )
    else:
        yield Advice(
            "waited-for-connection",
            f"{evidence.pool_wait_ms:.0f} of {evidence.total_ms:.0f} ms were spent waiting for a connection: all "
            f"{evidence.pool_max_size} were busy. Look for the slow queries that held them (/activity, /slow-queries); a "
            "larger GEOSVC_POOL_MAX_SIZE helps only if the database has cores to spare.",
        )


def slow_client(evidence: Evidence) -> Iterator[Advice]:
    """Most of the time went by in waiting for the client to take bytes."""
    if evidence.send_ms > evidence.total_ms / 2:
        yield Advice(
            "slow-client",
            f"{evidence.send_ms:.0f} of {evidence.total_ms:.0f} ms were spent sending {_size(evidence.bytes)}: the client or "
            "its network is slow, not the database. Ask for less: limit, properties, precision, simplify, or compression.",
        )


def _filters(evidence: Evidence) -> Iterator[tuple[Node, str, Mapping[str, Any]]]:
    """(scan, what it compares row by row, relation) of large relations. A scan in the order of a key reads as much as one
    without an order.
    """
    for node in evidence.plan.walk() if evidence.plan else ():
        relation = evidence.relations.get(node.relation or ("", ""))
        if relation is not None and relation["rows"] >= MANY_ROWS and node.filter:
            yield node, node.filter, relation


def _create_index(relation: Mapping[str, Any], what: str, method: str = "") -> str:
    """The command for a relation; for the root of a partition, where CONCURRENTLY is not to be had."""
    if relation["partition_of"]:
        return f"CREATE INDEX ON {_name(*relation['partition_of'])}{method} ({what})"
    return f"CREATE INDEX CONCURRENTLY ON {_name(relation['schema'], relation['name'])}{method} ({what})"


def _analyze(relation: Mapping[str, Any]) -> str:
    return f"ANALYZE {_name(relation['schema'], relation['name'])}"


def _has_index(relation: Mapping[str, Any], column: str, methods: tuple[str, ...]) -> bool:
    return any(
        index["valid"] and not index["partial"] and index["method"] in methods and index["columns"][0].strip('"') == column
        for index in relation["indexes"]
    )


def missing_spatial_index(evidence: Evidence) -> Iterator[Advice]:
    """A table is read from end to end for a box, and its geometry has no index."""
    for node, condition, relation in _filters(evidence):
        if not _SPATIAL_TEST.search(condition) or _SPATIAL_TEST.search(node.index_conditions):
            continue
        for column in relation["spatial"]:
            names_it = re.search(rf"\b{re.escape(column)}\b", condition)
            if names_it and not _has_index(relation, column, _SPATIAL_METHODS):
                table = f"{relation['schema']}.{relation['name']}"
                yield Advice(
                    "missing-spatial-index",
                    f"{table} ({relation['rows']} rows) is read from end to end, since {column} has no spatial index.",
                    f"{_create_index(relation, _name(column), ' USING gist')}; {_analyze(relation)}",
                )


def transformed_column(evidence: Evidence) -> Iterator[Advice]:
    """A column is transformed before it is compared, so that its index is of no use."""
    for node, condition, relation in _filters(evidence):
        if "st_transform(" in node.index_conditions:
            continue
        for column, srid in relation["spatial"].items():
            transformed = re.search(rf"\bst_transform\((?:\w+\.)?\"?{re.escape(column)}\"?, (\d+)\){_CAST}", condition)
            if not transformed:
                continue
            table = f"{relation['schema']}.{relation['name']}"
            if srid == 0:
                yield Advice(
                    "unknown-srid",
                    f"{column} of {table} does not say its SRID, so each row is looked at before it is compared, and its "
                    "index is of no use. Give the column its SRID (that of its rows instead of 4326).",
                    f"ALTER TABLE {_name(relation['schema'], relation['name'])} ALTER COLUMN {_name(column)}"
                    f" TYPE geometry(Geometry, 4326) USING ST_SetSRID({_name(column)}, 4326)",
                )
                continue
            expression = f"ST_Transform({_name(column)}, {transformed[1]})"
            if transformed[2]:
                expression = f"({expression})::{transformed[2]}"
            yield Advice(
                "transformed-column",
                f"{column} of {table} (SRID {srid}) is transformed to {transformed[1]} row by row before it is compared, so "
                "an index on the column is of no use. Index what is compared, or ask in the SRID of the column.",
                f"{_create_index(relation, f'({expression})', ' USING gist')}; {_analyze(relation)}",
            )


def missing_property_index(evidence: Evidence) -> Iterator[Advice]:
    """A table is read from end to end for the value of a property."""
    for node, condition, relation in _filters(evidence):
        for column in _EQUALITY.findall(condition):
            few_of_many = node.rows * FAR_OFF < relation["rows"] and not node.index_conditions
            if few_of_many and column not in relation["spatial"] and not _has_index(relation, column, ("btree", "hash")):
                yield Advice(
                    "missing-property-index",
                    f"{relation['schema']}.{relation['name']} ({relation['rows']} rows) is read from end to end for the "
                    f"value of {column}, which has no index.",
                    _create_index(relation, _name(column)),
                )


def sort_without_index(evidence: Evidence) -> Iterator[Advice]:
    """Many rows are sorted for the sake of a few."""
    for node in evidence.plan.walk() if evidence.plan else ():
        below = [child for child in node.steps if child.kind in ("Sort", "Incremental Sort")]
        if node.kind != "Limit" or not below or below[0].steps[0].rows < max(MANY_ROWS, node.rows * FAR_OFF):
            continue
        scanned = [each for each in below[0].walk() if each.relation in evidence.relations]
        keys = [key.strip() for key in below[0].conditions.get("Sort Key", "").split(",")]
        if len(scanned) == 1 and keys and all(map(_SORT_KEY.fullmatch, keys)):
            relation = evidence.relations[scanned[0].relation or ("", "")]
            columns = [re.sub(r"^\w+\.", "", key) for key in keys]
            if not _has_index(relation, columns[0].partition(" ")[0], ("btree",)):
                yield Advice(
                    "sort-without-index",
                    f"about {below[0].steps[0].rows:.0f} rows of {relation['schema']}.{relation['name']} are sorted for "
                    f"{node.rows:.0f}: no index has their order.",
                    _create_index(relation, ", ".join(columns)),
                )


def sort_spilled(evidence: Evidence) -> Iterator[Advice]:
    """A sort takes more than work_mem and goes to disk."""
    if evidence.plan is None or not evidence.work_mem_bytes:
        return
    limited = {id(child) for node in evidence.plan.walk() if node.kind == "Limit" for child in node.steps}
    for node in evidence.plan.walk():
        if node.kind != "Sort" or (id(node) in limited and node.rows * node.width <= evidence.work_mem_bytes):
            continue
        is_top = id(node) in {id(evidence.plan), *map(id, evidence.plan.steps)} and not limited
        rows = max(node.rows, float(evidence.rows or 0)) if is_top else node.rows
        width = max(node.width, evidence.bytes / evidence.rows) if is_top and evidence.rows else node.width
        if rows * width > evidence.work_mem_bytes:
            yield Advice(
                "sort-spilled",
                f"a sort of about {rows:.0f} rows takes {_size(rows * width)}, more than work_mem "
                f"({_size(evidence.work_mem_bytes)}), and goes to disk. An index in the "
                "order of the sort needs none; else give the role more memory.",
                f"ALTER ROLE CURRENT_USER SET work_mem = '{max(round(rows * width * 2 / (1 << 20)), 8)}MB'",
            )


def stale_statistics(evidence: Evidence) -> Iterator[Advice]:
    """The planner expected quite another number of rows, and knows the table badly."""
    plan, rows = evidence.plan, evidence.rows
    if plan is None or rows is None:
        return
    limit = plan.rows if plan.kind == "Limit" else None
    source = plan
    while source.kind in ("Limit", "Result", "Sort", "Incremental Sort", "Subquery Scan", "Aggregate") and source.steps:
        source = source.steps[0]
    expected = source.rows
    too_few = rows > max(expected, 1) * FAR_OFF
    too_many = (limit is None or rows < limit) and expected > max(rows, 1) * FAR_OFF
    if "Aggregate" in {node.kind for node in plan.walk()} or not (too_few or (too_many and expected > MANY_ROWS)):
        return
    for key in dict.fromkeys(node.relation for node in plan.walk() if node.relation in evidence.relations):
        relation = evidence.relations[key or ("", "")]
        if not relation["analysed"] or relation["changed"] > max(relation["rows"], MANY_ROWS) / FAR_OFF:
            yield Advice(
                "stale-statistics",
                f"the planner expected {expected:.0f} rows and {rows} came: what it knows of {relation['schema']}."
                f"{relation['name']} is {'out of date' if relation['analysed'] else 'nothing: it was never analysed'}.",
                _analyze(relation),
            )


def generic_plan(evidence: Evidence) -> Iterator[Advice]:
    """The plan was made for no particular values."""
    for name, function in evidence.functions.items():
        if function["generic"]:
            yield Advice(
                "generic-plan",
                f"the function {name} plans its statements without their values (plan_cache_mode), and PostGIS cannot estimate "
                "a box that it does not know.",
                f"ALTER FUNCTION {_name(name)} SET plan_cache_mode = force_custom_plan",
            )
    if evidence.plan is not None and parameters_of(evidence.plan):
        yield Advice(
            "generic-plan",
            "the plan was made without the values of the arguments (a generic plan), and PostGIS cannot estimate a box that it "
            "does not know: something sets plan_cache_mode for the role or the database.",
            "ALTER ROLE CURRENT_USER SET plan_cache_mode = force_custom_plan",
        )


def costly_function(evidence: Evidence) -> Iterator[Advice]:
    """A function is called that the planner cannot look into."""
    if evidence.plan is None:
        return
    for name in functions_of(evidence.plan):
        function = evidence.functions.get(name)
        if function is None or name in _HARMLESS or not (function["volatile"] or function["own"]):
            continue
        kind = "volatile, so no call of it is left out" if function["volatile"] else "opaque to the planner"
        yield Advice(
            "costly-function",
            f"the query calls {name}(), which is {kind}: the time may be spent there. Look at its body, and at the view or "
            "function that calls it.",
        )


def heavy_geometries(evidence: Evidence) -> Iterator[Advice]:
    """Features have so many vertices that reading and writing them is the work."""
    by_bytes = evidence.bytes / evidence.rows / VERTEX_BYTES if evidence.rows else 0.0
    vertices = max(by_bytes, evidence.vertices or 0.0)
    if vertices * VERTEX_BYTES > HEAVY_FEATURE_BYTES:
        yield Advice(
            "heavy-geometries",
            f"features have about {vertices:.0f} vertices each: ask with simplify= or zoom-level=, and for filtering keep them "
            "in pieces made by ST_Subdivide.",
        )


def deep_offset(evidence: Evidence) -> Iterator[Advice]:
    """Many rows are read only to be skipped."""
    if evidence.offset >= DEEP_OFFSET:
        yield Advice(
            "deep-offset",
            f"{evidence.offset} rows are read and thrown away: follow the next links, whose cursors skip nothing.",
        )


RULES: tuple[Rule, ...] = (
    waited_for_pool,
    slow_client,
    missing_spatial_index,
    transformed_column,
    missing_property_index,
    sort_without_index,
    sort_spilled,
    stale_statistics,
    generic_plan,
    costly_function,
    deep_offset,
    heavy_geometries,
)


def advise(evidence: Evidence) -> list[Advice]:
    """All advice, most likely first."""
    return [each for rule in RULES for each in rule(evidence)]
