"""The cells of a CSV line in SQL: quoted where they must be, empty for NULL."""

from geosvc.model.collection import Column
from geosvc.model.media_type import FORMULA_BEGINS
from geosvc.query.property_columns import NEVER_QUOTED, property_value, typed_value
from geosvc.requests.items import ItemsQuery
from geosvc.sql.compose import SQL, Composable, Param

_FORMULA = f"^[{FORMULA_BEGINS}]"
_ESCAPED = r"'\&"


def property_cell(column: Column, query: ItemsQuery) -> Composable:
    """Write the value of a column as a cell."""
    text = _cell_text(column)
    if column.type_name in NEVER_QUOTED:
        return csv_cell(text, quoted=False)
    if query.escapes_formulas:
        text = SQL("regexp_replace({text}, {formula}, {escaped})").format(
            text=text,
            formula=Param(_FORMULA, "text"),
            escaped=Param(_ESCAPED, "text"),
        )
    return csv_cell(text, quoted=True)


def _cell_text(column: Column) -> Composable:
    """Write timestamps as JSON does, bytes as base64, everything else as PostgreSQL's text."""
    if column.type_name in NEVER_QUOTED:
        return SQL("({})::text").format(typed_value(column))
    if column.is_temporal:
        return SQL("to_json({}) #>> '{{}}'").format(typed_value(column))
    value = property_value(column, bigint_as_text=False)
    return SQL("({})::text").format(value)


def csv_cell(text: Composable, quoted: bool) -> Composable:
    """Write a text as a cell; NULL becomes an empty cell.

    Args:
        quoted: whether the text may contain a comma, a quote or a line break.
    """
    template = SQL("coalesce({}, '')")
    if quoted:
        template = SQL("coalesce('\"' || replace({} COLLATE \"C\", '\"', '\"\"') || '\"', '')")
    return template.format(text)
