"""The plan that EXPLAIN (FORMAT JSON, VERBOSE) prints: as nodes for advice, and as lines with redacted values for people."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from geosvc.sql.literals import redact

_CONDITIONS = (
    "Function Call", "Index Cond", "Recheck Cond", "TID Cond", "Hash Cond", "Merge Cond", "Join Filter", "Filter",
    "One-Time Filter", "Sort Key", "Presorted Key", "Group Key", "Order By",
)  # fmt: skip
_TAG = "set_config('application_name'"
_TAG_FILTER = re.compile(r"\(\$\d+ IS NOT NULL\)|\(\(?InitPlan \d+\)?\.col1\)? IS NOT NULL\)")
_SUBPLAN = re.compile(r"returns ((?:\$\d+,?)+)\)")
_CALL = re.compile(r"\b([a-z_][a-z0-9_]*)\(")
_PARAMETER = re.compile(r"\$\d+")
_MOST_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Node:
    """A step of a plan.

    Attributes:
        relation: (schema, name) of what it reads; None when it reads other nodes.
        rows, width, cost: as the planner estimates them; bytes a row.
        conditions: by EXPLAIN's name of each; with values.
        output: what it computes for each row; with values.
        returns: the `$n` that an InitPlan answers with.
    """

    kind: str
    relation: tuple[str, str] | None
    alias: str
    index: str | None
    rows: float
    width: int
    cost: float
    conditions: Mapping[str, str]
    output: tuple[str, ...]
    returns: frozenset[str]
    children: tuple["Node", ...]

    def walk(self) -> Iterator["Node"]:
        """The node and all below it, from the top."""
        yield self
        for child in self.children:
            yield from child.walk()

    @property
    def texts(self) -> Iterator[str]:
        """Everything that it computes."""
        yield from self.conditions.values()
        yield from self.output


def _is_tag(explained: Mapping[str, Any]) -> bool:
    return explained.get("Parent Relationship") == "InitPlan" and any(_TAG in each for each in explained.get("Output", ()))


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _is_empty(node: Node) -> bool:
    """Whether a node computes something and reads nothing."""
    return node.kind == "Result" and not node.children and not node.conditions


def parse_plan(explained: Mapping[str, Any]) -> Node:
    """The nodes of a plan, without those that only tell the server which request it is for.

    Args:
        explained: the member `Plan` of what EXPLAIN prints.
    """
    conditions = {name: _text(explained[name]) for name in _CONDITIONS if name in explained}
    children = [parse_plan(each) for each in explained.get("Plans", ()) if not _is_tag(each)]
    if _TAG_FILTER.fullmatch(conditions.get("One-Time Filter", "")):
        del conditions["One-Time Filter"]
        outer = [each for each in children if not _is_empty(each)]
        if explained["Node Type"] == "Result" and len(outer) == 1 and not conditions:
            others = (each for each in children if each is not outer[0])
            return replace(outer[0], children=(*outer[0].children, *others))
    name = explained.get("Relation Name")
    returns = _SUBPLAN.search(explained.get("Subplan Name", ""))
    return Node(
        kind=explained["Node Type"],
        relation=(explained.get("Schema", ""), name) if name else None,
        alias=explained.get("Alias", ""),
        index=explained.get("Index Name"),
        rows=float(explained.get("Plan Rows", 0)),
        width=int(explained.get("Plan Width", 0)),
        cost=float(explained.get("Total Cost", 0)),
        conditions=conditions,
        output=tuple(explained.get("Output", ())),
        returns=frozenset(returns[1].split(",")) if returns else frozenset(),
        children=tuple(children),
    )


def write_plan(node: Node, depth: int = 0) -> list[str]:
    """The plan as lines, as people know them from EXPLAIN, with values redacted."""
    subject = f" on {'.'.join(filter(None, node.relation))}" if node.relation else ""
    through = f" using {node.index}" if node.index else ""
    indent = "  " * depth
    lines = [f"{indent}{'-> ' if depth else ''}{node.kind}{through}{subject}  (cost={node.cost:.2f} rows={node.rows:.0f})"]
    for name, condition in node.conditions.items():
        shown = redact(condition)
        shown = shown if len(shown) <= _MOST_CHARACTERS else f"{shown[:_MOST_CHARACTERS]}…"
        lines.append(f"{indent}     {name}: {shown}")
    for child in (each for each in node.children if not _is_empty(each)):
        lines += write_plan(child, depth + 1)
    return lines


def relations_of(node: Node) -> list[tuple[str, str]]:
    """(schema, name) of every relation that a plan reads."""
    return list(dict.fromkeys(each.relation for each in node.walk() if each.relation))


def functions_of(node: Node) -> list[str]:
    """The names of all functions that a plan calls, without schemas."""
    return sorted({name for each in node.walk() for text in each.texts for name in _CALL.findall(redact(text))})


def parameters_of(node: Node) -> set[str]:
    """The `$n` in a plan that no InitPlan of its own answers: there are some in a generic plan only."""
    answered = {name for each in node.walk() for name in each.returns}
    used = {name for each in node.walk() for text in each.conditions.values() for name in _PARAMETER.findall(redact(text))}
    return used - answered
