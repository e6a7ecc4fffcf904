"""Looks up the indexes of a relation, and writes the command that makes one."""

from collections.abc import Sequence

from geosvc.advice.evidence import Relation, quote, root_of
from geosvc.advice.plan_conditions import Expression, canonical, unquote

INDEXABLE_KINDS = ("r", "m", "p")  # tables, materialised views, partitioned tables


def has_index(relation: Relation, expression: Expression, methods: Sequence[str]) -> bool:
    """Whether a valid index of one of the methods begins with an expression."""
    compares_names = expression.is_bare or expression.casts == ("text",)
    for index in relation["indexes"]:
        if not index["valid"] or index["partial"] or index["method"] not in methods:
            continue
        first = index["columns"][0]
        if compares_names and unquote(first) == expression.column:
            return True
        if not compares_names and canonical(first) == expression.canonical:
            return True
    return False


def create_index(relation: Relation, keys: str, column: str | None, method: str = "btree") -> str:
    """The command that makes an index, or rebuilds an invalid one.

    Args:
        keys: the columns or expressions, as SQL writes them between the parentheses.
        column: the name of the column, if the index is on exactly one.
    """
    if column is not None:
        for index in relation["indexes"]:
            is_same = index["method"] == method and not index["partial"]
            columns = [unquote(name) for name in index["columns"]]
            if is_same and columns == [column] and not index["valid"]:
                return f"REINDEX INDEX CONCURRENTLY {quote(index['schema'], index['name'])}"
    using = "" if method == "btree" else f" USING {method}"
    return f"{begin_index(relation)}{using} ({keys})"


def begin_index(relation: Relation) -> str:
    """The command that makes an index, up to its method and keys.

    For a partition it makes an index of the partitioned table, which has no CONCURRENTLY.
    """
    concurrently = " CONCURRENTLY"
    if relation["partition_of"] or relation["kind"] == "p":
        concurrently = ""
    return f"CREATE INDEX{concurrently} ON {quote(*root_of(relation))}"
