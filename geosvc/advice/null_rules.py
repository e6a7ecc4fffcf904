"""Advice for boxes that read a whole spatial index to find the rows without a geometry."""

import re
from collections.abc import Iterator

from geosvc.advice.evidence import Advice, Evidence, Relation, analyze, quote, table_of
from geosvc.advice.indexes import begin_index
from geosvc.advice.plan import Node

NULLS_FROM_ROWS = 10_000
"""In a smaller table the index has few pages."""


def null_index(create: str, column: str) -> str:
    """The command that makes a small index of the rows without a geometry.

    Its key is the condition itself: the planner does not consider an index of other columns for one
    side of an OR.

    Args:
        create: the command up to the keys.
        column: as SQL writes it.
    """
    return f"{create} (({column} IS NULL)) WHERE {column} IS NULL"


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
                    f"{null_index(begin_index(relation), quote(column))}; {analyze(relation)}",
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
