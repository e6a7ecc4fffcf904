"""The id of a feature in SQL: as text, and as the member `id` of a GeoJSON feature."""

from geosvc.model.collection import Collection
from geosvc.model.type_names import WHOLE_NUMBERS
from geosvc.query.property_columns import (
    JAVASCRIPT_UNSAFE,
    NEVER_QUOTED,
    typed_value,
)
from geosvc.sql.compose import SQL, Composable

# The texts of `model.feature.IDS_WITHOUT_URL` have no URL.
_WITH_ADDRESS = SQL("nullif(nullif(nullif({} COLLATE \"C\", ''), '.'), '..')")
_ESCAPED = SQL("regexp_replace({} COLLATE \"C\", '([\\\\,])', '\\\\\\1', 'g')")


def feature_id(collection: Collection) -> Composable:
    r"""Write the id of a feature as text.

    The values of a composite key are joined by commas. A comma or a backslash in a value is escaped
    by a backslash (`values.feature_id` parses it).
    """
    parts = []
    for column in collection.key_columns:
        text = SQL("{}::text").format(typed_value(column))
        parts.append(text)
    if len(parts) == 1:
        return parts[0]
    escaped = [_ESCAPED.format(part) for part in parts]
    return SQL(" || ',' || ").join(escaped)


def has_numbers_as_ids(collection: Collection) -> bool:
    """Whether ids are whole numbers in JSON; else they are strings."""
    if len(collection.key) != 1:
        return False
    column = collection.key_columns[0]
    return column.type_name in WHOLE_NUMBERS


def id_member(collection: Collection, bigint_as_text: bool) -> Composable:
    """Write `"id":…,` as an SQL text; it is empty without a key, and for a text without a URL."""
    if not collection.key:
        return SQL("''")
    written = feature_id(collection)
    type_name = collection.key_columns[0].type_name
    is_unsafe = bigint_as_text and type_name in JAVASCRIPT_UNSAFE
    if has_numbers_as_ids(collection) and not is_unsafe:
        return SQL("coalesce('\"id\":' || {} || ',', '')").format(written)
    if len(collection.key) == 1 and type_name not in NEVER_QUOTED:
        written = _WITH_ADDRESS.format(written)
    return SQL("coalesce('\"id\":' || to_json({})::text || ',', '')").format(written)
