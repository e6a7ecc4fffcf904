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
    if column.type_name in NEVER_QUOTED:
        return csv_cell(_cell_text(column), quoted=False)
    text = _cell_text(column)
    if query.escapes_formulas:
        text = SQL("regexp_replace({}, {}, {})").format(
            text, Param(_FORMULA, "text"), Param(_ESCAPED, "text")
        )
    return csv_cell(text, quoted=True)


def _cell_text(column: Column) -> Composable:
    """Write timestamps as JSON does, bytes as base64, everything else as PostgreSQL's text."""
    if column.type_name in NEVER_QUOTED:
        return SQL("({})::text").format(typed_value(column))
    if column.is_temporal:
        return SQL("to_json({}) #>> '{{}}'").format(typed_value(column))
    return SQL("({})::text").format(property_value(column, bigint_as_text=False))


def csv_cell(text: Composable, quoted: bool) -> Composable:
    """Write a text as a cell; NULL becomes an empty cell.

    Args:
        quoted: whether the text may contain a comma, a quote or a line break.
    """
    if quoted:
        return SQL("coalesce('\"' || replace({} COLLATE \"C\", '\"', '\"\"') || '\"', '')").format(
            text
        )
    return SQL("coalesce({}, '')").format(text)
