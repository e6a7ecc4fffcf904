"""Advice for boxes that read a whole spatial index to find the rows without a geometry."""

import re
from collections.abc import Iterator

from geosvc.advice.evidence import Advice, Evidence, Relation, analyze, quote, root_of, table_of
from geosvc.advice.plan import Node

NULLS_FROM_ROWS = 10_000
"""In a smaller table the index has few pages."""


def index_of_nulls(table: str, column: str, *, concurrently: bool) -> str:
    """The command that makes a small index of the rows without a geometry.

    Its key is the condition itself: the planner does not consider an index of other columns for one
    side of an OR.

    Args:
        table, column: as SQL writes them.
    """
    create = "CREATE INDEX CONCURRENTLY" if concurrently else "CREATE INDEX"
    return f"{create} ON {table} (({column} IS NULL)) WHERE {column} IS NULL"


def missing_null_index(evidence: Evidence) -> Iterator[Advice]:
    """A spatial index is read from end to end for the rows without a geometry."""
    for node in evidence.diagnosis.nodes():
        relation = evidence.diagnosis.relation_of(node)
        if relation is None or relation["rows"] < NULLS_FROM_ROWS:
            continue
        for column in relation["spatial"]:
            if _looks_for_nulls(relation, node, column):
                yield Advice(
                    "missing-null-index",
                    f"{column} of {table_of(relation)} may be NULL, and a box has to return "
                    "features without a geometry too: the whole spatial index is read to find "
                    "them. Declare the column NOT NULL, or make an index of these rows.",
                    _create(relation, column),
                )


def _looks_for_nulls(relation: Relation, node: Node, column: str) -> bool:
    """Whether a scan reads an index of all rows for those without a geometry."""
    names = f"{re.escape(column)}|{re.escape(quote(column))}"
    condition = re.compile(rf'\((?:(?:\w+|"[^"]+")\.)?(?:{names}) IS NULL\)')
    partial = {index["name"] for index in relation["indexes"] if index["partial"]}
    for below in node.walk():
        searched = below.conditions.get("Index Cond", "")
        if condition.fullmatch(searched) and below.index not in partial:
            return True
    return False


def _create(relation: Relation, column: str) -> str:
    is_part = bool(relation["partition_of"]) or relation["kind"] == "p"
    table = quote(*root_of(relation))
    create = index_of_nulls(table, quote(column), concurrently=not is_part)
    return f"{create}; {analyze(relation)}"
