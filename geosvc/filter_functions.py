"""The functions that a filter may call besides the functions of CQL2.

A filter cannot call any other function of the database. No built-in function fails, hangs or reads
anything but its arguments, whatever values a row holds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

from geosvc.cql2.names import ARRAY, SPATIAL, TEMPORAL, WKT
from geosvc.cql2.tree import Function, Located
from geosvc.model.queryables import ValueKind
from geosvc.model.similar_names import did_you_mean
from geosvc.sql.compose import SQL

_TEXT = ValueKind.TEXT
_NUMBER = ValueKind.NUMBER
_BOOLEAN = ValueKind.BOOLEAN
_DATE = ValueKind.DATE
_TIMESTAMP = ValueKind.TIMESTAMP
_DISTANCES = frozenset(
    {"DWITHIN", "DISTANCE", "BEYOND", "DISTANCESPHERE", "DFULLYWITHIN", "BUFFER"}
)

_WORDS = "and or not like between in is null isnull div true false casei accenti bbox date interval"
RESERVED_NAMES = frozenset(
    name.lower() for name in (*_WORDS.split(), "timestamp", *SPATIAL, *TEMPORAL, *ARRAY, *WKT)
)
"""The words of CQL2 in lower case: no function has one of them as its name."""


@dataclass(frozen=True, slots=True)
class FilterFunction:
    """A function that a filter may call.

    Attributes:
        name: in lower case; a filter may write it in any case.
        takes: the kinds of its arguments.
        returns: the kind of its value.
        sql: a template with one placeholder for each argument. An argument is a column, a bound
            parameter or an expression of them. Numbers are passed as float8 or numeric, and the
            function returns the same type; a number made from other kinds is numeric.
        is_immutable: whether the same arguments always give the same value.
    """

    name: str
    description: str
    takes: tuple[ValueKind, ...]
    returns: ValueKind
    sql: SQL
    is_immutable: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class FilterFunctions:
    """The functions that the filters of one service may call.

    Attributes:
        by_name: the functions by their names in lower case.
    """

    by_name: Mapping[str, FilterFunction]

    def find(self, name: str) -> FilterFunction | None:
        """The function with this name, in any case."""
        return self.by_name.get(name.lower())

    def are_immutable_in(self, node: object) -> bool:
        """Whether a filter, or a part of one, gives the same result while a row stays the same.

        Args:
            node: a node of the tree, a tuple of nodes, or an attribute of a node.
        """
        if isinstance(node, Function):
            function = self.find(node.name)
            if function is not None and not function.is_immutable:
                return False
            return self.are_immutable_in(node.args)
        if isinstance(node, tuple):
            return all(map(self.are_immutable_in, node))
        if isinstance(node, Located):
            for attribute in fields(node):
                if not self.are_immutable_in(getattr(node, attribute.name)):
                    return False
        return True

    def suggest(self, collection_id: str, name: str) -> str:
        """Suggest what a client may have meant by an unknown name; possibly nothing.

        CQL2 has no operators of distance, so the search is suggested for them.
        """
        upper = name.upper()
        if upper.removeprefix("S").removeprefix("T").lstrip("_") in _DISTANCES:
            return (
                f": for distances use POST /collections/{collection_id}/search"
                " with predicate dwithin and distance"
            )
        if upper.startswith(("S_", "ST_")):
            _, _, operator = name.partition("_")
            return did_you_mean(f"S_{operator}", SPATIAL)
        if upper.startswith(("T_", "A_")):
            return did_you_mean(name, [*TEMPORAL, *ARRAY])
        return did_you_mean(name, self.by_name)


def _by_name(functions: Iterable[FilterFunction]) -> dict[str, FilterFunction]:
    return {function.name: function for function in functions}


_ALL = (
    FilterFunction(
        name="lower",
        description="The text in lower case.",
        takes=(_TEXT,),
        returns=_TEXT,
        sql=SQL('(lower({} COLLATE "und-x-icu") COLLATE "C")'),
    ),
    FilterFunction(
        name="upper",
        description="The text in upper case.",
        takes=(_TEXT,),
        returns=_TEXT,
        sql=SQL('(upper({} COLLATE "und-x-icu") COLLATE "C")'),
    ),
    FilterFunction(
        name="trim",
        description="The text without blanks at its ends.",
        takes=(_TEXT,),
        returns=_TEXT,
        sql=SQL("btrim({})"),
    ),
    FilterFunction(
        name="length",
        description="How many characters the text has.",
        takes=(_TEXT,),
        returns=_NUMBER,
        sql=SQL("length({})::numeric"),
    ),
    FilterFunction(
        name="starts_with",
        description="Whether the first text begins with the second.",
        takes=(_TEXT, _TEXT),
        returns=_BOOLEAN,
        sql=SQL("starts_with({}, {})"),
    ),
    FilterFunction(
        name="contains_text",
        description="Whether the first text contains the second.",
        takes=(_TEXT, _TEXT),
        returns=_BOOLEAN,
        sql=SQL("(strpos({}, {}) > 0)"),
    ),
    FilterFunction(
        name="abs",
        description="The number without its sign.",
        takes=(_NUMBER,),
        returns=_NUMBER,
        sql=SQL("abs({})"),
    ),
    FilterFunction(
        name="floor",
        description="The greatest whole number that is not above the number.",
        takes=(_NUMBER,),
        returns=_NUMBER,
        sql=SQL("floor({})"),
    ),
    FilterFunction(
        name="ceil",
        description="The least whole number that is not below the number.",
        takes=(_NUMBER,),
        returns=_NUMBER,
        sql=SQL("ceil({})"),
    ),
    FilterFunction(
        name="round",
        description="The nearest whole number.",
        takes=(_NUMBER,),
        returns=_NUMBER,
        sql=SQL("round({})"),
    ),
    FilterFunction(
        name="year",
        description="The year of an instant, UTC.",
        takes=(_TIMESTAMP,),
        returns=_NUMBER,
        sql=SQL("date_part('year', {} AT TIME ZONE 'UTC')::numeric"),
    ),
    FilterFunction(
        name="month",
        description="The month of an instant, UTC, 1 to 12.",
        takes=(_TIMESTAMP,),
        returns=_NUMBER,
        sql=SQL("date_part('month', {} AT TIME ZONE 'UTC')::numeric"),
    ),
    FilterFunction(
        name="day",
        description="The day of the month of an instant, UTC, 1 to 31.",
        takes=(_TIMESTAMP,),
        returns=_NUMBER,
        sql=SQL("date_part('day', {} AT TIME ZONE 'UTC')::numeric"),
    ),
    FilterFunction(
        name="hour",
        description="The hour of an instant, UTC, 0 to 23.",
        takes=(_TIMESTAMP,),
        returns=_NUMBER,
        sql=SQL("date_part('hour', {} AT TIME ZONE 'UTC')::numeric"),
    ),
    FilterFunction(
        name="now",
        description="The instant of the request.",
        takes=(),
        returns=_TIMESTAMP,
        sql=SQL("now()"),
        is_immutable=False,
    ),
    FilterFunction(
        name="today",
        description="The day of the request, UTC.",
        takes=(),
        returns=_DATE,
        sql=SQL("(now() AT TIME ZONE 'UTC')::date"),
        is_immutable=False,
    ),
)
BUILT_IN_FUNCTIONS = FilterFunctions(_by_name(_ALL))
"""The functions of every service; an application that embeds geosvc can add others."""
