"""Whether texts are equal, in SQL.

Texts are compared by code point. An index on an enum, on char(n) or on citext does not serve a
comparison of texts, and an index by a non-deterministic collation finds too many rows. So a text is
compared as the type of the column, and a second time by code point where the equality of the column
is another.
"""

from collections.abc import Sequence

from geosvc.model.collection import Column
from geosvc.query.cql2.operands import Operand
from geosvc.query.sql_parts import row_column, type_name
from geosvc.sql.compose import SQL, Composable, Identifier, Param

_COMPARED_AS_TEXT = ("text", "varchar", "name")


def equal_to_texts(value: Operand, texts: Sequence[str]) -> Composable:
    """Write the condition that a text is one of these.

    Args:
        texts: one or more.
    """
    by_code_point = _equal(value.sql, texts)
    column = value.column
    if column is None:
        return by_code_point
    by_index = _equal_by_index(column, texts)
    if by_index is None:
        return by_code_point
    is_exact = column.deterministic and column.type_name != "citext"
    if is_exact:
        return by_index
    return SQL("({} AND {})").format(by_index, by_code_point)


def _equal(value: Composable, texts: Sequence[str]) -> Composable:
    """Compare with texts."""
    if len(texts) == 1:
        return SQL("({} = {})").format(value, Param(texts[0], "text"))
    return SQL("({} = ANY ({}))").format(value, Param(list(texts), "text[]"))


def _equal_as(
    kind: Identifier,
    value: Composable,
    texts: Sequence[str],
) -> Composable:
    """Compare with texts that are cast to a type."""
    if len(texts) == 1:
        return SQL("({} = {})").format(value, Param(texts[0], "text", kind))
    return SQL("({value} = ANY ({texts}::{kind}[]))").format(
        value=value,
        texts=Param(list(texts), "text[]"),
        kind=kind,
    )


def _equal_by_index(column: Column, texts: Sequence[str]) -> Composable | None:
    """Compare by the equality of the column; None where it cannot find these texts."""
    value = row_column(column.name)
    if column.enum is not None:
        # `comparisons` has checked that the texts are labels
        return _equal_as(type_name(column), value, texts)
    if column.type_name == "bpchar":
        # char(n) ignores blanks at the end, so a text that ends with one never is its value
        without_blanks = [text for text in texts if not text.endswith(" ")]
        if not without_blanks:
            return None
        return _equal_as(type_name(column), value, without_blanks)
    if column.type_name == "citext":
        return _equal_as(type_name(column), value, texts)
    if column.type_name in _COMPARED_AS_TEXT:
        return _equal(value, texts)
    return None
