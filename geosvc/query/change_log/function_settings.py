"""The settings of the functions that log changes.

A value must be logged as the same text whatever the settings of the session are. A setting of a
function costs a twentieth of a commit, so a function has only the settings that its types need.
"""

from geosvc.model.collection import Column
from geosvc.model.type_names import FLOATS
from geosvc.query.change_log.published_table import PublishedTable, is_builtin
from geosvc.sql.compose import SQL

# Types that every session writes as the same text, as JSON and as the text of a key.
_NUMBERS = frozenset({"int2", "int4", "int8", "numeric", "bool", "oid", "pg_lsn", "xid8"})
_TEXTS = frozenset({"text", "varchar", "bpchar", "char", "name", "tsvector", "tsquery"})
_DOCUMENTS = frozenset({"json", "jsonb", "jsonpath", "xml"})
_CLOCKS = frozenset({"time", "timetz"})
_ADDRESSES = frozenset({"uuid", "inet", "cidr", "macaddr", "macaddr8"})
_BITS = frozenset({"bit", "varbit"})
_RANGES = frozenset({"int4range", "int8range", "numrange"})
_MULTIRANGES = frozenset({"int4multirange", "int8multirange", "nummultirange"})
_SAME_IN_ALL_SESSIONS = frozenset().union(
    _NUMBERS, _TEXTS, _DOCUMENTS, _CLOCKS, _ADDRESSES, _BITS, _RANGES, _MULTIRANGES
)
# Types that every session writes as the same JSON, but not as the same text.
_SAME_AS_JSON = frozenset({"date", "timestamp", "timestamptz"})

_FLOAT_SETTING = SQL(" SET extra_float_digits = 1")
_ALL_SETTINGS = SQL(
    " SET timezone = 'UTC' SET datestyle = 'ISO, YMD' SET intervalstyle = 'iso_8601'"
    " SET bytea_output = 'hex' SET extra_float_digits = 1"
)


def settings_of(table: PublishedTable) -> SQL:
    """Return the SET clauses of the functions of a table."""
    only_floats = True
    is_needed = False
    for column in table.columns:
        in_key = column.name in table.key
        type_name = column.type_name.removeprefix("_")
        if _is_same_in_all_sessions(column, type_name, in_key):
            continue
        is_needed = True
        if in_key or type_name not in FLOATS:
            only_floats = False
    if not is_needed:
        return SQL("")
    return _FLOAT_SETTING if only_floats else _ALL_SETTINGS


def _is_same_in_all_sessions(
    column: Column,
    type_name: str,
    in_key: bool,
) -> bool:
    """Whether values are logged as the same text in all sessions.

    Args:
        type_name: the type of the elements, if the column is an array.
        in_key: whether the value is also written as the text of a key.
    """
    if column.enum is not None:
        return True
    if not is_builtin(column):
        return False
    if type_name in _SAME_IN_ALL_SESSIONS or type_name.startswith("reg"):
        return True
    return column.type_name in _SAME_AS_JSON and not in_key
