"""Writes a plan as lines of text for people, with redacted values."""

from geosvc.advice.plan import Node, relations_of
from geosvc.sql.literals import redact

_MAX_CHARACTERS = 300


def write_plan(node: Node, depth: int = 0) -> list[str]:
    """The lines of a plan, similar to those of EXPLAIN, with redacted values."""
    lines: list[str] = []
    child_depth = depth
    if not node.is_hidden:
        lines += _write_node(node, depth)
        child_depth += 1
    for child in node.children:
        if not child.is_subplan or relations_of(child):
            lines += write_plan(child, child_depth)
    return lines


def _write_node(node: Node, depth: int) -> list[str]:
    indent = "  " * depth
    arrow = "-> " if depth else ""
    lines = [f"{indent}{arrow}{_title(node)}  (cost={node.cost:.2f} rows={node.rows:.0f})"]
    for name, condition in node.conditions.items():
        shown = redact(condition)
        if len(shown) > _MAX_CHARACTERS:
            shown = f"{shown[:_MAX_CHARACTERS]}…"
        lines.append(f"{indent}     {name}: {shown}")
    return lines


def _title(node: Node) -> str:
    title = node.kind
    if node.index:
        title += f" using {node.index}"
    if node.relation:
        title += f" on {'.'.join(filter(None, node.relation))}"
    return title
