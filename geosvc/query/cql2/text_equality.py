"""Whether texts are equal, in SQL.

Texts are compared by code point. An index on an enum, on char(n) or on citext does not serve a
comparison of texts, and an index by a non-deterministic collation finds too many rows. So a text is
compared as the type of the column, and a second time by code point where the equality of the column
is another.
"""

from collections.abc import Sequence

from geosvc.model.collection import Column
from geosvc.query.cql2.operands import Operand
from geosvc.sql.compose import SQL, Composable, Identifier, Param

_COMPARED_AS_TEXT = ("text", "varchar", "name")


def equal_to_texts(value: Operand, texts: Sequence[str]) -> Composable:
    """Write the condition that a text is one of these.

    Args:
        texts: one or more.
    """
    by_code_point = _equal(value.sql, texts, None)
    if value.column is None:
        return by_code_point
    by_index = _equal_by_index(value.column, texts)
    if by_index is None:
        return by_code_point
    if value.column.deterministic and value.column.type_name != "citext":
        return by_index
    return SQL("({} AND {})").format(by_index, by_code_point)


def _equal(sql: Composable, texts: Sequence[str], cast: Identifier | None) -> Composable:
    if len(texts) == 1:
        return SQL("({} = {})").format(sql, Param(texts[0], "text", cast))
    if cast is None:
        return SQL("({} = ANY ({}))").format(sql, Param(list(texts), "text[]"))
    return SQL("({} = ANY ({}::{}[]))").format(sql, Param(list(texts), "text[]"), cast)


def _equal_by_index(column: Column, texts: Sequence[str]) -> Composable | None:
    """Compare by the equality of the column; None where it cannot find these texts."""
    bare = SQL("t.{}").format(Identifier(column.name))
    cast = Identifier(column.type_schema, column.type_name)
    if column.enum is not None:
        return _equal(bare, texts, cast)  # `comparisons` has checked that they are labels
    if column.type_name == "bpchar":
        # char(n) ignores blanks at the end, so a text that ends with one never is its value
        without_blanks = [text for text in texts if not text.endswith(" ")]
        if not without_blanks:
            return None
        return _equal(bare, without_blanks, cast)
    if column.type_name == "citext":
        return _equal(bare, texts, cast)
    if column.type_name in _COMPARED_AS_TEXT:
        return _equal(bare, texts, None)
    return None
