"""The index that would make a slow query faster: its plan compares row by row without one.

Advice is given only when PostgreSQL would use the index: an index can find the condition, few rows
meet it, the relation can have an index, and row security does not prevent it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from geosvc.advice.evidence import (
    FAR_OFF,
    MANY_ROWS,
    Advice,
    Diagnosis,
    Evidence,
    Relation,
    analyze,
    quote,
    table_of,
)
from geosvc.advice.indexes import INDEXABLE_KINDS, create_index, has_index
from geosvc.advice.plan import Node
from geosvc.advice.plan_conditions import (
    AllOf,
    AnyOf,
    Condition,
    ConditionParser,
    Expression,
    Leaf,
)

SPATIAL_METHODS = ("gist", "spgist", "brin")
VALUE_METHODS = ("btree", "hash")
_METHODS = {"spatial": SPATIAL_METHODS, "null": (*SPATIAL_METHODS, "btree"), "equal": VALUE_METHODS}
_PASSES_ROWS_ON = frozenset({"Append", "Merge Append", "Result", "Subquery Scan"})
# An index condition without any of these may begin at a key and read all that follows.
_IS_SELECTIVE = re.compile(r" = |&&|@|~|\bst_")


@dataclass(frozen=True, slots=True)
class _Scan:
    """A scan of a relation that can have an index.

    Attributes:
        share: the part of the relation that is read; less than 1 where a LIMIT stops the scan.
    """

    node: Node
    relation: Relation
    condition: Condition
    share: float

    @property
    def is_selective(self) -> bool:
        """Whether an index would leave out most of the rows that are read."""
        return self.node.rows * FAR_OFF < float(self.relation["rows"]) * self.share


def missing_index(evidence: Evidence) -> Iterator[Advice]:
    """A table is read from end to end for rows that an index would find."""
    for scan in _scans(evidence.diagnosis):
        if not scan.is_selective:
            continue
        missing = _missing_leaves(scan)
        if all(leaf.kind == "null" for leaf in missing):
            continue
        reported: set[str] = set()
        for leaf in missing:
            expression = leaf.expression.canonical
            if expression not in reported:
                reported.add(expression)
                yield _advise_index(scan.relation, leaf)


def _scans(diagnosis: Diagnosis) -> Iterator[_Scan]:
    """The scans of large relations that compare row by row.

    A scan in the order of a key reads as much as one without an index.
    """
    shares = _shares(diagnosis)
    for node in diagnosis.nodes():
        relation = diagnosis.relation_of(node)
        if relation is None or relation["rows"] < MANY_ROWS:
            continue
        if relation["kind"] not in INDEXABLE_KINDS or "Filter" not in node.conditions:
            continue
        if _IS_SELECTIVE.search(node.index_conditions):
            continue
        parser = ConditionParser(node.alias, diagnosis.postgis)
        condition = parser.parse(node.conditions["Filter"])
        yield _Scan(node, relation, condition, shares.get(id(node), 1.0))


def _shares(diagnosis: Diagnosis) -> dict[int, float]:
    """The part of its rows that is read of each node that a LIMIT stops, by the node's id."""
    shares: dict[int, float] = {}
    for limit in diagnosis.nodes():
        if limit.kind != "Limit":
            continue
        nodes = list(limit.steps)
        while nodes:
            node = nodes.pop()
            shares[id(node)] = min(limit.rows / max(node.rows, 1.0), 1.0)
            if node.kind in _PASSES_ROWS_ON:
                nodes.extend(node.steps)
    return shares


def _missing_leaves(scan: _Scan) -> list[Leaf]:
    """The comparisons of a scan that need an index which does not exist."""
    missing: list[Leaf] = []
    for leaf in _indexable_leaves(scan.relation, scan.condition) or ():
        if not has_index(scan.relation, leaf.expression, _METHODS[leaf.kind]):
            missing.append(leaf)
    return missing


def _indexable_leaves(relation: Relation, condition: Condition) -> list[Leaf] | None:
    """The comparisons that need an index for the condition; None when no index helps."""
    match condition:
        case Leaf() if _is_indexable(relation, condition):
            return [condition]
        case AllOf(parts):
            return _most_selective(relation, parts)
        case AnyOf(parts):
            leaves: list[Leaf] = []
            for part in parts:
                part_leaves = _indexable_leaves(relation, part)
                if part_leaves is None:
                    return None
                leaves.extend(part_leaves)
            return leaves
    return None


def _most_selective(relation: Relation, parts: tuple[Condition, ...]) -> list[Leaf] | None:
    """The comparisons of the part that leaves the fewest rows, of parts that must all hold."""
    best: list[Leaf] | None = None
    best_selectivity = 0.0
    for part in parts:
        leaves = _indexable_leaves(relation, part)
        if leaves is None:
            continue
        selectivity = min(_selectivity(relation, leaf) for leaf in leaves)
        if best is None or selectivity > best_selectivity:
            best, best_selectivity = leaves, selectivity
    return best


def _selectivity(relation: Relation, leaf: Leaf) -> float:
    """A rank: a box is best, then the column with the most distinct values."""
    if leaf.kind == "spatial":
        return float("inf")
    return float(relation["columns"][leaf.expression.column]["distinct"] or 0.0)


def _is_indexable(relation: Relation, leaf: Leaf) -> bool:
    """Whether an index could find the rows of a comparison."""
    expression = leaf.expression
    column = relation["columns"].get(expression.column)
    # Under row security, PostgreSQL evaluates a condition that is not leakproof after the
    # policies, and no index finds it.
    if column is None or relation["secured"]:
        return False
    column_type = column["type"]
    if leaf.kind in ("spatial", "null"):
        srid_is_known = expression.srid is None or relation["spatial"].get(expression.column)
        return column_type in ("geometry", "geography") and bool(srid_is_known)
    if not column["ordered"]:
        return False
    return expression.is_bare or (expression.casts == ("text",) and column_type == "varchar")


def _advise_index(relation: Relation, leaf: Leaf) -> Advice:
    """The advice to make an index for a comparison."""
    if leaf.kind == "equal":
        return _advise_property_index(relation, leaf.expression)
    return _advise_spatial_index(relation, leaf.expression)


def _advise_property_index(relation: Relation, expression: Expression) -> Advice:
    # EXPLAIN shows a varchar as cast to text; the index on it needs no cast
    key = expression.text
    if expression.casts == ("text",):
        key = quote(expression.column)
    return Advice(
        "missing-property-index",
        f"{_reads_everything(relation)} for the value of {expression.column}, which has no index.",
        create_index(relation, key, expression.column),
    )


def _advise_spatial_index(relation: Relation, expression: Expression) -> Advice:
    column = expression.column
    if expression.is_bare:
        create = create_index(relation, expression.text, column, "gist")
    else:
        create = create_index(relation, f"({expression.text})", None, "gist")
    sql = f"{create}; {analyze(relation)}"
    if expression.srid is not None:
        text = (
            f"{column} of {table_of(relation)} (SRID {relation['spatial'][column]}) is "
            f"transformed to {expression.srid} row by row before it is compared, so an index on "
            "the column is not used. Index the transformed column, or request the SRID of the "
            "column."
        )
        return Advice("transformed-column", text, sql)
    reason = f"since {column} has no spatial index."
    if not expression.is_bare:
        reason = f"since {column} is compared as {expression.casts[-1]}, without a spatial index."
    return Advice("missing-spatial-index", f"{_reads_everything(relation)}, {reason}", sql)


def _reads_everything(relation: Relation) -> str:
    return f"{table_of(relation)} ({relation['rows']} rows) is read from end to end"
