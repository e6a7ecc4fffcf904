"""Advice for sorts: those that an index makes unnecessary, and those that need more memory."""

import re
from collections.abc import Iterator

from geosvc.advice.evidence import (
    FAR_OFF,
    MANY_ROWS,
    MEGABYTE,
    Advice,
    Diagnosis,
    Evidence,
    Relation,
    quote,
    root_of,
    write_size,
)
from geosvc.advice.indexes import INDEXABLE_KINDS, create_index, has_index
from geosvc.advice.plan import Node
from geosvc.advice.plan_conditions import Expression, unquote
from geosvc.advice.planner_rules import set_for_role

LEAST_WORK_MEM_MB = 8
MOST_WORK_MEM_MB = 256
_SORT_KEY = re.compile(
    r'(?P<alias>"(?:[^"]|"")+"|\w+)\.(?P<column>"(?:[^"]|"")+"|\w+)'
    r'(?P<collation> COLLATE "(?:[^"]|"")+")?'
    r"(?P<order>(?: DESC)?(?: NULLS (?:FIRST|LAST))?)"
)


def sort_without_index(evidence: Evidence) -> Iterator[Advice]:
    """Many rows are sorted to return a few."""
    for node in evidence.diagnosis.nodes():
        sort = _sort_below(node)
        if sort is None or sort.rows < max(MANY_ROWS, node.rows * FAR_OFF):
            continue
        relation = _sorted_relation(evidence.diagnosis, sort)
        keys = _sort_keys(sort)
        if relation is None or not keys:
            continue
        first_column = keys[0][0]
        if has_index(relation, Expression(first_column, quote(first_column)), ("btree",)):
            continue
        columns = ", ".join(quote(column) + order for column, order in keys)
        yield Advice(
            "sort-without-index",
            f"about {sort.rows:.0f} rows of {'.'.join(root_of(relation))} are sorted to return "
            f"{node.rows:.0f}: no index has their order.",
            create_index(relation, columns, None),
        )


def _sort_below(node: Node) -> Node | None:
    """The sort whose rows a LIMIT reads; None for other nodes."""
    if node.kind == "Limit":
        for step in node.steps:
            if step.kind == "Sort":
                return step
    return None


def _sorted_relation(diagnosis: Diagnosis, sort: Node) -> Relation | None:
    """The relation that a sort reads, all or most of it.

    None when it reads several relations, or rows that an index found.
    """
    scans: list[Node] = []
    for step in sort.steps:
        if step.kind == "Append":
            scans.extend(step.steps)
        else:
            scans.append(step)
    relations: list[Relation] = []
    for scan in scans:
        relation = diagnosis.relation_of(scan)
        if relation is None or relation["kind"] not in INDEXABLE_KINDS or relation["secured"]:
            return None
        if scan.index_conditions or scan.steps:
            return None
        relations.append(relation)
    roots = {root_of(relation) for relation in relations}
    if len(roots) != 1:
        return None
    rows = sum(relation["rows"] for relation in relations)
    rows_read = sum(scan.rows for scan in scans)
    if rows_read * 2 < rows:
        return None
    return relations[0]


def _sort_keys(sort: Node) -> list[tuple[str, str]]:
    """(column, its collation and order) of each sort key; empty when one is no column."""
    keys: list[tuple[str, str]] = []
    text = sort.conditions.get("Sort Key", "")
    while text:
        key = _SORT_KEY.match(text)
        if key is None:
            return []
        rest = text[key.end() :]
        if rest and not rest.startswith(", "):
            return []
        collation = key["collation"] or ""
        keys.append((unquote(key["column"]), collation + key["order"]))
        text = rest.removeprefix(", ")
    return keys


def sort_spilled(evidence: Evidence) -> Iterator[Advice]:
    """A sort needs more than work_mem and writes to disk."""
    diagnosis = evidence.diagnosis
    work_mem_bytes = diagnosis.work_mem_bytes
    if not work_mem_bytes:
        return
    limited = _limited_nodes(diagnosis)
    for node in diagnosis.nodes():
        if node.kind != "Sort" or not _reads_relations(node, diagnosis):
            continue
        if id(node) in limited and node.rows * node.width <= work_mem_bytes:
            continue
        rows, needed_bytes = _sorted_size(node, evidence)
        if needed_bytes > work_mem_bytes:
            yield Advice(
                "sort-spilled",
                f"a sort of about {rows:.0f} rows needs {write_size(needed_bytes)}, more than "
                f"work_mem ({write_size(work_mem_bytes)}), and writes to disk. An index in the "
                "order of the sort needs no memory. Otherwise give the role more memory; it is "
                "used by new connections.",
                _set_work_mem(diagnosis, needed_bytes),
            )


def _limited_nodes(diagnosis: Diagnosis) -> set[int]:
    """The ids of the nodes whose rows a LIMIT reads: such a sort keeps only the first rows."""
    limited: set[int] = set()
    for node in diagnosis.nodes():
        if node.kind == "Limit":
            limited.update(map(id, node.steps))
    return limited


def _reads_relations(node: Node, diagnosis: Diagnosis) -> bool:
    """Whether a node reads a relation for which advice may be given."""
    return any(below.relation in diagnosis.relations for below in node.walk())


def _sorted_size(node: Node, evidence: Evidence) -> tuple[float, float]:
    """(rows, bytes) that a sort handles.

    The sort at the top handles what is sent, which is known. Below, the planner's estimate counts.
    """
    if node is not evidence.diagnosis.plan or not evidence.rows:
        return node.rows, node.rows * node.width
    rows = float(evidence.rows)
    return rows, max(rows * node.width, evidence.bytes)


def _set_work_mem(diagnosis: Diagnosis, needed_bytes: float) -> str | None:
    """The command that gives the service's role twice the memory that a sort needs.

    None when that is more than a server can give to each session.
    """
    megabytes = max(round(needed_bytes * 2 / MEGABYTE), LEAST_WORK_MEM_MB)
    if megabytes > MOST_WORK_MEM_MB:
        return None
    return set_for_role(diagnosis, f"work_mem = '{megabytes}MB'")
