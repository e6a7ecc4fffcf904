"""The plan that EXPLAIN (FORMAT JSON, VERBOSE) prints: as nodes for advice, and as lines with redacted values for people."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from geosvc.sql.literals import calls, parameters, redact

_CONDITIONS = (
    "Function Call", "Index Cond", "Recheck Cond", "TID Cond", "Hash Cond", "Merge Cond", "Join Filter", "Filter",
    "One-Time Filter", "Sort Key", "Presorted Key", "Group Key", "Order By",
)  # fmt: skip
_TAG = "set_config('application_name'"
_RETURNS = re.compile(r"returns ((?:\$\d+,?)+)\)")
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
        is_subplan: whether it is computed for the sake of an expression of the node above.
        is_hidden: whether it only writes what another node reads; people need not see it.
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
    is_subplan: bool = False
    is_hidden: bool = False

    def walk(self) -> Iterator["Node"]:
        """The node and all below it, from the top, without those that are hidden."""
        if not self.is_hidden:
            yield self
        for child in self.children:
            yield from child.walk()

    def everything(self) -> Iterator[str]:
        """All that is computed here and below, in hidden nodes too."""
        yield from self.conditions.values()
        yield from self.output
        for child in self.children:
            yield from child.everything()

    @property
    def steps(self) -> tuple["Node", ...]:
        """The nodes whose rows it reads, without those that are hidden."""
        sources = (each for each in self.children if not each.is_subplan)
        return tuple(step for each in sources for step in (each.steps if each.is_hidden else (each,)))

    @property
    def filter(self) -> str:
        """What it compares row by row, with the subplans in it; empty when there is no such thing."""
        if "Filter" not in self.conditions:
            return ""
        below = (text for child in self.children if child.is_subplan for text in child.everything())
        return " ".join((self.conditions["Filter"], *below))

    @property
    def index_conditions(self) -> str:
        """What an index finds for it, by itself or through a bitmap; empty when it reads everything."""
        bitmaps = (node for child in self.children if child.kind.startswith("Bitmap") for node in child.walk())
        return " ".join(each.conditions.get("Index Cond", "") for each in (self, *bitmaps)).strip()


def _is_tag(explained: Mapping[str, Any]) -> bool:
    return explained.get("Parent Relationship") == "InitPlan" and any(_TAG in each for each in explained.get("Output", ()))


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _tags(explained: Mapping[str, Any]) -> Iterator[str]:
    """How conditions name the answers of the nodes that tell the server which request a plan is for."""
    if _is_tag(explained):
        name = explained.get("Subplan Name", "")
        returns = _RETURNS.search(name)
        yield returns[1] if returns else f"({name}).col1"
    for each in explained.get("Plans", ()):
        yield from _tags(each)


def _without_tags(condition: str, tags: Iterable[str]) -> str:
    for tag in tags:
        told = f"({tag} IS NOT NULL)"
        for part in (f"{told} AND ", f" AND {told}", told):
            condition = condition.replace(part, "", 1) if told in condition else condition
    return "" if condition == "()" else condition


def parse_plan(explained: Mapping[str, Any]) -> Node:
    """The nodes of a plan, without those that only tell the server which request it is for.

    Args:
        explained: the member `Plan` of what EXPLAIN prints.
    """
    return _parse(explained, frozenset(_tags(explained)))


def _parse(explained: Mapping[str, Any], tags: frozenset[str]) -> Node:
    conditions = {name: _text(explained[name]) for name in _CONDITIONS if name in explained}
    if "One-Time Filter" in conditions:
        conditions["One-Time Filter"] = _without_tags(conditions["One-Time Filter"], tags)
    conditions = {name: condition for name, condition in conditions.items() if condition}
    children = tuple(_parse(each, tags) for each in explained.get("Plans", ()) if not _is_tag(each))
    sources = [each for each in children if not each.is_subplan]
    name = explained.get("Relation Name")
    returns = _RETURNS.search(explained.get("Subplan Name", ""))
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
        children=children,
        is_subplan=explained.get("Parent Relationship") in ("SubPlan", "InitPlan"),
        # it writes what is sent of each row, and reads nothing by itself
        is_hidden=explained["Node Type"] == "Result" and len(sources) == 1 and not conditions,
    )


def write_plan(node: Node, depth: int = 0) -> list[str]:
    """The plan as lines, as people know them from EXPLAIN, with values redacted."""
    lines = [] if node.is_hidden else _write_node(node, depth)
    for child in (each for each in node.children if not each.is_subplan or relations_of(each)):
        lines += write_plan(child, depth if node.is_hidden else depth + 1)
    return lines


def _write_node(node: Node, depth: int) -> list[str]:
    subject = f" on {'.'.join(filter(None, node.relation))}" if node.relation else ""
    through = f" using {node.index}" if node.index else ""
    indent = "  " * depth
    lines = [f"{indent}{'-> ' if depth else ''}{node.kind}{through}{subject}  (cost={node.cost:.2f} rows={node.rows:.0f})"]
    for name, condition in node.conditions.items():
        shown = redact(condition)
        shown = shown if len(shown) <= _MOST_CHARACTERS else f"{shown[:_MOST_CHARACTERS]}…"
        lines.append(f"{indent}     {name}: {shown}")
    return lines


def relations_of(node: Node) -> list[tuple[str, str]]:
    """(schema, name) of every relation that a plan reads."""
    return list(dict.fromkeys(each.relation for each in node.walk() if each.relation))


def functions_of(node: Node) -> list[str]:
    """The names of all functions that a plan calls, without schemas."""
    return sorted({name for text in node.everything() for name in calls(text)})


def parameters_of(node: Node) -> set[str]:
    """The `$n` in a plan that no InitPlan of its own answers: there are some in a generic plan only."""
    answered = {name for each in node.walk() for name in each.returns}
    used = {name for each in node.walk() for text in each.conditions.values() for name in parameters(text)}
    return used - answered
