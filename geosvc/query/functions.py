"""The functions that a filter may call beside those of CQL2 itself. Nothing else of the database can be called.

Each is total: whatever a row holds, none of them fails, hangs or reads anything but its arguments.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from geosvc.cql2.tree import Function, Placed
from geosvc.model.queryables import ValueKind
from geosvc.sql.compose import SQL

_TEXT, _NUMBER, _BOOLEAN = ValueKind.TEXT, ValueKind.NUMBER, ValueKind.BOOLEAN
_DATE, _TIMESTAMP = ValueKind.DATE, ValueKind.TIMESTAMP


@dataclass(frozen=True, slots=True)
class FilterFunction:
    """A function.

    Attributes:
        takes: the kinds of its arguments.
        sql: with a place for each argument; numbers come as float8 or numeric and stay that; those it makes itself
            are numeric.
        steady: whether the same arguments give the same value at any time.
    """

    name: str
    description: str
    takes: tuple[ValueKind, ...]
    returns: ValueKind
    sql: SQL
    steady: bool = True


FUNCTIONS: Mapping[str, FilterFunction] = {
    each.name: each
    for each in (
        FilterFunction("lower", "The text in lower case.", (_TEXT,), _TEXT, SQL('(lower({} COLLATE "und-x-icu") COLLATE "C")')),
        FilterFunction("upper", "The text in upper case.", (_TEXT,), _TEXT, SQL('(upper({} COLLATE "und-x-icu") COLLATE "C")')),
        FilterFunction("trim", "The text without blanks at its ends.", (_TEXT,), _TEXT, SQL("btrim({})")),
        FilterFunction("length", "How many characters the text has.", (_TEXT,), _NUMBER, SQL("length({})::numeric")),
        FilterFunction(
            "starts_with",
            "Whether the first text begins with the second.",
            (_TEXT, _TEXT),
            _BOOLEAN,
            SQL("starts_with({}, {})"),
        ),
        FilterFunction(
            "contains_text",
            "Whether the first text contains the second.",
            (_TEXT, _TEXT),
            _BOOLEAN,
            SQL("(strpos({}, {}) > 0)"),
        ),
        FilterFunction("abs", "The number without its sign.", (_NUMBER,), _NUMBER, SQL("abs({})")),
        FilterFunction("floor", "The whole number below.", (_NUMBER,), _NUMBER, SQL("floor({})")),
        FilterFunction("ceil", "The whole number above.", (_NUMBER,), _NUMBER, SQL("ceil({})")),
        FilterFunction("round", "The nearest whole number.", (_NUMBER,), _NUMBER, SQL("round({})")),
        FilterFunction(
            "year",
            "The year of an instant, UTC.",
            (_TIMESTAMP,),
            _NUMBER,
            SQL("date_part('year', {} AT TIME ZONE 'UTC')::numeric"),
        ),
        FilterFunction(
            "month",
            "The month of an instant, UTC, 1 to 12.",
            (_TIMESTAMP,),
            _NUMBER,
            SQL("date_part('month', {} AT TIME ZONE 'UTC')::numeric"),
        ),
        FilterFunction(
            "day",
            "The day of an instant in its month, UTC.",
            (_TIMESTAMP,),
            _NUMBER,
            SQL("date_part('day', {} AT TIME ZONE 'UTC')::numeric"),
        ),
        FilterFunction(
            "hour",
            "The hour of an instant, UTC.",
            (_TIMESTAMP,),
            _NUMBER,
            SQL("date_part('hour', {} AT TIME ZONE 'UTC')::numeric"),
        ),
        FilterFunction("now", "The instant of the request.", (), _TIMESTAMP, SQL("now()"), steady=False),
        FilterFunction(
            "today", "The day of the request, UTC.", (), _DATE, SQL("(now() AT TIME ZONE 'UTC')::date"), steady=False
        ),
    )
}


def is_steady(node: object) -> bool:
    """Whether what a filter, or a part of one, says of a row holds for as long as the row does not change."""
    if isinstance(node, Function):
        function = FUNCTIONS.get(node.name.lower())
        return (function is None or function.steady) and is_steady(node.args)
    if isinstance(node, tuple):
        return all(map(is_steady, node))
    return not isinstance(node, Placed) or all(is_steady(getattr(node, each.name)) for each in fields(node))
