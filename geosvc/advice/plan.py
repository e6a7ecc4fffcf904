"""The nodes of a plan that EXPLAIN (FORMAT JSON, VERBOSE) prints, for the rules of advice."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from geosvc.sql.literals import called_functions, parameters_in

_CONDITIONS = (
    "Function Call",
    "Index Cond",
    "Recheck Cond",
    "TID Cond",
    "Hash Cond",
    "Merge Cond",
    "Join Filter",
    "Filter",
    "One-Time Filter",
    "Sort Key",
    "Presorted Key",
    "Group Key",
    "Order By",
)
_TAG = "set_config('application_name'"
_RETURNS = re.compile(r"returns ((?:\$\d+,?)+)\)")


@dataclass(frozen=True, slots=True)
class Node:
    """A step of a plan.

    Attributes:
        relation: (schema, name) of the relation that it reads; None when it reads other nodes.
        rows, width, cost: the estimates of the planner; the width is in bytes a row.
        conditions: by EXPLAIN's name of each; they contain values.
        output: the expressions of each row; they contain values.
        returns: the parameters `$n` that an InitPlan computes.
        is_subplan: whether an expression of the node above needs it.
        is_hidden: whether it only writes the rows of another node; people need not see it.
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
        """Yields the node and all below it, from the top, without hidden nodes."""
        if not self.is_hidden:
            yield self
        for child in self.children:
            yield from child.walk()

    def expressions(self) -> Iterator[str]:
        """Yields all conditions and outputs here and below, also those of hidden nodes."""
        yield from self.conditions.values()
        yield from self.output
        for child in self.children:
            yield from child.expressions()

    @property
    def steps(self) -> tuple["Node", ...]:
        """The nodes whose rows it reads, without hidden nodes."""
        steps: list[Node] = []
        for child in self.children:
            if child.is_subplan:
                continue
            if child.is_hidden:
                steps.extend(child.steps)
            else:
                steps.append(child)
        return tuple(steps)

    @property
    def filter(self) -> str:
        """The condition that it evaluates row by row, with its subplans; empty without one."""
        if "Filter" not in self.conditions:
            return ""
        texts = [self.conditions["Filter"]]
        for child in self.children:
            if child.is_subplan:
                texts.extend(child.expressions())
        return " ".join(texts)

    @property
    def index_conditions(self) -> str:
        """The conditions that an index finds, also through a bitmap; empty without an index."""
        texts = [self.conditions.get("Index Cond", "")]
        for child in self.children:
            if child.kind.startswith("Bitmap"):
                texts.extend(node.conditions.get("Index Cond", "") for node in child.walk())
        return " ".join(texts).strip()


def parse_plan(explained: Mapping[str, Any]) -> Node:
    """The nodes of a plan, without those that only tell the server which request it belongs to.

    Args:
        explained: the member `Plan` of the JSON that EXPLAIN prints.
    """
    return _parse(explained, frozenset(_tags(explained)))


def _parse(explained: Mapping[str, Any], tags: frozenset[str]) -> Node:
    kind = explained["Node Type"]
    conditions = _parse_conditions(explained, tags)
    children = tuple(_parse(plan, tags) for plan in explained.get("Plans", ()) if not _is_tag(plan))
    sources = [child for child in children if not child.is_subplan]
    relation = None
    if explained.get("Relation Name"):
        relation = (explained.get("Schema", ""), explained["Relation Name"])
    returns = _RETURNS.search(explained.get("Subplan Name", ""))
    return Node(
        kind=kind,
        relation=relation,
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
        # it writes the output of each row, and reads nothing itself
        is_hidden=kind == "Result" and len(sources) == 1 and not conditions,
    )


def _parse_conditions(explained: Mapping[str, Any], tags: Iterable[str]) -> dict[str, str]:
    conditions: dict[str, str] = {}
    for name in _CONDITIONS:
        value = explained.get(name, "")
        condition = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        if name == "One-Time Filter":
            condition = _without_tags(condition, tags)
        if condition:
            conditions[name] = condition
    return conditions


def _is_tag(explained: Mapping[str, Any]) -> bool:
    """Whether a node sets the application name, which says which request a statement is for."""
    if explained.get("Parent Relationship") != "InitPlan":
        return False
    return any(_TAG in expression for expression in explained.get("Output", ()))


def _tags(explained: Mapping[str, Any]) -> Iterator[str]:
    """Yields the names by which conditions refer to the results of the tag nodes."""
    if _is_tag(explained):
        name = explained.get("Subplan Name", "")
        returns = _RETURNS.search(name)
        if returns:
            yield returns[1]
        else:
            yield f"({name}).col1"
    for plan in explained.get("Plans", ()):
        yield from _tags(plan)


def _without_tags(condition: str, tags: Iterable[str]) -> str:
    """A condition without the tests whether a tag was set."""
    for tag in tags:
        test = f"({tag} IS NOT NULL)"
        for part in (f"{test} AND ", f" AND {test}", test):
            if test in condition:
                condition = condition.replace(part, "", 1)
    if condition == "()":
        return ""
    return condition


def relations_of(node: Node) -> list[tuple[str, str]]:
    """(schema, name) of every relation that a plan reads, each once."""
    return list(dict.fromkeys(below.relation for below in node.walk() if below.relation))


def functions_of(node: Node) -> list[str]:
    """The sorted names of all functions that a plan calls, without schemas."""
    names: set[str] = set()
    for expression in node.expressions():
        names.update(called_functions(expression))
    return sorted(names)


def parameters_of(node: Node) -> set[str]:
    """The parameters `$n` that no InitPlan of the plan computes; only a generic plan has some."""
    computed: set[str] = set()
    used: set[str] = set()
    for below in node.walk():
        computed.update(below.returns)
        for condition in below.conditions.values():
            used.update(parameters_in(condition))
    return used - computed
