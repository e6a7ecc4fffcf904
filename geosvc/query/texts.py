"""Which texts are equal, in SQL: by code point, and yet by the index of a column that has another equality of its own.

An index on an enum, char(n) or citext knows no text; one by a collation that takes different texts for equal finds too many.
So what is sought is written as the type of the column, and looked at again where its own equality is not ours.
"""

from collections.abc import Sequence

from geosvc.model.collection import Column
from geosvc.query.operands import Operand
from geosvc.sql.compose import SQL, Composable, Identifier, Param

_COMPARED_AS_TEXT = ("text", "varchar", "name")


def equal_to_texts(value: Operand, texts: Sequence[str]) -> Composable:
    """Whether a text is one of these (one or more)."""
    exactly = _equal(value.sql, texts, None)
    own = _equal_by_index(value.column, texts) if value.column is not None else None
    if own is None or value.column is None:
        return exactly
    has_our_equality = value.column.deterministic and value.column.type_name != "citext"
    return own if has_our_equality else SQL("({} AND {})").format(own, exactly)


def _equal(sql: Composable, texts: Sequence[str], cast: Identifier | None) -> Composable:
    if len(texts) == 1:
        return SQL("({} = {})").format(sql, Param(texts[0], "text", cast))
    if cast is None:
        return SQL("({} = ANY ({}))").format(sql, Param(list(texts), "text[]"))
    return SQL("({} = ANY ({}::{}[]))").format(sql, Param(list(texts), "text[]"), cast)


def _equal_by_index(column: Column, texts: Sequence[str]) -> Composable | None:
    """By the column's own equality; None where it has none that serves."""
    bare, cast = SQL("t.{}").format(Identifier(column.name)), Identifier(column.type_schema, column.type_name)
    if column.enum is not None:
        labels = [text for text in texts if text in column.enum]
        return _equal(bare, labels, cast) if labels else None
    if column.type_name == "bpchar":  # blanks at its end are no part of it
        kept = [text for text in texts if not text.endswith(" ")]
        return _equal(bare, kept, cast) if kept else None
    if column.type_name == "citext":
        return _equal(bare, texts, cast)
    return _equal(bare, texts, None) if column.type_name in _COMPARED_AS_TEXT else None
