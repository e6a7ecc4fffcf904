"""The rules that give advice for a slow query, from its times, its plan and the catalog.

Each rule is a function from the evidence to pieces of advice. RULES has them in the order in which
the log shows their advice. The rules about the plan are in modules of their own.
"""

from collections.abc import Iterator

from geosvc.advice.evidence import Advice, Evidence, Rule, write_size
from geosvc.advice.missing_index import missing_index
from geosvc.advice.null_rules import missing_null_index
from geosvc.advice.plan_conditions import SPATIAL_FUNCTIONS
from geosvc.advice.planner_rules import costly_function, generic_plan, stale_statistics
from geosvc.advice.sort_rules import sort_spilled, sort_without_index
from geosvc.advice.srid_rules import unknown_srid

HEAVY_FEATURE_BYTES = 50_000
VERTEX_BYTES = 22  # of a position in GeoJSON with seven decimals
DEEP_OFFSET = 10_000
_CERTAIN = frozenset(
    {
        "missing-spatial-index",
        "transformed-column",
        "unknown-srid",
        "missing-property-index",
        "missing-null-index",
        "sort-without-index",
    }
)


def waited_for_pool(evidence: Evidence) -> Iterator[Advice]:
    """Most of the time was spent before the statement had a connection."""
    if evidence.pool_wait_ms <= evidence.total_ms / 2:
        return
    times = f"{evidence.pool_wait_ms:.0f} of {evidence.total_ms:.0f} ms"
    if not evidence.pool_was_full:
        yield Advice(
            "slow-connect",
            f"{times} were spent opening a connection. GEOSVC_POOL_MIN_SIZE keeps more of them "
            "open. If it takes as long every time, look at the network, TLS and the database's "
            "name lookup.",
        )
        return
    yield Advice(
        "waited-for-connection",
        f"{times} were spent waiting for a connection: all {evidence.pool_max_size} were busy. "
        "Look for the slow queries that used them (/activity, /slow-queries). A larger "
        "GEOSVC_POOL_MAX_SIZE helps only if the database has free CPU cores.",
    )


def slow_client(evidence: Evidence) -> Iterator[Advice]:
    """Most of the time was spent waiting for the client to receive bytes."""
    if evidence.send_ms > evidence.total_ms / 2:
        yield Advice(
            "slow-client",
            f"{evidence.send_ms:.0f} of {evidence.total_ms:.0f} ms were spent sending "
            f"{write_size(evidence.bytes)}: the client or its network is slow, not the database. "
            "Request less: limit, properties, precision, simplify, or compression.",
        )


def heavy_geometries(evidence: Evidence) -> Iterator[Advice]:
    """Features have so many vertices that reading and writing them takes the time."""
    vertices = 0.0
    for sample in evidence.diagnosis.column_samples.values():
        vertices = max(vertices, sample.vertices)
    if vertices * VERTEX_BYTES <= HEAVY_FEATURE_BYTES:
        return
    sends_much = bool(evidence.rows) and evidence.bytes > HEAVY_FEATURE_BYTES * (evidence.rows or 0)
    if sends_much or _compares_geometries(evidence):
        yield Advice(
            "heavy-geometries",
            f"features have about {vertices:.0f} vertices each: request them with simplify= or "
            "zoom-level=. For filters, store them in pieces made by ST_Subdivide.",
        )


def _compares_geometries(evidence: Evidence) -> bool:
    """Whether a scan calls a spatial function for each row."""
    for node in evidence.diagnosis.nodes():
        condition = node.filter
        for name in SPATIAL_FUNCTIONS:
            if f"{name}(" in condition:
                return True
    return False


def deep_offset(evidence: Evidence) -> Iterator[Advice]:
    """Many rows are read only to be skipped."""
    if evidence.offset >= DEEP_OFFSET:
        yield Advice(
            "deep-offset",
            f"up to {evidence.offset} rows are read and discarded: follow the next links instead. "
            "Their cursors skip no rows.",
        )


RULES: tuple[Rule, ...] = (
    waited_for_pool,
    slow_client,
    missing_index,
    missing_null_index,
    unknown_srid,
    sort_without_index,
    sort_spilled,
    stale_statistics,
    generic_plan,
    costly_function,
    deep_offset,
    heavy_geometries,
)


def advise(evidence: Evidence) -> list[Advice]:
    """All advice, the most likely first.

    The same advice for several partitions of a table is given once. A function is suspected only
    when the plan shows no other cause.
    """
    advice: dict[tuple[str, str], Advice] = {}
    for rule in RULES:
        for piece in rule(evidence):
            advice[piece.code, piece.sql or piece.text] = piece
    pieces = list(advice.values())
    if any(piece.code in _CERTAIN for piece in pieces):
        return [piece for piece in pieces if piece.code != "costly-function"]
    return pieces
